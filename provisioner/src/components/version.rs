//! Versions of other people's programs: compared, asked for, found in what `--version` prints.
//! Not semver: Debian adds `+ds1-6`, release candidates come as `~rc1` or `-rc.1`.

use std::cmp::Ordering;
use std::fmt;

/// Dotted numbers with an optional pre-release. `3.5` equals `3.5.0`.
#[derive(Debug, Clone)]
pub struct Version {
    numbers: Vec<u64>,
    pre: Option<String>,
}

impl Version {
    /// Reads a version at the start of `text`; a leading `v` and a Debian epoch are skipped, a
    /// Debian revision or build metadata ends it. `None` when `text` does not begin with a number.
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.strip_prefix('v').unwrap_or(text);
        let text = match text.split_once(':') {
            Some((epoch, rest))
                if !epoch.is_empty() && epoch.bytes().all(|b| b.is_ascii_digit()) =>
            {
                rest
            }
            _ => text,
        };
        let end = text
            .find(|c: char| !c.is_ascii_digit() && c != '.')
            .unwrap_or(text.len());
        let (head, tail) = text.split_at(end);
        let head = head.trim_end_matches('.');
        if head.is_empty() {
            return None;
        }
        let numbers = head
            .split('.')
            .map(|n| n.parse().ok())
            .collect::<Option<Vec<u64>>>()?;
        let pre = tail
            .strip_prefix(['-', '~'])
            .map(|t| {
                t.split(['+', '-', ' ', ',', ')'])
                    .next()
                    .unwrap_or_default()
            })
            .filter(|t| {
                ["rc", "alpha", "beta", "pre"]
                    .iter()
                    .any(|p| t.starts_with(p))
            })
            .map(|t| t.replace('.', ""));
        Some(Self { numbers, pre })
    }

    /// The `n`th number, 0 where the text had none.
    pub fn number(&self, n: usize) -> u64 {
        self.numbers.get(n).copied().unwrap_or(0)
    }

    /// Finds the program's version in what it printed for `--version`. Only the first line that
    /// says anything counts: later ones name the compiler's version. Where the line has the word
    /// `version`, the word after it must be the number; a build without one prints none there.
    pub fn from_output(output: &str) -> Option<Self> {
        let line = output.lines().find(|l| !l.trim().is_empty())?;
        let clean = |t: &str| t.trim_matches([',', '(', ')', ':', ';', '"']).to_string();
        let words: Vec<&str> = line.split_whitespace().collect();
        let after_version = words
            .iter()
            .position(|w| clean(w).eq_ignore_ascii_case("version"))
            .map(|at| words.get(at + 1).map(|w| clean(w)).unwrap_or_default());
        match after_version {
            Some(word) => Self::dotted(&word),
            None => words.iter().find_map(|w| Self::dotted(&clean(w))),
        }
    }

    fn dotted(word: &str) -> Option<Self> {
        let version = Self::parse(word)?;
        (version.numbers.len() > 1).then_some(version)
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let numbers: Vec<String> = self.numbers.iter().map(u64::to_string).collect();
        f.write_str(&numbers.join("."))?;
        self.pre.as_ref().map_or(Ok(()), |pre| write!(f, "-{pre}"))
    }
}

impl Ord for Version {
    fn cmp(&self, other: &Self) -> Ordering {
        let length = self.numbers.len().max(other.numbers.len());
        for n in 0..length {
            match self.number(n).cmp(&other.number(n)) {
                Ordering::Equal => {}
                unequal => return unequal,
            }
        }
        match (&self.pre, &other.pre) {
            (None, None) => Ordering::Equal,
            (None, Some(_)) => Ordering::Greater,
            (Some(_), None) => Ordering::Less,
            (Some(a), Some(b)) => natural(a).cmp(&natural(b)),
        }
    }
}

/// `rc10` after `rc9`: the word, then the number behind it.
fn natural(pre: &str) -> (&str, u64) {
    let word = pre.trim_end_matches(|c: char| c.is_ascii_digit());
    (word, pre[word.len()..].parse().unwrap_or(0))
}

