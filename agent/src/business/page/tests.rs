//! The page's text in both forms.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::*;
use crate::business::figures::{Meta, Shown};

fn exported(born: Option<Instant>, start_at_zero_ms: u64) -> Exported {
    let meta = Meta {
        name: "kai_revenue_idr_total".into(),
        help: "Rupiah \"settled\"\nnet".into(),
        unit: "idr".into(),
        labels: vec![("channel".into(), 2), ("route".into(), 2)],
    };
    let shown = |key: &[u8], value| Shown {
        key: Arc::from(key),
        value,
        created: 1_500,
        born,
    };
    Exported {
        written: 1_795_485_989_123,
        counters: vec![(
            Arc::new(meta),
            vec![
                shown(b"booking\xffweb\xffa\"b\\", 150_000.0),
                shown(b"other\xff\xffx", 0.5),
            ],
        )],
        teams: BTreeMap::from([("booking".to_owned(), "sales".to_owned())]),
        start_at_zero_ms,
    }
}

#[test]
fn prometheus_text() {
    let text = String::from_utf8(page(&exported(None, 1_000), Form::Text)).unwrap();
    assert_eq!(
        text,
        "# HELP kai_business_snapshot_timestamp_seconds Unix time of the durable snapshot that this \
         page shows.\n\
         # TYPE kai_business_snapshot_timestamp_seconds gauge\n\
         kai_business_snapshot_timestamp_seconds 1.795485989123e+09\n\
         # HELP kai_revenue_idr_total Rupiah \"settled\"\\nnet.\n\
         # TYPE kai_revenue_idr_total counter\n\
         kai_revenue_idr_total{service=\"booking\",team=\"sales\",channel=\"web\",route=\"a\\\"b\\\\\"} 150000\n\
         kai_revenue_idr_total{service=\"other\",channel=\"\",route=\"x\"} 0.5\n"
    );
}

#[test]
fn openmetrics() {
    let text = String::from_utf8(page(&exported(None, 0), Form::OpenMetrics)).unwrap();
    for line in [
        "# HELP kai_revenue_idr Rupiah \\\"settled\\\"\\nnet.",
        "# TYPE kai_revenue_idr counter",
        "# UNIT kai_revenue_idr idr",
        "kai_revenue_idr_total{service=\"other\",channel=\"\",route=\"x\"} 0.5",
        "kai_revenue_idr_created{service=\"other\",channel=\"\",route=\"x\"} 1.5",
    ] {
        assert!(text.lines().any(|found| found == line), "{line} in {text}");
    }
    assert!(text.ends_with("# EOF\n"));
}

#[test]
fn what_is_new_is_zero_for_a_while() {
    let value = |exported: &Exported| {
        let text = String::from_utf8(page(exported, Form::Text)).unwrap();
        let line = text.lines().find(|line| line.contains("web")).unwrap();
        line.rsplit_once(' ').unwrap().1.to_owned()
    };
    assert_eq!(value(&exported(Some(Instant::now()), 60_000)), "0");
    assert_eq!(value(&exported(Some(Instant::now()), 0)), "150000");
    // Of an earlier run: it was shown already.
    assert_eq!(value(&exported(None, 60_000)), "150000");
}
