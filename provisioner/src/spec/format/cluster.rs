//! Texts that end in Kubernetes' manifests: images and quantities. Stricter than Kubernetes where it
//! accepts what nobody means (`160m` of memory is a sixth of a byte).

use super::Wrong;

/// Less than this is a slip of the hand for every container and volume that we render.
const LEAST_BYTES: u64 = 1 << 20;

/// Units of bytes, the two-letter ones first.
const UNITS: [(&str, u64); 8] = [
    ("Ki", 1 << 10),
    ("Mi", 1 << 20),
    ("Gi", 1 << 30),
    ("Ti", 1 << 40),
    ("k", 1_000),
    ("M", 1_000_000),
    ("G", 1_000_000_000),
    ("T", 1_000_000_000_000),
];

/// The number of bytes that a quantity means.
pub fn bytes(text: &str) -> Result<u64, Wrong> {
    let wrong = |help: &str| Wrong::new("is not a number of bytes", help);
    if text.ends_with('m') {
        return Err(wrong("`m` means thousandths; write for example 160Mi"));
    }
    let (number, unit) = UNITS
        .iter()
        .find_map(|(unit, size)| Some((text.strip_suffix(unit)?, *size)))
        .unwrap_or((text, 1));
    let usual = "write for example 160Mi or 20Gi";
    let too_large = "it is larger than any volume";
    let (whole, part) = decimal(number).ok_or_else(|| wrong(usual))?;
    let total = (u128::from(whole) * 1_000 + u128::from(part)) * u128::from(unit) / 1_000;
    let total = u64::try_from(total).map_err(|_| wrong(too_large))?;
    if total < LEAST_BYTES {
        return Err(Wrong::new("is less than a mebibyte", usual));
    }
    Ok(total)
}

/// A share of processors: `250m`, `2`, `0.5`.
pub fn cpu(text: &str) -> Result<(), Wrong> {
    let good = match text.strip_suffix('m') {
        Some(milli) => digits(milli) && milli.bytes().any(|b| b != b'0'),
        None => decimal(text).is_some_and(|(whole, part)| whole > 0 || part > 0),
    };
    if good && text.len() <= 12 {
        return Ok(());
    }
    Err(Wrong::new(
        "is not a share of processors",
        "write thousandths as in 250m, or processors as in \"2\" or \"0.5\"",
    ))
}

/// Whole part and thousandths of a number with at most three places.
pub(super) fn decimal(text: &str) -> Option<(u64, u64)> {
    let (whole, part) = text.split_once('.').unwrap_or((text, "0"));
    if !digits(whole) || !digits(part) || part.len() > 3 {
        return None;
    }
    Some((whole.parse().ok()?, format!("{part:0<3}").parse().ok()?))
}

fn digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit())
}

/// `[host[:port]/]path:tag`, `…@sha256:…`, or both.
pub fn image(text: &str) -> Result<(), Wrong> {
    let wrong = |help: &str| Wrong::new("is not a container image", help);
    let usual = "write it as in registry.example.org/kai-agent:0.1.0";
    if text.contains("://") {
        return Err(wrong(
            "write it without a scheme, as in registry.example.org/kai-agent:0.1.0",
        ));
    }
    let (rest, digest) = match text.split_once('@') {
        Some((rest, digest)) => (rest, Some(digest)),
        None => (text, None),
    };
    let slash = rest.rfind('/').map_or(0, |at| at + 1);
    let (name, tag) = match rest[slash..].split_once(':') {
        Some((last, tag)) => (&rest[..slash + last.len()], Some(tag)),
        None => (rest, None),
    };
    let (host, path) = match name.split_once('/') {
        Some((host, path)) if host.contains(['.', ':']) || host == "localhost" => {
            (Some(host), path)
        }
        _ => (None, name),
    };
    let host_is_fine = host.is_none_or(|host| {
        let (host, port) = host.split_once(':').unwrap_or((host, "1"));
        crate::spec::address::is_host(host) && port.parse::<u16>().is_ok_and(|p| p > 0)
    });
    if !host_is_fine || !path.split('/').all(is_component) || text.len() > 512 {
        return Err(wrong(usual));
    }
    if digest.is_some_and(|digest| !is_digest(digest)) {
        return Err(wrong("a digest is `@sha256:` and 64 hexadecimal digits"));
    }
    match tag {
        Some(tag) if !is_tag(tag) => Err(wrong(usual)),
        Some("latest") if digest.is_none() => Err(Wrong::new(
            "means whatever was pushed last",
            "name a version or a digest, so that every node runs the same",
        )),
        None if digest.is_none() => Err(Wrong::new(
            "has neither a version nor a digest",
            "add one, as in registry.example.org/kai-agent:0.1.0",
        )),
        _ => Ok(()),
    }
}

fn is_component(text: &str) -> bool {
    let ends = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    let inside = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b"._-".contains(&b);
    text.starts_with(ends) && text.ends_with(ends) && text.bytes().all(inside)
}

fn is_tag(text: &str) -> bool {
    let inside = |b: u8| b.is_ascii_alphanumeric() || b"._-".contains(&b);
    (1..=128).contains(&text.len()) && !text.starts_with(['.', '-']) && text.bytes().all(inside)
}

fn is_digest(text: &str) -> bool {
    let hex = |b: u8| b.is_ascii_digit() || (b'a'..=b'f').contains(&b);
    text.strip_prefix("sha256:")
        .is_some_and(|digest| digest.len() == 64 && digest.bytes().all(hex))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantities_mean_what_kubernetes_means() {
        assert_eq!(bytes("20Gi"), Ok(20 << 30));
        assert_eq!(bytes("1.5Gi"), Ok(3 << 29));
        assert_eq!(bytes("5G"), Ok(5_000_000_000));
        assert!(bytes("99999999999999999999Gi").is_err());
        assert!(bytes("18446744073709551Ti").is_err());
    }

    proptest::proptest! {
        #[test]
        fn whole_mebibytes_are_read_back(n in 1_u64..1_000_000) {
            proptest::prop_assert_eq!(bytes(&format!("{n}Mi")), Ok(n << 20));
        }

        #[test]
        fn any_image_is_survived(text in "[a-zA-Z0-9.:/@_é-]{0,40}") {
            let _ = image(&text);
        }
    }
}
