//! Who gets a place when a budget is spent.

use proptest::prelude::*;

use super::*;

fn limits(team: Option<&str>, series: u64, team_series: u64, labels: &[(&str, u64)]) -> Limits {
    Limits {
        team: team.map(str::to_owned),
        series,
        team_series,
        service: None,
        service_series: u64::MAX,
        labels: labels
            .iter()
            .map(|(name, limit)| ((*name).to_owned(), *limit))
            .collect(),
    }
}

/// A page of groups: key, series, value of the only limited label.
fn page(of: &[(u64, u32, Option<u64>)]) -> Groups {
    let mut groups = Groups::default();
    for (key, series, value) in of {
        let start = groups.values.len() as u32;
        groups.values.extend(value.map(|value| (0, value)));
        groups.groups.push(Group {
            key: *key,
            series: *series,
            values: start..groups.values.len() as u32,
            cut: None,
        });
    }
    groups
}

fn admit(
    budgets: &Budgets,
    app: &str,
    limits: &Limits,
    of: &[(u64, u32, Option<u64>)],
) -> Vec<Option<Cut>> {
    let mut groups = page(of);
    budgets.admit(app, limits, &mut groups, 0);
    groups.groups.iter().map(|group| group.cut).collect()
}

fn text(budgets: &Budgets) -> String {
    let mut out = Vec::new();
    crate::exposition::merge([&budgets.page()], &mut out);
    String::from_utf8(out).unwrap()
}

const S: fn(u64) -> (u64, u32, Option<u64>) = |key| (key, 1, None);

#[test]
fn who_was_admitted_stays_and_newcomers_are_cut() {
    let budgets = Budgets::default();
    let limits = limits(None, 2, 0, &[]);
    assert_eq!(
        admit(&budgets, "a", &limits, &[S(1), S(2), S(3)]),
        [None, None, Some(Cut::AppSeries)]
    );
    // First on the page does not help.
    assert_eq!(
        admit(&budgets, "a", &limits, &[S(3), S(2), S(1)]),
        [Some(Cut::AppSeries), None, None]
    );
    let text = text(&budgets);
    assert!(text.contains("kai_agent_scrape_series{app=\"a\",team=\"\"} 2\n"));
    assert!(text.contains(
        "kai_agent_scrape_series_cut_total{app=\"a\",reason=\"app_series\",team=\"\"} 2\n"
    ));
    assert!(!text.contains("kai_agent_scrape_team_series"), "{text}");
}

#[test]
fn a_place_is_free_only_after_its_holder_was_long_unseen() {
    let budgets = Budgets::default();
    let limits = limits(None, 1, 0, &[]);
    assert_eq!(admit(&budgets, "a", &limits, &[S(1)]), [None]);
    for _ in 0..FORGET_AFTER {
        assert_eq!(
            admit(&budgets, "a", &limits, &[S(2)]),
            [Some(Cut::AppSeries)]
        );
    }
    assert_eq!(admit(&budgets, "a", &limits, &[S(2)]), [None]);
}

#[test]
fn applications_of_one_service_share_what_it_may_have() {
    let budgets = Budgets::default();
    let of = |service: &str| Limits {
        service: Some(service.to_owned()),
        service_series: 3,
        ..limits(None, 9, 0, &[])
    };
    assert_eq!(
        admit(&budgets, "pod-a", &of("booking"), &[S(1), S(2)]),
        [None, None]
    );
    assert_eq!(
        admit(&budgets, "pod-b", &of("booking"), &[S(1), S(2)]),
        [None, Some(Cut::ServiceSeries)]
    );
    assert_eq!(admit(&budgets, "pod-c", &of("payment"), &[S(1)]), [None]);
    // A pod that is gone makes room.
    budgets.forget("pod-a");
    assert_eq!(
        admit(&budgets, "pod-b", &of("booking"), &[S(1), S(2)]),
        [None, None]
    );
}

#[test]
fn a_histogram_is_admitted_or_cut_whole() {
    let budgets = Budgets::default();
    let limits = limits(None, 20, 0, &[]);
    let cut = admit(
        &budgets,
        "a",
        &limits,
        &[(1, 14, None), (2, 14, None), (3, 1, None)],
    );
    assert_eq!(cut, [None, Some(Cut::AppSeries), None]);
    // One that has grown beyond the budget is cut whole, and its place is free.
    let cut = admit(
        &budgets,
        "a",
        &limits,
        &[(1, 30, None), (2, 14, None), (3, 1, None)],
    );
    assert_eq!(cut, [Some(Cut::AppSeries), None, None]);
}

