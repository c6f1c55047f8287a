//! What is known of a file from elsewhere, such as whose container wrote it: members that each of its
//! lines gets where it does not have them itself.

/// By the name under which each is looked for in a line first, which keeps its own.
pub const NAMES: [&str; 5] = [
    "kubernetes",
    "orchestrator",
    "container",
    "service.name",
    "kai.metadata",
];

/// What every line of a file gets.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct About {
    /// In the order of [`NAMES`], each with its comma before it; empty where there is nothing to say.
    pub members: [Vec<u8>; NAMES.len()],
}
