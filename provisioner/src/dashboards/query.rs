//! A panel's query as Prometheus itself can be asked it: Grafana's own variables filled in.

/// What Grafana's time variables stand for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Times {
    /// Grafana: four scrapes, at least.
    pub rate_interval: String,
    pub range: String,
}

impl Default for Times {
    fn default() -> Self {
        Self {
            rate_interval: "1m".to_owned(),
            range: "1h".to_owned(),
        }
    }
}

/// Every variable of the dashboard stands for all its values.
pub fn expand(query: &str, times: &Times) -> String {
    let mut out = String::with_capacity(query.len());
    let mut rest = query;
    while let Some((before, after)) = rest.split_once('$') {
        out.push_str(before);
        let (braced, name_and_rest) = match after.strip_prefix('{') {
            Some(inner) => (true, inner),
            None => (false, after),
        };
        let length = name_and_rest
            .find(|c: char| !(c.is_ascii_alphanumeric() || c == '_'))
            .unwrap_or(name_and_rest.len());
        let (name, tail) = name_and_rest.split_at(length);
        out.push_str(match name {
            // A `$` that names nothing ends a regular expression.
            "" => "$",
            "__rate_interval" => &times.rate_interval,
            "__interval" => "15s",
            "__range" => &times.range,
            _ => ".*",
        });
        rest = match (braced, tail.split_once('}')) {
            (true, Some((_, tail))) => tail,
            _ => tail,
        };
    }
    out.push_str(rest);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_stand_for_all_values_and_times_for_durations() {
        let times = Times::default();
        for (query, plain) in [
            (
                r#"rate(a{b=~"$service"}[$__rate_interval])"#,
                r#"rate(a{b=~".*"}[1m])"#,
            ),
            (r#"a{b=~"${service:regex}"}[$__range]"#, r#"a{b=~".*"}[1h]"#),
            (r#"a{b=~"x.*$"}"#, r#"a{b=~"x.*$"}"#),
            ("up", "up"),
        ] {
            assert_eq!(expand(query, &times), plain);
        }
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_expanded_without_a_panic(text in ".{0,60}") {
            let _ = expand(&text, &Times::default());
        }
    }
}