impl PartialOrd for Version {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Version {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Version {}

/// What the spec asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wanted {
    /// Nothing: what the lock file pins, else the catalogue's default, never below its minimum.
    Any,
    /// `3.5`: any patch of it.
    Prefix(Vec<u64>),
    /// `3.5.3`.
    Exact(Version),
}

impl Wanted {
    /// `None` when `text` is no version (`latest`, an empty text, `3.x`).
    pub fn parse(text: Option<&str>) -> Option<Self> {
        let Some(text) = text else {
            return Some(Self::Any);
        };
        let text = text.strip_prefix('v').unwrap_or(text);
        let version = Version::parse(text)?;
        // Everything must have been understood, or `3.x` would silently mean `3`.
        let plain = version.to_string();
        if plain != text && Version::parse(text).is_none_or(|v| v.pre.is_none()) {
            return None;
        }
        Some(if version.numbers.len() < 3 && version.pre.is_none() {
            Self::Prefix(version.numbers)
        } else {
            Self::Exact(version)
        })
    }

    pub fn accepts(&self, version: &Version) -> bool {
        match self {
            Self::Any => true,
            Self::Prefix(numbers) => numbers
                .iter()
                .enumerate()
                .all(|(n, want)| version.number(n) == *want),
            Self::Exact(want) => want == version,
        }
    }
}

impl fmt::Display for Wanted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Any => f.write_str("any"),
            Self::Prefix(numbers) => {
                let numbers: Vec<String> = numbers.iter().map(u64::to_string).collect();
                write!(f, "{}.x", numbers.join("."))
            }
            Self::Exact(version) => version.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn v(text: &str) -> Version {
        Version::parse(text).expect("a version")
    }

    #[test]
    fn compares_as_people_do() {
        assert!(v("3.5.3") < v("3.16.0"));
        assert!(v("3.6.0~rc1") < v("3.6.0"));
        assert!(v("3.6.0-rc.9") < v("3.6.0-rc.10"));
        assert_eq!(v("3.5"), v("3.5.0"));
        assert_eq!(v("v0.31.1"), v("0.31.1"));
        assert_eq!(v("1:3.5.3+ds1-6").to_string(), "3.5.3");
        assert_eq!(Version::parse("latest").map(|v| v.to_string()), None);
    }

    #[test]
    fn finds_the_version_in_real_output() {
        let of = |text: &str| Version::from_output(text).map(|v| v.to_string());
        assert_eq!(
            of(
                "prometheus, version 3.5.3+ds1 (branch: debian/sid, revision: 3.5.3+ds1-6)\n  build user: x\n  go version: go1.27.1"
            ),
            Some("3.5.3".into())
        );
        // Built by `go install` without ldflags: no number, and the compiler's is not ours.
        assert_eq!(
            of(
                "alertmanager, version  (branch: , revision: unknown)\n  go version:       go1.26.8"
            ),
            None
        );
        assert_eq!(of("kai-agent 0.1.0\n"), Some("0.1.0".into()));
        assert_eq!(of("\nVersion: 9.5.3, Build: tar/abc"), Some("9.5.3".into()));
        assert_eq!(of("go version go1.26.8 linux/amd64"), None);
        assert_eq!(of(""), None);
    }

    #[test]
    fn wanted_is_exact_or_a_prefix() {
        let wanted = |text| Wanted::parse(Some(text));
        assert!(wanted("3.5").expect("prefix").accepts(&v("3.5.9")));
        assert!(!wanted("3.5").expect("prefix").accepts(&v("3.50.0")));
        assert!(wanted("3.5.3").expect("exact").accepts(&v("3.5.3+ds1-6")));
        assert!(!wanted("3.5.3").expect("exact").accepts(&v("3.5.4")));
        assert_eq!(
            wanted("3.6.0-rc.1").map(|w| w.to_string()),
            Some("3.6.0-rc1".into())
        );
        for bad in ["latest", "", "3.x", "3.5.", ">=3", "3.5.3 "] {
            assert_eq!(wanted(bad), None, "{bad:?}");
        }
    }

    proptest! {
        #[test]
        fn parsing_never_panics(text in "\\PC{0,40}") {
            let _ = Version::parse(&text);
            let _ = Version::from_output(&text);
            let _ = Wanted::parse(Some(&text));
        }

        #[test]
        fn order_is_total_and_display_reads_back(
            a in proptest::collection::vec(0u64..30, 1..5),
            b in proptest::collection::vec(0u64..30, 1..5),
            rc in proptest::option::of(0u32..20),
        ) {
            let text = |n: &[u64]| n.iter().map(u64::to_string).collect::<Vec<_>>().join(".");
            let a = v(&format!("{}{}", text(&a), rc.map(|n| format!("-rc{n}")).unwrap_or_default()));
            let b = v(&text(&b));
            prop_assert_eq!(a.cmp(&b), b.cmp(&a).reverse());
            prop_assert_eq!(v(&a.to_string()), a);
        }
    }
}
