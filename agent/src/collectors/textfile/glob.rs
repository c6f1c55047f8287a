//! Folders that a pattern like `/srv/*/metrics` stands for.

use std::path::Path;

/// The folders, sorted; the pattern itself if it stands for none, so that it is missed aloud.
pub fn folders(pattern: &str) -> Vec<String> {
    let mut found = vec![String::new()];
    for (at, part) in pattern.split('/').enumerate() {
        let separator = if at == 0 { "" } else { "/" };
        found = if part.contains(['*', '?', '[']) {
            found
                .iter()
                .flat_map(|folder| below(folder, at, part))
                .collect()
        } else {
            found
                .iter()
                .map(|folder| format!("{folder}{separator}{part}"))
                .collect()
        };
    }
    found.retain(|path| Path::new(path).exists());
    if found.is_empty() {
        found.push(pattern.to_owned());
    }
    found
}

fn below(folder: &str, at: usize, part: &str) -> Vec<String> {
    let (prefix, listed) = match (at, folder) {
        (0, _) => (String::new(), "."),
        (_, "") => ("/".to_owned(), "/"),
        _ => (format!("{folder}/"), folder),
    };
    let mut names: Vec<String> = std::fs::read_dir(listed)
        .into_iter()
        .flatten()
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .filter(|name| matches(part, name))
        .collect();
    names.sort_unstable();
    names.iter().map(|name| format!("{prefix}{name}")).collect()
}

/// Whether a name is as the pattern says: `*` any text, `?` any sign, `[a-z]` and `[^a-z]` signs of
/// a range, `\` takes the next sign as it is.
fn matches(pattern: &str, name: &str) -> bool {
    let (pattern, name): (Vec<char>, Vec<char>) =
        (pattern.chars().collect(), name.chars().collect());
    // Where to go on if what follows the last `*` does not match.
    let mut star = None;
    let (mut p, mut n) = (0, 0);
    while n < name.len() {
        if pattern.get(p) == Some(&'*') {
            star = Some((p + 1, n));
            p += 1;
            continue;
        }
        if let Some(next) = one(&pattern, p, name[n]) {
            (p, n) = (next, n + 1);
            continue;
        }
        let Some((after, from)) = star else {
            return false;
        };
        star = Some((after, from + 1));
        (p, n) = (after, from + 1);
    }
    pattern[p..].iter().all(|sign| *sign == '*')
}

/// Where the pattern goes on if the sign is as it says here.
fn one(pattern: &[char], at: usize, sign: char) -> Option<usize> {
    match pattern.get(at)? {
        '?' => Some(at + 1),
        '\\' => (pattern.get(at + 1) == Some(&sign)).then_some(at + 2),
        '[' => {
            let negated = pattern.get(at + 1) == Some(&'^');
            let start = at + 1 + usize::from(negated);
            let end = start + pattern.get(start..)?.iter().position(|sign| *sign == ']')?;
            let mut inside = false;
            let mut place = start;
            while place < end {
                let low = pattern[place];
                let range = pattern.get(place + 1) == Some(&'-') && place + 2 < end;
                let high = if range { pattern[place + 2] } else { low };
                inside |= (low..=high).contains(&sign);
                place += if range { 3 } else { 1 };
            }
            (inside != negated).then_some(end + 1)
        }
        other => (*other == sign).then_some(at + 1),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn patterns() {
        for (pattern, name, expected) in [
            ("*", "anything", true),
            ("*_metrics", "a_metrics", true),
            ("a*b*c", "axxbyyc", true),
            ("a*b*c", "axxbyy", false),
            ("?x", "ax", true),
            ("[a-c]1", "b1", true),
            ("[^a-c]1", "b1", false),
            ("[", "[", false),
            ("\\*", "*", true),
        ] {
            assert_eq!(matches(pattern, name), expected, "{pattern} {name}");
        }
    }

    #[test]
    fn folders_of_a_pattern() {
        let root = tempfile::tempdir().unwrap();
        for name in ["b/m", "a/m", "c"] {
            std::fs::create_dir_all(root.path().join(name)).unwrap();
        }
        let root = root.path().display().to_string();
        let found = folders(&format!("{root}/*/m"));
        assert_eq!(found, [format!("{root}/a/m"), format!("{root}/b/m")]);
        let missing = format!("{root}/missing");
        assert_eq!(folders(&missing), std::slice::from_ref(&missing));
    }

    proptest! {
        #[test]
        fn any_pattern_ends(pattern in "[a-c*?\\[\\]^\\\\-]{0,12}", name in "[a-c]{0,12}") {
            let _ = matches(&pattern, &name);
        }
    }
}
