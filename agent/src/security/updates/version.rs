//! Compares versions as dpkg does (deb-version(7)): `epoch:upstream-revision`, runs of digits by
//! their number, `~` before everything, even before the end.

use std::cmp::Ordering;

/// Orders two versions.
pub fn compare(a: &[u8], b: &[u8]) -> Ordering {
    let (a, b) = (split(a), split(b));
    digits(a.0, b.0)
        .then_with(|| part(a.1, b.1))
        .then_with(|| part(a.2, b.2))
}

/// Epoch, upstream version, revision.
fn split(version: &[u8]) -> (&[u8], &[u8], &[u8]) {
    let (epoch, rest) = match version.iter().position(|byte| *byte == b':') {
        Some(at) => (&version[..at], &version[at + 1..]),
        None => (&b""[..], version),
    };
    match rest.iter().rposition(|byte| *byte == b'-') {
        Some(at) => (epoch, &rest[..at], &rest[at + 1..]),
        None => (epoch, rest, b""),
    }
}

fn part(mut a: &[u8], mut b: &[u8]) -> Ordering {
    while !a.is_empty() || !b.is_empty() {
        loop {
            let (x, y) = (a.first().copied(), b.first().copied());
            let letter = |byte: Option<u8>| byte.is_some_and(|byte| !byte.is_ascii_digit());
            if !letter(x) && !letter(y) {
                break;
            }
            let order = weight(x).cmp(&weight(y));
            if order.is_ne() {
                return order;
            }
            a = a.get(1..).unwrap_or_default();
            b = b.get(1..).unwrap_or_default();
        }
        let order = digits(run(&mut a), run(&mut b));
        if order.is_ne() {
            return order;
        }
    }
    Ordering::Equal
}

/// Takes the digits at the front.
fn run<'a>(text: &mut &'a [u8]) -> &'a [u8] {
    let end = text
        .iter()
        .position(|byte| !byte.is_ascii_digit())
        .unwrap_or(text.len());
    let (digits, rest) = text.split_at(end);
    *text = rest;
    digits
}

/// Of any length, by value; nothing is 0.
fn digits(a: &[u8], b: &[u8]) -> Ordering {
    let a = &a[a.iter().take_while(|byte| **byte == b'0').count()..];
    let b = &b[b.iter().take_while(|byte| **byte == b'0').count()..];
    a.len().cmp(&b.len()).then_with(|| a.cmp(b))
}

/// `~` sorts before the end, the end before letters, letters before all else.
fn weight(byte: Option<u8>) -> u16 {
    match byte {
        Some(b'~') => 0,
        None | Some(b'0'..=b'9') => 1,
        Some(byte) if byte.is_ascii_alphabetic() => 2 + u16::from(byte),
        Some(byte) => 300 + u16::from(byte),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn as_dpkg_orders_them() {
        for (a, b) in [
            ("1.0~rc1", "1.0"),
            ("1.0", "1.0a"),
            ("1.0a", "1.0+b1"),
            ("1.9", "1.10"),
            ("9.9", "1:0.1"),
            ("1.0-1", "1.0-1+deb12u1"),
            ("1.0-1~bpo12+1", "1.0-1"),
            ("1.0", "1.0-1"),
            ("0", "00001"),
            ("6.1.0-9-amd64", "6.1.0-25-amd64"),
        ] {
            assert_eq!(
                compare(a.as_bytes(), b.as_bytes()),
                Ordering::Less,
                "{a} {b}"
            );
            assert_eq!(
                compare(b.as_bytes(), a.as_bytes()),
                Ordering::Greater,
                "{b} {a}"
            );
        }
        for (a, b) in [("1.0", "1.0-0"), ("0:1", "1"), ("1.01", "1.1"), ("", "0")] {
            assert_eq!(
                compare(a.as_bytes(), b.as_bytes()),
                Ordering::Equal,
                "{a} {b}"
            );
        }
    }

    /// The same as dpkg says, where there is one.
    #[test]
    fn as_dpkg_says() {
        let pieces = [
            "1", "0", "10", "a", "~", "+", ".", "-", "1:", "b2", "~~", "rc",
        ];
        let mut seed = 7_usize;
        let mut next = || {
            seed = seed
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695);
            seed >> 33
        };
        for _ in 0..60 {
            let mut version = || {
                let mut text = String::from("1");
                for _ in 0..next() % 5 {
                    text.push_str(pieces[next() % pieces.len()]);
                }
                text
            };
            let (a, b) = (version(), version());
            let said = std::process::Command::new("dpkg")
                .args(["--compare-versions", &a, "lt", &b])
                .output();
            let Ok(said) = said else {
                eprintln!("not run: there is no dpkg here");
                return;
            };
            // It warns of what is no version, and so must not be compared.
            if said.stderr.is_empty() {
                let less = compare(a.as_bytes(), b.as_bytes()).is_lt();
                assert_eq!(said.status.success(), less, "{a} {b}");
            }
        }
    }

    proptest! {
        #[test]
        fn an_order(
            a in "[0-9a-z.~+:-]{0,12}", b in "[0-9a-z.~+:-]{0,12}", c in "[0-9a-z.~+:-]{0,12}",
        ) {
            let [a, b, c] = [a.as_bytes(), b.as_bytes(), c.as_bytes()];
            prop_assert_eq!(compare(a, a), Ordering::Equal);
            prop_assert_eq!(compare(a, b), compare(b, a).reverse());
            if compare(a, b).is_le() && compare(b, c).is_le() {
                prop_assert!(compare(a, c).is_le());
            }
        }

        #[test]
        fn any_bytes_are_compared(a in proptest::collection::vec(any::<u8>(), 0..40), b in proptest::collection::vec(any::<u8>(), 0..40)) {
            let _ = compare(&a, &b);
        }
    }
}
