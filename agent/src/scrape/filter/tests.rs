//! Pages after relabelling and budgets, in text and OpenMetrics.

use kai_contract::agent_config::Relabel;

use super::*;

mod protobuf;

pub(super) struct Case {
    rules: Rules,
    limits: Limits,
    budgets: Budgets,
    hasher: RandomState,
}

impl Case {
    pub fn new(rules: &str, series: u64, labels: &[(&str, u64)]) -> Self {
        let rules: Vec<Relabel> = serde_yaml::from_str(rules).unwrap();
        Self {
            rules: Rules::new(&rules).unwrap(),
            limits: Limits {
                team: None,
                series,
                team_series: 0,
                service: None,
                service_series: u64::MAX,
                labels: labels
                    .iter()
                    .map(|(name, limit)| ((*name).to_owned(), *limit))
                    .collect(),
            },
            budgets: Budgets::default(),
            hasher: RandomState::new(),
        }
    }

    pub fn apply(&self, format: Format, page: &[u8]) -> Result<Option<Vec<u8>>, FilterError> {
        let filter = Filter {
            app: "booking",
            rules: &self.rules,
            limits: &self.limits,
            budgets: &self.budgets,
            hasher: &self.hasher,
        };
        filter.apply(format, page)
    }

    fn text(&self, format: Format, page: &str) -> Option<String> {
        let page = self.apply(format, page.as_bytes()).unwrap();
        page.map(|page| String::from_utf8(page).unwrap())
    }

    pub fn metrics(&self) -> String {
        let mut out = Vec::new();
        crate::exposition::merge([&self.budgets.page()], &mut out);
        String::from_utf8(out).unwrap()
    }
}

const PAGE: &str = "# a comment\n\
    # HELP http_seconds How long.\n# TYPE http_seconds histogram\n\
    http_seconds_bucket{code=\"200\",le=\"0.1\"} 1\nhttp_seconds_bucket{code=\"200\",le=\"+Inf\"} 2\n\
    http_seconds_sum{code=\"200\"} 0.25\nhttp_seconds_count{code=\"200\"} 2\n\
    http_seconds_bucket{code=\"500\",le=\"0.1\"} 0\nhttp_seconds_bucket{code=\"500\",le=\"+Inf\"} 1\n\
    http_seconds_sum{code=\"500\"} 9\nhttp_seconds_count{code=\"500\"} 1\n\
    # HELP up_to Date.\n# TYPE up_to gauge\nup_to 1e9 1700000000000\n";

#[test]
fn a_page_within_budget_is_not_written_again() {
    assert_eq!(Case::new("[]", 9, &[]).text(Format::Text, PAGE), None);
    let rules = "[{source_labels: [__name__], regex: go_.*, action: drop}]";
    assert_eq!(Case::new(rules, 9, &[]).text(Format::Text, PAGE), None);
}

#[test]
fn a_histogram_is_cut_whole_with_its_head_if_nothing_is_left() {
    let case = Case::new("[]", 5, &[]);
    let cut = case.text(Format::Text, PAGE).unwrap();
    let wanted: String = PAGE
        .split_inclusive('\n')
        .filter(|line| !line.contains("500"))
        .collect();
    assert_eq!(cut, wanted);
    let case = Case::new("[]", 3, &[]);
    assert_eq!(
        case.text(Format::Text, PAGE).unwrap(),
        "# a comment\n# HELP up_to Date.\n# TYPE up_to gauge\nup_to 1e9 1700000000000\n"
    );
    assert!(
        case.metrics()
            .contains("reason=\"app_series\",team=\"\"} 8\n"),
        "{}",
        case.metrics()
    );
}

#[test]
fn a_label_limit_cuts_whole_series() {
    let case = Case::new("[]", 100, &[("code", 1)]);
    let cut = case.text(Format::Text, PAGE).unwrap();
    assert!(cut.contains("200") && !cut.contains("500") && cut.contains("up_to"));
    assert!(
        case.metrics()
            .contains("reason=\"label_values\",team=\"\"} 4\n")
    );
}

