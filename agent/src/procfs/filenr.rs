//! `/proc/sys/fs/file-nr` (proc_sys_fs(5)): three numbers, the second always 0 since Linux 2.6.

use super::text::{ParseError, expect_float, fields, lines};

/// Open file descriptions and how many the kernel allows.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct FileNr {
    pub allocated: f64,
    pub maximum: f64,
}

pub fn parse(text: &[u8]) -> Result<FileNr, ParseError> {
    let (line, content) = lines(text).next().unwrap_or((0, b""));
    let mut fields = fields(content);
    let allocated = expect_float(line, "the number of open files", fields.next())?;
    let maximum = expect_float(line, "the number of allowed files", fields.nth(1))?;
    Ok(FileNr { allocated, maximum })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn reads_the_first_and_the_third() {
        let found = parse(b"1024\t0\t1631329\n").unwrap();
        assert_eq!((found.allocated, found.maximum), (1024.0, 1_631_329.0));
        assert_eq!(
            parse(b"1024\t0\n").unwrap_err().to_string(),
            "line 1: the number of allowed files is missing"
        );
    }

    proptest! {
        #[test]
        fn never_panics(text in proptest::collection::vec(any::<u8>(), 0..100)) {
            let _ = parse(&text);
        }
    }
}
