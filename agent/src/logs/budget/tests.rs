//! Budgets: what counts, what is kept, days, restarts, and the file that remembers.

use proptest::prelude::*;

use super::*;

fn budget(bytes: u64, more: &str) -> LogBudget {
    serde_yaml::from_str(&format!("{{bytesPerDay: {bytes}, {more}}}")).unwrap()
}

const SAMPLES: &str = "over: [warn, sample-info], keepOneIn: 4";

fn level(team: &Team, level: Option<&str>) -> Option<bool> {
    let decided = team.decide(level.map(str::as_bytes), || false);
    decided.map(|(_, keep)| keep)
}

#[test]
fn what_is_spent_samples_until_the_day_ends() {
    let budgets = Budgets::default();
    budgets.configure(Some(&budget(2_000, &format!("{SAMPLES}, nodes: 2"))));
    let (team, other) = (budgets.team("a").unwrap(), budgets.team("b").unwrap());
    assert!(budgets.team("").is_none());
    let day = today();
    team.add_on(day, 1_000);
    assert_eq!((team.share(), level(&team, Some("info"))), (None, None));
    team.add_on(day, 1);
    assert_eq!(team.share().map(Share::value), Some(0.25));
    let kept: Vec<_> = (0..8).map(|_| level(&team, Some("info"))).collect();
    let turn = [Some(true), Some(false), Some(false), Some(false)];
    assert_eq!(kept, [turn, turn].concat());
    for told in ["notice", "warn", "error", "audit", "WARNING", "fatal"] {
        assert_eq!(level(&team, Some(told)), None, "{told}");
    }
    assert!(level(&team, None).is_some() && level(&team, Some("debug")).is_some());
    assert_eq!(team.decide(None, || true), None);
    assert_eq!(level(&other, Some("info")), None, "of another team");
    team.add_on(day + 1, 7);
    assert_eq!((team.share(), team.lock().bytes), (None, 7));
}

#[test]
fn a_budget_that_warns_leaves_nothing_out() {
    let budgets = Budgets::default();
    budgets.configure(Some(&budget(1_000, "over: [warn]")));
    let team = budgets.team("a").unwrap();
    team.add(5_000);
    assert_eq!((team.share(), budgets.samples()), (None, false));
    budgets.configure(Some(&budget(1_000, SAMPLES)));
    assert!(team.share().is_some() && budgets.samples());
    budgets.configure(None);
    assert_eq!(team.share(), None);
}

#[test]
fn figures_outlive_the_agent_and_a_damaged_file() {
    let folder = tempfile::tempdir().unwrap();
    let first = Budgets::default();
    first.configure(Some(&budget(1_000, SAMPLES)));
    first.open(folder.path());
    first.team("a").unwrap().add(600);
    first.store();
    first.team("a").unwrap().add(600);
    first.store();
    let next = |expected: u64| {
        let next = Budgets::default();
        next.configure(Some(&budget(1_000, SAMPLES)));
        // Lines may come in before the folder is ours.
        next.team("early").unwrap().add(1);
        next.open(folder.path());
        let team = next.team("a").unwrap();
        assert_eq!(team.lock().bytes, expected);
        assert_eq!(team.share().is_some(), expected > 1_000);
        next.open(folder.path());
        assert_eq!(next.team("a").unwrap().lock().bytes, expected, "once");
    };
    next(1_200);
    std::fs::write(folder.path().join(FILE), "{}").unwrap();
    next(600);
    assert!(folder.path().join("budget.damaged").exists());
    // Of another day.
    let old = record::text([("a", today() - 1, 5_000)].into_iter()).unwrap();
    std::fs::write(folder.path().join(FILE), old).unwrap();
    next(0);
}

#[test]
fn what_tells_of_trouble_is_known() {
    let of = |name: &'static str, value: &'static [u8]| {
        is_telling(|field| (field == name).then_some(Scalar::Text(value)))
    };
    assert!(of("error.type", b"io") && of("event.outcome", b"failure"));
    assert!(!of("event.outcome", b"success") && !of("message", b"failure"));
    let status = |code: &'static [u8]| {
        is_telling(|field| (field == "http.response.status_code").then_some(Scalar::Number(code)))
    };
    assert!(status(b"503") && !status(b"404"));
}

proptest! {
    #[test]
    fn any_file_is_judged(bytes: Vec<u8>) {
        let _ = record::parse(&bytes);
    }

    #[test]
    fn what_is_written_is_read(teams in prop::collection::btree_map(".{0,20}", any::<(u64, u64)>(), 1..5)) {
        let text = record::text(teams.iter().map(|(name, (day, bytes))| (&**name, *day, *bytes)));
        let read = record::parse(&text.unwrap()).unwrap();
        let read = read.into_iter().map(|(name, day, bytes)| (name.to_string(), (day, bytes)));
        prop_assert_eq!(read.collect::<BTreeMap<_, _>>(), teams);
    }
}
