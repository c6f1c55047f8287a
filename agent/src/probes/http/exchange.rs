//! One request and its answer, over a connection made for it.

use std::net::IpAddr;
use std::time::Instant;

use http_body_util::Full;
use hyper::body::{Body as _, Bytes, Incoming};
use hyper::client::conn::{http1, http2};
use hyper::header::{
    AUTHORIZATION, CONNECTION, CONTENT_LENGTH, COOKIE, HOST, HeaderMap, HeaderName, HeaderValue,
    REFERER, TRANSFER_ENCODING, USER_AGENT,
};
use hyper::{Method, Response, Version};
use hyper_util::rt::{TokioExecutor, TokioIo};
use kai_contract::agent_config::{HttpAuth, HttpProbe};
use reqwest::Url;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;

use super::cookies::Jar;
use super::{add, bare_host};
use crate::probes::report::Report;
use crate::probes::{resolve, tls};

/// Header lines of an answer; a longer head than hyper's 400 kB is refused, too.
const MOST_HEADERS: usize = 4_096;

/// What is asked next.
pub(super) struct Request {
    pub url: Url,
    method: String,
    with_body: bool,
    referer: Option<String>,
}

impl Request {
    pub(super) fn first(url: Url, method: &str) -> Self {
        Self {
            url,
            method: method.to_owned(),
            with_body: true,
            referer: None,
        }
    }

    /// The request that a redirect asks for, by Go's rules: 307 and 308 say it all again, the
    /// others ask with GET.
    pub(super) fn redirected(&self, url: Url, status: u16) -> Self {
        let again = matches!(status, 307 | 308);
        let method = if again || self.method == "HEAD" {
            self.method.clone()
        } else {
            "GET".to_owned()
        };
        let downgrade = self.url.scheme() == "https" && url.scheme() == "http";
        let referer = (!downgrade).then(|| {
            let mut from = self.url.clone();
            from.set_fragment(None);
            from.to_string()
        });
        Self {
            method,
            with_body: self.with_body && again,
            referer,
            url,
        }
    }
}

/// An answer whose body has not been read.
pub(super) struct Answer {
    response: Response<Incoming>,
    pub tls: Option<tls::Seen>,
    /// When its first byte was there.
    pub started: Instant,
    head: bool,
    _connection: Connection,
}

/// Ends with the answer, so that nothing of a probe stays behind.
struct Connection(JoinHandle<()>);

impl Drop for Connection {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Answer {
    pub(super) fn status(&self) -> u16 {
        self.response.status().as_u16()
    }

    pub(super) fn headers(&self) -> &HeaderMap {
        self.response.headers()
    }

    pub(super) fn body(&mut self) -> &mut Incoming {
        self.response.body_mut()
    }

    pub(super) fn version(&self) -> f64 {
        match self.response.version() {
            Version::HTTP_10 => 1.0,
            Version::HTTP_2 => 2.0,
            _ => 1.1,
        }
    }

    pub(super) fn version_name(&self) -> &'static str {
        match self.response.version() {
            Version::HTTP_10 => "HTTP/1.0",
            Version::HTTP_2 => "HTTP/2.0",
            _ => "HTTP/1.1",
        }
    }

    /// Go's `Response.ContentLength`: -1 where the answer does not say.
    pub(super) fn content_length(&self) -> f64 {
        let given = || {
            let value = self.headers().get(CONTENT_LENGTH)?;
            value.to_str().ok()?.trim().parse::<u64>().ok()
        };
        let status = self.status();
        if self.response.version() == Version::HTTP_2 {
            return match given() {
                Some(length) => length as f64,
                None if !self.head && self.response.body().is_end_stream() => 0.0,
                None => -1.0,
            };
        }
        if !self.head && matches!(status, 100..=199 | 204 | 304) {
            return 0.0;
        }
        if self.headers().contains_key(TRANSFER_ENCODING) {
            return -1.0;
        }
        given().map_or(-1.0, |length| length as f64)
    }
}

/// What stays the same from one request to the next.
pub(super) struct Exchange<'a> {
    config: &'a HttpProbe,
    first_host: String,
    /// The address that the host's name was resolved to.
    pinned: IpAddr,
    tls: tls::Tls,
    auth: Option<HeaderValue>,
    body: Bytes,
}

