//! The figures of the business by their names: what dashboards and alert rules speak of, whichever
//! metric, log line or span they are counted from.

/// One figure that every part of the platform knows. All are counters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Figure {
    pub name: &'static str,
    /// Without a full stop.
    pub help: &'static str,
    /// Unit in OpenMetrics' words; empty for a plain number.
    pub unit: &'static str,
    /// Labels with the most values kept of each, beside `service` and `team`.
    pub labels: &'static [(&'static str, u32)],
}

const CHANNEL: (&str, u32) = ("channel", 12);
const TRAIN_CLASS: (&str, u32) = ("train_class", 8);
const ROUTE: (&str, u32) = ("route", 300);
const METHOD: (&str, u32) = ("method", 12);
const OUTCOME: (&str, u32) = ("outcome", 6);

/// From the first look at a timetable to money given back, in the order in which a customer meets
/// them.
pub const FIGURES: [Figure; 11] = [
    Figure {
        name: "kai_searches_total",
        help: "Train searches answered",
        unit: "",
        labels: &[CHANNEL, ROUTE],
    },
    Figure {
        name: "kai_seat_holds_total",
        help: "Seat holds granted; one hold can cover several seats",
        unit: "",
        labels: &[CHANNEL, TRAIN_CLASS, ROUTE],
    },
    Figure {
        name: "kai_seat_holds_expired_total",
        help: "Seat holds that ran out without becoming a booking",
        unit: "",
        labels: &[CHANNEL, TRAIN_CLASS, ROUTE],
    },
    Figure {
        name: "kai_bookings_total",
        help: "Bookings made",
        unit: "",
        labels: &[CHANNEL, TRAIN_CLASS, ROUTE],
    },
    Figure {
        name: "kai_bookings_expired_total",
        help: "Bookings that were not paid for in time",
        unit: "",
        labels: &[CHANNEL, TRAIN_CLASS, ROUTE],
    },
    Figure {
        name: "kai_bookings_cancelled_total",
        help: "Paid bookings that their customer gave up",
        unit: "",
        labels: &[CHANNEL, TRAIN_CLASS, ROUTE],
    },
    Figure {
        name: "kai_payments_total",
        help: "Payments by what the provider answered: settled, declined or failed",
        unit: "",
        labels: &[METHOD, OUTCOME, CHANNEL],
    },
    Figure {
        name: "kai_revenue_idr_total",
        help: "Rupiah of settled payments, refunds not deducted",
        unit: "idr",
        labels: &[CHANNEL, TRAIN_CLASS, ROUTE],
    },
    Figure {
        name: "kai_refunds_total",
        help: "Refunds paid out",
        unit: "",
        labels: &[CHANNEL, TRAIN_CLASS, ROUTE],
    },
    Figure {
        name: "kai_refunds_idr_total",
        help: "Rupiah refunded",
        unit: "idr",
        labels: &[CHANNEL, TRAIN_CLASS, ROUTE],
    },
    Figure {
        name: "kai_tickets_issued_total",
        help: "Tickets issued, one for each passenger",
        unit: "",
        labels: &[CHANNEL, TRAIN_CLASS, ROUTE],
    },
];

/// The figure of this name.
pub fn figure(name: &str) -> Option<&'static Figure> {
    FIGURES.iter().find(|figure| figure.name == name)
}

/// What stands for values beyond the most that a label may have.
pub const OTHER: &str = "other";

/// Labels that every figure has or that belong to Prometheus.
pub const TAKEN_LABELS: [&str; 8] = [
    "service",
    "team",
    "environment",
    "instance",
    "job",
    "le",
    "quantile",
    "drill_id",
];

/// Labels of one figure at most, and values of one label at most.
pub const MOST_LABELS: usize = 8;
pub const MOST_VALUES: u32 = 10_000;

/// Why a name is none of a counter that may be declared.
pub fn judge_name(name: &str) -> Result<(), String> {
    let classic = name
        .bytes()
        .all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b':')
        && !name.starts_with(|c: char| c.is_ascii_digit());
    if name.is_empty() || !classic {
        return Err(
            "is not a metric name; use letters, digits and `_`, not a digit first".to_owned(),
        );
    }
    if name.contains(':') {
        return Err("has a colon, which belongs to recording rules".to_owned());
    }
    if !name.ends_with("_total") || name == "_total" {
        return Err(format!(
            "is a counter's name without _total; write {}_total",
            name.trim_end_matches("_total").trim_end_matches('_')
        ));
    }
    for (prefix, whose) in [
        ("kai_agent_", "the agent's own"),
        ("kai_inbox_", "the inbox's own"),
        ("kai_business_", "the agent's own"),
        ("node_", "the node's"),
        ("prometheus_", "Prometheus'"),
        ("alertmanager_", "Alertmanager's"),
    ] {
        if name.starts_with(prefix) {
            return Err(format!("begins with {prefix}, which is {whose}"));
        }
    }
    Ok(())
}

/// Why a label cannot be declared.
pub fn judge_label(name: &str) -> Result<(), String> {
    if TAKEN_LABELS.contains(&name) {
        return Err("is set by the platform; choose another name".to_owned());
    }
    let classic = !name.is_empty()
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
        && !name.starts_with(|c: char| c.is_ascii_digit());
    if !classic || name.starts_with("__") {
        return Err(
            "is not a label name; use letters, digits and `_`, not a digit and not `__` first"
                .to_owned(),
        );
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_figures_keep_their_own_rules() {
        for figure in &FIGURES {
            assert_eq!(judge_name(figure.name), Ok(()), "{}", figure.name);
            assert!(figure.labels.len() <= MOST_LABELS);
            for (label, most) in figure.labels {
                assert_eq!(judge_label(label), Ok(()));
                assert!((1..=MOST_VALUES).contains(most));
            }
            let stem = figure.name.trim_end_matches("_total");
            assert!(stem.ends_with(figure.unit), "{}", figure.name);
            assert!(!figure.help.ends_with('.'));
        }
        let mut names = FIGURES.map(|figure| figure.name);
        names.sort_unstable();
        assert!(names.windows(2).all(|pair| pair[0] != pair[1]));
    }

    #[test]
    fn names_that_would_clash_are_refused() {
        for wrong in [
            "",
            "a",
            "9_total",
            "a-b_total",
            "a:b_total",
            "_total",
            "node_cpu_total",
            "kai_agent_x_total",
        ] {
            assert!(judge_name(wrong).is_err(), "{wrong}");
        }
        for wrong in ["", "service", "le", "__name__", "a-b", "1"] {
            assert!(judge_label(wrong).is_err(), "{wrong}");
        }
    }
}
