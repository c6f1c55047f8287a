//! One file over HTTP: asked for from the first byte that is missing, tried again when the line
//! breaks, and judged by what the server answers.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use reqwest::header::{self, HeaderMap};
use reqwest::{Client, Response, StatusCode, Url};
use serde::{Deserialize, Serialize};

use super::{FetchError, OnBytes, TEXT_LIMIT, discard};
use crate::components::error::{cache_error, free_bytes, human_bytes, no_space, redact};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// No byte for this long is a broken line.
const STALL_TIMEOUT: Duration = Duration::from_secs(30);
/// Tries without a single new byte before the source is passed over.
const TRIES: u32 = 4;
const BACKOFF: Duration = Duration::from_millis(400);

/// What a partial download belongs to.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Meta {
    from: String,
    /// A strong ETag or a Last-Modified date, to be sent as `If-Range`.
    validator: Option<String>,
}

pub fn meta_path(partial: &Path) -> PathBuf {
    let mut name = partial.as_os_str().to_owned();
    name.push(".json");
    name.into()
}

/// A small file's bytes.
pub fn text(url: &Url) -> Result<Vec<u8>, FetchError> {
    block_on(async {
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
    })
}

/// A file to `partial`; whether bytes of an earlier try were reused.
pub fn file(url: &Url, partial: &Path, on_bytes: OnBytes<'_>) -> Result<bool, FetchError> {
    block_on(async {
        let client = client(url)?;
        let mut transfer = Transfer {
            client,
            url,
            partial,
            resumed: false,
        };
        transfer.run(on_bytes).await?;
        Ok(transfer.resumed)
    })
}

fn block_on<T>(work: impl Future<Output = Result<T, FetchError>>) -> Result<T, FetchError> {
    crate::http::install_crypto();
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
    let secure = url.scheme() == "https";
    let builder = || {
        let builder = Client::builder();
        // A proxy cannot reach this machine's own loopback.
        let builder = if local { builder.no_proxy() } else { builder };
        builder
            .user_agent(concat!("kai-observe/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(CONNECT_TIMEOUT)
            .read_timeout(STALL_TIMEOUT)
            // What came over TLS must not be redirected to plain text.
            .https_only(secure)
            .no_gzip()
            .no_brotli()
            .no_deflate()
            .no_zstd()
    };
    let built = match builder().build() {
        // A small container without CA certificates can still use a plain mirror.
        Err(_) if !secure => builder().tls_certs_only([]).build(),
        other => other,
    };
    built.map_err(|e| {
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

#[cfg(test)]
mod tests {
    use super::*;

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

    proptest::proptest! {
        #[test]
        fn parsers_never_panic(text in "\\PC{0,60}") {
            let _ = parse_content_range(&text);
        }
    }
}
