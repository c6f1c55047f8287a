//! What long work says while it runs. The work knows only this trait; whether a bar moves on a
//! terminal or a line goes to a CI log is decided where the program starts.

/// Receives what a long piece of work reports. One per named step, for example one component.
pub trait Progress: Send + Sync {
    /// A new state of the step called `name`: a short phrase such as `trying official archive`.
    fn state(&self, name: &str, state: &str);
    /// Bytes done and, where known, bytes in all.
    fn bytes(&self, name: &str, done: u64, total: Option<u64>);
    /// The step ended; one line that stays.
    fn done(&self, name: &str, line: &str);
    /// Something worth keeping that is not the end of a step.
    fn note(&self, name: &str, line: &str);
}

/// Says nothing.
#[derive(Debug, Default)]
pub struct Silent;

impl Progress for Silent {
    fn state(&self, _: &str, _: &str) {}
    fn bytes(&self, _: &str, _: u64, _: Option<u64>) {}
    fn done(&self, _: &str, _: &str) {}
    fn note(&self, _: &str, _: &str) {}
}
