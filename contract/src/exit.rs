//! The exit codes of both programs: one list, so that a script can rely on them.

/// Done, in step, pass.
pub const OK: u8 = 0;
/// Something failed while operating: a server, a file, the network.
pub const ERROR: u8 = 1;
/// `plan` and `drift` found changes; the gate says *fail*.
pub const CHANGES: u8 = 2;
/// The gate cannot decide.
pub const INCONCLUSIVE: u8 = 3;
/// The gate (or a proof) has no data to judge by.
pub const NO_DATA: u8 = 4;
/// The monitoring itself is unhealthy.
pub const UNHEALTHY: u8 = 5;
/// A release was rolled back.
pub const ROLLED_BACK: u8 = 6;
/// Rolling back failed.
pub const ROLLBACK_FAILED: u8 = 7;
/// The command line is wrong (sysexits.h `EX_USAGE`; clap's own 2 is mapped to this).
pub const USAGE: u8 = 64;
/// The spec or a configuration is wrong (sysexits.h `EX_DATAERR`).
pub const BAD_SPEC: u8 = 65;
