//! Pages one after the other, and what was counted of them.

use std::borrow::Cow;
use std::path::Path;

use kai_contract::agent_config::AgentConfig;
use proptest::prelude::*;

use super::*;
use crate::business::page::{Form, page};
use crate::samples::{Family, Label};

const METRICS: &str = "
  metrics:
    kai_bookings_total:
      labels: { channel: 2 }
      from: [{ source: metric, metric: booking_created_total, where: 'kind != \"test\"' }]
";

fn config(folder: &Path, business: &str) -> AgentConfig {
    let text = format!(
        "version: 2\nlisten: 127.0.0.1:0\nstate: {}\nbusiness:{business}",
        folder.display()
    );
    let config: AgentConfig = serde_yaml::from_str(&text).unwrap();
    assert_eq!(config.problems(), []);
    config
}

fn figures(folder: &Path) -> Figures {
    let figures = Figures::default();
    figures.configure(&config(folder, METRICS)).unwrap();
    figures
}

/// One series of a page: channel, value, `_created` in milliseconds.
type Row<'a> = (&'a str, f64, Option<i64>);

fn scrape(figures: &Figures, target: &str, started: Option<f64>, rows: &[Row<'_>]) {
    let rules = figures.rules();
    let mut look = Look::new(&rules, "booking");
    let family = |name: &'static str, kind| Family {
        name: Cow::Borrowed(name),
        kind,
        help: Cow::Borrowed(""),
        unit: Cow::Borrowed(""),
    };
    let counter = family("booking_created", Kind::Counter);
    let gauge = family(PROCESS_START, Kind::Gauge);
    for (channel, value, created) in rows {
        let labels: [Label<'_>; 2] = [
            (Cow::Borrowed("kind"), Cow::Borrowed("real")),
            (Cow::Borrowed("channel"), Cow::Borrowed(*channel)),
        ];
        look.series(&Series {
            family: &counter,
            name: Cow::Borrowed("booking_created_total"),
            labels: &labels,
            value: Value::Number(*value),
            timestamp: None,
            created: *created,
            exemplars: &[],
        });
        let labels: [Label<'_>; 1] = [(Cow::Borrowed("kind"), Cow::Borrowed("test"))];
        look.series(&Series {
            family: &counter,
            name: Cow::Borrowed("booking_created_total"),
            labels: &labels,
            value: Value::Number(1e9),
            timestamp: None,
            created: None,
            exemplars: &[],
        });
    }
    if let Some(started) = started {
        // Last, as pages have it: sorted by name.
        look.series(&Series {
            family: &gauge,
            name: Cow::Borrowed(PROCESS_START),
            labels: &[],
            value: Value::Number(started),
            timestamp: None,
            created: None,
            exemplars: &[],
        });
    }
    look.count(figures, target, crate::business::figures::now_millis());
}

fn shown(figures: &Figures) -> Vec<(String, f64)> {
    figures.store(None).unwrap();
    let text = page(&figures.exported().unwrap(), Form::Text);
    String::from_utf8(text)
        .unwrap()
        .lines()
        .filter(|line| line.starts_with("kai_bookings"))
        .map(|line| {
            let (series, value) = line.rsplit_once(' ').unwrap();
            let channel = series.split("channel=\"").nth(1).unwrap();
            let channel = channel.trim_end_matches("\"}").to_owned();
            (channel, value.parse().unwrap())
        })
        .collect()
}

fn is(figures: &Figures, wanted: &[(&str, f64)]) {
    let wanted: Vec<_> = wanted.iter().map(|(c, v)| ((*c).to_owned(), *v)).collect();
    assert_eq!(shown(figures), wanted);
}

#[test]
fn what_was_there_before_is_where_counting_begins() {
    let folder = tempfile::tempdir().unwrap();
    let figures = figures(folder.path());
    scrape(&figures, "a", None, &[("web", 100.0, None)]);
    is(&figures, &[("web", 0.0)]);
    // A series that comes to a page that is known has begun since.
    scrape(
        &figures,
        "a",
        None,
        &[("web", 103.0, None), ("kiosk", 2.0, None)],
    );
    is(&figures, &[("kiosk", 2.0), ("web", 3.0)]);
    // A value that fell began anew.
    scrape(
        &figures,
        "a",
        None,
        &[("web", 4.0, None), ("kiosk", 2.0, None)],
    );
    is(&figures, &[("kiosk", 2.0), ("web", 7.0)]);
}

#[test]
fn what_began_after_the_rule_counts_in_full() {
    let folder = tempfile::tempdir().unwrap();
    let figures = figures(folder.path());
    let soon = crate::business::figures::now_millis() + 5_000;
    scrape(
        &figures,
        "a",
        Some(soon as f64 / 1e3),
        &[("web", 5.0, None)],
    );
    scrape(
        &figures,
        "b",
        None,
        &[("web", 5.0, Some(soon)), ("kiosk", 3.0, Some(1))],
    );
    is(&figures, &[("kiosk", 0.0), ("web", 10.0)]);
}

#[test]
fn a_restart_is_noticed_though_no_value_fell() {
    let folder = tempfile::tempdir().unwrap();
    let figures = figures(folder.path());
    let start = 1_800_000_000.0;
    scrape(&figures, "a", Some(start), &[("web", 5.0, None)]);
    // The clock's adjustment is none.
    scrape(&figures, "a", Some(start + 1.0), &[("web", 6.0, None)]);
    scrape(&figures, "a", Some(start + 60.0), &[("web", 9.0, None)]);
    scrape(&figures, "b", None, &[("web", 5.0, Some(1_000))]);
    scrape(&figures, "b", None, &[("web", 8.0, Some(2_000))]);
    assert_eq!(shown(&figures)[0].0, "web");
    let began = 5.0; // of "a", which began in the future of the rule
    is(&figures, &[("web", began + 1.0 + 9.0 + 8.0)]);
    assert_eq!(figures.lock().links.resets, 2);
}

#[test]
fn nothing_is_lost_while_the_agent_is_away() {
    let folder = tempfile::tempdir().unwrap();
    let first = figures(folder.path());
    scrape(&first, "a", Some(5.0), &[("web", 10.0, None)]);
    scrape(&first, "a", Some(5.0), &[("web", 20.0, None)]);
    is(&first, &[("web", 10.0)]);
    // Seen, counted, and not durable: the crash takes value and last value alike.
    scrape(&first, "a", Some(5.0), &[("web", 25.0, None)]);
    drop(first);
    let second = figures(folder.path());
    is(&second, &[("web", 10.0)]);
    scrape(&second, "a", Some(5.0), &[("web", 30.0, None)]);
    is(&second, &[("web", 20.0)]);
}

#[test]
fn no_counters_and_no_numbers_are_counted_aside() {
    let folder = tempfile::tempdir().unwrap();
    let figures = figures(folder.path());
    scrape(
        &figures,
        "a",
        None,
        &[("web", f64::NAN, None), ("kiosk", -1.0, None)],
    );
    let rules = figures.rules();
    let mut look = Look::new(&rules, "booking");
    look.series(&Series {
        family: &Family {
            name: "booking_created_total".into(),
            kind: Kind::Gauge,
            help: "".into(),
            unit: "".into(),
        },
        name: "booking_created_total".into(),
        labels: &[],
        value: Value::Number(1.0),
        timestamp: None,
        created: None,
        exemplars: &[],
    });
    look.count(&figures, "a", 0);
    let inner = figures.lock();
    assert_eq!((inner.links.bad, inner.links.no_counter), (2, 1));
}

#[test]
fn a_changed_rule_begins_where_the_page_is() {
    let folder = tempfile::tempdir().unwrap();
    let figures = figures(folder.path());
    scrape(&figures, "a", None, &[("web", 10.0, None)]);
    scrape(&figures, "a", None, &[("web", 12.0, None)]);
    let changed = METRICS.replace("kind != ", "kind !~ ");
    figures.configure(&config(folder.path(), &changed)).unwrap();
    scrape(&figures, "a", None, &[("web", 20.0, None)]);
    is(&figures, &[("web", 2.0)]);
    scrape(&figures, "a", None, &[("web", 21.0, None)]);
    is(&figures, &[("web", 3.0)]);
    figures
        .configure(&AgentConfig {
            business: None,
            ..config(folder.path(), METRICS)
        })
        .unwrap();
    assert!(figures.exported().is_none());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// However a counter grows and restarts, and however often the agent crashes: what it counts is
    /// what grew between the pages that it saw, as long as a source that restarts was stored before
    /// (there is nobody left to ask otherwise).
    #[test]
    fn what_grew_is_counted(
        steps in proptest::collection::vec((0u32..5, 0u8..8, any::<bool>()), 1..30),
    ) {
        let folder = tempfile::tempdir().unwrap();
        let mut agent = figures(folder.path());
        let (mut value, mut wanted, mut started) = (7.0, 0.0, 1_000.0);
        scrape(&agent, "a", Some(started), &[("web", value, None)]);
        // It began before the rule did, and that it was seen is durable.
        agent.store(None).unwrap();
        for (more, what, crash) in steps {
            match what {
                0 => {
                    agent.store(None).unwrap();
                    started += 100.0;
                    value = f64::from(more);
                    wanted += value;
                }
                _ => {
                    value += f64::from(more);
                    wanted += f64::from(more);
                }
            }
            scrape(&agent, "a", Some(started), &[("web", value, None)]);
            if crash {
                drop(agent);
                agent = figures(folder.path());
                scrape(&agent, "a", Some(started), &[("web", value, None)]);
            }
        }
        let found = shown(&agent);
        prop_assert_eq!(&found[0], &("web".to_owned(), wanted));
    }
}
