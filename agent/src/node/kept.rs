//! Files of the kernel's that are read again and again: they stay open, because to find a file
//! costs more than to read it.
//!
//! procfs and sysfs make their text anew when it is read from its beginning (the kernel's
//! seq_file.rst; `sysfs.rst` for sysfs), so one call reads what three did. On any other file system
//! a name may stand for another file by the next scrape, so there nothing is kept. A device that
//! goes makes its open files fail; then the name is looked up again.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::FileExt;
use std::path::Path;

use super::{ATTRIBUTE, LARGEST_FILE};

/// What an open file of a device that went says.
const NODEV: i32 = rustix::io::Errno::NODEV.raw_os_error();

/// First room for a file; most fit.
const FIRST_READ: usize = 4 << 10;

/// sysfs; rustix has no name for it.
const SYSFS_MAGIC: rustix::fs::FsWord = 0x6265_6572;

/// A file between two readings. Each has one owner, because the kernel keeps the place between
/// two reads of one text with the open file.
#[derive(Debug, Default)]
pub struct Kept(Option<File>);

impl Kept {
    /// Whether the file is open: it is the kernel's own and was there.
    pub fn is_open(&self) -> bool {
        self.0.is_some()
    }

    /// Reads the whole file into `into`, which is cleared first. The path is asked for only if the
    /// file has to be opened.
    pub fn read<P: AsRef<Path>>(
        &mut self,
        path: impl FnOnce() -> P,
        into: &mut Vec<u8>,
    ) -> io::Result<()> {
        if let Some(file) = &self.0 {
            if read_all(file, Call::ReadAt, into).is_ok() {
                return Ok(());
            }
            self.0 = None;
        }
        let file = File::open(path())?;
        read_all(&file, Call::Read, into)?;
        if is_kernels(&file) {
            self.0 = Some(file);
        }
        Ok(())
    }
}

impl Kept {
    /// Reads an attribute by one call: what fits [`ATTRIBUTE`] bytes.
    pub fn attribute<P: AsRef<Path>>(
        &mut self,
        path: impl FnOnce() -> P,
        into: &mut Vec<u8>,
    ) -> io::Result<()> {
        into.resize(ATTRIBUTE, 0);
        if let Some(file) = &self.0 {
            match file.read_at(into, 0) {
                Ok(count) => {
                    into.truncate(count);
                    return Ok(());
                }
                // A device without a value says so each time; one that went says ENODEV.
                Err(error) if error.raw_os_error() != Some(NODEV) => {
                    into.clear();
                    return Err(error);
                }
                Err(_) => self.0 = None,
            }
        }
        into.clear();
        let file = File::open(path())?;
        into.resize(ATTRIBUTE, 0);
        let result = loop {
            match (&file).read(into) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                other => break other,
            }
        };
        into.truncate(*result.as_ref().unwrap_or(&0));
        if is_kernels(&file) {
            self.0 = Some(file);
        }
        result.map(drop)
    }
}

/// Reads a file that is not kept.
pub fn read_once(path: &Path, into: &mut Vec<u8>) -> io::Result<()> {
    read_all(&File::open(path)?, Call::Read, into)
}

fn is_kernels(file: &File) -> bool {
    rustix::fs::fstatfs(file).is_ok_and(|stat| {
        let kind = stat.f_type;
        kind == rustix::fs::PROC_SUPER_MAGIC as rustix::fs::FsWord || kind == SYSFS_MAGIC
    })
}

/// By which call a file is read.
#[derive(Clone, Copy)]
enum Call {
    /// The first time after it was opened: it may be a pipe, which knows no places.
    Read,
    ReadAt,
}

/// Reads a whole file. Its size is not asked for, because the kernel says 0.
fn read_all(mut file: &File, call: Call, into: &mut Vec<u8>) -> io::Result<()> {
    into.resize(into.capacity().max(FIRST_READ), 0);
    let mut filled = 0;
    let result = loop {
        if filled == into.len() {
            if filled >= LARGEST_FILE {
                *into = Vec::new(); // gives the room back, too
                break Err(io::Error::new(
                    io::ErrorKind::FileTooLarge,
                    format!("the file has more than {} MiB", LARGEST_FILE >> 20),
                ));
            }
            into.resize(filled * 2, 0);
        }
        let room = &mut into[filled..];
        let read = match call {
            Call::Read => file.read(room),
            Call::ReadAt => file.read_at(room, filled as u64),
        };
        match read {
            Ok(0) => break Ok(()),
            Ok(count) => filled += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => {
                filled = 0;
                break Err(error);
            }
        }
    };
    into.truncate(filled);
    result
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_a_file_larger_than_the_first_room_and_refuses_an_enormous_one() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("big");
        let content = vec![b'x'; FIRST_READ * 3 + 7];
        std::fs::write(&path, &content).unwrap();
        let mut buffer = b"old".to_vec();
        read_once(&path, &mut buffer).unwrap();
        assert_eq!(buffer, content);
        File::create(&path)
            .unwrap()
            .set_len(LARGEST_FILE as u64 + 1)
            .unwrap();
        let error = read_once(&path, &mut buffer).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::FileTooLarge);
        assert!(buffer.is_empty());
    }

    #[test]
    fn a_file_of_the_kernels_stays_open_and_is_read_anew() {
        let (mut kept, mut buffer) = (Kept::default(), Vec::new());
        let path = "/proc/self/stat";
        kept.read(|| path, &mut buffer).unwrap();
        assert!(kept.is_open());
        let minor_faults = |text: &[u8]| -> u64 {
            let text = String::from_utf8_lossy(text);
            let after = text.rsplit_once(')').unwrap().1;
            after.split_whitespace().nth(7).unwrap().parse().unwrap()
        };
        let before = minor_faults(&buffer);
        std::hint::black_box(vec![1_u8; 64 << 20]);
        kept.read(|| -> &str { panic!("opened again") }, &mut buffer)
            .unwrap();
        assert!(minor_faults(&buffer) > before, "the old text");
    }

    #[test]
    fn a_list_of_several_pages_is_whole_each_time() {
        let (mut kept, mut buffer) = (Kept::default(), Vec::new());
        for _ in 0..3 {
            kept.read(|| "/proc/self/smaps", &mut buffer).unwrap();
            assert!(buffer.len() > 4096);
            assert!(buffer.ends_with(b"\n"));
            assert!(std::str::from_utf8(&buffer).unwrap().contains("[stack"));
        }
    }

    #[test]
    fn a_file_elsewhere_is_looked_up_each_time() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        let (mut kept, mut buffer) = (Kept::default(), Vec::new());
        for text in ["one", "two, by another file"] {
            std::fs::write(folder.path().join("new"), text).unwrap();
            std::fs::rename(folder.path().join("new"), &path).unwrap();
            kept.read(|| &path, &mut buffer).unwrap();
            assert_eq!(buffer, text.as_bytes());
            assert!(!kept.is_open());
        }
        std::fs::remove_file(&path).unwrap();
        let error = kept.read(|| &path, &mut buffer).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::NotFound);
    }
}
