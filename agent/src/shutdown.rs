//! The one way in which a part learns that the agent ends.

use tokio::sync::watch;

/// Returns when the value becomes true, or when nobody is left to set it.
pub async fn ended(shutdown: &mut watch::Receiver<bool>) {
    // The guard that comes back must not live across an await of the caller's.
    let _ = shutdown.wait_for(|ends| *ends).await.map(|_| ());
}
