//! `/proc/diskstats` (Documentation/admin-guide/iostats.rst in the kernel).

use super::text::{ParseError, expect_number, fields, lines, number, quote};

/// Statistics per device that the newest kernels have: 11 since 2.6, 15 since 4.18 (discards), 17
/// since 5.5 (flushes).
pub const MOST: usize = 17;

/// How many there can be; any other number is a line that is cut off.
const COUNTS: [usize; 3] = [11, 15, MOST];

/// What partitions had before Linux 2.6.25: other statistics, which are not exported.
const OLD_PARTITION: usize = 4;

/// One device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Disk {
    pub major: u32,
    pub minor: u32,
    pub name: String,
    /// The statistics in the file's own units and order; only the first `count` are there.
    pub stats: [u64; MOST],
    pub count: usize,
}

/// The devices, added to `into`. Lines of the short format are read over; columns after the
/// last known one too.
pub fn parse(text: &[u8], into: &mut Vec<Disk>) -> Result<(), ParseError> {
    for (line, content) in lines(text) {
        let mut fields = fields(content);
        let mut device = |name: &str| {
            let field = fields.next();
            field
                .and_then(number)
                .and_then(|number| u32::try_from(number).ok())
                .ok_or_else(|| {
                    let found = quote(field.unwrap_or_default());
                    ParseError::new(line, format!("the device's {name} number is {found}"))
                })
        };
        let (major, minor) = (device("major")?, device("minor")?);
        let name = fields
            .next()
            .map(|name| String::from_utf8_lossy(name).into_owned());
        let name = name.ok_or_else(|| ParseError::new(line, "the device's name is missing"))?;
        let mut stats = [0; MOST];
        let mut count = 0;
        for (slot, field) in stats.iter_mut().zip(fields) {
            *slot = expect_number(
                line,
                &format!("column {} of {name}", count + 4),
                Some(field),
            )?;
            count += 1;
        }
        if COUNTS.contains(&count) {
            into.push(Disk {
                major,
                minor,
                name,
                stats,
                count,
            });
        } else if count != OLD_PARTITION {
            return Err(ParseError::new(
                line,
                format!("{name} has {count} columns, which no kernel writes"),
            ));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(text: &str) -> Vec<Disk> {
        let mut found = Vec::new();
        parse(text.as_bytes(), &mut found).unwrap();
        found
    }

    #[test]
    fn reads_old_and_new_formats() {
        let found = read(
            "   8       0 sda 1 2 3 4 5 6 7 8 9 10 11\n   8 1 sda1 1 2 3 4\n \
             259 0 nvme0n1 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15\n \
             254 0 vda 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18\n",
        );
        let shapes: Vec<_> = found
            .iter()
            .map(|disk| (disk.name.as_str(), disk.count))
            .collect();
        assert_eq!(shapes, [("sda", 11), ("nvme0n1", 15), ("vda", 17)]);
        assert_eq!(
            (found[1].major, found[1].minor, found[1].stats[14]),
            (259, 0, 15)
        );
    }

    #[test]
    fn names_the_line_that_is_wrong() {
        let bad = |text: &str| {
            parse(text.as_bytes(), &mut Vec::new())
                .unwrap_err()
                .to_string()
        };
        assert_eq!(
            bad("8 0 sda 1 2 3 4 5 6 7 8 9 10 11\n8 1 sda1 1 2 x 4\n"),
            "line 2: column 6 of sda1 is \"x\", not a 64-bit number"
        );
        assert_eq!(
            bad("a 0 sda\n"),
            "line 1: the device's major number is \"a\""
        );
        assert_eq!(bad("8 0\n"), "line 1: the device's name is missing");
    }

    proptest! {
        #[test]
        fn never_panics(text in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = parse(&text, &mut Vec::new());
        }

        #[test]
        fn what_is_written_is_read(
            count in proptest::sample::select(&COUNTS[..]), seed: u64, major: u32, minor: u32,
        ) {
            let stats: Vec<u64> = (0..count as u32).map(|at| seed.rotate_left(at)).collect();
            let columns: Vec<_> = stats.iter().map(u64::to_string).collect();
            let found = read(&format!("{major} {minor} dm-0 {}\n", columns.join(" ")));
            prop_assert_eq!(found[0].count, stats.len());
            prop_assert_eq!(&found[0].stats[..stats.len()], &stats[..]);
            prop_assert_eq!((found[0].major, found[0].minor), (major, minor));
        }
    }
}
