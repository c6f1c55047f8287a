//! The nearest known name, for misspelt keys and values.

/// The candidate nearest to `name`, if one is near enough to be what was meant. Case and
/// separators do not count (`scrape_interval` is `scrapeInterval`).
pub fn nearest<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let plain = plain(name);
    let length = plain.chars().count();
    // longer than any known name by far; and bounds the work on absurd input
    if length == 0 || length > 64 {
        return None;
    }
    let mut best: Option<(usize, &str)> = None;
    for candidate in candidates {
        let distance = distance(&plain, &self::plain(candidate));
        let allowed = (length.max(candidate.chars().count()) / 3).max(1);
        if distance <= allowed && best.is_none_or(|(least, _)| distance < least) {
            best = Some((distance, candidate));
        }
    }
    best.map(|(_, candidate)| candidate)
}

fn plain(name: &str) -> String {
    name.chars()
        .filter(|c| !matches!(c, '-' | '_' | ' ' | '.'))
        .flat_map(char::to_lowercase)
        .collect()
}

/// Optimal string alignment: insertions, deletions, replacements and swaps of neighbours.
fn distance(a: &str, b: &str) -> usize {
    let a: Vec<char> = a.chars().collect();
    let b: Vec<char> = b.chars().collect();
    let mut before: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=b.len()).collect();
    for i in 1..=a.len() {
        let mut row = vec![i; b.len() + 1];
        for j in 1..=b.len() {
            let replaced = last[j - 1] + usize::from(a[i - 1] != b[j - 1]);
            row[j] = replaced.min(last[j] + 1).min(row[j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                row[j] = row[j].min(before[j - 2] + 1);
            }
        }
        before = std::mem::replace(&mut last, row);
    }
    last[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_what_was_meant() {
        let known = ["services", "teams", "routing", "scrapeInterval", "systems"];
        assert_eq!(nearest("servces", known), Some("services"));
        assert_eq!(nearest("temas", known), Some("teams"));
        assert_eq!(nearest("scrape_interval", known), Some("scrapeInterval"));
        assert_eq!(nearest("Teams", known), Some("teams"));
        assert_eq!(nearest("databases", known), None);
        assert_eq!(nearest("", known), None);
    }

    proptest::proptest! {
        #![proptest_config(proptest::prelude::ProptestConfig::with_cases(128))]
        #[test]
        fn distance_is_symmetric_and_zero_only_for_equals(a in "[a-d]{0,8}", b in "[a-d]{0,8}") {
            assert_eq!(distance(&a, &b), distance(&b, &a));
            assert_eq!(distance(&a, &b) == 0, a == b);
        }
    }
}
