//! `/proc/loadavg` (proc_loadavg(5)).

use super::text::{ParseError, expect_float, fields, lines};

/// Load averages over 1, 5 and 15 minutes.
pub fn parse(text: &[u8]) -> Result<[f64; 3], ParseError> {
    let (line, content) = lines(text).next().unwrap_or((0, b""));
    let mut fields = fields(content);
    let mut loads = [0.0; 3];
    for (load, minutes) in loads.iter_mut().zip([1, 5, 15]) {
        *load = expect_float(line, &format!("the load of {minutes} min"), fields.next())?;
    }
    Ok(loads)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn reads_the_three_loads() {
        let loads = parse(b"0.21 0.37 0.39 1/719 19737\n").unwrap();
        assert_eq!(
            loads.map(f64::to_bits),
            [0.21, 0.37, 0.39].map(f64::to_bits)
        );
        assert_eq!(
            parse(b"0.21 abc\n").unwrap_err().to_string(),
            "line 1: the load of 5 min is \"abc\", not a number"
        );
        assert!(parse(b"").is_err());
    }

    proptest! {
        #[test]
        fn never_panics(text in proptest::collection::vec(any::<u8>(), 0..100)) {
            let _ = parse(&text);
        }
    }
}
