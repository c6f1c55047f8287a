//! The log flood: how many lines are due, with an end to what one flood may write.

use std::time::Duration;

/// How often [`Flood::due`] is meant to be asked.
pub const STEP: Duration = Duration::from_millis(100);
/// Lines that one flood writes at most: some 600 MB, so that an hour of flood fills no disk.
pub const MAX_LINES: u64 = 2_000_000;

/// One flood, from switching on to switching off.
#[derive(Debug, Default)]
pub struct Flood {
    written: u64,
    /// Time not yet turned into lines, in lines.
    owed: f64,
}

impl Flood {
    /// Lines to write now, at `rate` lines a second, `elapsed` after the last call.
    pub fn due(&mut self, rate: u32, elapsed: Duration) -> u64 {
        // After a pause the flood goes on at its rate; it does not make up for the pause.
        let elapsed = elapsed.min(4 * STEP);
        self.owed += f64::from(rate) * elapsed.as_secs_f64();
        let lines = (self.owed as u64).min(MAX_LINES - self.written);
        self.owed -= self.owed.floor();
        self.written += lines;
        lines
    }

    pub fn written(&self) -> u64 {
        self.written
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writes_the_rate_asked_for() {
        let mut flood = Flood::default();
        let total: u64 = (0..100).map(|_| flood.due(25, STEP)).sum();
        assert!((249..=250).contains(&total), "{total}");
    }

    #[test]
    fn ends_at_the_most() {
        let mut flood = Flood {
            written: MAX_LINES - 3,
            owed: 0.0,
        };
        assert_eq!(flood.due(10_000, STEP), 3);
        assert_eq!(flood.due(10_000, STEP), 0);
        assert_eq!(flood.written(), MAX_LINES);
    }
}
