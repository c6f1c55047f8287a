//! The crash: exit code 70 (`EX_SOFTWARE` of sysexits.h), after the reply has gone out.

use std::time::Duration;

pub const EXIT_CODE: i32 = 70;
/// Time for the reply of the request that asked for it to reach its reader.
pub const GRACE: Duration = Duration::from_millis(300);
