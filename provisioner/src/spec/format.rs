//! The formats that a text in the spec can have: what is right, and what is wrong in words. The
//! same list gives the patterns of the JSON Schema.

pub mod cluster;
pub mod per_day;

use super::address::{self, Address, AddressError};

/// What a text must look like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// Anything on one line or more.
    Any,
    /// Anything, and never shown: the value of an environment variable may be a password.
    Unseen,
    /// A DNS label (RFC 1123): names end in host names, labels, file names and data streams.
    Name,
    /// `metadata.id`.
    Id,
    /// `http://` or `https://` without credentials.
    Http,
    /// One mailbox, `user@example.org`.
    Email,
    /// A DNS name or an IP address.
    Host,
    /// A path with `*`, `?`, `[…]`, `**`.
    Glob,
    /// A release such as `3.5.0`.
    Version,
    /// A label name of Prometheus that a user may set.
    LabelName,
    /// A key of `metadata.labels`.
    LabelKey,
    /// A name of an environment variable.
    EnvName,
    /// Not empty, on one line.
    OneLine,
    /// A mirror: an address or a folder.
    Mirror,
    /// A label name, or `...` for all labels.
    GroupBy,
    /// A container image with a version or a digest.
    Image,
    /// A number of bytes in Kubernetes' words, at least a mebibyte.
    Bytes,
    /// Bytes in a day.
    PerDay,
    /// A share of processors in Kubernetes' words.
    Cpu,
    /// A regular expression.
    Expression,
    /// A name of the time zone database.
    TimeZone,
    /// `HH:MM`.
    TimeOfDay,
    /// An IP address and a port to listen at.
    Listen,
}

/// Why a text does not have its format.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wrong {
    /// Follows the quoted text: `is not …`.
    pub what: String,
    pub help: Option<String>,
    /// The text holds a secret and must not be shown.
    pub secret: bool,
}

impl Wrong {
    fn new(what: impl Into<String>, help: impl Into<String>) -> Self {
        Self {
            what: what.into(),
            help: Some(help.into()),
            secret: false,
        }
    }
}

impl Format {
    /// The words of the reference document.
    pub fn words(self) -> &'static str {
        match self {
            Self::Any | Self::Unseen | Self::OneLine => "string",
            Self::Name => "name (lower-case letters, digits, `-`; at most 63)",
            Self::Id => "8 to 16 lower-case letters and digits",
            Self::Http => "http(s) address",
            Self::Email => "e-mail address",
            Self::Host => "host name or IP address",
            Self::Glob => "path pattern",
            Self::Version => "version",
            Self::LabelName => "label name",
            Self::LabelKey => "label key",
            Self::EnvName => "environment variable name",
            Self::Mirror => "http(s) address or folder",
            Self::GroupBy => "label name or `...`",
            Self::Image => "container image with a version or digest",
            Self::Bytes => "number of bytes such as 160Mi or 20Gi",
            Self::PerDay => "bytes in a day such as 40GB/d",
            Self::Cpu => "processors such as 250m or \"2\"",
            Self::Expression => "regular expression",
            Self::TimeZone => "time zone such as Asia/Jakarta",
            Self::TimeOfDay => "time of day such as \"01:30\"",
            Self::Listen => "IP address and port such as \"0.0.0.0:5514\"",
        }
    }

    /// A regular expression (ECMA 262) for editors; the full check is [`Format::check`].
    pub fn pattern(self) -> Option<&'static str> {
        match self {
            Self::Any | Self::Unseen | Self::Host => None,
            Self::OneLine | Self::Glob | Self::Mirror | Self::Expression => Some("\\S"),
            Self::Listen => Some("^(\\[[0-9A-Fa-f:.%]+\\]|[0-9.]+):[0-9]{1,5}$"),
            Self::TimeOfDay => Some("^([01][0-9]|2[0-3]):[0-5][0-9]$"),
            Self::TimeZone => Some("^[A-Za-z][A-Za-z0-9_+/-]*$"),
            Self::Name => Some("^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$"),
            Self::Id => Some("^[a-z0-9]{8,16}$"),
            Self::Http => Some("^https?://[^\\s@#/]+[^\\s@#]*$"),
            Self::Email => Some("^[^\\s@<>,;]+@[^\\s@<>,;]+$"),
            Self::Version => Some("^[0-9][0-9A-Za-z.+~-]*$"),
            Self::LabelName => Some("^(?!__)[a-zA-Z_][a-zA-Z0-9_]*$"),
            Self::LabelKey => Some("^[A-Za-z]([A-Za-z0-9._/-]{0,61}[A-Za-z0-9])?$"),
            Self::EnvName => Some("^[A-Za-z_][A-Za-z0-9_]*$"),
            Self::GroupBy => Some("^(\\.\\.\\.|(?!__)[a-zA-Z_][a-zA-Z0-9_]*)$"),
            Self::Image => {
                Some("^[a-z0-9][^\\s]*(:[A-Za-z0-9_][A-Za-z0-9_.-]*|@sha256:[0-9a-f]{64})$")
            }
            Self::PerDay => Some("^[0-9]+(\\.[0-9]{1,3})?((Ki|Mi|Gi|Ti|k|M|G|T)B?|KB)/d$"),
            Self::Bytes => Some("^[0-9]+(\\.[0-9]{1,3})?(Ki|Mi|Gi|Ti|k|M|G|T)?$"),
            Self::Cpu => Some("^([0-9]+m|[0-9]+(\\.[0-9]{1,3})?)$"),
        }
    }

    /// Checks a text.
    pub fn check(self, text: &str) -> Result<(), Wrong> {
        match self {
            Self::Any | Self::Unseen => Ok(()),
            Self::Name => name(text),
            Self::Id => id(text),
            Self::Http => http(text),
            Self::Email => email(text),
            Self::Host => host(text),
            Self::Glob | Self::OneLine => one_line(text),
            Self::Version => version(text),
            Self::LabelName => label_name(text),
            Self::LabelKey => label_key(text),
            Self::EnvName if is_env_name(text) => Ok(()),
            Self::EnvName => Err(Wrong::new(
                "is not the name of an environment variable",
                "use letters, digits and `_`, not a digit first, for example PAGERDUTY_KEY",
            )),
            Self::Mirror if text.contains("://") => http(text),
            Self::Mirror => one_line(text),
            Self::GroupBy if text == "..." => Ok(()),
            Self::GroupBy => label_name(text),
            Self::Image => cluster::image(text),
            Self::Bytes => cluster::bytes(text).map(drop),
            Self::PerDay => per_day::parse(text).map(drop),
            Self::Cpu => cluster::cpu(text),
            Self::Expression => expression(text),
            Self::TimeZone => time_zone(text),
            Self::TimeOfDay => time_of_day(text),
            Self::Listen => listen(text),
        }
    }
}

