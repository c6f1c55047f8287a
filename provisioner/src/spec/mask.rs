//! What of a line looks like a secret. The schema knows where secrets belong and masks those
//! places exactly; this is the second net, for lines that no schema describes: a file that is not
//! YAML, a misspelt key, a key pasted where nobody expected one.

use super::suggest::nearest;

/// A key whose name contains one of these holds something that is not for showing.
const SECRET_WORDS: [&str; 14] = [
    "pagerduty",
    "slack",
    "heartbeat",
    "password",
    "passwd",
    "passphrase",
    "secret",
    "token",
    "apikey",
    "accesskey",
    "credential",
    "authorization",
    "webhook",
    "dsn",
];

/// What may stand below the key of a secret.
const REFERENCES: [&str; 6] = ["env:", "file:", "vault:", "rotation:", "#", "}"];

/// True when the name of a key or variable says that its value is a secret.
pub fn names_a_secret(name: &str) -> bool {
    let plain: String = name
        .chars()
        .filter(char::is_ascii_alphanumeric)
        .map(|c| c.to_ascii_lowercase())
        .collect();
    SECRET_WORDS.iter().any(|word| plain.contains(word))
}

/// The same, misspelt names included: for hiding, one too many is better than one too few.
fn may_name_a_secret(name: &str) -> bool {
    names_a_secret(name) || nearest(name, SECRET_WORDS).is_some()
}

/// Keys are camelCase: this one is rather a value that slipped into the place of a key.
pub fn is_no_key(key: &str) -> bool {
    key.len() >= 8
        && key.chars().any(|c| c.is_ascii_digit())
        && !key.chars().any(|c| c.is_ascii_lowercase())
}

/// True when a value looks like a key, a token or an address with credentials in it.
pub fn looks_like_a_secret(value: &str) -> bool {
    let chars: Vec<char> = value.chars().collect();
    let mut hidden = vec![false; chars.len()];
    hide_shapes(&chars, &mut hidden);
    hidden.contains(&true)
}

/// Per character of `lines[index]`: must it be hidden?
pub fn hidden(lines: &[String], index: usize) -> Vec<bool> {
    let Some(line) = lines.get(index) else {
        return Vec::new();
    };
    let chars: Vec<char> = line.chars().collect();
    let mut hidden = vec![false; chars.len()];
    hide_shapes(&chars, &mut hidden);
    hide_values_of_secret_keys(&chars, &mut hidden);
    if continues_a_secret(lines, index) {
        let first = chars
            .iter()
            .position(|c| !c.is_whitespace())
            .unwrap_or(chars.len());
        // below a secret's key only a reference may stand: `env: NAME`
        let text: String = chars[first..].iter().collect();
        if !REFERENCES.iter().any(|r| text.starts_with(r)) {
            hidden[first..].fill(true);
        }
    }
    hidden
}

/// As [`hidden`], for a file that is not even YAML: there, whatever comes after the name of a
/// secret may be the secret, on the same line or on the next.
pub fn hidden_strictly(lines: &[String], index: usize) -> Vec<bool> {
    let mut hidden = hidden(lines, index);
    let Some(line) = lines.get(index) else {
        return hidden;
    };
    let chars: Vec<char> = line.chars().collect();
    let above = lines[..index]
        .iter()
        .rev()
        .filter(|l| !l.trim().is_empty())
        .take(2);
    let is_key = |l: &str| {
        l.split_once(':').is_some_and(|(key, _)| {
            key.trim().starts_with(|c: char| c.is_ascii_lowercase())
                && key.trim().chars().all(is_word)
        })
    };
    for line_above in above {
        let words: Vec<char> = line_above.chars().collect();
        if after_secret_word(&words).is_some() && !is_key(line) {
            hidden.fill(true);
            return hidden;
        }
    }
    if let Some(from) = after_secret_word(&chars) {
        hidden[from..].fill(true);
    }
    hidden
}

/// Where what follows the first word that names a secret begins.
fn after_secret_word(chars: &[char]) -> Option<usize> {
    let mut at = 0;
    while at < chars.len() {
        let end = at + chars[at..].iter().take_while(|c| is_word(**c)).count();
        if end > at {
            let word: String = chars[at..end].iter().collect();
            if word.len() > 2 && may_name_a_secret(&word) {
                let skip = chars[end..].iter().take_while(|c| !is_word(**c)).count();
                return Some(end + skip);
            }
        }
        at = end.max(at + 1);
    }
    None
}

