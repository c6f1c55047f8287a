//! Dates of HTTP in the three forms that RFC 9110 asks to read.

use jiff::civil::DateTime;
use jiff::fmt::strtime;

/// `Mon, 02 Jan 2006 15:04:05 GMT` and the two older forms; Unix seconds.
pub(in crate::probes) fn parse(text: &str) -> Option<i64> {
    let forms = [
        "%a, %d %b %Y %H:%M:%S GMT",
        "%A, %d-%b-%y %H:%M:%S GMT",
        "%a %b %e %H:%M:%S %Y",
    ];
    forms.iter().find_map(|form| {
        let time: DateTime = strtime::parse(form, text.trim()).ok()?.to_datetime().ok()?;
        let zoned = time.to_zoned(jiff::tz::TimeZone::UTC).ok()?;
        Some(zoned.timestamp().as_second())
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn three_forms_of_one_date() {
        for text in [
            "Sun, 06 Nov 1994 08:49:37 GMT",
            "Sunday, 06-Nov-94 08:49:37 GMT",
            "Sun Nov  6 08:49:37 1994",
        ] {
            assert_eq!(parse(text), Some(784_111_777), "{text}");
        }
        assert_eq!(parse("yesterday"), None);
    }

    proptest! {
        #[test]
        fn no_text_breaks_it(text in ".{0,60}") {
            let _ = parse(&text);
        }
    }
}
