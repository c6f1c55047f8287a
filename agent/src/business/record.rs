//! The snapshot as text: JSON lines and a last one with the SHA-256 of what stands before it, so
//! that a person can read what was counted. Pure.

use serde::{Deserialize, Serialize};

use crate::durable::{seal, unseal};

/// Grows with a change that an older agent could not read.
const VERSION: u32 = 1;

/// Everything that outlives the agent.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Record {
    /// Milliseconds since 1970.
    pub written: i64,
    pub counters: Vec<CounterRecord>,
    pub series: Vec<SeriesRecord>,
    pub files: Vec<FileRecord>,
    pub rules: Vec<RuleRecord>,
    pub links: Vec<LinkRecord>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CounterRecord {
    pub name: String,
    pub labels: Vec<String>,
}

/// One series of a counter.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SeriesRecord {
    /// Index among the counters.
    pub counter: usize,
    /// The service, then the labels' values.
    pub values: Vec<String>,
    #[serde(with = "exact")]
    pub value: f64,
    /// Milliseconds since 1970.
    pub created: i64,
}

/// Up to where the lines of one file were counted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileRecord {
    /// The last one is in force; an earlier one may still be in the log lane's checkpoint.
    pub epochs: Vec<String>,
    pub counted: u64,
}

/// When a rule on metrics first came into force.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RuleRecord {
    pub rule: u64,
    /// Milliseconds since 1970.
    pub began: i64,
}

/// What one rule last saw of one target.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LinkRecord {
    pub rule: u64,
    pub target: String,
    /// `process_start_time_seconds` of its page.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started: Option<f64>,
    /// Milliseconds since 1970.
    pub seen: i64,
    pub series: Vec<LastRecord>,
}

/// Last value of one source series: its name's hash, its value, when it began.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LastRecord(
    pub String,
    #[serde(with = "exact")] pub f64,
    pub Option<i64>,
);

/// A number as text: JSON's own reader may be off by the last bit, and a counter that falls by it
/// is a reset.
mod exact {
    use serde::de::{Deserialize, Deserializer, Error};
    use serde::ser::Serializer;

    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
    pub fn serialize<S: Serializer>(value: &f64, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(value)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
        let text = String::deserialize(deserializer)?;
        let value: Option<f64> = text.parse().ok();
        value
            .filter(|value| value.is_finite())
            .ok_or_else(|| D::Error::custom(format!("{text:?} is no number")))
    }
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Head {
    version: u32,
    written: i64,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Row {
    Counter(CounterRecord),
    Series(SeriesRecord),
    File(FileRecord),
    Rule(RuleRecord),
    Link(LinkRecord),
}

#[derive(Serialize)]
#[serde(rename_all = "lowercase")]
enum RowRef<'a> {
    Counter(&'a CounterRecord),
    Series(&'a SeriesRecord),
    File(&'a FileRecord),
    Rule(&'a RuleRecord),
    Link(&'a LinkRecord),
}

impl Record {
    pub fn to_bytes(&self) -> Result<Vec<u8>, serde_json::Error> {
        let mut out = serde_json::to_vec(&Head {
            version: VERSION,
            written: self.written,
        })?;
        out.push(b'\n');
        let rows = (self.counters.iter().map(RowRef::Counter))
            .chain(self.series.iter().map(RowRef::Series))
            .chain(self.files.iter().map(RowRef::File))
            .chain(self.rules.iter().map(RowRef::Rule))
            .chain(self.links.iter().map(RowRef::Link));
        for row in rows {
            serde_json::to_writer(&mut out, &row)?;
            out.push(b'\n');
        }
        seal(out)
    }

    /// Reads it, or says what is wrong with it.
    pub fn parse(bytes: &[u8]) -> Result<Self, String> {
        let mut lines = unseal(bytes)?;
        let said = |error: serde_json::Error| error.to_string();
        let head: Head = serde_json::from_slice(lines.next().unwrap_or_default()).map_err(said)?;
        if head.version != VERSION {
            return Err(format!(
                "it has version {}, this agent reads version {VERSION}",
                head.version
            ));
        }
        let mut out = Self {
            written: head.written,
            ..Self::default()
        };
        for line in lines {
            match serde_json::from_slice(line).map_err(said)? {
                Row::Counter(row) => out.counters.push(row),
                Row::Series(row) => out.series.push(row),
                Row::File(row) => out.files.push(row),
                Row::Rule(row) => out.rules.push(row),
                Row::Link(row) => out.links.push(row),
            }
        }
        if let Some(stray) = out
            .series
            .iter()
            .find(|series| series.counter >= out.counters.len())
        {
            return Err(format!(
                "a series is of counter {}, which is not there",
                stray.counter
            ));
        }
        Ok(out)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn record() -> impl Strategy<Value = Record> {
        let text = any::<String>;
        let series = (
            proptest::collection::vec(text(), 0..3),
            0.0..1e15,
            any::<i64>(),
        );
        let link = (
            any::<u32>(),
            text(),
            proptest::option::of(0.0..1e10),
            any::<i64>(),
        );
        (
            text(),
            proptest::collection::vec(series, 0..4),
            proptest::collection::vec((text(), any::<u64>()), 0..3),
            proptest::collection::vec(link, 0..3),
        )
            .prop_map(|(name, series, files, links)| Record {
                written: 7,
                counters: vec![CounterRecord {
                    name: name.clone(),
                    labels: vec![name],
                }],
                series: series
                    .into_iter()
                    .map(|(values, value, created)| SeriesRecord {
                        counter: 0,
                        values,
                        value,
                        created,
                    })
                    .collect(),
                files: files
                    .into_iter()
                    .map(|(epoch, counted)| FileRecord {
                        epochs: vec![epoch],
                        counted,
                    })
                    .collect(),
                rules: vec![RuleRecord { rule: 1, began: -1 }],
                links: links
                    .into_iter()
                    .map(|(rule, target, started, seen)| LinkRecord {
                        rule: rule.into(),
                        target,
                        started,
                        seen,
                        series: vec![LastRecord("ab".into(), 1.5, Some(3))],
                    })
                    .collect(),
            })
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_again(record in record()) {
            prop_assert_eq!(Record::parse(&record.to_bytes().unwrap()), Ok(record));
        }

        #[test]
        fn damage_is_noticed(
            record in record(), at in any::<prop::sample::Index>(), byte in any::<u8>(),
            cut in any::<bool>(),
        ) {
            let mut bytes = record.to_bytes().unwrap();
            let at = at.index(bytes.len());
            if cut {
                bytes.truncate(at);
            } else if bytes[at] == byte {
                return Ok(());
            } else {
                bytes[at] = byte;
            }
            prop_assert!(Record::parse(&bytes).is_err());
        }

        #[test]
        fn nothing_makes_it_panic(bytes in any::<Vec<u8>>()) {
            let _ = Record::parse(&bytes);
        }
    }
}
