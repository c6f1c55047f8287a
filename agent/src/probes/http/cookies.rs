//! Cookies from one redirect to the next: some logins lead in a circle without them. They live as
//! long as the probe.

use hyper::HeaderMap;
use hyper::header::{HeaderValue, SET_COOKIE};
use reqwest::Url;

/// Cookies of one probe that are kept, and bytes of each.
const MOST: usize = 50;
const LONGEST: usize = 4096;

#[derive(Debug, Default)]
pub(in crate::probes) struct Jar {
    cookies: Vec<Cookie>,
}

#[derive(Debug, PartialEq)]
struct Cookie {
    name: String,
    value: String,
    domain: String,
    host_only: bool,
    path: String,
    secure: bool,
}

impl Jar {
    /// Takes what an answer sets.
    pub(in crate::probes) fn take(&mut self, url: &Url, headers: &HeaderMap) {
        for header in headers.get_all(SET_COOKIE) {
            let Ok(text) = header.to_str() else { continue };
            let Some((cookie, remove)) = parse(url, text) else {
                continue;
            };
            self.cookies.retain(|kept| {
                (&kept.name, &kept.domain, &kept.path)
                    != (&cookie.name, &cookie.domain, &cookie.path)
            });
            if !remove && self.cookies.len() < MOST {
                self.cookies.push(cookie);
            }
        }
    }

    /// The header `Cookie` for a request, if any cookie goes with it.
    pub(in crate::probes) fn header(&self, url: &Url) -> Option<HeaderValue> {
        let host = url.host_str().unwrap_or_default();
        let mut fit: Vec<&Cookie> = self
            .cookies
            .iter()
            .filter(|cookie| {
                let domain =
                    host == cookie.domain || (!cookie.host_only && below(host, &cookie.domain));
                domain
                    && path_matches(url.path(), &cookie.path)
                    && (!cookie.secure || url.scheme() == "https")
            })
            .collect();
        // RFC 6265, section 5.4: longer paths first.
        fit.sort_by_key(|cookie| std::cmp::Reverse(cookie.path.len()));
        let pairs: Vec<String> = fit
            .iter()
            .map(|cookie| format!("{}={}", cookie.name, cookie.value))
            .collect();
        if pairs.is_empty() {
            return None;
        }
        let mut value = HeaderValue::from_str(&pairs.join("; ")).ok()?;
        value.set_sensitive(true);
        Some(value)
    }
}

/// One `Set-Cookie`, and whether it takes the cookie away.
fn parse(url: &Url, text: &str) -> Option<(Cookie, bool)> {
    if text.len() > LONGEST {
        return None;
    }
    let mut parts = text.split(';');
    let (name, value) = parts.next()?.split_once('=')?;
    let host = url.host_str()?;
    let mut cookie = Cookie {
        name: name.trim().to_owned(),
        value: value.trim().to_owned(),
        domain: host.to_owned(),
        host_only: true,
        path: default_path(url.path()),
        secure: false,
    };
    if cookie.name.is_empty() {
        return None;
    }
    let mut remove = false;
    for part in parts {
        let (key, value) = part.split_once('=').unwrap_or((part, ""));
        let value = value.trim();
        match key.trim().to_ascii_lowercase().as_str() {
            "domain" if !value.is_empty() => {
                let domain = value.trim_start_matches('.').to_ascii_lowercase();
                // A domain of one label is a public suffix or a mistake.
                if domain != host && !(below(host, &domain) && domain.contains('.')) {
                    return None;
                }
                cookie.host_only = domain == host && host.parse::<std::net::IpAddr>().is_ok();
                cookie.domain = domain;
            }
            "path" if value.starts_with('/') => value.clone_into(&mut cookie.path),
            "secure" => cookie.secure = true,
            "max-age" => remove = value.starts_with('-') || value == "0",
            _ => {}
        }
    }
    Some((cookie, remove))
}

fn below(host: &str, domain: &str) -> bool {
    host.strip_suffix(domain)
        .is_some_and(|rest| rest.ends_with('.'))
}

fn default_path(path: &str) -> String {
    match path.rfind('/') {
        Some(0) | None => "/".to_owned(),
        Some(at) => path[..at].to_owned(),
    }
}

fn path_matches(path: &str, cookie: &str) -> bool {
    path.strip_prefix(cookie)
        .is_some_and(|rest| rest.is_empty() || cookie.ends_with('/') || rest.starts_with('/'))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn jar(from: &str, set: &[&str]) -> Jar {
        let mut headers = HeaderMap::new();
        for text in set {
            headers.append(SET_COOKIE, HeaderValue::from_str(text).unwrap());
        }
        let mut jar = Jar::default();
        jar.take(&Url::parse(from).unwrap(), &headers);
        jar
    }

    fn sent(jar: &Jar, to: &str) -> String {
        let header = jar.header(&Url::parse(to).unwrap());
        header.map_or(String::new(), |value| value.to_str().unwrap().to_owned())
    }

    #[test]
    fn cookies_go_where_they_belong() {
        let jar = jar(
            "http://a.kai.example/x/login",
            &[
                "s=1; Path=/; HttpOnly",
                "deep=2",
                "all=3; Domain=.kai.example; Path=/",
                "tls=4; Secure; Path=/",
                "evil=5; Domain=bank.example",
                "gone=6; Max-Age=0",
                "=7",
                "none",
            ],
        );
        assert_eq!(sent(&jar, "http://a.kai.example/x/y"), "deep=2; s=1; all=3");
        assert_eq!(sent(&jar, "http://b.kai.example/"), "all=3");
        assert_eq!(sent(&jar, "https://a.kai.example/"), "s=1; all=3; tls=4");
        assert_eq!(sent(&jar, "http://bank.example/"), "");
    }

    proptest! {
        #[test]
        fn no_header_breaks_the_jar(text in "[ -~]{0,80}") {
            let jar = jar("http://h.example/a/b", &[&text]);
            let _ = sent(&jar, "http://h.example/a/b");
        }
    }
}