#[test]
fn rules_drop_and_rewrite_lines_and_nothing_else() {
    let case = Case::new(
        "[{source_labels: [code], regex: '500', action: drop},
          {target_label: zone, replacement: 'a\"b'}, {regex: code, action: labeldrop}]",
        100,
        &[],
    );
    assert_eq!(
        case.text(Format::Text, PAGE).unwrap(),
        "# a comment\n# HELP http_seconds How long.\n# TYPE http_seconds histogram\n\
         http_seconds_bucket{le=\"0.1\",zone=\"a\\\"b\"} 1\n\
         http_seconds_bucket{le=\"+Inf\",zone=\"a\\\"b\"} 2\nhttp_seconds_sum{zone=\"a\\\"b\"} 0.25\n\
         http_seconds_count{zone=\"a\\\"b\"} 2\n# HELP up_to Date.\n# TYPE up_to gauge\n\
         up_to{zone=\"a\\\"b\"} 1e9 1700000000000\n"
    );
    assert!(
        case.metrics()
            .contains("dropped_total{app=\"booking\",team=\"\"} 4\n")
    );
}

#[test]
fn open_metrics_keeps_exemplars_units_and_its_end() {
    let page = "# TYPE a_seconds histogram\n# UNIT a_seconds seconds\n# HELP a_seconds A.\n\
        a_seconds_bucket{le=\"1.0\"} 3 # {trace_id=\"t\"} 0.5 1.5\na_seconds_bucket{le=\"+Inf\"} 3\n\
        a_seconds_count 3\na_seconds_sum 1\na_seconds_created 7\n\
        # TYPE b counter\nb_total{x=\"1\"} 2 # {t=\"u\"} 1\nb_created{x=\"1\"} 8\n# EOF\n";
    let case = Case::new(
        "[{source_labels: [__name__], regex: 'a_(.*)', target_label: __name__,
           replacement: 'z_$1'}, {source_labels: [__name__], regex: b_created, action: drop}]",
        100,
        &[],
    );
    assert_eq!(
        case.text(Format::OpenMetrics, page).unwrap(),
        "# TYPE z_seconds histogram\n# UNIT z_seconds seconds\n# HELP z_seconds A.\n\
         z_seconds_bucket{le=\"1.0\"} 3 # {trace_id=\"t\"} 0.5 1.5\nz_seconds_bucket{le=\"+Inf\"} 3\n\
         z_seconds_count 3\nz_seconds_sum 1\nz_seconds_created 7\n\
         # TYPE b counter\nb_total{x=\"1\"} 2 # {t=\"u\"} 1\n# EOF\n"
    );
    let case = Case::new("[]", 2, &[]);
    assert_eq!(
        case.text(Format::OpenMetrics, page).unwrap(),
        "# TYPE b counter\nb_total{x=\"1\"} 2 # {t=\"u\"} 1\nb_created{x=\"1\"} 8\n# EOF\n"
    );
}

#[test]
fn what_gets_the_name_of_another_family_stands_with_it() {
    let page = "# TYPE a gauge\na 1\n# TYPE b gauge\nb 2\n# TYPE c gauge\nc 3\n";
    let rules = "[{source_labels: [__name__], regex: c, target_label: __name__, replacement: a},
                  {source_labels: [__name__], regex: b, target_label: __name__,
                   replacement: 'b.b'}]";
    assert_eq!(
        Case::new(rules, 100, &[]).text(Format::Text, page).unwrap(),
        "# TYPE a gauge\na 1\na 3\n# TYPE \"b.b\" gauge\n{\"b.b\"} 2\n"
    );
}

#[test]
fn without_a_name_the_page_is_refused_as_prometheus_refuses_it() {
    let case = Case::new("[{regex: __name__, action: labeldrop}]", 100, &[]);
    assert_eq!(
        case.apply(Format::Text, b"a 1\n"),
        Err(FilterError::NoName("a".to_owned()))
    );
}

#[test]
fn a_malformed_page_is_refused_with_its_line() {
    let error = Case::new("[]", 100, &[])
        .apply(Format::Text, b"a 1\nb{x=1} 2\n")
        .unwrap_err();
    assert!(error.to_string().starts_with("line 2, column "), "{error}");
}

#[test]
fn the_last_line_may_lack_its_end() {
    let case = Case::new("[{regex: x, action: labeldrop}]", 100, &[]);
    assert_eq!(case.text(Format::Text, "a{x=\"1\"} 1").unwrap(), "a 1\n");
}