/// Is this line the value of a secret's key on a line above it (a block scalar, a continuation)?
fn continues_a_secret(lines: &[String], index: usize) -> bool {
    let indent = |line: &str| line.chars().take_while(|c| *c == ' ' || *c == '\t').count();
    let mut limit = indent(&lines[index]);
    // a value may be many lines long; a look further up than this is not worth its time
    for line in lines[..index].iter().rev().take(200) {
        if line.trim().is_empty() || indent(line) >= limit {
            continue;
        }
        limit = indent(line);
        let text = line.trim().trim_start_matches("- ");
        if let Some((key, value)) = text.split_once(':') {
            let value = value.trim();
            let opens = value.is_empty()
                || value.starts_with(['|', '>', '#', '{', '"', '\'', '[', '&', '!']);
            return opens && may_name_a_secret(key) && !key.contains(' ');
        }
        if limit == 0 {
            return false;
        }
    }
    false
}

/// Does the map that begins here end on this line?
fn is_closed(chars: &[char]) -> bool {
    let mut depth = 0_usize;
    for c in chars {
        match c {
            '{' => depth += 1,
            '}' => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth == 0 {
            return true;
        }
    }
    false
}

/// Is this nothing, or how the inside of `{ env: NAME }` begins?
fn is_reference(inside: &[char]) -> bool {
    let text: String = inside.iter().skip_while(|c| c.is_whitespace()).collect();
    text.is_empty() || REFERENCES.iter().any(|r| text.starts_with(r))
}

/// `password: x`, `token=x`: hides `x` unless it is a reference or starts a collection.
fn hide_values_of_secret_keys(chars: &[char], hidden: &mut [bool]) {
    for at in 0..chars.len() {
        if chars[at] != ':' && chars[at] != '=' {
            continue;
        }
        let mut from = at;
        while from > 0 && is_word(chars[from - 1]) {
            from -= 1;
        }
        let mut name: String = chars[from..at].iter().collect();
        if name.is_empty() && at > 0 && matches!(chars[at - 1], '"' | '\'') {
            let quote = chars[at - 1];
            let open = chars[..at - 1].iter().rposition(|c| *c == quote);
            name = open
                .map(|o| chars[o + 1..at - 1].iter().collect())
                .unwrap_or_default();
        }
        if !may_name_a_secret(&name) {
            continue;
        }
        let mut start = at + 1;
        while chars.get(start).is_some_and(|c| c.is_whitespace()) {
            start += 1;
        }
        let end = match chars.get(start) {
            None | Some('#' | '[') => continue,
            // A whole map is judged key by key. In one that is not closed, only a reference, or its
            // beginning, is surely no secret.
            Some('{') if is_closed(&chars[start..]) || is_reference(&chars[start + 1..]) => {
                continue;
            }
            Some('{') => chars.len(),
            Some(quote @ ('"' | '\'')) => chars[start + 1..]
                .iter()
                .position(|c| c == quote)
                .map_or(chars.len(), |p| start + p + 2),
            Some(_) => chars[start..]
                .iter()
                .position(|c| matches!(c, ',' | '}' | ']'))
                .map_or(chars.len(), |p| start + p),
        };
        let blank = chars[start..end]
            .iter()
            .rev()
            .take_while(|c| c.is_whitespace())
            .count();
        hidden[start..end - blank].fill(true);
    }
}

/// Shapes of secrets: credentials and hook paths in addresses, long random words.
fn hide_shapes(chars: &[char], hidden: &mut [bool]) {
    let mut at = 0;
    while at < chars.len() {
        if is_word(chars[at]) {
            let end = at + chars[at..].iter().take_while(|c| is_word(**c)).count();
            if is_random(&chars[at..end]) {
                hidden[at..end].fill(true);
            }
            at = end;
            continue;
        }
        if chars[at..].starts_with(&[':', '/', '/']) {
            let start = at + 3;
            let end = start
                + chars[start..]
                    .iter()
                    .take_while(|c| !c.is_whitespace() && !matches!(c, '"' | '\'' | '`'))
                    .count();
            let address: String = chars[start..end].iter().collect();
            if let Some(sign) = chars[start..end].iter().rposition(|c| *c == '@') {
                hidden[start..start + sign].fill(true);
            }
            if address.contains("/services/") || address.starts_with("hooks.") {
                let slash = chars[start..end].iter().position(|c| *c == '/');
                hidden[start + slash.unwrap_or(0)..end].fill(true);
            }
            at = start;
            continue;
        }
        at += 1;
    }
}

fn is_word(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '+')
}

