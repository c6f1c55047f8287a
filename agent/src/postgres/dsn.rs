//! Where a server is and who asks: libpq's connection string, `postgresql://…` or `key=value …`.
//!
//! The library reads the string; only the settings of TLS are ours, because the library knows three
//! of libpq's six ways and none of its files. No message repeats a piece of the string that could be
//! part of a password.

use std::path::PathBuf;

use kai_contract::agent_config::ProbeTls;
use tokio_postgres::Config;
use tokio_postgres::config::{Host, SslMode};

/// Keywords that the library reads.
const KNOWN: [&str; 18] = [
    "user",
    "password",
    "dbname",
    "options",
    "application_name",
    "sslnegotiation",
    "host",
    "hostaddr",
    "port",
    "connect_timeout",
    "tcp_user_timeout",
    "keepalives",
    "keepalives_idle",
    "keepalives_interval",
    "keepalives_retries",
    "target_session_attrs",
    "channel_binding",
    "load_balance_hosts",
];
/// Keywords of libpq that change nothing here.
const WITHOUT_EFFECT: [&str; 4] = [
    "fallback_application_name",
    "client_encoding",
    "sslcompression",
    "gssencmode",
];
const OURS: [&str; 4] = ["sslmode", "sslrootcert", "sslcert", "sslkey"];

/// A server to be asked.
#[derive(Debug)]
pub struct Dsn {
    pub config: Config,
    /// How the server's certificate is judged; without it there is no TLS.
    pub tls: Option<ProbeTls>,
    /// `host:port`, as the label `server` has it.
    pub server: String,
}

/// Reads a connection string, or says what is wrong with it.
pub fn parse(text: &str) -> Result<Dsn, String> {
    let text = text.trim();
    if text.is_empty() {
        return Err("it is empty; write one like postgresql://monitor:…@db:5432/postgres".into());
    }
    if text.contains(['\n', '\r', '\0']) {
        return Err("it has more than one line".into());
    }
    let url = text.starts_with("postgres://") || text.starts_with("postgresql://");
    let (pairs, rest) = if url {
        from_url(text)?
    } else {
        from_words(text)?
    };
    let mut ssl = Ssl::default();
    for (key, value) in pairs {
        match key.as_str() {
            "sslmode" => ssl.mode = Some(value),
            "sslrootcert" => ssl.root = Some(value),
            "sslcert" => ssl.certificate = Some(value.into()),
            _ => ssl.key = Some(value.into()),
        }
    }
    let mut config: Config = rest
        .parse()
        .map_err(|error: tokio_postgres::Error| reason(&error))?;
    if config.get_hosts().is_empty() {
        config.host("localhost");
    }
    if config.get_user().is_none() {
        return Err("it names no user; write user= or postgresql://user@…".into());
    }
    if config.get_application_name().is_none() {
        config.application_name("kai-agent");
    }
    let tls = ssl.judge(&mut config)?;
    let server = server(&config);
    Ok(Dsn {
        config,
        tls,
        server,
    })
}

/// The library's reason; of its messages only those are told that repeat nothing of the string.
fn reason(error: &tokio_postgres::Error) -> String {
    let cause = std::error::Error::source(error).map(ToString::to_string);
    match cause.as_deref() {
        Some(cause) if cause.starts_with("invalid value for option") => cause.to_owned(),
        _ => "it is no connection string; write postgresql://user:password@host:5432/database \
              (with %40 for an @ in the password) or host=… user=… password='…'"
            .to_owned(),
    }
}

fn server(config: &Config) -> String {
    let ports = config.get_ports();
    let named = config.get_hosts().iter().enumerate().map(|(index, host)| {
        let port = ports.get(index).or(ports.first()).copied().unwrap_or(5432);
        match host {
            Host::Tcp(host) => format!("{host}:{port}"),
            #[cfg(unix)]
            Host::Unix(path) => format!("{}:{port}", path.display()),
        }
    });
    named.collect::<Vec<_>>().join(",")
}

type Pairs = Vec<(String, String)>;

