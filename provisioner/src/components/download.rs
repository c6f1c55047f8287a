//! Downloads over HTTP or from a folder: resumed where the server can prove that it is the same
//! file, begun again where it cannot, tried again when the server or the line breaks.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Once;
use std::time::Duration;

use reqwest::header::{self, HeaderMap};
use reqwest::{Client, Response, StatusCode, Url};
use serde::{Deserialize, Serialize};

use super::error::{ComponentError, cache_error, free_bytes, human_bytes, no_space, redact};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// No byte for this long is a broken line.
const STALL_TIMEOUT: Duration = Duration::from_secs(30);
/// Tries without a single new byte before the source is passed over.
const TRIES: u32 = 4;
const BACKOFF: Duration = Duration::from_millis(400);
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

/// What a partial download belongs to.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Meta {
    from: String,
    /// A strong ETag or a Last-Modified date, to be sent as `If-Range`.
    validator: Option<String>,
}

/// Hears bytes done and bytes in all; an error from it ends the download like a failed write.
pub type OnBytes<'a> = &'a mut dyn FnMut(u64, Option<u64>) -> io::Result<()>;

/// Makes ring the TLS provider of this process; without one the first request would panic.
fn ensure_crypto() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        // Someone else may have installed it first, which is as good.
        let _ = rustls::crypto::ring::default_provider().install_default();
    });
}

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
        Base::Http(url) => block_on(async {
            let client = client(url)?;
            let mut tries = 0;
            loop {
                match small(&client, url).await {
                    Err(Trouble::Broken(why)) => {
                        tries += 1;
                        if tries >= TRIES {
                            return Err(FetchError::Unavailable(why));
                        }
                        tokio::time::sleep(BACKOFF * 2u32.pow(tries - 1)).await;
                    }
                    Err(Trouble::Final(e)) => return Err(e),
                    Ok(bytes) => return Ok(bytes),
                }
            }
        })?,
    };
    String::from_utf8(bytes).map_err(|_| FetchError::Unavailable("it is no text".into()))
}

/// Brings a file to `partial`, complete and synced, and returns whether earlier bytes were reused.
/// `partial` is kept when the line breaks, so that the next run can resume.
pub fn file(from: &Base, partial: &Path, on_bytes: OnBytes<'_>) -> Result<bool, FetchError> {
    match from {
        Base::Folder(path) => copy(path, partial, on_bytes).map(|()| false),
        Base::Http(url) => block_on(async {
            let client = client(url)?;
            let mut transfer = Transfer {
                client,
                url,
                partial,
                resumed: false,
            };
            transfer.run(on_bytes).await?;
            Ok(transfer.resumed)
        }),
    }
}

/// Forgets a partial download.
pub fn discard(partial: &Path) {
    let _ = fs::remove_file(partial);
    let _ = fs::remove_file(meta_path(partial));
}

fn meta_path(partial: &Path) -> PathBuf {
    let mut name = partial.as_os_str().to_owned();
    name.push(".json");
    name.into()
}

fn block_on<T>(work: impl Future<Output = Result<T, FetchError>>) -> Result<T, FetchError> {
    ensure_crypto();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|e| FetchError::Unavailable(format!("cannot start the HTTP client: {e}")))?;
    runtime.block_on(work)
}

fn client(url: &Url) -> Result<Client, FetchError> {
    let host = url.host_str().unwrap_or_default();
    let local = host == "localhost"
        || host
            .trim_matches(['[', ']'])
            .parse::<IpAddr>()
            .is_ok_and(|ip| ip.is_loopback());
    let builder = Client::builder();
    // A proxy cannot reach this machine's own loopback.
    let builder = if local { builder.no_proxy() } else { builder };
    builder
        .user_agent(concat!("kai-observe/", env!("CARGO_PKG_VERSION")))
        .connect_timeout(CONNECT_TIMEOUT)
        .read_timeout(STALL_TIMEOUT)
        // What came over TLS must not be redirected to plain text.
        .https_only(url.scheme() == "https")
        .no_gzip()
        .no_brotli()
        .no_deflate()
        .no_zstd()
        .build()
        .map_err(|e| {
            FetchError::Unavailable(format!("cannot start the HTTP client: {}", why(&e, url)))
        })
}

enum Trouble {
    /// Worth another try.
    Broken(String),
    Final(FetchError),
}

async fn small(client: &Client, url: &Url) -> Result<Vec<u8>, Trouble> {
    let mut response = send(client, url, HeaderMap::new()).await?;
    judge(&response)?;
    let mut bytes = Vec::new();
    while let Some(chunk) = response
        .chunk()
        .await
        .map_err(|e| Trouble::Broken(why(&e, url)))?
    {
        bytes.extend_from_slice(&chunk);
        if bytes.len() > TEXT_LIMIT {
            let text = format!("it is larger than {}", human_bytes(TEXT_LIMIT as u64));
            return Err(Trouble::Final(FetchError::Unavailable(text)));
        }
    }
    Ok(bytes)
}