/// Twenty characters or more with letters and at least three digits and few separators: a key,
/// not a name.
fn is_random(word: &[char]) -> bool {
    let digits = word.iter().filter(|c| c.is_ascii_digit()).count();
    let letters = word.iter().filter(|c| c.is_ascii_alphabetic()).count();
    let separators = word.len() - digits - letters;
    word.len() >= 20 && digits >= 3 && letters >= 3 && separators * 8 <= word.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str) -> String {
        let lines: Vec<String> = text.lines().map(str::to_owned).collect();
        let last = lines.len() - 1;
        let hidden = hidden(&lines, last);
        lines[last]
            .chars()
            .zip(hidden)
            .map(|(c, h)| if h { '*' } else { c })
            .collect()
    }

    #[test]
    fn hides_what_a_key_names() {
        assert_eq!(shown("  password: hunter2"), "  password: *******");
        assert_eq!(shown("{ slack: 'ab c', x: 1 }"), "{ slack: ******, x: 1 }");
        assert_eq!(shown("\"pagerduty\": R0, x: 1"), "\"pagerduty\": **, x: 1");
        assert_eq!(shown("args: [--token=abc, b]"), "args: [--token=***, b]");
    }

    #[test]
    fn shows_references_and_channels() {
        for text in [
            "pagerduty: { env: PAGERDUTY_KEY }",
            "critical: [pagerduty, slack]",
            "slack:",
        ] {
            assert_eq!(shown(text), text);
        }
        assert_eq!(shown("slack:\n  env: SLACK_URL"), "  env: SLACK_URL");
    }

    #[test]
    fn hides_what_looks_like_a_key() {
        assert_eq!(
            shown("x: 0123456789abcdef0123456789abcdef"),
            format!("x: {}", "*".repeat(32))
        );
        assert_eq!(shown("u: http://joe:pw@host/x"), "u: http://******@host/x");
        assert_eq!(
            shown("u: https://hooks.slack.com/T0"),
            "u: https://hooks.slack.com***"
        );
        assert_eq!(
            shown("name: station-kiosk-frontend-two"),
            "name: station-kiosk-frontend-two"
        );
    }

    #[test]
    fn hides_the_lines_below_a_secret_key() {
        assert_eq!(shown("  pagerduty: |\n    R0ABC"), "    *****");
        assert_eq!(shown("teams:\n  booking:\n    email: a"), "    email: a");
    }

    #[test]
    fn broken_lines_show_nothing_after_the_name_of_a_secret() {
        let shown = |text: &str| {
            let lines: Vec<String> = text.lines().map(str::to_owned).collect();
            let last = lines.len() - 1;
            let hidden = hidden_strictly(&lines, last);
            lines[last]
                .chars()
                .zip(hidden)
                .map(|(c, h)| if h { '*' } else { c })
                .collect::<String>()
        };
        assert_eq!(shown("  pagerdty \"R0\","), "  pagerdty \"****");
        assert_eq!(shown("slack: {\nR0"), "**");
        assert_eq!(shown("slack: {\nemail: x"), "email: x");
        assert_eq!(shown("runsOn: local: yes"), "runsOn: local: yes");
    }

    proptest::proptest! {
        #![proptest_config(proptest::prelude::ProptestConfig::with_cases(128))]
        #[test]
        fn any_line_is_survived(text in "\\PC{0,80}", above in "\\PC{0,40}") {
            let lines = vec![above, text.clone()];
            assert_eq!(hidden(&lines, 1).len(), text.chars().count());
            assert_eq!(hidden_strictly(&lines, 1).len(), text.chars().count());
            looks_like_a_secret(&text);
        }
    }
}