fn time_of_day(text: &str) -> Result<(), Wrong> {
    let below = |part: &str, limit: u8| {
        part.len() == 2 && part.parse::<u8>().is_ok_and(|number| number < limit)
    };
    let good = text
        .split_once(':')
        .is_some_and(|(hour, minute)| below(hour, 24) && below(minute, 60));
    if good {
        return Ok(());
    }
    Err(Wrong::new(
        "is not a time of day",
        "write hours and minutes between quotes, for example \"01:30\"",
    ))
}

fn listen(text: &str) -> Result<(), Wrong> {
    let what = "is not an address to listen at";
    if let Ok(address) = text.parse::<std::net::SocketAddr>() {
        if address.port() != 0 {
            return Ok(());
        }
        return Err(Wrong::new(what, "name a port from 1 to 65535"));
    }
    let port = text.rsplit(':').next().unwrap_or(text);
    let help = if port.parse::<u16>().is_ok_and(|port| port > 0) {
        format!(
            "write \"0.0.0.0:{port}\" for all addresses of the machine, \"127.0.0.1:{port}\" for \
             itself alone; names are not looked up"
        )
    } else {
        "write an IP address and a port, for example \"0.0.0.0:5514\"".to_owned()
    };
    Err(Wrong::new(what, help))
}

/// As the agent compiles it: over bytes, and no larger.
fn expression(text: &str) -> Result<(), Wrong> {
    const MOST: usize = 1 << 20;
    let built = regex::bytes::RegexBuilder::new(text)
        .size_limit(MOST)
        .build();
    built.map(drop).map_err(|error| {
        let reason = error.to_string();
        // The library draws the expression and points into it; its last line says why.
        let why = reason.lines().last().unwrap_or_default();
        let why = why.trim_start_matches("error: ");
        Wrong::new(
            format!("is not a regular expression: {why}"),
            "write one in Rust's or RE2's syntax; in YAML put it between single quotes",
        )
    })
}

fn time_zone(text: &str) -> Result<(), Wrong> {
    jiff::tz::TimeZone::get(text).map(drop).map_err(|_| {
        Wrong::new(
            "is not a time zone",
            "use a name of the time zone database, for example Asia/Jakarta, Asia/Makassar, \
             Asia/Jayapura or UTC",
        )
    })
}

/// A DNS label.
pub fn is_name(text: &str) -> bool {
    let inside = text
        .bytes()
        .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
    inside && (1..=63).contains(&text.len()) && !text.starts_with('-') && !text.ends_with('-')
}

