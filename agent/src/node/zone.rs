//! The local time zone as Go finds it, because node_exporter's label shows Go's abbreviation:
//! the variable `TZ`, then `/etc/localtime`, then UTC. Read once, as Go does.

use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::Timestamp;
use jiff::tz::TimeZone;

/// Where zone files are looked for, Go's list.
const FOLDERS: [&str; 4] = [
    "/usr/share/zoneinfo",
    "/usr/share/lib/zoneinfo",
    "/usr/lib/locale/TZ",
    "/etc/zoneinfo",
];

/// A time zone with its history.
#[derive(Debug)]
pub struct Zone(TimeZone);

impl Zone {
    pub fn system() -> Self {
        let variable = std::env::var("TZ").ok();
        let found = candidates(variable.as_deref())
            .into_iter()
            .find_map(|path| {
                let data = std::fs::read(path).ok()?;
                TimeZone::tzif("local", &data).ok()
            });
        Self(found.unwrap_or(TimeZone::UTC))
    }

    /// Abbreviation and seconds east of UTC at a time since 1970.
    pub fn at(&self, time: Duration) -> (String, i32) {
        let at = Timestamp::from_second(time.as_secs() as i64).unwrap_or_default();
        let info = self.0.to_offset_info(at);
        (info.abbreviation().to_owned(), info.offset().seconds())
    }
}

/// Files to try in turn; none means UTC.
fn candidates(variable: Option<&str>) -> Vec<PathBuf> {
    match variable {
        None => vec!["/etc/localtime".into()],
        Some(name) => {
            let name = name.strip_prefix(':').unwrap_or(name);
            if name.is_empty() || name == "UTC" || name.split('/').any(|part| part == "..") {
                Vec::new()
            } else if name.starts_with('/') {
                vec![name.into()]
            } else {
                FOLDERS
                    .iter()
                    .map(|folder| Path::new(folder).join(name))
                    .collect()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_variable_decides_as_in_go() {
        assert_eq!(candidates(None), [PathBuf::from("/etc/localtime")]);
        assert!(candidates(Some("")).is_empty());
        assert!(candidates(Some("../etc/passwd")).is_empty());
        assert_eq!(candidates(Some("/x/y")), [PathBuf::from("/x/y")]);
        let named = candidates(Some(":Asia/Jakarta"));
        assert_eq!(named[0], PathBuf::from("/usr/share/zoneinfo/Asia/Jakarta"));
    }

    #[test]
    fn utc_is_the_zone_without_one() {
        assert_eq!(
            Zone(TimeZone::UTC).at(Duration::from_secs(1)),
            ("UTC".to_owned(), 0)
        );
    }

    #[test]
    fn a_fixed_zone_tells_its_offset() {
        let zone = Zone(TimeZone::posix("WIB-7").unwrap());
        assert_eq!(
            zone.at(Duration::from_secs(1_700_000_000)),
            ("WIB".to_owned(), 25_200)
        );
    }
}
