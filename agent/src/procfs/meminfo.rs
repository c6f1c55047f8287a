//! `/proc/meminfo` (proc_meminfo(5)).

use super::text::{ParseError, expect_number, fields, lines, quote};

/// The fields that node_exporter exports: the name in the file and the family it becomes
/// (`node_memory_<name>`). Others are read over, as it does, though a newer kernel has more.
pub const FIELDS: [(&str, &str); 51] = [
    ("Active", "Active_bytes"),
    ("Active(anon)", "Active_anon_bytes"),
    ("Active(file)", "Active_file_bytes"),
    ("AnonHugePages", "AnonHugePages_bytes"),
    ("AnonPages", "AnonPages_bytes"),
    ("Bounce", "Bounce_bytes"),
    ("Buffers", "Buffers_bytes"),
    ("Cached", "Cached_bytes"),
    ("CmaFree", "CmaFree_bytes"),
    ("CmaTotal", "CmaTotal_bytes"),
    ("CommitLimit", "CommitLimit_bytes"),
    ("Committed_AS", "Committed_AS_bytes"),
    ("DirectMap1G", "DirectMap1G_bytes"),
    ("DirectMap2M", "DirectMap2M_bytes"),
    ("DirectMap4k", "DirectMap4k_bytes"),
    ("Dirty", "Dirty_bytes"),
    ("HardwareCorrupted", "HardwareCorrupted_bytes"),
    ("HugePages_Free", "HugePages_Free"),
    ("HugePages_Rsvd", "HugePages_Rsvd"),
    ("HugePages_Surp", "HugePages_Surp"),
    ("HugePages_Total", "HugePages_Total"),
    ("Hugepagesize", "Hugepagesize_bytes"),
    ("Inactive", "Inactive_bytes"),
    ("Inactive(anon)", "Inactive_anon_bytes"),
    ("Inactive(file)", "Inactive_file_bytes"),
    ("KernelStack", "KernelStack_bytes"),
    ("Mapped", "Mapped_bytes"),
    ("MemAvailable", "MemAvailable_bytes"),
    ("MemFree", "MemFree_bytes"),
    ("MemTotal", "MemTotal_bytes"),
    ("Mlocked", "Mlocked_bytes"),
    ("NFS_Unstable", "NFS_Unstable_bytes"),
    ("PageTables", "PageTables_bytes"),
    ("Percpu", "Percpu_bytes"),
    ("SReclaimable", "SReclaimable_bytes"),
    ("SUnreclaim", "SUnreclaim_bytes"),
    ("Shmem", "Shmem_bytes"),
    ("ShmemHugePages", "ShmemHugePages_bytes"),
    ("ShmemPmdMapped", "ShmemPmdMapped_bytes"),
    ("Slab", "Slab_bytes"),
    ("SwapCached", "SwapCached_bytes"),
    ("SwapFree", "SwapFree_bytes"),
    ("SwapTotal", "SwapTotal_bytes"),
    ("Unevictable", "Unevictable_bytes"),
    ("VmallocChunk", "VmallocChunk_bytes"),
    ("VmallocTotal", "VmallocTotal_bytes"),
    ("VmallocUsed", "VmallocUsed_bytes"),
    ("Writeback", "Writeback_bytes"),
    ("WritebackTmp", "WritebackTmp_bytes"),
    ("Zswap", "Zswap_bytes"),
    ("Zswapped", "Zswapped_bytes"),
];

fn is_known(name: &[u8]) -> bool {
    FIELDS.iter().any(|(known, _)| known.as_bytes() == name)
}

/// The values in the order of [`FIELDS`], in bytes where the file says kB; `None` for a field
/// that this kernel does not have.
pub fn parse(text: &[u8]) -> Result<[Option<u64>; FIELDS.len()], ParseError> {
    let mut values = [None; FIELDS.len()];
    let mut last = 0;
    for (line, content) in lines(text) {
        last = line;
        let mut fields = fields(content);
        let name = fields
            .next()
            .and_then(|name| name.strip_suffix(b":"))
            .ok_or_else(|| {
                ParseError::new(
                    line,
                    format!("{} does not begin with a name and a colon", quote(content)),
                )
            })?;
        let shown = String::from_utf8_lossy(name);
        let mut value = expect_number(line, &shown, fields.next())?;
        match (fields.next(), fields.next()) {
            // Of those that we know only the counts of huge pages have no unit; another without one
            // is cut off.
            (None, _) if name.starts_with(b"HugePages_") || !is_known(name) => {}
            (None, _) => {
                return Err(ParseError::new(
                    line,
                    format!("{shown} is given without its unit kB"),
                ));
            }
            (Some(b"kB"), None) => {
                // What is more than 64 bits of bytes begins anew, as node_exporter has it.
                value = value.wrapping_mul(1024);
            }
            (Some(unit), _) => {
                return Err(ParseError::new(
                    line,
                    format!("{shown} is given in {}, only kB is known", quote(unit)),
                ));
            }
        }
        if let Some(index) = FIELDS
            .iter()
            .position(|(known, _)| known.as_bytes() == name)
        {
            values[index] = Some(value);
        }
    }
    if values.iter().all(Option::is_none) {
        return Err(ParseError::new(
            last,
            "the file ends without any known field",
        ));
    }
    Ok(values)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn value(text: &str, name: &str) -> Option<u64> {
        let index = FIELDS
            .iter()
            .position(|(_, family)| *family == name)
            .unwrap();
        parse(text.as_bytes()).unwrap()[index]
    }

    #[test]
    fn kilobytes_become_bytes_and_counts_stay() {
        let text = "MemTotal:       3742148 kB\nHugePages_Total:       3\nActive(anon):  4 kB\n\
                    NewInLinux9:  1 kB\n";
        assert_eq!(value(text, "MemTotal_bytes"), Some(3_742_148 * 1024));
        assert_eq!(value(text, "HugePages_Total"), Some(3));
        assert_eq!(value(text, "Active_anon_bytes"), Some(4096));
        assert_eq!(value(text, "MemFree_bytes"), None);
    }

    #[test]
    fn names_the_line_that_is_wrong() {
        let bad = |text: &str| parse(text.as_bytes()).unwrap_err().to_string();
        assert_eq!(
            bad("MemTotal: 1 kB\nMemFree: x kB\n"),
            "line 2: MemFree is \"x\", not a 64-bit number"
        );
        assert_eq!(
            bad("MemTotal: 1 MB\n"),
            "line 1: MemTotal is given in \"MB\", only kB is known"
        );
        assert_eq!(
            bad("MemTotal 1 kB\n"),
            "line 1: \"MemTotal 1 kB\" does not begin with a name and a colon"
        );
        let huge = "MemTotal: 18446744073709551615 kB\n";
        assert_eq!(value(huge, "MemTotal_bytes"), Some(u64::MAX - 1023));
        assert_eq!(bad("MemTotal:\n"), "line 1: MemTotal is missing");
        assert_eq!(bad(""), "line 0: the file ends without any known field");
    }

    proptest! {
        #[test]
        fn never_panics(text in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = parse(&text);
        }
    }
}