async fn send(client: &Client, url: &Url, headers: HeaderMap) -> Result<Response, Trouble> {
    let sent = client.get(url.clone()).headers(headers).send().await;
    sent.map_err(|e| {
        let text = why(&e, url);
        // Nobody there: waiting would only delay the next source.
        if e.is_connect() || e.is_builder() || e.is_redirect() {
            Trouble::Final(FetchError::Unavailable(text))
        } else {
            Trouble::Broken(text)
        }
    })
}

/// Success, worth another try, or final.
fn judge(response: &Response) -> Result<(), Trouble> {
    let status = response.status();
    let text = format!("the server answered {status}");
    match status {
        s if s.is_success() => Ok(()),
        StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_MANY_REQUESTS => Err(Trouble::Broken(text)),
        s if s.is_server_error() => Err(Trouble::Broken(text)),
        StatusCode::NOT_FOUND | StatusCode::GONE => Err(Trouble::Final(FetchError::Absent(text))),
        _ => Err(Trouble::Final(FetchError::Unavailable(text))),
    }
}

/// One file on its way to `partial`.
struct Transfer<'a> {
    client: Client,
    url: &'a Url,
    partial: &'a Path,
    resumed: bool,
}

impl Transfer<'_> {
    async fn run(&mut self, on_bytes: OnBytes<'_>) -> Result<(), FetchError> {
        let mut idle = 0;
        loop {
            let before = self.length();
            match self.attempt(on_bytes).await {
                Ok(()) => return Ok(()),
                Err(Trouble::Final(e)) => return Err(e),
                Err(Trouble::Broken(why)) => {
                    idle = if self.length() > before { 0 } else { idle + 1 };
                    if idle >= TRIES {
                        let kept = match self.length() {
                            0 => String::new(),
                            n => format!("; {} are kept to be resumed", human_bytes(n)),
                        };
                        return Err(FetchError::Unavailable(format!("{why}{kept}")));
                    }
                    tokio::time::sleep(BACKOFF * 2u32.pow(idle.saturating_sub(1))).await;
                }
            }
        }
    }

    fn length(&self) -> u64 {
        fs::metadata(self.partial).map_or(0, |m| m.len())
    }

    /// One request, from the first byte that is missing.
    async fn attempt(&mut self, on_bytes: OnBytes<'_>) -> Result<(), Trouble> {
        let from = redact(self.url.as_str());
        let known: Option<Meta> = fs::read(meta_path(self.partial))
            .ok()
            .and_then(|bytes| serde_json::from_slice(&bytes).ok())
            .filter(|meta: &Meta| meta.from == from);
        let have = self.length();
        let mut headers = HeaderMap::new();
        headers.insert(
            header::ACCEPT_ENCODING,
            header::HeaderValue::from_static("identity"),
        );
        let mut asked = false;
        if have > 0
            && let Some(validator) = known.and_then(|m| m.validator)
            && let (Ok(range), Ok(validator)) =
                (format!("bytes={have}-").parse(), validator.parse())
        {
            headers.insert(header::RANGE, range);
            headers.insert(header::IF_RANGE, validator);
            asked = true;
        }
        let mut response = send(&self.client, self.url, headers).await?;
        let status = response.status();
        if asked && status == StatusCode::RANGE_NOT_SATISFIABLE {
            // Killed between the last byte and the checksum: everything is here already.
            if content_range_total(response.headers()) == Some(have) {
                self.resumed = true;
                return Ok(());
            }
            discard(self.partial);
            return Err(Trouble::Broken("the server refused to resume".into()));
        }
        judge(&response)?;
        let resumes = asked
            && status == StatusCode::PARTIAL_CONTENT
            && content_range(response.headers()).is_some_and(|(start, _)| start == have);
        let stop =
            |action, e| Trouble::Final(FetchError::Stop(cache_error(action, self.partial, e)));
        let mut file = OpenOptions::new()
            .create(true)
            .write(true)
            .append(resumes)
            .truncate(!resumes)
            .open(self.partial)
            .map_err(|e| stop("write", e))?;
        let mut done = if resumes { have } else { 0 };
        let total = match content_range(response.headers()) {
            Some((_, total)) if resumes => total,
            _ => response.content_length(),
        };
        self.resumed = resumes || (self.resumed && done > 0);
        if !resumes {
            let meta = Meta {
                from,
                validator: validator(response.headers()),
            };
            let text = serde_json::to_vec(&meta).unwrap_or_default();
            fs::write(meta_path(self.partial), text).map_err(|e| stop("write", e))?;
        }
        self.check_room(total.map(|t| t.saturating_sub(done)))?;
        loop {
            let chunk = response
                .chunk()
                .await
                .map_err(|e| Trouble::Broken(why(&e, self.url)))?;
            let Some(chunk) = chunk else { break };
            done += chunk.len() as u64;
            on_bytes(done, total)
                .and_then(|()| file.write_all(&chunk))
                .map_err(|e| {
                    // Room on a full disk is worth more than half a file.
                    let error = stop("write", e);
                    discard(self.partial);
                    error
                })?;
        }
        if total.is_some_and(|t| t != done) {
            return Err(Trouble::Broken("the connection ended early".into()));
        }
        file.sync_all().map_err(|e| stop("write", e))
    }

    fn check_room(&self, needed: Option<u64>) -> Result<(), Trouble> {
        let (Some(needed), Some(free)) = (needed, free_bytes(self.partial)) else {
            return Ok(());
        };
        if needed <= free {
            return Ok(());
        }
        discard(self.partial);
        Err(Trouble::Final(FetchError::Stop(no_space(
            self.partial,
            Some(needed),
        ))))
    }
}

