//! `/proc/pressure/*` and the cgroups' `*.pressure` (the kernel's psi.rst): a line `some` and a
//! line `full`, each with averages and the total stall time in microseconds.

use super::text::{ParseError, fields, float, lines, number, quote};

/// Microseconds in which some tasks, or all that were not idle, waited.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Stalls {
    pub some: Option<u64>,
    pub full: Option<u64>,
}

const KEYS: [&str; 4] = ["avg10", "avg60", "avg300", "total"];

/// Lines of another kind than these two are left out.
pub fn parse(text: &[u8]) -> Result<Stalls, ParseError> {
    let mut stalls = Stalls::default();
    for (line, content) in lines(text) {
        let slot = match content.split(|byte| *byte == b' ').next() {
            Some(b"some") => &mut stalls.some,
            Some(b"full") => &mut stalls.full,
            _ => continue,
        };
        let mut pairs = fields(content).skip(1);
        let mut total = None;
        for key in KEYS {
            let pair = pairs.next().unwrap_or_default();
            let value = pair
                .strip_prefix(key.as_bytes())
                .and_then(|rest| rest.strip_prefix(b"="));
            total = if key == "total" {
                value.and_then(number)
            } else {
                value.and_then(float).map(|_| 0)
            };
            if total.is_none() {
                return Err(ParseError::new(
                    line,
                    format!("{} is not {key}= and a number", quote(pair)),
                ));
            }
        }
        *slot = total;
    }
    Ok(stalls)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_lines_or_one() {
        let text = b"some avg10=0.10 avg60=2.00 avg300=3.85 total=15\n\
                     full avg10=0.20 avg60=3.00 avg300=4.95 total=25\n";
        let both = parse(text).unwrap();
        assert_eq!((both.some, both.full), (Some(15), Some(25)));
        let one = parse(b"full avg10=0.00 avg60=0.00 avg300=0.00 total=7\n").unwrap();
        assert_eq!((one.some, one.full), (None, Some(7)));
        assert_eq!(parse(b"").unwrap(), Stalls::default());
    }

    #[test]
    fn what_is_wrong_is_placed() {
        let good = "some avg10=0.10 avg60=2.00 avg300=3.85 total=15\n";
        for bad in [
            "full avg10=0.20 avg60=3.00 avg300=4.95",
            "full avg10=x avg60=3.00 avg300=4.95 total=1",
            "full avg10=0.20 avg60=3.00 avg300=4.95 total=-1",
        ] {
            assert_eq!(
                parse(format!("{good}{bad}").as_bytes()).unwrap_err().line,
                2
            );
        }
    }
}
