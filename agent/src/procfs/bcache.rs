//! bcache's files in sysfs, which print numbers for people: `1.5k`, `-4.0M/sec`.

use super::text::{ParseError, fields, float, lines, number, quote, signed as whole_number, whole};

/// A number as bcache prints it. Its digit after the point counts 1024ths of the unit.
pub fn human(text: &[u8]) -> Option<u64> {
    let (last, rest) = text.split_last()?;
    if *last <= b'9' {
        return Some(whole(float(text)?));
    }
    let power = b"kMGTPEZY".iter().position(|unit| unit == last);
    let unit = power.map_or(0.0, |power| 1024_f64.powi(power as i32 + 1));
    let mut parts = rest.split(|byte| *byte == b'.');
    let units = float(parts.next()?)?;
    let fraction = match parts.next() {
        Some(digits) => float(digits)? / 10.24,
        None => 0.0,
    };
    Some(whole((units + fraction) * unit))
}

/// The same with a sign.
pub fn human_signed(text: &[u8]) -> Option<i64> {
    match text.strip_prefix(b"-") {
        Some(rest) => Some((human(rest)? as i64).wrapping_neg()),
        None => Some(human(text)? as i64),
    }
}

/// `writeback_rate_debug`: what the controller of the writing back does.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Writeback {
    pub rate: u64,
    pub target: u64,
    pub proportional: i64,
    pub integral: i64,
    pub change: i64,
}

/// Its lines that are not shown have to be right all the same, as node_exporter has it.
pub fn writeback(text: &[u8]) -> Result<Writeback, ParseError> {
    let mut found = Writeback::default();
    for (line, content) in lines(text) {
        let value = fields(content).last().unwrap_or_default();
        let bare = value.strip_suffix(b"/sec").unwrap_or(value);
        let unsigned = |slot: &mut u64, value| human(value).map(|value| *slot = value);
        let signed = |slot: &mut i64, value| human_signed(value).map(|value| *slot = value);
        let label = content.split(|byte| *byte == b':').next();
        let read = match label.unwrap_or_default() {
            b"rate" => unsigned(&mut found.rate, bare),
            b"dirty" => human(value).map(drop),
            b"target" => unsigned(&mut found.target, value),
            b"proportional" => signed(&mut found.proportional, value),
            b"integral" => signed(&mut found.integral, value),
            b"change" => signed(&mut found.change, bare),
            b"next io" => whole_number(value.strip_suffix(b"ms").unwrap_or(value)).map(drop),
            _ => Some(()),
        };
        read.ok_or_else(|| ParseError::new(line, format!("{} has no number", quote(content))))?;
    }
    Ok(found)
}

/// Percent unused and percent of metadata out of `priority_stats`.
pub fn priorities(text: &[u8]) -> Result<(u64, u64), ParseError> {
    let (mut unused, mut metadata) = (0, 0);
    for (line, content) in lines(text) {
        let slot = if content.starts_with(b"Unused:") {
            &mut unused
        } else if content.starts_with(b"Metadata:") {
            &mut metadata
        } else {
            continue;
        };
        let value = fields(content).last().unwrap_or_default();
        *slot = number(value.strip_suffix(b"%").unwrap_or(value)).ok_or_else(|| {
            ParseError::new(line, format!("{} is not a percentage", quote(value)))
        })?;
    }
    Ok((unused, metadata))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_for_people() {
        for (text, value) in [
            ("542k", Some(555_008)),
            ("322M", Some(337_641_472)),
            ("1.1k", Some(1124)),
            ("1.9k", Some(1924)),
            ("0", Some(0)),
            ("17", Some(17)),
            ("-1", Some(u64::MAX)),
            ("1_0", Some(10)),
            ("12kB", None),
            ("", None),
            ("k", None),
            ("x1k", None),
        ] {
            assert_eq!(human(text.as_bytes()), value, "{text}");
        }
        assert_eq!(human_signed(b"-1.0k"), Some(-1024));
    }

    #[test]
    fn the_controller() {
        let text = b"rate:\t\t1.1M/sec\ndirty:\t\t20.4G\ntarget:\t\t20.4G\nproportional:\t427.5k\n\
                     integral:\t790.0k\nchange:\t\t321.5k/sec\nnext io:\t17ms\n";
        let found = writeback(text).unwrap();
        assert_eq!(found.rate, 1_150_976);
        assert_eq!(found.change, 329_204);
        assert_eq!(writeback(b"rate: 1k\ntarget: x\n").unwrap_err().line, 2);
        assert_eq!(writeback(b"dirty: x\n").unwrap_err().line, 1);
        assert_eq!(writeback(b"next io: xms\n").unwrap_err().line, 1);
        assert_eq!(
            priorities(b"Unused:\t\t99%\nMetadata:\t0%\nAverage:\t10473\n").unwrap(),
            (99, 0)
        );
        assert_eq!(priorities(b"Unused: x%\n").unwrap_err().line, 1);
    }
}
