//! Paths of MAIL FROM and RCPT TO, by the grammar of RFC 5321 section 4.1.2 (and RFC 6531 where
//! the client asked for SMTPUTF8). Text in, an address or a refusal out.

const MAX_LOCAL: usize = 64;
const MAX_DOMAIN: usize = 255;

/// Why a path is no path: the enhanced status code and the words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PathError {
    /// Not `<…>` at all: a 501.
    Syntax(&'static str),
    /// A path, but not an address that could exist: a 553.
    Address(&'static str),
}

/// A path and what stands behind it on the line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parsed<'a> {
    /// Empty for the null path `<>`.
    pub address: String,
    pub rest: &'a str,
}

/// Reads `<…>`; a source route before the address is dropped, as section 3.3 demands.
pub fn path(text: &str) -> Result<Parsed<'_>, PathError> {
    let text = text.trim_start_matches(' ');
    let inside = text
        .strip_prefix('<')
        .ok_or(PathError::Syntax("the address must be in <>"))?;
    let end = closing(inside).ok_or(PathError::Syntax("the address has no closing >"))?;
    let (inside, rest) = (&inside[..end], &inside[end + 1..]);
    if !rest.is_empty() && !rest.starts_with(' ') {
        return Err(PathError::Syntax("a space must follow the address"));
    }
    let address = match inside.strip_prefix('@').map(|route| route.split_once(':')) {
        Some(Some((_, address))) => address,
        Some(None) => return Err(PathError::Syntax("a source route without an address")),
        None => inside,
    };
    if !address.is_empty() {
        check(address)?;
    }
    Ok(Parsed {
        address: address.to_owned(),
        rest,
    })
}

/// Where the `>` is that ends the path: not one inside a quoted local part.
fn closing(inside: &str) -> Option<usize> {
    let mut quoted = false;
    let mut escaped = false;
    for (at, char) in inside.char_indices() {
        match char {
            _ if escaped => escaped = false,
            '\\' if quoted => escaped = true,
            '"' => quoted = !quoted,
            '>' if !quoted => return Some(at),
            _ => {}
        }
    }
    None
}

fn check(address: &str) -> Result<(), PathError> {
    if address.chars().any(char::is_control) {
        return Err(PathError::Address("the address has a control character"));
    }
    // The one mailbox that needs no domain.
    if address.eq_ignore_ascii_case("postmaster") {
        return Ok(());
    }
    let (local, domain) = split(address).ok_or(PathError::Address("the address has no domain"))?;
    if local.is_empty() {
        return Err(PathError::Address("the address has no local part"));
    }
    if local.len() > MAX_LOCAL {
        return Err(PathError::Address(
            "the local part is longer than 64 octets",
        ));
    }
    if domain.len() > MAX_DOMAIN {
        return Err(PathError::Address("the domain is longer than 255 octets"));
    }
    let local_ok = match local.strip_prefix('"') {
        Some(rest) => rest.strip_suffix('"').is_some_and(quoted_content),
        None => local
            .split('.')
            .all(|atom| !atom.is_empty() && atom.chars().all(atext)),
    };
    if !local_ok {
        return Err(PathError::Address("the local part is not a valid one"));
    }
    if !domain_ok(domain) {
        return Err(PathError::Address("the domain is not a valid one"));
    }
    Ok(())
}

fn split(address: &str) -> Option<(&str, &str)> {
    // A quoted local part may hold an @.
    if address.starts_with('"') {
        let mut escaped = false;
        for (at, char) in address.char_indices().skip(1) {
            match char {
                _ if escaped => escaped = false,
                '\\' => escaped = true,
                '"' => {
                    let domain = address[at + 1..].strip_prefix('@')?;
                    return Some((&address[..=at], domain));
                }
                _ => {}
            }
        }
        return None;
    }
    address.split_once('@')
}

fn quoted_content(text: &str) -> bool {
    let mut escaped = false;
    for char in text.chars() {
        match char {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => return false,
            _ => {}
        }
    }
    !escaped
}

fn atext(char: char) -> bool {
    char.is_ascii_alphanumeric() || "!#$%&'*+-/=?^_`{|}~".contains(char) || !char.is_ascii()
}

fn domain_ok(domain: &str) -> bool {
    if let Some(literal) = domain
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'))
    {
        let v6 = literal
            .get(..5)
            .filter(|tag| tag.eq_ignore_ascii_case("IPv6:"));
        return match v6 {
            Some(tag) => literal[tag.len()..].parse::<std::net::Ipv6Addr>().is_ok(),
            None => literal.parse::<std::net::Ipv4Addr>().is_ok(),
        };
    }
    domain.split('.').all(|label| {
        !label.is_empty()
            && label.len() <= 63
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label
                .chars()
                .all(|char| char.is_ascii_alphanumeric() || char == '-' || !char.is_ascii())
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read(text: &str) -> Result<(String, &str), PathError> {
        path(text).map(|parsed| (parsed.address, parsed.rest))
    }

    #[test]
    fn addresses_of_the_standard() {
        for (text, address, rest) in [
            ("<ops@example.org>", "ops@example.org", ""),
            (" <ops@example.org> SIZE=12", "ops@example.org", " SIZE=12"),
            ("<>", "", ""),
            ("<Postmaster>", "Postmaster", ""),
            (
                "<@relay.example,@b.example:ops@example.org>",
                "ops@example.org",
                "",
            ),
            (
                "<\"a>b @ c\\\"\"@example.org>",
                "\"a>b @ c\\\"\"@example.org",
                "",
            ),
            ("<a@[127.0.0.1]>", "a@[127.0.0.1]", ""),
            ("<a@[IPv6:::1]>", "a@[IPv6:::1]", ""),
            ("<jörg@müller.example>", "jörg@müller.example", ""),
            ("<a+b=c/d@localhost>", "a+b=c/d@localhost", ""),
        ] {
            assert_eq!(read(text), Ok((address.to_owned(), rest)), "{text}");
        }
    }

    #[test]
    fn what_is_no_address() {
        for text in [
            "ops@example.org",
            "<ops@example.org",
            "",
            "<a@b>x",
            "<@relay.example>",
        ] {
            assert!(matches!(read(text), Err(PathError::Syntax(_))), "{text}");
        }
        for text in [
            "<ops>",
            "<@:>x@",
            "<a b@example.org>",
            "<.a@example.org>",
            "<a..b@example.org>",
            "<a@>",
            "<a@-b.example>",
            "<a@b..example>",
            "<a@[300.0.0.1]>",
            "<a@b@c>",
            "<\"a\"b@c>",
            "<a\u{7}@b>",
        ] {
            assert!(read(text).is_err(), "{text}");
        }
        let long = format!("<{}@example.org>", "a".repeat(65));
        assert!(matches!(read(&long), Err(PathError::Address(_))));
    }

    proptest! {
        #[test]
        fn never_panics(text in "\\PC{0,80}") {
            let _ = path(&text);
        }

        #[test]
        fn plain_addresses_are_read_back(local in "[a-z0-9]{1,20}", domain in "[a-z]{1,10}(\\.[a-z]{1,10}){0,3}") {
            let text = format!("<{local}@{domain}>");
            prop_assert_eq!(read(&text), Ok((format!("{local}@{domain}"), "")));
        }
    }
}
