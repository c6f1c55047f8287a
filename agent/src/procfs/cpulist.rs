//! Lists of CPUs as sysfs writes them (`0-3,7`).

use super::text::{ParseError, number, quote, trim};

/// More CPUs than any kernel supports (`NR_CPUS` is at most 8192); a longer range is a corrupt
/// file, not a machine.
const MOST: u64 = 65_536;

/// The numbers in the order of the list; an empty list is no CPU.
pub fn parse(text: &[u8]) -> Result<Vec<u32>, ParseError> {
    let mut cpus = Vec::new();
    for part in trim(text)
        .split(|byte| *byte == b',')
        .filter(|part| !part.is_empty())
    {
        let mut ends = part.splitn(2, |byte| *byte == b'-');
        let first = ends.next().and_then(number);
        let last = ends.next().map_or(first, number);
        match (first, last) {
            (Some(first), Some(last)) if last < MOST => {
                cpus.extend((first..=last).map(|cpu| cpu as u32));
            }
            _ => {
                return Err(ParseError::new(
                    1,
                    format!("{} is not a range of CPUs", quote(part)),
                ));
            }
        }
    }
    Ok(cpus)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn reads_ranges() {
        assert_eq!(parse(b"1,3-5,9\n").unwrap(), [1, 3, 4, 5, 9]);
        assert_eq!(parse(b"\n").unwrap(), Vec::<u32>::new());
        assert!(parse(b"1-x\n").is_err());
        assert!(parse(b"0-99999999999\n").is_err());
    }

    proptest! {
        #[test]
        fn never_panics(text in "[0-9,-]{0,20}") {
            let _ = parse(text.as_bytes());
        }
    }
}
