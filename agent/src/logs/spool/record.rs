//! One event in a spool's segment: a mark, its length, a checksum, the time at which it came, and
//! the document. Pure.
//!
//! ```text
//! mark 4 │ length of the document, u32 │ CRC-32 of what follows and of the length │ ms, i64 │ document
//! ```
//! Numbers are little-endian. The mark is no UTF-8, so it stands in no document: behind a damaged
//! part the next whole record is found by it.

/// Begins every record.
const MARK: [u8; 4] = [0xff, 0xfe, b'K', 0xfd];

/// Bytes before a document.
pub const HEAD: usize = 20;

/// The longest document that is believed.
pub const LONGEST: usize = 64 << 20;

/// What stands at the beginning of some bytes.
#[derive(Debug, PartialEq, Eq)]
pub enum Next<'a> {
    Record {
        /// Milliseconds since 1970.
        time: i64,
        document: &'a [u8],
    },
    /// As far as it goes it is a record, and it has so many bytes.
    Cut(usize),
    Damaged,
}

/// Appends a record.
pub fn append(out: &mut Vec<u8>, time: i64, document: &[u8]) {
    let length = (document.len() as u32).to_le_bytes();
    let time = time.to_le_bytes();
    out.extend_from_slice(&MARK);
    out.extend_from_slice(&length);
    out.extend_from_slice(&checksum(&length, &time, document).to_le_bytes());
    out.extend_from_slice(&time);
    out.extend_from_slice(document);
}

fn checksum(length: &[u8], time: &[u8], document: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(length);
    hasher.update(time);
    hasher.update(document);
    hasher.finalize()
}

/// Judges what stands at the beginning of `bytes`, which are not empty.
pub fn next(bytes: &[u8]) -> Next<'_> {
    let mark = bytes.len().min(MARK.len());
    if bytes[..mark] != MARK[..mark] {
        return Next::Damaged;
    }
    let number = |at: usize| {
        let bytes = bytes.get(at..at + 4)?;
        Some(u32::from_le_bytes(bytes.try_into().ok()?))
    };
    let Some(length) = number(4) else {
        return Next::Cut(HEAD);
    };
    let whole = HEAD + length as usize;
    if length as usize > LONGEST {
        return Next::Damaged;
    }
    let (Some(expected), Some(rest)) = (number(8), bytes.get(12..whole)) else {
        return Next::Cut(whole);
    };
    let (time, document) = rest.split_at(8);
    if checksum(&bytes[4..8], time, document) != expected {
        return Next::Damaged;
    }
    Next::Record {
        time: i64::from_le_bytes(time.try_into().unwrap_or_default()),
        document,
    }
}

/// Where the next whole record begins, behind a damaged part.
pub fn resync(bytes: &[u8]) -> Option<usize> {
    let after = bytes.get(1..)?;
    memchr::memmem::find_iter(after, &MARK)
        .map(|at| at + 1)
        .find(|at| matches!(next(&bytes[*at..]), Next::Record { .. }))
}

/// Goes over all whole records from the beginning of `bytes`; calls `damaged` with each part that
/// is none. For what is in memory as a whole.
pub fn walk(
    bytes: &[u8],
    mut record: impl FnMut(usize, i64, &[u8]),
    mut damaged: impl FnMut(std::ops::Range<usize>),
) {
    let mut at = 0;
    while at < bytes.len() {
        if let Next::Record { time, document } = next(&bytes[at..]) {
            record(at, time, document);
            at += HEAD + document.len();
        } else {
            let end = resync(&bytes[at..]).map_or(bytes.len(), |skip| at + skip);
            damaged(at..end);
            at = end;
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(bytes: &[u8]) -> (Vec<(i64, Vec<u8>)>, usize) {
        let (mut records, mut lost) = (Vec::new(), 0);
        walk(
            bytes,
            |_, time, document| records.push((time, document.to_vec())),
            |range| lost += range.len(),
        );
        (records, lost)
    }

    fn written(records: &[(i64, Vec<u8>)]) -> (Vec<u8>, Vec<usize>) {
        let (mut out, mut ends) = (Vec::new(), Vec::new());
        for (time, document) in records {
            append(&mut out, *time, document);
            ends.push(out.len());
        }
        (out, ends)
    }

    fn records() -> impl Strategy<Value = Vec<(i64, Vec<u8>)>> {
        prop::collection::vec(
            (any::<i64>(), prop::collection::vec(any::<u8>(), 0..60)),
            1..8,
        )
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_again(records in records()) {
            let (bytes, _) = written(&records);
            prop_assert_eq!(read(&bytes), (records, 0));
        }

        #[test]
        fn a_torn_end_costs_the_last_record_alone(records in records(), at: prop::sample::Index) {
            let (bytes, ends) = written(&records);
            let at = at.index(bytes.len());
            let whole = ends.iter().filter(|end| **end <= at).count();
            let (found, lost) = read(&bytes[..at]);
            prop_assert_eq!(&found, &records[..whole]);
            prop_assert_eq!(lost, at - whole.checked_sub(1).map_or(0, |last| ends[last]));
        }

        #[test]
        fn a_flipped_bit_costs_one_record(
            records in records(), at: prop::sample::Index, bit in 0..8u8
        ) {
            let (mut bytes, ends) = written(&records);
            let at = at.index(bytes.len());
            bytes[at] ^= 1 << bit;
            let hit = ends.iter().filter(|end| **end <= at).count();
            let mut rest = records.clone();
            rest.remove(hit);
            prop_assert_eq!(read(&bytes).0, rest);
        }

        #[test]
        fn any_bytes_are_judged(bytes: Vec<u8>) {
            let (records, lost) = read(&bytes);
            let kept: usize = records.iter().map(|(_, document)| HEAD + document.len()).sum();
            prop_assert_eq!(kept + lost, bytes.len());
        }

        #[test]
        fn zeros_are_no_records(count in 1..200usize) {
            prop_assert_eq!(read(&vec![0; count]), (Vec::new(), count));
        }
    }
}
