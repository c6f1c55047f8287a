//! What a rotation compressed before it was read to its end: the rest is unpacked into a file without
//! a name, at the offsets that it had, so that it is read like any other. What stood before is a hole.

use std::fs::File;
use std::io::{self, BufReader, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use flate2::read::MultiGzDecoder;

use super::tail::Content;
use crate::logs::places::Print;

/// Most that is unpacked; of a larger rest the bytes are counted as lost.
const MOST: u64 = 4 << 30;

/// The unpacked rest of a gzip file, if it has this content; `folder` is ours.
pub fn unpack(path: &Path, content: &Content, folder: &Path) -> io::Result<Option<File>> {
    let mut from = MultiGzDecoder::new(BufReader::with_capacity(64 << 10, File::open(path)?));
    let mut first = vec![0; content.prefix.len as usize];
    if !fill(&mut from, &mut first)? || Print::of(&first) != content.prefix {
        return Ok(None);
    }
    let to = &mut nameless(folder)?;
    to.write_all(&first)?;
    // What stands before the place may begin within the first bytes.
    let known = first.len() as u64;
    let tail_at = content.offset.saturating_sub(content.tail.len);
    let mut tail = Vec::new();
    if tail_at < known {
        let end = content.offset.min(known);
        tail.extend_from_slice(&first[tail_at as usize..end as usize]);
    } else {
        skip(&mut from, tail_at - known)?;
    }
    let missing = content.tail.len - tail.len() as u64;
    let at = tail.len();
    tail.resize(at + missing as usize, 0);
    if !fill(&mut from, &mut tail[at..])? || (!tail.is_empty() && Print::of(&tail) != content.tail)
    {
        return Ok(None);
    }
    to.seek(SeekFrom::Start(tail_at))?;
    to.write_all(&tail)?;
    to.seek(SeekFrom::Start(content.offset.max(known)))?;
    if io::copy(&mut from.by_ref().take(MOST), to)? == MOST {
        return Err(io::Error::other("what is compressed in it is too large"));
    }
    Ok(Some(to.try_clone()?))
}

/// Fills all of a buffer; false if there is not so much.
fn fill(from: &mut impl Read, buffer: &mut [u8]) -> io::Result<bool> {
    match from.read_exact(buffer) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(false),
        Err(error) => Err(error),
    }
}

fn skip(from: &mut impl Read, bytes: u64) -> io::Result<()> {
    io::copy(&mut from.take(bytes), &mut io::sink()).map(drop)
}

/// A file that goes away with its last handle.
fn nameless(folder: &Path) -> io::Result<File> {
    let path = folder.join("unpacked");
    let file = File::options()
        .read(true)
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&path)?;
    std::fs::remove_file(&path)?;
    Ok(file)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::FileExt;

    use flate2::Compression;
    use flate2::write::GzEncoder;
    use proptest::prelude::*;

    use super::*;

    fn packed(folder: &Path, bytes: &[u8]) -> std::path::PathBuf {
        let path = folder.join("a.log.1.gz");
        let mut out = GzEncoder::new(File::create(&path).unwrap(), Compression::fast());
        out.write_all(bytes).unwrap();
        out.finish().unwrap();
        path
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn the_rest_stands_where_it_stood(bytes in proptest::collection::vec(any::<u8>(), 1..4000), at in any::<prop::sample::Index>(), change in any::<bool>()) {
            let folder = tempfile::tempdir().unwrap();
            let path = packed(folder.path(), &bytes);
            let offset = at.index(bytes.len() + 1);
            let before = &bytes[offset.saturating_sub(64)..offset];
            let mut content = Content {
                prefix: Print::of(&bytes[..bytes.len().min(1024)]),
                tail: Print::of(before),
                offset: offset as u64,
            };
            if change && !before.is_empty() {
                content.tail = Print::of(&vec![before[0] ^ 1; before.len()]);
                prop_assume!(content.tail != Print::of(before));
                prop_assert!(unpack(&path, &content, folder.path()).unwrap().is_none());
                return Ok(());
            }
            let file = unpack(&path, &content, folder.path()).unwrap().unwrap();
            prop_assert_eq!(file.metadata().unwrap().len(), bytes.len() as u64);
            let from = offset.saturating_sub(64);
            let mut rest = vec![0; bytes.len() - from];
            file.read_exact_at(&mut rest, from as u64).unwrap();
            prop_assert_eq!(rest, &bytes[from..]);
        }
    }

    #[test]
    fn what_is_cut_or_none_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = packed(folder.path(), &vec![b'x'; 100_000]);
        let content = Content {
            prefix: Print::of(&[b'x'; 1024]),
            tail: Print::of(&[b'x'; 64]),
            offset: 64,
        };
        assert!(unpack(&path, &content, folder.path()).unwrap().is_some());
        let bytes = std::fs::read(&path).unwrap();
        std::fs::write(&path, &bytes[..bytes.len() / 2]).unwrap();
        assert!(
            unpack(&path, &content, folder.path()).is_err()
                || unpack(&path, &content, folder.path()).unwrap().is_none()
        );
        std::fs::write(&path, "text").unwrap();
        assert!(
            unpack(&path, &content, folder.path()).is_err()
                || unpack(&path, &content, folder.path()).unwrap().is_none()
        );
    }
}