fn name(text: &str) -> Result<(), Wrong> {
    if is_name(text) {
        return Ok(());
    }
    let mut better: String = text
        .chars()
        .map(|c| {
            if c.is_ascii_alphanumeric() {
                c.to_ascii_lowercase()
            } else {
                '-'
            }
        })
        .take(63)
        .collect();
    better = better.trim_matches('-').to_owned();
    let rule = "names have lower-case letters, digits and `-`, begin and end with a letter or \
                digit, and have at most 63 characters";
    let help = if is_name(&better) && text.is_ascii() {
        format!("{rule}; for example `{better}`")
    } else {
        rule.to_owned()
    };
    Err(Wrong::new("is not a name", help))
}

fn id(text: &str) -> Result<(), Wrong> {
    let inside = text
        .bytes()
        .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
    if inside && (8..=16).contains(&text.len()) {
        return Ok(());
    }
    Err(Wrong::new(
        "is not an id",
        "use 8 to 16 lower-case letters and digits; `kai-observe init` writes a random one",
    ))
}

fn http(text: &str) -> Result<(), Wrong> {
    match Address::parse(text) {
        Ok(_) => Ok(()),
        Err(AddressError::Credentials) => Err(Wrong {
            what: "holds credentials".to_owned(),
            help: Some("take the user and password out of the address".to_owned()),
            secret: true,
        }),
        Err(error) => {
            let help = if error == AddressError::Scheme
                && !text.contains("://")
                && address::is_host(host_part(text))
            {
                format!("write http://{text}")
            } else {
                "write it as in http://127.0.0.1:8080/metrics".to_owned()
            };
            Err(Wrong {
                what: error.to_string(),
                help: Some(help),
                secret: text.contains('@'),
            })
        }
    }
}

fn host_part(text: &str) -> &str {
    text.split(['/', ':']).next().unwrap_or_default()
}

