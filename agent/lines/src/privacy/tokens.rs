//! Credentials: values of what is called a password or a key, and tokens that are known by their
//! own form.

use std::sync::LazyLock;

use kai_contract::agent_config::Redact;
use regex::bytes::Regex;

use super::Finding;

/// Parts of words, of which at least one is near every credential that [`find`] and
/// [`is_credential`] know: as they are written small, with a capital, in capitals and joined.
pub fn words() -> impl Iterator<Item = String> {
    const SMALL: [&str; 15] = [
        "assw",
        "assph",
        "pwd",
        "ecret",
        "oken",
        "pi_key",
        "pi-key",
        "pikey",
        "ess_key",
        "ess-key",
        "uthori",
        "ookie",
        "earer",
        "cvv",
        "redentials",
    ];
    const AS_THEY_ARE: [&str; 20] = [
        "Pwd",
        "piKey",
        "essKey",
        "ateKey",
        "ate_key",
        "ate-key",
        "ATE_KEY",
        "ATE KEY",
        "PI_KEY",
        "Cvv",
        "cvc2",
        "otp\"",
        "Otp\"",
        "eyJ",
        "AKIA",
        "ASIA",
        "ghp_",
        "github_pat_",
        "xox",
        "_live_",
    ];
    let capitals = SMALL.into_iter().map(str::to_ascii_uppercase);
    let gh = ["gho_", "ghu_", "ghs_", "ghr_", "atekey", "essKEY"].into_iter();
    SMALL
        .into_iter()
        .chain(AS_THEY_ARE)
        .chain(gh)
        .map(str::to_owned)
        .chain(capitals)
}

/// Names whose values are credentials, by how the name ends when only its letters and digits count.
const NAMES: [&str; 17] = [
    "password",
    "passwd",
    "passphrase",
    "pwd",
    "secret",
    "token",
    "apikey",
    "accesskey",
    "secretkey",
    "privatekey",
    "authorization",
    "setcookie",
    "cookie",
    "cvv",
    "cvc2",
    "otp",
    "credentials",
];

/// Whether the value of a field of this name is a credential.
pub fn is_credential(name: &[u8]) -> bool {
    if name.len() > 128 {
        return false;
    }
    let letters: Vec<u8> = name
        .iter()
        .filter(|byte| byte.is_ascii_alphanumeric())
        .map(u8::to_ascii_lowercase)
        .collect();
    NAMES
        .iter()
        .any(|known| letters.ends_with(known.as_bytes()))
}

/// Each with one group, which is what goes.
static FORMS: LazyLock<Vec<Regex>> = LazyLock::new(|| {
    [
        // name=value, name: value, "name": "value", --name value is left (too many words).
        r#"(?i-u)(?:pass(?:word|wd|phrase)|pwd|secret|token|api[_-]?key|access[_-]?key|private[_-]?key|secret[_-]?key|cvv2?|cookie)\\?["']?\s*[=:]\s*(\\?"[^"\\]+|\\?'[^'\\]+|[^\s,;&"'\\}\])]+)"#,
        r"(?i-u)authorization\W{1,6}(?:(?:bearer|basic|digest|apikey|token)\s+)?([A-Za-z0-9._~+/=:-]{4,})",
        r"(?i-u)\bbearer\s+([A-Za-z0-9._~+/=-]{8,})",
        // A JSON web token, with or without its signature.
        r"(?-u)(eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}(?:\.[A-Za-z0-9_-]*)?)",
        r"(?-u)\b((?:AKIA|ASIA)[0-9A-Z]{16})\b",
        r"(?-u)\b(gh[pousr]_[A-Za-z0-9]{30,}|github_pat_[A-Za-z0-9_]{30,})",
        r"(?-u)\b(xox[abeoprs]-[A-Za-z0-9-]{10,})",
        r"(?-u)\b([sr]k_live_[A-Za-z0-9]{16,})",
        // The user and password of an address.
        r"(?-u)[a-zA-Z][a-zA-Z0-9+.-]*://([^\s/@:]*:[^\s/@]+)@",
        r"(?s-u)-----BEGIN [A-Z ]*PRIVATE KEY-----(.*?)(?:-----END|$)",
    ]
    .iter()
    // Each is tested; one that did not compile would be missing there.
    .filter_map(|form| Regex::new(form).ok())
    .collect()
});

pub fn find(text: &[u8], found: &mut Vec<Finding>) {
    for form in FORMS.iter() {
        for captures in form.captures_iter(text) {
            let Some(group) = captures.get(1) else {
                continue;
            };
            let mut at = group.range();
            while matches!(text.get(at.start), Some(b'"' | b'\'' | b'\\')) && at.start < at.end {
                at.start += 1;
            }
            // What was taken out before, by us or by the application itself, is no credential.
            let value = &text[at.clone()];
            let hidden = value.starts_with(b"[redacted") || value.iter().all(|byte| *byte == b'*');
            if !at.is_empty() && !hidden {
                found.push(Finding {
                    at,
                    kind: Redact::Token,
                });
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_is_there() {
        assert_eq!(FORMS.len(), 10);
    }
}
