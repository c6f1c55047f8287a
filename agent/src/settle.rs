//! After the start, and after each new configuration, most of the code that ran will not run again:
//! it is given back to the kernel.

use std::time::Duration;

/// How long what was begun may take to be over.
const CALM: Duration = Duration::from_secs(1);

/// Waits a moment and gives back what is not in use then. What is needed again comes back by itself.
pub async fn settle() {
    tokio::time::sleep(CALM).await;
    let done = tokio::task::spawn_blocking(kai_kernel::code::give_back).await;
    match done {
        Ok(Ok(bytes)) => tracing::debug!(bytes, "code that is not in use was given back"),
        Ok(Err(error)) => {
            tracing::debug!(%error, "code cannot be given back; memory stays as it is");
        }
        Err(error) => tracing::debug!(%error, "giving back code was cut off"),
    }
}
