//! E-mail addresses: what stands around an `@`, if it can be an address.

use kai_contract::agent_config::Redact;

use super::Finding;

/// RFC 5321 allows 64 bytes before the sign and 255 after it.
const LONGEST_LOCAL: usize = 64;
const LONGEST_DOMAIN: usize = 255;

pub fn find(text: &[u8], found: &mut Vec<Finding>) {
    for at in memchr::memchr_iter(b'@', text) {
        let local = text[..at]
            .iter()
            .rev()
            .take(LONGEST_LOCAL)
            .take_while(|byte| is_local(**byte))
            .count();
        let end = domain(text, at + 1);
        let start = at - local;
        // A dot begins or ends no local part, but the sentence before it may.
        let start = start
            + text[start..at]
                .iter()
                .take_while(|byte| **byte == b'.')
                .count();
        if let Some(end) = end
            && start < at
        {
            found.push(Finding {
                at: start..end,
                kind: Redact::Email,
            });
        }
    }
}

/// Letters of any script, digits and the signs that addresses really have.
fn is_local(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
        || byte >= 0x80
        || matches!(
            byte,
            b'.' | b'_' | b'%' | b'+' | b'-' | b'\'' | b'~' | b'!' | b'#' | b'$' | b'&' | b'*'
        )
}

/// Where a domain that begins at `start` ends: labels with dots between, the last one of letters.
fn domain(text: &[u8], start: usize) -> Option<usize> {
    let is_label = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte >= 0x80;
    let mut end = None;
    let mut label = start;
    let limit = text.len().min(start + LONGEST_DOMAIN);
    loop {
        let length = text[label..limit]
            .iter()
            .take_while(|byte| is_label(**byte))
            .count();
        let part = &text[label..label + length];
        let first = label == start;
        let named = part.len() >= 2
            && (part
                .iter()
                .all(|byte| byte.is_ascii_alphabetic() || *byte >= 0x80)
                || part
                    .get(..4)
                    .is_some_and(|four| four.eq_ignore_ascii_case(b"xn--")));
        if length == 0 {
            return end;
        }
        if !first && named {
            end = Some(label + length);
        }
        label += length;
        if text.get(label) != Some(&b'.') || label + 1 >= limit {
            return end;
        }
        label += 1;
    }
}
