//! A float as Go's `strconv.FormatFloat(f, 'g', -1, 64)` writes it, which is how client_golang
//! (and so node_exporter) writes every value: the shortest digits that read back as the same
//! number; with an exponent of at least two digits when it is below -4 or above 5, because Go
//! decides for the shortest precision as if it were 6.

use std::io::Write;

/// Largest magnitude below which every whole number is exact in an `f64`.
const EXACT: f64 = 9_007_199_254_740_992.0;

/// Appends `value` to `out`.
pub fn write(out: &mut Vec<u8>, value: f64) {
    if value.is_nan() {
        out.extend_from_slice(b"NaN");
    } else if value.is_infinite() {
        out.extend_from_slice(if value > 0.0 { b"+Inf" } else { b"-Inf" });
    } else if value == 0.0 {
        // client_golang's fast path: negative zero loses its sign.
        out.push(b'0');
    } else if value.fract() == 0.0 && value.abs() < EXACT {
        if value < 0.0 {
            out.push(b'-');
        }
        whole(out, value.abs() as u64);
    } else {
        shortest(out, value);
    }
}

/// A whole number above 0; counters and sizes, so nearly every sample.
fn whole(out: &mut Vec<u8>, mut number: u64) {
    let mut digits = [0_u8; 20];
    let mut start = digits.len();
    while number > 0 {
        start -= 1;
        digits[start] = b'0' + (number % 10) as u8;
        number /= 10;
    }
    let digits = &digits[start..];
    if digits.len() <= 6 {
        out.extend_from_slice(digits);
        return;
    }
    let significant = digits
        .iter()
        .rposition(|digit| *digit != b'0')
        .map_or(1, |at| at + 1);
    scientific(out, &digits[..significant], digits.len() as i32 - 1);
}

/// Any other finite number. Rust's `{:e}` gives the same shortest digits as Go's.
fn shortest(out: &mut Vec<u8>, value: f64) {
    let mut buffer = [0_u8; 32];
    let mut rest = &mut buffer[..];
    if write!(rest, "{value:e}").is_err() {
        return; // 32 bytes hold any shortest f64 (at most 24)
    }
    let left = rest.len();
    let text = &buffer[..buffer.len() - left];
    let text = text.strip_prefix(b"-").map_or(text, |digits| {
        out.push(b'-');
        digits
    });
    let mut digits = [0_u8; 20];
    let (mut count, mut exponent, mut negative) = (0, 0_i32, false);
    let mut in_exponent = false;
    for &byte in text {
        match byte {
            b'e' => in_exponent = true,
            b'-' => negative = true,
            b'0'..=b'9' if in_exponent => exponent = exponent * 10 + i32::from(byte - b'0'),
            b'0'..=b'9' => {
                digits[count] = byte;
                count += 1;
            }
            _ => {}
        }
    }
    let digits = &digits[..count];
    let exponent = if negative { -exponent } else { exponent };
    if !(-4..6).contains(&exponent) {
        scientific(out, digits, exponent);
    } else if exponent < 0 {
        out.extend_from_slice(b"0.");
        out.extend(std::iter::repeat_n(b'0', (-exponent - 1) as usize));
        out.extend_from_slice(digits);
    } else {
        let point = exponent as usize + 1;
        out.extend_from_slice(&digits[..point.min(count)]);
        out.extend(std::iter::repeat_n(b'0', point.saturating_sub(count)));
        if count > point {
            out.push(b'.');
            out.extend_from_slice(&digits[point..]);
        }
    }
}

fn scientific(out: &mut Vec<u8>, digits: &[u8], exponent: i32) {
    out.push(digits[0]);
    if digits.len() > 1 {
        out.push(b'.');
        out.extend_from_slice(&digits[1..]);
    }
    out.extend_from_slice(if exponent < 0 { b"e-" } else { b"e+" });
    let exponent = exponent.unsigned_abs();
    if exponent >= 100 {
        out.push(b'0' + (exponent / 100) as u8);
    }
    out.push(b'0' + (exponent / 10 % 10) as u8);
    out.push(b'0' + (exponent % 10) as u8);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn text(value: f64) -> String {
        let mut out = Vec::new();
        write(&mut out, value);
        String::from_utf8(out).unwrap()
    }

    /// Expected texts written by Go's `strconv.FormatFloat(f, 'g', -1, 64)`.
    #[test]
    fn as_go_writes_it() {
        let cases = [
            (0.0, "0"),
            (-0.0, "0"),
            (1.0, "1"),
            (-1.0, "-1"),
            (100.0, "100"),
            (0.05, "0.05"),
            (0.0001, "0.0001"),
            (0.00001, "1e-05"),
            (2.2584e-05, "2.2584e-05"),
            (0.000535233, "0.000535233"),
            (774.76, "774.76"),
            (43.492000000000004, "43.492000000000004"),
            (999999.0, "999999"),
            (999999.5, "999999.5"),
            (1e6, "1e+06"),
            (-1e6, "-1e+06"),
            (1000000.5, "1.0000005e+06"),
            (1006073.0, "1.006073e+06"),
            (1.7954749120889602e9, "1.7954749120889602e+09"),
            (18446744073709551615.0, "1.8446744073709552e+19"),
            (9007199254740992.0, "9.007199254740992e+15"),
            (1e21, "1e+21"),
            (1e100, "1e+100"),
            (-2.5e-300, "-2.5e-300"),
            (5e-324, "5e-324"),
            (f64::MAX, "1.7976931348623157e+308"),
            (f64::NAN, "NaN"),
            (f64::INFINITY, "+Inf"),
            (f64::NEG_INFINITY, "-Inf"),
        ];
        for (value, expected) in cases {
            assert_eq!(text(value), expected, "{value:e}");
        }
    }

    proptest! {
        #[test]
        fn reads_back_as_the_same_number(bits in any::<u64>()) {
            let value = f64::from_bits(bits);
            prop_assume!(value.is_finite());
            let back: f64 = text(value).parse().unwrap();
            prop_assert!(back.total_cmp(&value).is_eq() || (back == 0.0 && value == 0.0));
        }

        #[test]
        fn whole_numbers_agree_with_the_general_path(number in 1_u64..9_007_199_254_740_992) {
            let (mut fast, mut general) = (Vec::new(), Vec::new());
            whole(&mut fast, number);
            shortest(&mut general, number as f64);
            prop_assert_eq!(fast, general);
        }
    }
}
