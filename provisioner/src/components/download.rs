//! Downloads over HTTP or from a folder: resumed where the server can prove that it is the same
//! file, begun again where it cannot, tried again when the server or the line breaks.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use reqwest::Url;

mod http;

use super::error::{ComponentError, cache_error, redact};

/// Checksum files are small; a login page or a wrong address may not be.
const TEXT_LIMIT: usize = 1 << 20;

/// Where a source's files lie.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Base {
    Http(Url),
    Folder(PathBuf),
}

/// Why there is no file.
#[derive(Debug)]
pub enum FetchError {
    /// The source cannot deliver; the chain goes on.
    Unavailable(String),
    /// The server is there and says that this file is not.
    Absent(String),
    Stop(ComponentError),
}

impl Base {
    /// `http(s)://…`, `file:///…`, or a folder; a relative folder starts at `relative_to`.
    pub fn parse(text: &str, relative_to: &Path) -> Result<Self, String> {
        if text.contains("://") {
            let bad = |why: String| redact(&format!("`{text}` is no address: {why}"));
            let mut url = Url::parse(text).map_err(|e| bad(e.to_string()))?;
            return match url.scheme() {
                "file" => url
                    .to_file_path()
                    .map(Self::Folder)
                    .map_err(|()| bad("not a local path".into())),
                "http" | "https" => {
                    if !url.path().ends_with('/') {
                        url.set_path(&format!("{}/", url.path()));
                    }
                    Ok(Self::Http(url))
                }
                other => Err(bad(format!(
                    "{other}:// is not http://, https:// or file://"
                ))),
            };
        }
        Ok(Self::Folder(relative_to.join(text)))
    }

    /// A file below this base, by a relative path of plain parts.
    pub fn join(&self, path: &str) -> Self {
        match self {
            Self::Http(url) => {
                let mut url = url.clone();
                if let Ok(mut parts) = url.path_segments_mut() {
                    parts.pop_if_empty().extend(path.split('/'));
                }
                Self::Http(url)
            }
            Self::Folder(folder) => Self::Folder(folder.join(path)),
        }
    }
}

impl std::fmt::Display for Base {
    /// Without user name and password.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Http(url) => f.write_str(&redact(url.as_str())),
            Self::Folder(folder) => write!(f, "{}", folder.display()),
        }
    }
}

/// Hears bytes done and bytes in all; an error from it ends the download like a failed write.
pub type OnBytes<'a> = &'a mut dyn FnMut(u64, Option<u64>) -> io::Result<()>;
/// Small text, such as a list of checksums.
pub fn text(from: &Base) -> Result<String, FetchError> {
    let bytes = match from {
        Base::Folder(path) => match fs::metadata(path) {
            Ok(m) if m.len() > TEXT_LIMIT as u64 => {
                return Err(FetchError::Unavailable(format!(
                    "{} is too large",
                    path.display()
                )));
            }
            _ => fs::read(path).map_err(|e| folder_error(path, &e))?,
        },
        Base::Http(url) => http::text(url)?,
    };
    String::from_utf8(bytes).map_err(|_| FetchError::Unavailable("it is no text".into()))
}

/// Brings a file to `partial`, complete and synced, and returns whether earlier bytes were reused.
/// `partial` is kept when the line breaks, so that the next run can resume.
pub fn file(from: &Base, partial: &Path, on_bytes: OnBytes<'_>) -> Result<bool, FetchError> {
    match from {
        Base::Folder(path) => copy(path, partial, on_bytes).map(|()| false),
        Base::Http(url) => http::file(url, partial, on_bytes),
    }
}

/// Forgets a partial download.
pub fn discard(partial: &Path) {
    let _ = fs::remove_file(partial);
    let _ = fs::remove_file(http::meta_path(partial));
}

fn folder_error(path: &Path, error: &io::Error) -> FetchError {
    match error.kind() {
        io::ErrorKind::NotFound => FetchError::Absent(format!("{} does not exist", path.display())),
        _ => FetchError::Unavailable(format!("cannot read {}: {error}", path.display())),
    }
}

fn copy(from: &Path, partial: &Path, on_bytes: OnBytes<'_>) -> Result<(), FetchError> {
    let mut source = File::open(from).map_err(|e| folder_error(from, &e))?;
    let metadata = source.metadata().map_err(|e| folder_error(from, &e))?;
    if !metadata.is_file() {
        return Err(FetchError::Unavailable(format!(
            "{} is not a file",
            from.display()
        )));
    }
    let total = metadata.len();
    let result = (|| {
        let mut target = File::create(partial)?;
        let mut block = vec![0; 256 * 1024];
        let mut done = 0;
        loop {
            let n = source.read(&mut block)?;
            if n == 0 {
                return target.sync_all();
            }
            done += n as u64;
            on_bytes(done, Some(total))?;
            target.write_all(&block[..n])?;
        }
    })();
    result.map_err(|e| {
        discard(partial);
        FetchError::Stop(cache_error("write", partial, e))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bases_and_what_lies_below_them() {
        let here = Path::new("/spec");
        let parse = |text| Base::parse(text, here);
        assert_eq!(
            parse("https://u:p@m/x")
                .expect("http")
                .join("prometheus/3.5.3+ds/f.tar.gz")
                .to_string(),
            "https://***@m/x/prometheus/3.5.3+ds/f.tar.gz"
        );
        assert_eq!(
            parse("https://m/x/").expect("http").join("a/b").to_string(),
            "https://m/x/a/b"
        );
        assert_eq!(
            parse("file:///srv/m").expect("file"),
            Base::Folder("/srv/m".into())
        );
        assert_eq!(
            parse("mirror").expect("folder"),
            Base::Folder("/spec/mirror".into())
        );
        assert_eq!(
            parse("/srv/m").expect("folder"),
            Base::Folder("/srv/m".into())
        );
        assert!(parse("ftp://u:secret@m/x").is_err_and(|e| !e.contains("secret")));
    }

    #[test]
    fn a_host_that_does_not_exist_is_said_to_be_so() {
        let base = Base::parse("http://does-not-exist.invalid/x", Path::new("/")).expect("http");
        match text(&base) {
            Err(FetchError::Unavailable(why)) => {
                assert_eq!(why, "could not resolve host does-not-exist.invalid");
            }
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn nobody_listening_is_told_apart() {
        let port = {
            let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
            listener.local_addr().expect("an address").port()
        };
        let base = Base::parse(&format!("http://127.0.0.1:{port}/"), Path::new("/")).expect("http");
        match text(&base) {
            Err(FetchError::Unavailable(why)) => {
                assert!(why.starts_with("could not connect to 127.0.0.1: "), "{why}");
            }
            other => panic!("{other:?}"),
        }
    }

    proptest::proptest! {
        #[test]
        fn parsers_never_panic(text in "\\PC{0,60}") {
            let _ = Base::parse(&text, Path::new("/"));
        }
    }
}
