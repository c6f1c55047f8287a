//! `/proc/vmstat` (proc_vmstat(5)): a name and a number per line.

use super::text::{ParseError, expect_float, fields, lines, quote};

/// Calls `each` with every field.
pub fn parse(text: &[u8], mut each: impl FnMut(&str, f64)) -> Result<(), ParseError> {
    let mut any = false;
    for (line, content) in lines(text) {
        let mut fields = fields(content);
        let name = fields
            .next()
            .and_then(|name| std::str::from_utf8(name).ok());
        let Some(name) = name else {
            return Err(ParseError::new(
                line,
                format!("{} is not a field", quote(content)),
            ));
        };
        each(name, expect_float(line, name, fields.next())?);
        any = true;
    }
    if any {
        Ok(())
    } else {
        Err(ParseError::new(0, "the file is empty"))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn reads_every_field_and_names_a_bad_line() {
        let mut found = Vec::new();
        parse(b"nr_free_pages 977769\noom_kill 0\n", |name, value| {
            found.push((name.to_owned(), value));
        })
        .unwrap();
        assert_eq!(
            found,
            [
                ("nr_free_pages".to_owned(), 977_769.0),
                ("oom_kill".to_owned(), 0.0)
            ]
        );
        let bad = |text: &[u8]| parse(text, |_, _| {}).unwrap_err().to_string();
        assert_eq!(bad(b"a 1\nb\n"), "line 2: b is missing");
        assert_eq!(bad(b"a\xff 1\n"), "line 1: \"a\\xff 1\" is not a field");
    }

    proptest! {
        #[test]
        fn never_panics(text in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = parse(&text, |_, _| {});
        }
    }
}
