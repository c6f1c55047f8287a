//! The known name nearest to a misspelt one, for "did you mean".

/// The closest of `known` by edit distance, when it is close enough to be what was meant.
pub fn nearest<'a>(given: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    // A name from outside can be long; nothing known is longer than this.
    if given.len() > 64 {
        return None;
    }
    known
        .into_iter()
        .map(|name| (distance(given, name), name))
        .filter(|(edits, name)| *edits <= name.len().div_ceil(3))
        .min_by_key(|(edits, _)| *edits)
        .map(|(_, name)| name)
}

/// Damerau–Levenshtein distance restricted to adjacent swaps, over characters.
fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let mut rows = vec![(0..=b.len()).collect::<Vec<usize>>()];
    for i in 1..=a.len() {
        let mut row = vec![i];
        for j in 1..=b.len() {
            let cost = usize::from(a[i - 1] != b[j - 1]);
            let mut best = (rows[i - 1][j] + 1)
                .min(row[j - 1] + 1)
                .min(rows[i - 1][j - 1] + cost);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                best = best.min(rows[i - 2][j - 2] + 1);
            }
            row.push(best);
        }
        rows.push(row);
    }
    rows[a.len()][b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_what_was_meant() {
        let known = ["payment_decline", "latency", "errors", "for"];
        assert_eq!(nearest("payment_declines", known), Some("payment_decline"));
        assert_eq!(nearest("fro", known), Some("for"));
        assert_eq!(nearest("erors", known), Some("errors"));
        assert_eq!(nearest("volcano", known), None);
        assert_eq!(nearest("", known), None);
    }
}
