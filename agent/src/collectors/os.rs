//! `node_os_info`, `node_os_version` and `node_os_support_end_timestamp_seconds` from os-release(5)
//! below the root.

use std::collections::BTreeMap;

use super::gather::{Files, if_there};
use super::{CollectError, Collector, parsed};
use crate::exposition::{Kind, Page};
use crate::node::{Node, Tree};
use crate::procfs::os_release;

const FILES: [&str; 2] = ["etc/os-release", "usr/lib/os-release"];

const LABELS: [(&str, &str); 12] = [
    ("build_id", "BUILD_ID"),
    ("id", "ID"),
    ("id_like", "ID_LIKE"),
    ("image_id", "IMAGE_ID"),
    ("image_version", "IMAGE_VERSION"),
    ("name", "NAME"),
    ("pretty_name", "PRETTY_NAME"),
    ("variant", "VARIANT"),
    ("variant_id", "VARIANT_ID"),
    ("version", "VERSION"),
    ("version_codename", "VERSION_CODENAME"),
    ("version_id", "VERSION_ID"),
];

#[derive(Default)]
pub struct Os;

impl Collector for Os {
    fn collect(&mut self, node: &dyn Node, page: &mut Page) -> Result<(), CollectError> {
        let mut files = Files::new(node, Tree::Root);
        for file in FILES {
            if let Some(text) = if_there(files.whole(file))? {
                let variables = parsed(node, Tree::Root, file, os_release::parse(text))?;
                return write(&files, file, &variables, page);
            }
        }
        Err(CollectError::NoData("there is no os-release".to_owned()))
    }
}

fn write(
    files: &Files<'_>,
    file: &str,
    variables: &BTreeMap<String, String>,
    page: &mut Page,
) -> Result<(), CollectError> {
    let value = |name: &str| variables.get(name).map_or("", String::as_str);
    page.family(
        "node_os_info",
        "A metric with a constant '1' value labeled by build_id, id, id_like, image_id, \
         image_version, name, pretty_name, variant, variant_id, version, version_codename, \
         version_id.",
        Kind::Gauge,
    )
    .sample(
        &LABELS.map(|(label, name)| (label, value(name).as_bytes())),
        1.0,
    );
    let version = major_minor(value("VERSION_ID"));
    if version > 0.0 {
        page.family(
            "node_os_version",
            "Metric containing the major.minor part of the OS version.",
            Kind::Gauge,
        )
        .sample(
            &[
                ("id", value("ID").as_bytes()),
                ("id_like", value("ID_LIKE").as_bytes()),
                ("name", value("NAME").as_bytes()),
            ],
            version,
        );
    }
    let end = value("SUPPORT_END");
    if !end.is_empty() {
        let seconds = day(end).ok_or_else(|| {
            files.misread(
                file,
                0,
                format!("SUPPORT_END is \"{end}\", not a day like 2026-12-31"),
            )
        })?;
        page.single(
            "node_os_support_end_timestamp_seconds",
            "Metric containing the end-of-life date timestamp of the OS.",
            Kind::Gauge,
            seconds as f64,
        );
    }
    Ok(())
}

/// The version up to its second dot; 0 if it does not begin with a number.
fn major_minor(version: &str) -> f64 {
    let mut dots = 0;
    let is_part = |sign: char| {
        dots += usize::from(sign == '.');
        sign.is_ascii_digit() || (sign == '.' && dots == 1)
    };
    let end = version.find({
        let mut is_part = is_part;
        move |sign| !is_part(sign)
    });
    let part = &version[..end.unwrap_or(version.len())];
    if part.starts_with('.') {
        return 0.0;
    }
    part.parse().unwrap_or(0.0)
}

/// Midnight UTC of a day written as 2026-12-31, in seconds since 1970.
fn day(text: &str) -> Option<i64> {
    let [year, month, day] = text.split('-').collect::<Vec<_>>()[..] else {
        return None;
    };
    let number = |text: &str, digits: usize| -> Option<i16> {
        (text.len() == digits && text.bytes().all(|byte| byte.is_ascii_digit()))
            .then(|| text.parse().ok())?
    };
    let date = jiff::civil::Date::new(
        number(year, 4)?,
        i8::try_from(number(month, 2)?).ok()?,
        i8::try_from(number(day, 2)?).ok()?,
    )
    .ok()?;
    let midnight = date.to_zoned(jiff::tz::TimeZone::UTC).ok()?;
    Some(midnight.timestamp().as_second())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_and_days() {
        for (text, version) in [
            ("20.04", 20.04),
            ("13", 13.0),
            ("12.", 12.0),
            ("1.2.3", 1.2),
            ("7rc1", 7.0),
            ("rolling", 0.0),
            (".5", 0.0),
            ("", 0.0),
        ] {
            assert!((major_minor(text) - version).abs() < 1e-9, "{text}");
        }
        assert_eq!(day("2026-12-31"), Some(1_798_675_200));
        for bad in ["2026-13-01", "2026-2-1", "26-12-31", "2026-12-31x", ""] {
            assert_eq!(day(bad), None, "{bad}");
        }
    }
}
