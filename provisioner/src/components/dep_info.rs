//! Cargo's dep-info files (`target/debug/kai-agent.d`): from which files a program was built.
//! Makefile syntax, one rule per line; blanks in names are written `\ `.

use std::path::PathBuf;

/// All dependencies named in the text, in its order.
pub fn dependencies(text: &str) -> Vec<PathBuf> {
    text.lines()
        .filter(|line| !line.starts_with('#'))
        .filter_map(rule)
        .flatten()
        .map(PathBuf::from)
        .collect()
}

/// The names behind the colon of `output: name name`.
fn rule(line: &str) -> Option<Vec<String>> {
    let words = words(line);
    let at = words.iter().position(|w| w.ends_with(':'))?;
    Some(words[at + 1..].to_vec())
}

fn words(line: &str) -> Vec<String> {
    let (mut words, mut word) = (Vec::new(), String::new());
    let mut chars = line.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '\\' if chars.peek() == Some(&' ') => {
                word.push(' ');
                chars.next();
            }
            ' ' | '\t' => {
                if !word.is_empty() {
                    words.push(std::mem::take(&mut word));
                }
            }
            other => word.push(other),
        }
    }
    if !word.is_empty() {
        words.push(word);
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn reads_what_cargo_writes() {
        let text =
            "/t/debug/kai-agent: /w/agent/src/main.rs /w/my\\ code/lib.rs\n\n# env-dep:X=1\n";
        assert_eq!(
            dependencies(text),
            [
                PathBuf::from("/w/agent/src/main.rs"),
                PathBuf::from("/w/my code/lib.rs")
            ]
        );
        assert_eq!(dependencies("/t/x:\n"), Vec::<PathBuf>::new());
    }

    proptest! {
        #[test]
        fn never_panics(text in "\\PC{0,80}") {
            let _ = dependencies(&text);
        }

        #[test]
        fn names_come_back(names in proptest::collection::vec("/[a-z /.]{0,10}[a-z]", 0..5)) {
            let escaped: Vec<String> = names.iter().map(|n| n.replace(' ', "\\ ")).collect();
            let text = format!("/out: {}\n", escaped.join(" "));
            let expected: Vec<PathBuf> = names.iter().map(PathBuf::from).collect();
            prop_assert_eq!(dependencies(&text), expected);
        }
    }
}