impl<'a> Exchange<'a> {
    /// Reads the files that the request is made of.
    pub(super) async fn new(
        config: &'a HttpProbe,
        url: &Url,
        pinned: IpAddr,
    ) -> Result<Self, String> {
        let auth = match &config.auth {
            Some(auth) => Some(authorization(auth).await?),
            None => None,
        };
        let body = match (&config.body, &config.body_file) {
            (Some(body), _) => Bytes::from(body.clone()),
            (None, Some(file)) => tokio::fs::read(file)
                .await
                .map_err(|error| format!("cannot read the body in {}: {error}", file.display()))?
                .into(),
            (None, None) => Bytes::new(),
        };
        let alpn: &[&str] = if config.enable_http2 {
            &["h2", "http/1.1"]
        } else {
            &["http/1.1"]
        };
        Ok(Self {
            first_host: authority(url),
            pinned,
            tls: tls::Tls::new(config.tls.as_ref(), alpn),
            auth,
            body,
            config,
        })
    }

    /// Asks; the phases that were reached are added to the report.
    pub(super) async fn ask(
        &self,
        report: &mut Report,
        request: &Request,
        jar: &Jar,
    ) -> Result<Answer, String> {
        let first = authority(&request.url) == self.first_host;
        let stream = self.connect(report, request, first).await?;
        let (tcp, connected) = stream;
        if request.url.scheme() == "https" {
            let name = self.server_name(&request.url, first);
            let started = Instant::now();
            let (stream, seen) = self.tls.connect(report, tcp, &name).await?;
            add(report, "connect", connected);
            add(report, "tls", started.elapsed());
            let h2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
            self.send(report, request, jar, first, stream, h2, Some(seen))
                .await
        } else {
            add(report, "connect", connected);
            self.send(report, request, jar, first, tcp, false, None)
                .await
        }
    }

    async fn connect(
        &self,
        report: &mut Report,
        request: &Request,
        first: bool,
    ) -> Result<(TcpStream, std::time::Duration), String> {
        let port = request.url.port_or_known_default().unwrap_or(80);
        let addresses = if first {
            vec![self.pinned]
        } else {
            let host = bare_host(&request.url);
            let started = Instant::now();
            let found = resolve::lookup(&host).await;
            add(report, "resolve", started.elapsed());
            found.map_err(|why| format!("cannot resolve {host}: {why}"))?
        };
        let started = Instant::now();
        let mut last = String::new();
        for ip in addresses {
            report.note(format!("connecting to {ip} port {port}"));
            match TcpStream::connect((ip, port)).await {
                Ok(stream) => {
                    let _ = stream.set_nodelay(true);
                    return Ok((stream, started.elapsed()));
                }
                Err(error) => last = format!("cannot connect to {ip} port {port}: {error}"),
            }
        }
        Err(last)
    }

    /// The name for TLS: as configured, else as the `Host` header says, else the host's own.
    fn server_name(&self, url: &Url, first: bool) -> String {
        let own = bare_host(url);
        if !first {
            return own;
        }
        if let Some(name) = self.tls.server_name() {
            return name.to_owned();
        }
        match self.host_header() {
            Some(host) => resolve::split(host)
                .map_or(host, |(host, _)| host)
                .to_owned(),
            None => own,
        }
    }

    fn host_header(&self) -> Option<&str> {
        let mut headers = self.config.headers.iter();
        headers
            .find(|(name, _)| name.eq_ignore_ascii_case("host"))
            .map(|(_, value)| value.as_str())
    }

