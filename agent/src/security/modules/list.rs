//! `/proc/modules` (proc_modules(5)) and `/proc/sys/kernel/tainted`
//! (Documentation/admin-guide/tainted-kernels.rst).

use crate::procfs::text::{ParseError, fields, lines, number, quote};

/// A loaded module: its name and the letters of its taint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Module<'a> {
    pub name: &'a [u8],
    pub taint: &'a [u8],
}

pub fn modules(text: &[u8]) -> Result<Vec<Module<'_>>, ParseError> {
    lines(text)
        .map(|(line, content)| {
            let columns: Vec<&[u8]> = fields(content).collect();
            // name size uses users state address [(taint)]
            if columns.len() < 6 {
                return Err(ParseError::new(
                    line,
                    format!("{} columns, six are expected", columns.len()),
                ));
            }
            number(columns[1]).ok_or_else(|| {
                ParseError::new(line, format!("the size is {}", quote(columns[1])))
            })?;
            let taint = columns
                .get(6)
                .and_then(|taint| taint.strip_prefix(b"(")?.strip_suffix(b")"));
            Ok(Module {
                name: columns[0],
                taint: taint.unwrap_or_default(),
            })
        })
        .collect()
}

/// Names of the bits, as the kernel's document has them.
pub const FLAGS: [&str; 20] = [
    "proprietary_module",
    "forced_module",
    "cpu_out_of_spec",
    "forced_rmmod",
    "machine_check",
    "bad_page",
    "user",
    "die",
    "overridden_acpi_table",
    "warn",
    "staging_driver",
    "firmware_workaround",
    "out_of_tree_module",
    "unsigned_module",
    "soft_lockup",
    "live_patch",
    "auxiliary",
    "randstruct",
    "test",
    "fwctl",
];

pub fn tainted(text: &[u8]) -> Result<u64, ParseError> {
    let field = text.trim_ascii();
    number(field).ok_or_else(|| ParseError::new(1, format!("the taint is {}", quote(field))))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const REAL: &[u8] = b"nft_chain_nat 16384 3 - Live 0xffffffffc0a1f000\n\
        nvidia 56811520 0 nvidia_uvm,nvidia_modeset, Live 0xffffffffc1000000 (POE)\n";

    #[test]
    fn modules_and_taint() {
        let found = modules(REAL).unwrap();
        assert_eq!(found[1].name, b"nvidia");
        assert_eq!(found[1].taint, b"POE");
        assert_eq!(found[0].taint, b"");
        assert_eq!(modules(b"").unwrap(), []);
        assert_eq!(modules(b"a 1\n").unwrap_err().line, 1);
        assert_eq!(tainted(b"4097\n").unwrap(), 4097);
        assert!(tainted(b"-1").is_err());
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(
            text in proptest::collection::vec(any::<u8>(), 0..200),
            at in any::<prop::sample::Index>(),
            byte in any::<u8>(),
        ) {
            let _ = (modules(&text), tainted(&text));
            let mut spoiled = REAL.to_vec();
            let at = at.index(spoiled.len());
            spoiled[at] = byte;
            let _ = (modules(&spoiled), modules(&spoiled[..at]));
        }
    }
}