/// Takes our keys out of a URL's query.
fn from_url(text: &str) -> Result<(Pairs, String), String> {
    let Some((before, query)) = text.split_once('?') else {
        return Ok((Vec::new(), text.to_owned()));
    };
    let mut pairs = Vec::new();
    let mut rest = Vec::new();
    for part in query.split('&').filter(|part| !part.is_empty()) {
        let (key, value) = part
            .split_once('=')
            .ok_or("a parameter after the ? has no value")?;
        if OURS.contains(&key) {
            let value = unescape(value).ok_or_else(|| format!("{key} is not UTF-8"))?;
            pairs.push((key.to_owned(), value));
        } else {
            known(key)?;
            if !WITHOUT_EFFECT.contains(&key) {
                rest.push(part);
            }
        }
    }
    let rest = if rest.is_empty() {
        before.to_owned()
    } else {
        format!("{before}?{}", rest.join("&"))
    };
    Ok((pairs, rest))
}

fn unescape(text: &str) -> Option<String> {
    let mut out = Vec::new();
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        if byte != b'%' {
            out.push(byte);
            continue;
        }
        let digits = [bytes.next()?, bytes.next()?];
        let digits = std::str::from_utf8(&digits).ok()?;
        out.push(u8::from_str_radix(digits, 16).ok()?);
    }
    String::from_utf8(out).ok()
}

/// Takes our keys out of `key=value` words; a value in single quotes may hold blanks, and a backslash
/// takes the sign after it as it is.
fn from_words(text: &str) -> Result<(Pairs, String), String> {
    let mut pairs = Vec::new();
    let mut rest = String::new();
    let mut signs = text.chars().peekable();
    loop {
        while signs.next_if(|c| c.is_whitespace()).is_some() {}
        if signs.peek().is_none() {
            return Ok((pairs, rest));
        }
        let mut key = String::new();
        while let Some(c) = signs.next_if(|c| *c != '=' && !c.is_whitespace()) {
            key.push(c);
        }
        while signs.next_if(|c| c.is_whitespace()).is_some() {}
        if signs.next() != Some('=') {
            return Err("a word in it has no =; put a value with blanks in single quotes".into());
        }
        while signs.next_if(|c| c.is_whitespace()).is_some() {}
        let quoted = signs.next_if_eq(&'\'').is_some();
        let mut value = String::new();
        loop {
            match signs.next() {
                None if quoted => return Err("the value of a key has no closing quote".into()),
                None => break,
                Some('\'') if quoted => break,
                Some(c) if c.is_whitespace() && !quoted => break,
                Some('\\') => value.push(signs.next().ok_or("it ends with a backslash")?),
                Some(c) => value.push(c),
            }
        }
        if OURS.contains(&key.as_str()) {
            pairs.push((key, value));
            continue;
        }
        known(&key)?;
        if WITHOUT_EFFECT.contains(&key.as_str()) {
            continue;
        }
        let value = value.replace('\\', "\\\\").replace('\'', "\\'");
        rest.push_str(&format!("{key}='{value}' "));
    }
}

fn known(key: &str) -> Result<(), String> {
    if KNOWN.contains(&key) || WITHOUT_EFFECT.contains(&key) {
        return Ok(());
    }
    // What stands there can be the rest of a password with a blank or an & in it.
    Err(format!(
        "it has a keyword that is not known; a blank, & or ? in a password must be escaped. Known \
         are {}, {}",
        KNOWN.join(", "),
        OURS.join(", ")
    ))
}

#[derive(Debug, Default)]
struct Ssl {
    mode: Option<String>,
    root: Option<String>,
    certificate: Option<PathBuf>,
    key: Option<PathBuf>,
}