/// Start and, when known, total of `Content-Range: bytes 10-99/100`.
fn content_range(headers: &HeaderMap) -> Option<(u64, Option<u64>)> {
    parse_content_range(headers.get(header::CONTENT_RANGE)?.to_str().ok()?)
}

/// Total of `Content-Range: bytes */100`, the answer to a range behind the end.
fn content_range_total(headers: &HeaderMap) -> Option<u64> {
    let text = headers.get(header::CONTENT_RANGE)?.to_str().ok()?;
    text.trim().strip_prefix("bytes */")?.parse().ok()
}

fn parse_content_range(text: &str) -> Option<(u64, Option<u64>)> {
    let (range, total) = text.trim().strip_prefix("bytes ")?.split_once('/')?;
    let (start, _) = range.split_once('-')?;
    Some((start.trim().parse().ok()?, total.trim().parse().ok()))
}

/// What `If-Range` may carry: a strong ETag, else the date (RFC 9110, 13.1.5).
fn validator(headers: &HeaderMap) -> Option<String> {
    let text = |name| {
        headers
            .get(name)
            .and_then(|v| v.to_str().ok())
            .map(str::to_string)
    };
    text(header::ETAG)
        .filter(|tag| tag.starts_with('"'))
        .or_else(|| text(header::LAST_MODIFIED))
}

/// What went wrong, in words for the list of sources.
fn why(error: &reqwest::Error, url: &Url) -> String {
    let host = url.host_str().unwrap_or("the server");
    let mut causes = Vec::new();
    let mut next: Option<&dyn std::error::Error> = Some(error);
    while let Some(cause) = next {
        causes.push(cause.to_string());
        next = cause.source();
    }
    let chain = causes.join(": ").to_lowercase();
    if chain.contains("dns error") || chain.contains("lookup address") {
        return format!("could not resolve host {host}");
    }
    if error.is_timeout() {
        let what = if error.is_connect() {
            "no connection"
        } else {
            "no byte"
        };
        let after = if error.is_connect() {
            CONNECT_TIMEOUT
        } else {
            STALL_TIMEOUT
        };
        return format!("{what} from {host} within {} s", after.as_secs());
    }
    let last = causes.last().map_or_else(String::new, Clone::clone);
    if error.is_connect() {
        return redact(&format!("could not connect to {host}: {last}"));
    }
    redact(&format!("{host}: {last}"))
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
    fn content_ranges() {
        assert_eq!(
            parse_content_range("bytes 10-99/100"),
            Some((10, Some(100)))
        );
        assert_eq!(parse_content_range("bytes 10-99/*"), Some((10, None)));
        assert_eq!(parse_content_range("bytes */100"), None);
        assert_eq!(parse_content_range("items 1-2/3"), None);
    }

    #[test]
    fn only_strong_tags_prove_that_it_is_the_same_file() {
        let mut headers = HeaderMap::new();
        headers.insert(header::ETAG, "W/\"x\"".parse().expect("a value"));
        assert_eq!(validator(&headers), None);
        headers.insert(
            header::LAST_MODIFIED,
            "Mon, 23 Nov 2026 23:00:00 GMT".parse().expect("ok"),
        );
        assert_eq!(
            validator(&headers).as_deref(),
            Some("Mon, 23 Nov 2026 23:00:00 GMT")
        );
        headers.insert(header::ETAG, "\"x\"".parse().expect("a value"));
        assert_eq!(validator(&headers).as_deref(), Some("\"x\""));
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
            let _ = parse_content_range(&text);
            let _ = Base::parse(&text, Path::new("/"));
        }
    }
}
