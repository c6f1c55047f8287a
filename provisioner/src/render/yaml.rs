//! Values to YAML text. serde-saphyr quotes what YAML 1.1 readers (Go's) would take for a boolean
//! or a number, which serde_yaml does not: docs/decisions/0003-yaml.md.

use serde::Serialize;

/// Block-style YAML. The values rendered here are maps with text keys, so that writing cannot
/// fail; were it to, the text says so and the reader of the file refuses it.
pub fn to_text(value: &impl Serialize) -> String {
    serde_saphyr::to_string(value).unwrap_or_else(|error| format!("!!! {error}\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    proptest::proptest! {
        /// Whatever the text, a YAML reader gets it back as the same text. (Not Unicode's own line
        /// separators, at which YAML 1.1 folds lines; no spec or rule has use for them.)
        #[test]
        fn text_survives(key in "[a-z]{1,8}", value in "[^\\pC\\p{Zl}\\p{Zp}]{0,40}", multi in "([ -~]{0,20}\n){0,3}") {
            let before = serde_json::json!({ key: [value, multi] });
            let text = to_text(&before);
            let after: serde_json::Value = serde_yaml::from_str(&text).expect(&text);
            proptest::prop_assert_eq!(after, before, "{}", text);
        }
    }

    #[test]
    fn ambiguous_scalars_are_quoted() {
        let text = to_text(&serde_json::json!({ "a": "no", "b": "on", "c": "012", "d": "1_000" }));
        assert_eq!(text, "a: \"no\"\nb: \"on\"\nc: \"012\"\nd: \"1_000\"\n");
    }
}