    #[expect(
        clippy::too_many_arguments,
        reason = "one call, from two kinds of stream"
    )]
    async fn send<S>(
        &self,
        report: &mut Report,
        request: &Request,
        jar: &Jar,
        first: bool,
        stream: S,
        h2: bool,
        tls: Option<tls::Seen>,
    ) -> Result<Answer, String>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let started = Instant::now();
        let built = self.build(request, jar, first, h2)?;
        let head = built.method() == Method::HEAD;
        report.note(format!(
            "{} {} by {}",
            built.method(),
            request.url,
            if h2 { "HTTP/2" } else { "HTTP/1.1" }
        ));
        let failed = |error: hyper::Error| format!("no answer: {}", reason(&error));
        let (response, connection) = if h2 {
            let (mut sender, connection) = http2::Builder::new(TokioExecutor::new())
                .handshake(TokioIo::new(stream))
                .await
                .map_err(failed)?;
            let connection = Connection(tokio::spawn(async move {
                let _ = connection.await; // what went wrong is the request's error, too
            }));
            (sender.send_request(built).await, connection)
        } else {
            let (mut sender, connection) = http1::Builder::new()
                .title_case_headers(true)
                // Go reads what old servers write.
                .allow_obsolete_multiline_headers_in_responses(true)
                .ignore_invalid_headers_in_responses(true)
                .max_headers(MOST_HEADERS)
                .handshake(TokioIo::new(stream))
                .await
                .map_err(failed)?;
            let connection = Connection(tokio::spawn(async move {
                let _ = connection.await;
            }));
            (sender.send_request(built).await, connection)
        };
        let response = response.map_err(failed)?;
        add(report, "processing", started.elapsed());
        let answer = Answer {
            response,
            tls,
            started: Instant::now(),
            head,
            _connection: connection,
        };
        report.note(format!(
            "{} {}",
            answer.version_name(),
            answer.response.status()
        ));
        Ok(answer)
    }

    fn build(
        &self,
        request: &Request,
        jar: &Jar,
        first: bool,
        h2: bool,
    ) -> Result<hyper::Request<Full<Bytes>>, String> {
        let bad = |what: &str| format!("the {what} cannot be sent");
        let own_host = self.host_header().filter(|_| first);
        let authority = authority(&request.url);
        let host = own_host.unwrap_or(&authority);
        let path = match request.url.query() {
            Some(query) => format!("{}?{query}", request.url.path()),
            None => request.url.path().to_owned(),
        };
        let uri = if h2 {
            format!("{}://{host}{path}", request.url.scheme())
        } else {
            path
        };
        let mut headers = HeaderMap::new();
        if !h2 {
            let value = HeaderValue::from_str(host).map_err(|_| bad("host"))?;
            headers.insert(HOST, value);
            headers.insert(CONNECTION, HeaderValue::from_static("close"));
        }
        headers.insert(
            USER_AGENT,
            HeaderValue::from_static(concat!("kai-agent/", env!("CARGO_PKG_VERSION"))),
        );
        if let Some(referer) = &request.referer {
            let value = HeaderValue::from_str(referer).map_err(|_| bad("referer"))?;
            headers.insert(REFERER, value);
        }
        for (name, value) in &self.config.headers {
            let name = HeaderName::from_bytes(name.as_bytes()).map_err(|_| bad("header"))?;
            if name == HOST || (h2 && name == CONNECTION) {
                continue;
            }
            let value = HeaderValue::from_str(value).map_err(|_| bad("header"))?;
            headers.insert(name, value);
        }
        if let Some(cookies) = jar.header(&request.url) {
            headers.insert(COOKIE, cookies);
        }
        // Never to a host that a redirect chose.
        if let Some(auth) = self.auth.as_ref().filter(|_| first) {
            headers.insert(AUTHORIZATION, auth.clone());
        }
        let body = if request.with_body {
            self.body.clone()
        } else {
            Bytes::new()
        };
        let mut built = hyper::Request::builder()
            .method(request.method.as_str())
            .uri(uri)
            .body(Full::new(body))
            .map_err(|error| format!("the request cannot be sent: {error}"))?;
        *built.headers_mut() = headers;
        Ok(built)
    }
}

/// `host` or `host:port`, as it stands in a request.
fn authority(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    match url.port() {
        Some(port) => format!("{host}:{port}"),
        None => host.to_owned(),
    }
}

async fn authorization(auth: &HttpAuth) -> Result<HeaderValue, String> {
    use base64::Engine as _;
    let secret = |file: std::path::PathBuf| async move {
        let text = tokio::fs::read_to_string(&file)
            .await
            .map_err(|error| format!("cannot read the secret in {}: {error}", file.display()))?;
        Ok::<_, String>(text.trim().to_owned())
    };
    let text = match auth {
        HttpAuth::ApiKeyFile(file) => format!("ApiKey {}", secret(file.clone()).await?),
        HttpAuth::TokenFile(file) => format!("Bearer {}", secret(file.clone()).await?),
        HttpAuth::Basic {
            username,
            password_file,
        } => {
            let pair = format!("{username}:{}", secret(password_file.clone()).await?);
            let encoded = base64::engine::general_purpose::STANDARD.encode(pair);
            format!("Basic {encoded}")
        }
    };
    let mut value = HeaderValue::from_str(&text)
        .map_err(|_| "the secret for auth has a line break or control character in it")?;
    value.set_sensitive(true);
    Ok(value)
}

/// An error with what caused it.
pub(super) fn reason(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        let inner_text = inner.to_string();
        if !text.contains(&inner_text) {
            text.push_str(": ");
            text.push_str(&inner_text);
        }
        cause = inner.source();
    }
    text
}