#[test]
fn a_team_shares_one_budget() {
    let budgets = Budgets::default();
    let booking = limits(Some("booking"), 100, 3, &[]);
    assert_eq!(admit(&budgets, "a", &booking, &[S(1), S(2)]), [None, None]);
    assert_eq!(
        admit(&budgets, "b", &booking, &[S(1), S(2)]),
        [None, Some(Cut::TeamSeries)]
    );
    let other = limits(Some("payment"), 100, 3, &[]);
    assert_eq!(admit(&budgets, "c", &other, &[S(1)]), [None]);
    let text = text(&budgets);
    assert!(text.contains("kai_agent_scrape_team_series{team=\"booking\"} 3\n"));
    assert!(text.contains("kai_agent_scrape_team_series_limit{team=\"booking\"} 3\n"));
    budgets.forget("a");
    assert_eq!(admit(&budgets, "b", &booking, &[S(1), S(2)]), [None, None]);
}

#[test]
fn a_label_has_at_most_so_many_values() {
    let budgets = Budgets::default();
    let limits = limits(None, 100, 0, &[("route", 2)]);
    let of = |key, value| (key, 1, Some(value));
    assert_eq!(
        admit(
            &budgets,
            "a",
            &limits,
            &[of(1, 10), of(2, 11), of(3, 12), of(4, 10), S(5)]
        ),
        [None, None, Some(Cut::LabelValues), None, None]
    );
    assert_eq!(
        admit(&budgets, "a", &limits, &[of(3, 12), of(1, 10)]),
        [Some(Cut::LabelValues), None]
    );
}

#[test]
fn a_lowered_limit_holds_at_once() {
    let budgets = Budgets::default();
    let page = [S(1), S(2), S(3)];
    admit(&budgets, "a", &limits(None, 3, 0, &[]), &page);
    assert_eq!(
        admit(&budgets, "a", &limits(None, 1, 0, &[]), &page),
        [None, Some(Cut::AppSeries), Some(Cut::AppSeries)]
    );
}

proptest! {
    /// Whatever comes: no budget is exceeded, and who stays on the page is never cut again unless it
    /// grew.
    #[test]
    fn budgets_hold(
        pages in proptest::collection::vec(
            proptest::collection::btree_map(0_u64..40, (1_u32..4, 0_u64..8), 0..40),
            1..20,
        ),
        series in 1_u64..60,
        team in 1_u64..60,
        values in 1_u64..6,
    ) {
        let budgets = Budgets::default();
        let limits = limits(Some("t"), series, team, &[("l", values)]);
        let mut before: BTreeMap<u64, (u32, u64)> = BTreeMap::new();
        for (index, given) in pages.iter().enumerate() {
            let app = if index % 3 == 2 { "b" } else { "a" };
            let groups: Vec<_> = given
                .iter()
                .map(|(key, (series, value))| (*key, *series, Some(*value)))
                .collect();
            let cut = admit(&budgets, app, &limits, &groups);
            let kept: BTreeMap<u64, (u32, u64)> = groups
                .iter()
                .zip(&cut)
                .filter(|(_, cut)| cut.is_none())
                .map(|((key, series, value), _)| (*key, (*series, value.unwrap())))
                .collect();
            let sum: u64 = kept.values().map(|(series, _)| u64::from(*series)).sum();
            prop_assert!(sum <= series && sum <= team);
            let distinct: std::collections::BTreeSet<_> =
                kept.values().map(|(_, value)| *value).collect();
            prop_assert!(distinct.len() as u64 <= values);
            let apps = budgets.lock();
            prop_assert!(apps.values().map(|app| app.used).sum::<u64>() <= team);
            for app in apps.values() {
                let sum: u64 = app.admitted.values().map(|a| u64::from(a.series)).sum();
                prop_assert_eq!(sum, app.used);
            }
            drop(apps);
            if app == "a" {
                for (key, was) in &before {
                    if given.get(key) == Some(was) {
                        prop_assert!(kept.contains_key(key), "{key} lost its place");
                    }
                }
                before = kept;
            }
        }
    }
}
