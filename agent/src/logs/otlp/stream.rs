//! Names of data streams from what senders call their services. Pure.

/// Longest part that is a sender's.
const LONGEST: usize = 80;

/// A source's pattern with the names in it; what Elasticsearch would refuse becomes `_`.
pub fn name(pattern: &str, service: &str, environment: &str) -> String {
    pattern
        .replace("{service}", &part(service, "unknown_service"))
        .replace("{environment}", &part(environment, "default"))
}

/// What of a name can be a part of another.
pub fn part(given: &str, without: &str) -> String {
    let lower = given.to_lowercase();
    let fit = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "._-".contains(c);
    let fitted: String = lower
        .chars()
        .take(LONGEST)
        .map(|c| if fit(c) { c } else { '_' })
        .collect();
    let fitted = fitted.trim_start_matches(['.', '_', '-']);
    if fitted.is_empty() {
        return without.to_owned();
    }
    fitted.to_owned()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn names_fit_elasticsearch_and_each_other() {
        let pattern = "logs-kai.{service}-{environment}";
        for (service, environment, expected) in [
            ("booking", "production", "logs-kai.booking-production"),
            ("Seat Map/v2", "Prod", "logs-kai.seat_map_v2-prod"),
            ("", "", "logs-kai.unknown_service-default"),
            ("../../etc", "{service}", "logs-kai.etc-service_"),
            ("ünïcode", "x", "logs-kai.n_code-x"),
        ] {
            assert_eq!(name(pattern, service, environment), expected);
        }
        assert_eq!(
            name("logs-kai.all-production", "a", "b"),
            "logs-kai.all-production"
        );
    }

    proptest! {
        #[test]
        fn any_name_fits(service: String, environment: String) {
            let name = name("logs-kai.{service}-{environment}", &service, &environment);
            prop_assert!(name.len() < 200);
            prop_assert!(name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"._-".contains(&b)));
        }
    }
}
