//! What a command that is not `run` ends with.

/// What it prints, and its exit code.
#[derive(Debug)]
pub struct Done {
    pub text: String,
    pub code: u8,
}

/// Why it could not do it.
#[derive(Debug)]
pub struct Stop {
    pub message: String,
    pub code: u8,
}

impl Stop {
    pub fn new(code: u8, message: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            code,
        }
    }
}