fn email(text: &str) -> Result<(), Wrong> {
    let good = text.split_once('@').is_some_and(|(user, domain)| {
        let allowed = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+/=?^_`{|}~.-".contains(&b);
        !user.is_empty()
            && user.len() <= 64
            && user.bytes().all(allowed)
            && !user.starts_with('.')
            && !user.ends_with('.')
            && !user.contains("..")
            && address::is_host(domain)
    });
    if good {
        return Ok(());
    }
    Err(Wrong::new(
        "is not one e-mail address",
        "write one address without a display name, for example ops@example.org",
    ))
}

fn host(text: &str) -> Result<(), Wrong> {
    let bare = text
        .strip_prefix('[')
        .and_then(|t| t.strip_suffix(']'))
        .unwrap_or(text);
    if bare.parse::<std::net::Ipv6Addr>().is_ok() || address::is_host(text) {
        return Ok(());
    }
    Err(Wrong::new(
        "is not a host",
        "write a host name or an IP address without scheme and port, for example mail.example.org",
    ))
}

fn one_line(text: &str) -> Result<(), Wrong> {
    if text.trim().is_empty() {
        return Err(Wrong::new("is empty", "write a value or remove the key"));
    }
    if text.contains(['\n', '\r']) {
        return Err(Wrong::new("holds a line break", "write it on one line"));
    }
    if text == "~" || text.starts_with("~/") {
        return Err(Wrong::new(
            "starts with `~`, which is not expanded here",
            "write an absolute path, or one relative to the folder of the spec",
        ));
    }
    Ok(())
}

fn version(text: &str) -> Result<(), Wrong> {
    let inside = text
        .bytes()
        .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'+' | b'~' | b'-'));
    if inside && text.len() <= 64 && text.starts_with(|c: char| c.is_ascii_digit()) {
        return Ok(());
    }
    let help = match text.strip_prefix('v') {
        Some(rest) if rest.starts_with(|c: char| c.is_ascii_digit()) => {
            "write it without the `v`".to_owned()
        }
        _ => "write a release such as \"3.5.0\"; without the key this build chooses one".to_owned(),
    };
    Err(Wrong::new("is not a version", help))
}

/// A label name in Prometheus' classic syntax.
pub fn is_label_name(text: &str) -> bool {
    is_env_name(text)
}

fn label_name(text: &str) -> Result<(), Wrong> {
    if text.starts_with("__") {
        return Err(Wrong::new(
            "is reserved by Prometheus",
            "label names that start with `__` are for internal use",
        ));
    }
    if is_label_name(text) {
        return Ok(());
    }
    let better: String = text
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() { c } else { '_' })
        .take(80)
        .collect();
    let rule = "label names have letters, digits and `_`, not a digit first";
    let help = if is_label_name(&better) {
        format!("{rule}; for example `{better}`")
    } else {
        rule.to_owned()
    };
    Err(Wrong::new("is not a label name", help))
}

fn label_key(text: &str) -> Result<(), Wrong> {
    let inside = text
        .bytes()
        .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'/' | b'-'));
    let ends = |c: char| c.is_ascii_alphanumeric();
    if inside
        && (1..=63).contains(&text.len())
        && text.starts_with(|c: char| c.is_ascii_alphabetic())
        && text.ends_with(ends)
    {
        return Ok(());
    }
    Err(Wrong::new(
        "is not a label key",
        "use letters, digits, `-`, `_`, `.`, `/`, a letter first, at most 63, for example cost-center",
    ))
}

/// A name that a shell could set.
pub fn is_env_name(text: &str) -> bool {
    !text.is_empty()
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
        && !text.starts_with(|c: char| c.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn good_and_bad_of_each() {
        for (format, good, bad) in [
            (
                Format::Name,
                &["a", "web-bff", "0x"][..],
                &["", "-a", "A", "a_b", "é"][..],
            ),
            (
                Format::Id,
                &["k7x2m9qd", "0123456789abcdef"],
                &["short", "UPPER123", "a-b-c-d-e"],
            ),
            (
                Format::Listen,
                &["0.0.0.0:5514", "[::]:514", "127.0.0.1:1"],
                &[
                    "",
                    "5514",
                    ":5514",
                    "localhost:514",
                    "0.0.0.0:0",
                    "[::]",
                    "1.2.3.4:65536",
                ],
            ),
            (
                Format::Email,
                &["ops@example.org", "a+b@localhost"],
                &["ops", "a b@c", "A <a@b>", "a@b,c@d", "a@b@c"],
            ),
            (
                Format::Host,
                &["mail.example.org", "::1", "[::1]", "10.0.0.1"],
                &["http://x", "x:25", "1.2", ""],
            ),
            (
                Format::Version,
                &["3.5.0", "2.53.1+ds"],
                &["v3.5.0", "latest", ""],
            ),
            (
                Format::LabelName,
                &["service", "_x"],
                &["__name__", "cost-center", "1a", ""],
            ),
            (
                Format::LabelKey,
                &["cost-center", "app.kubernetes.io/name"],
                &["", "-a", "a b"],
            ),
            (Format::EnvName, &["PAGERDUTY_KEY"], &["1A", "A-B", ""]),
            (Format::OneLine, &["x y"], &["", " ", "a\nb", "~/x"]),
            (
                Format::Mirror,
                &["https://m/x", "/srv/mirror", "mirror"],
                &["ftp://x", ""],
            ),
            (Format::GroupBy, &["...", "service"], &["..", "a-b"]),
            (
                Format::Image,
                &[
                    "kai-agent:0.1.0",
                    "r.example:5000/a/b_c:v1",
                    "localhost/a:1",
                ],
                &[
                    "",
                    "kai-agent",
                    "a:latest",
                    "A:1",
                    "a b:1",
                    "r.example:5000/a",
                    "a/:1",
                    "a:1@sha256:12",
                    "https://r/a:1",
                ],
            ),
            (
                Format::Bytes,
                &["160Mi", "20Gi", "1.5Gi", "2000000", "5G"],
                &[
                    "", "160m", "160", "Mi", "-1Gi", "1e9", "1Zi", "20 Gi", "20GB",
                ],
            ),
            (
                Format::Cpu,
                &["250m", "2", "0.5"],
                &["", "m", "0", "0m", "2 cores", "1.0005", "100Mi", "0.0"],
            ),
        ] {
            for text in good {
                assert_eq!(format.check(text), Ok(()), "{format:?} {text}");
            }
            for text in bad {
                assert!(format.check(text).is_err(), "{format:?} {text}");
            }
        }
    }

    #[test]
    fn help_says_what_would_be_right() {
        let help = |f: Format, t: &str| f.check(t).expect_err("wrong").help.unwrap_or_default();
        assert!(help(Format::Name, "Web_BFF").ends_with("`web-bff`"));
        assert!(help(Format::LabelName, "cost-center").ends_with("`cost_center`"));
        assert_eq!(
            help(Format::Http, "127.0.0.1:80/m"),
            "write http://127.0.0.1:80/m"
        );
        assert!(help(Format::Version, "v1.2").contains("without the `v`"));
        assert!(
            Format::Http
                .check("http://a:b@c/")
                .expect_err("wrong")
                .secret
        );
    }

    proptest::proptest! {
        #![proptest_config(proptest::prelude::ProptestConfig::with_cases(128))]
        #[test]
        fn any_text_is_survived(text in "\\PC{0,80}") {
            use Format as F;
            for format in [F::Name, F::Id, F::Http, F::Email, F::Host, F::Glob, F::Version,
                           F::LabelName, F::LabelKey, F::EnvName, F::OneLine, F::Mirror, F::GroupBy, F::Image, F::Bytes, F::Cpu, F::Listen] {
                let _ = format.check(&text);
            }
        }
    }
}