impl Ssl {
    fn judge(self, config: &mut Config) -> Result<Option<ProbeTls>, String> {
        let root = self.root.filter(|root| root != "system").map(PathBuf::from);
        if self.certificate.is_some() != self.key.is_some() {
            return Err("sslcert and sslkey belong together; give both".into());
        }
        let verified = ProbeTls {
            ca_file: root,
            cert_file: self.certificate,
            key_file: self.key,
            ..ProbeTls::default()
        };
        // As libpq: whoever names authorities wants them asked.
        let unverified = ProbeTls {
            dangerous_insecure_skip_verify: verified.ca_file.is_none(),
            ..verified.clone()
        };
        let (mode, tls) = match self.mode.as_deref() {
            Some("disable") => (SslMode::Disable, None),
            None | Some("prefer" | "allow") => (SslMode::Prefer, Some(unverified)),
            Some("require") => (SslMode::Require, Some(unverified)),
            Some("verify-full") => (SslMode::Require, Some(verified)),
            Some("verify-ca") => {
                return Err(
                    "sslmode verify-ca is not offered: it trusts any host of the authority; use \
                     verify-full"
                        .into(),
                );
            }
            Some(_) => {
                return Err(
                    "sslmode is none of disable, allow, prefer, require and verify-full".into(),
                );
            }
        };
        config.ssl_mode(mode);
        Ok(tls)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn both_forms_are_read() {
        let dsn = parse("postgresql://mon:p%40ss@db.example:6432/app?sslmode=disable").unwrap();
        assert_eq!(dsn.server, "db.example:6432");
        assert_eq!(dsn.config.get_password(), Some(&b"p@ss"[..]));
        assert_eq!(dsn.config.get_dbname(), Some("app"));
        assert_eq!(dsn.config.get_application_name(), Some("kai-agent"));
        assert!(dsn.tls.is_none());
        let dsn = parse(r"host=db user = 'mo n' password='it\'s' sslmode=verify-full").unwrap();
        assert_eq!(dsn.config.get_user(), Some("mo n"));
        assert_eq!(dsn.config.get_password(), Some(&b"it's"[..]));
        assert_eq!(dsn.server, "db:5432");
        assert!(!dsn.tls.unwrap().dangerous_insecure_skip_verify);
        let socket = parse("host=/run/postgresql user=postgres").unwrap();
        assert_eq!(socket.server, "/run/postgresql:5432");
        let two = parse("postgresql://u@a:1,b:2/db").unwrap();
        assert_eq!(two.server, "a:1,b:2");
        assert_eq!(parse("user=u").unwrap().server, "localhost:5432");
    }

    #[test]
    fn tls_is_as_strict_as_was_asked() {
        let tls = |text: &str| parse(&format!("user=u {text}")).unwrap().tls;
        assert!(tls("").unwrap().dangerous_insecure_skip_verify);
        assert!(
            tls("sslmode=require")
                .unwrap()
                .dangerous_insecure_skip_verify
        );
        let named = tls("sslmode=require sslrootcert=/ca.pem").unwrap();
        assert!(!named.dangerous_insecure_skip_verify);
        assert_eq!(named.ca_file, Some("/ca.pem".into()));
        assert_eq!(
            tls("sslmode=verify-full sslrootcert=system")
                .unwrap()
                .ca_file,
            None
        );
        assert!(parse("user=u sslmode=verify-ca").is_err());
        assert!(parse("user=u sslmode=on").is_err());
        assert!(parse("user=u sslcert=/c").is_err());
    }

    #[test]
    fn what_is_wrong_is_told_without_the_password() {
        for text in [
            "",
            "hunter2",
            "user=u password=correct hunter2",
            "user=u password=correct hunter2=x",
            "postgresql://u:correct@h:hunter2/db",
            "postgresql://u:x@h/db?hunter2=y",
            "postgresql://u:hunter2@[::1/db",
            "user=u password='hunter2",
            "user=u port=hunter2",
            "host=h password=hunter2",
            "user=u\npassword=hunter2",
        ] {
            let why = parse(text).unwrap_err();
            assert!(!why.contains("hunter2"), "{text}: {why}");
        }
        let why = parse("user=u port=x").unwrap_err();
        assert!(why.contains("port"), "{why}");
    }

    proptest! {
        #[test]
        fn any_text_is_judged(text: String) {
            let _ = parse(&text);
        }

        #[test]
        fn any_password_arrives(password in "[ -~]{1,20}") {
            let escaped = password.replace('\\', "\\\\").replace('\'', "\\'");
            let dsn = parse(&format!("user=u password='{escaped}' host=h")).unwrap();
            prop_assert_eq!(dsn.config.get_password(), Some(password.as_bytes()));
        }
    }
}
