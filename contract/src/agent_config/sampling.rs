//! Which lines of a source are not sent: rules that drop, and shares of what is kept.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::Problem;
use crate::expression;

/// What a share is a part of.
const WHOLE: u32 = 1_000_000;

/// The spellings of `log.level` by which lines can be sampled.
pub const LEVELS: [&str; 10] = [
    "trace",
    "debug",
    "info",
    "notice",
    "warn",
    "error",
    "critical",
    "fatal",
    "alert",
    "emergency",
];

/// A part of all lines, 0 to 1, to a millionth.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "f64", into = "f64")]
pub struct Share(u32);

impl Share {
    pub const ALL: Self = Self(WHOLE);

    /// One of so many.
    pub fn one_in(number: u32) -> Self {
        Self((WHOLE + number / 2) / number.max(1))
    }

    /// Whether a number that is spread evenly over all its values falls into it.
    pub fn takes(self, number: u64) -> bool {
        // The upper half is spread as evenly, and the product fits.
        (number >> 32) * u64::from(WHOLE) < u64::from(self.0) << 32
    }

    pub fn value(self) -> f64 {
        f64::from(self.0) / f64::from(WHOLE)
    }
}

impl TryFrom<f64> for Share {
    type Error = String;

    fn try_from(value: f64) -> Result<Self, String> {
        if !(0.0..=1.0).contains(&value) {
            return Err(format!(
                "{value} is no share; write how much is kept, from 0 to 1, for example 0.1"
            ));
        }
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "between 0 and a million"
        )]
        Ok(Self((value * f64::from(WHOLE)).round() as u32))
    }
}

impl From<Share> for f64 {
    fn from(share: Share) -> Self {
        share.value()
    }
}

/// What is wrong with the rules of a source; `at` says where it stands.
pub(super) fn problems(
    at: &impl Fn(&str) -> String,
    drop: &[String],
    sample: &BTreeMap<String, Share>,
    found: &mut Vec<Problem>,
) {
    for (index, rule) in drop.iter().enumerate() {
        if let Err(error) = expression::parse(rule) {
            found.push(Problem::new(
                at(&format!("drop.{index}")),
                format!("{error}; write a condition like url.path == \"/healthz\""),
            ));
        }
    }
    for rule in sample.keys() {
        if !LEVELS.contains(&rule.as_str())
            && let Err(error) = expression::parse(rule)
        {
            found.push(Problem::new(
                at(&format!("sample.{rule}")),
                format!("neither a level such as debug nor a condition: {error}"),
            ));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_is_from_nothing_to_all() {
        let of = |value: f64| Share::try_from(value);
        assert!(of(-0.1).is_err() && of(1.1).is_err() && of(f64::NAN).is_err());
        assert!(!of(0.0).unwrap().takes(0));
        assert!(of(1.0).unwrap().takes(u64::MAX));
        let tenth = of(0.1).unwrap();
        let taken = (0..100_000_u64)
            .filter(|n| tenth.takes(n.wrapping_mul(0x9e37_79b9_7f4a_7c15)))
            .count();
        assert!((9_800..10_200).contains(&taken), "{taken}");
        let quarter: Share = serde_yaml::from_str("0.25").unwrap();
        assert_eq!(quarter, of(0.25).unwrap());
    }
}
