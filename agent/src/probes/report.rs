//! What a probe has to say: its gauges, and step by step what happened, for whoever is woken by it.
//! Both are filled as the probe goes along, so that one cut off by its deadline still tells how far
//! it came.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Instant;

use crate::exposition::{self, Kind, Page};

/// Steps of one probe that are kept; a conversation may have any number of lines.
const MOST_STEPS: usize = 400;
/// Bytes of one step that are kept.
const LONGEST_STEP: usize = 2_000;

type Labels = Vec<(String, String)>;

#[derive(Debug)]
pub struct Report {
    gauges: BTreeMap<&'static str, (&'static str, BTreeMap<Labels, f64>)>,
    started: Instant,
    steps: Vec<Step>,
    left_out: usize,
}

#[derive(Debug)]
struct Step {
    seconds: f64,
    bad: bool,
    text: String,
}

impl Default for Report {
    fn default() -> Self {
        Self {
            gauges: BTreeMap::new(),
            started: Instant::now(),
            steps: Vec::new(),
            left_out: 0,
        }
    }
}

impl Report {
    pub fn set(&mut self, name: &'static str, help: &'static str, value: f64) {
        self.labelled(name, help, Vec::new(), value);
    }

    /// Sets a sample; its labels are sorted here.
    pub fn labelled(
        &mut self,
        name: &'static str,
        help: &'static str,
        mut labels: Labels,
        value: f64,
    ) {
        labels.sort();
        let samples = &mut self.gauges.entry(name).or_insert((help, BTreeMap::new())).1;
        samples.insert(labels, value);
    }

    /// Adds to the sample of a phase, which begins at nought.
    pub fn add_phase(&mut self, name: &'static str, help: &'static str, phase: &str, value: f64) {
        let samples = &mut self.gauges.entry(name).or_insert((help, BTreeMap::new())).1;
        *samples
            .entry(vec![("phase".to_owned(), phase.to_owned())])
            .or_default() += value;
    }

    /// Something that happened.
    pub fn note(&mut self, text: impl Into<String>) {
        self.step(false, text.into());
    }

    /// Why the probe fails.
    pub fn fail(&mut self, text: impl Into<String>) {
        self.step(true, text.into());
    }

    fn step(&mut self, bad: bool, mut text: String) {
        if self.steps.len() >= MOST_STEPS && !bad {
            self.left_out += 1;
            return;
        }
        if text.len() > LONGEST_STEP {
            let cut = (0..=LONGEST_STEP)
                .rev()
                .find(|at| text.is_char_boundary(*at))
                .unwrap_or_default();
            text.truncate(cut);
            text.push_str(" …");
        }
        self.steps.push(Step {
            seconds: self.started.elapsed().as_secs_f64(),
            bad,
            text,
        });
    }

    /// The last thing that went wrong.
    pub fn reason(&self) -> Option<&str> {
        let bad = self.steps.iter().rev().find(|step| step.bad);
        bad.map(|step| step.text.as_str())
    }

    /// The last thing that happened, which a probe that was cut off was still busy with.
    pub fn last_step(&self) -> Option<&str> {
        self.steps.last().map(|step| step.text.as_str())
    }

    /// The page that Prometheus gets.
    pub fn page(&self) -> Vec<u8> {
        let mut page = Page::default();
        for (name, (help, samples)) in &self.gauges {
            let mut family = page.family(name, help, Kind::Gauge);
            for (labels, value) in samples {
                let labels: Vec<(&str, &[u8])> = labels
                    .iter()
                    .map(|(name, value)| (name.as_str(), value.as_bytes()))
                    .collect();
                family.sample(&labels, *value);
            }
        }
        let mut out = Vec::new();
        exposition::merge([&page], &mut out);
        out
    }

    /// The steps as lines of text.
    pub fn steps(&self) -> String {
        let mut out = String::new();
        for step in &self.steps {
            let mark = if step.bad { "✗" } else { "·" };
            // Writing to a String does not fail. A server's words stay on one line, and control
            // characters do not reach a terminal.
            let _ = write!(out, "{:>9.3}s {mark} ", step.seconds);
            for c in step.text.chars() {
                if c.is_control() {
                    let _ = write!(out, "{}", c.escape_default());
                } else {
                    out.push(c);
                }
            }
            out.push('\n');
        }
        if self.left_out > 0 {
            let _ = writeln!(out, "           · {} more steps", self.left_out);
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gauges_are_a_page_and_steps_are_lines() {
        let mut report = Report::default();
        report.add_phase("b_seconds", "B.", "connect", 1.0);
        report.add_phase("b_seconds", "B.", "connect", 0.5);
        report.set("a", "A.", 2.0);
        report.set("a", "A.", 3.0);
        assert_eq!(
            String::from_utf8(report.page()).unwrap(),
            "# HELP a A.\n# TYPE a gauge\na 3\n# HELP b_seconds B.\n# TYPE b_seconds gauge\n\
             b_seconds{phase=\"connect\"} 1.5\n"
        );
        report.note("one\u{1b}[31m\ntwo");
        report.fail("x".repeat(LONGEST_STEP + 5));
        let text = report.steps();
        assert_eq!(text.lines().count(), 2, "{text}");
        assert!(text.contains("one\\u{1b}[31m\\ntwo"), "{text}");
        assert!(report.reason().unwrap().ends_with("x …"));
    }

    #[test]
    fn a_talkative_server_does_not_fill_memory() {
        let mut report = Report::default();
        for n in 0..MOST_STEPS + 3 {
            report.note(n.to_string());
        }
        assert!(report.steps().ends_with("· 3 more steps\n"));
    }
}
