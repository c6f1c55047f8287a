//! The HTTP interface over a real socket: what a client sees, what the metrics say afterwards.

use std::net::SocketAddr;
use std::time::Duration;

use prometheus_client::metrics::counter::Counter;
use serde_json::{Value, json};

use super::{ROUTES, router};
use crate::app::{App, Shared};
use crate::calendar::{Date, now_ms};
use crate::domain::inventory::Limits;
use crate::log::Log;
use crate::metrics::Metrics;

struct Service {
    app: Shared,
    base: String,
    http: reqwest::Client,
    _dir: tempfile::TempDir,
}

async fn start(limits: Limits) -> Service {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let dir = tempfile::tempdir().unwrap();
    let log = Log::start(Some(&dir.path().join("test.log")), Counter::default()).unwrap();
    let app = App::new(Metrics::new(0.0, &ROUTES), log, limits, 1);
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address: SocketAddr = listener.local_addr().unwrap();
    tokio::spawn(axum::serve(listener, router(app.clone())).into_future());
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    Service {
        app,
        base: format!("http://{address}"),
        http,
        _dir: dir,
    }
}

impl Service {
    async fn send(&self, method: &str, path: &str, body: &str) -> (u16, Value) {
        let method = reqwest::Method::from_bytes(method.as_bytes()).unwrap();
        let request = self.http.request(method, format!("{}{path}", self.base));
        let reply = request.body(body.to_owned()).send().await.unwrap();
        let code = reply.status().as_u16();
        (
            code,
            serde_json::from_slice(&reply.bytes().await.unwrap()).unwrap_or_default(),
        )
    }

    async fn post(&self, path: &str, body: Value) -> (u16, Value) {
        self.send("POST", path, &body.to_string()).await
    }

    async fn hold(&self) -> Value {
        let body = json!({"train_id": "KA3", "date": travel_date(), "train_class": "executive",
            "passengers": 2});
        let (code, hold) = self.post("/v1/holds", body).await;
        assert_eq!(code, 201, "{hold}");
        hold
    }

    async fn book(&self) -> Value {
        let hold = self.hold().await;
        let body = json!({"hold_id": hold["hold_id"], "channel": "kiosk"});
        let (code, booking) = self.post("/v1/bookings", body).await;
        assert_eq!(code, 201, "{booking}");
        booking
    }

    async fn pay(&self, booking: &Value) -> (u16, Value) {
        let body = json!({"booking_id": booking["booking_id"], "method": "qris",
            "amount_idr": booking["amount_idr"]});
        self.post("/v1/payments", body).await
    }

    fn metric(&self, series: &str) -> f64 {
        let page = self.app.metrics.page().unwrap();
        let line = page
            .lines()
            .find(|line| line.starts_with(&format!("{series} ")));
        line.and_then(|l| l.rsplit(' ').next()?.parse().ok())
            .unwrap_or(f64::NAN)
    }
}

fn travel_date() -> String {
    Date::today_wib(now_ms()).plus(7).to_string()
}

fn error<'a>(reply: &'a Value, part: &str) -> &'a str {
    reply["error"][part].as_str().unwrap_or_default()
}

#[tokio::test]
async fn a_customer_searches_holds_books_pays_and_refunds() {
    let service = start(Limits::default()).await;
    let path = format!(
        "/v1/trains?from=GMR&to=BD&date={}&train_class=economy",
        travel_date()
    );
    let (code, found) = service.send("GET", &path, "").await;
    assert_eq!((code, found["trains"].as_array().unwrap().len()), (200, 18));
    assert_eq!(found["trains"][0]["classes"][0]["available"], 240);

    let booking = service.book().await;
    assert_eq!(booking["amount_idr"], 300_000);
    assert_eq!(booking["seats"], json!(["EKS1-1A", "EKS1-1B"]));
    let (code, early) = service
        .post("/v1/refunds", json!({"booking_id": booking["booking_id"]}))
        .await;
    assert_eq!((code, error(&early, "code")), (409, "not_paid"));
    let (code, payment) = service.pay(&booking).await;
    assert_eq!((code, &payment["outcome"]), (201, &json!("settled")));
    let (code, again) = service.pay(&booking).await;
    assert_eq!((code, error(&again, "code")), (409, "already_paid"));
    let id = booking["booking_id"].as_str().unwrap();
    let (_, shown) = service.send("GET", &format!("/v1/bookings/{id}"), "").await;
    assert_eq!(shown["status"], "paid");
    let (code, refund) = service.post("/v1/refunds", json!({"booking_id": id})).await;
    assert_eq!((code, &refund["refunded_idr"]), (201, &json!(225_000)));

    for (series, value) in [
        ("kai_searches_total", 1.0),
        ("kai_seat_holds_total{train_class=\"executive\"}", 1.0),
        (
            "kai_bookings_total{channel=\"kiosk\",train_class=\"executive\"}",
            1.0,
        ),
        (
            "kai_payments_total{method=\"qris\",outcome=\"settled\"}",
            1.0,
        ),
        (
            "kai_payments_total{method=\"qris\",outcome=\"declined\"}",
            0.0,
        ),
        ("kai_revenue_idr_total{channel=\"kiosk\"}", 300_000.0),
        ("kai_refunds_total", 1.0),
        (
            "http_requests_total{method=\"GET\",path=\"/v1/bookings/{id}\",code=\"200\"}",
            1.0,
        ),
        (
            "http_request_duration_seconds_count{method=\"POST\",path=\"/v1/payments\"}",
            2.0,
        ),
    ] {
        assert!(
            (service.metric(series) - value).abs() < 1e-9,
            "{series} {}",
            service.metric(series)
        );
    }
}

#[tokio::test]
async fn an_expired_hold_is_a_conflict_and_is_counted() {
    let service = start(Limits {
        hold_ttl_ms: 0,
        ..Limits::default()
    })
    .await;
    let hold = service.hold().await;
    let body = json!({"hold_id": hold["hold_id"], "channel": "web"});
    let (code, reply) = service.post("/v1/bookings", body).await;
    assert_eq!((code, error(&reply, "code")), (409, "hold_expired"));
    assert!((service.metric("kai_seat_holds_expired_total") - 1.0).abs() < 1e-9);
}

#[tokio::test]
async fn of_many_who_want_one_seat_one_gets_it() {
    let service = std::sync::Arc::new(start(Limits::default()).await);
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..40 {
        let service = service.clone();
        tasks.spawn(async move {
            let body = json!({"train_id": "KA3", "date": travel_date(), "train_class": "economy",
                "seats": ["EKO1-1A", "EKO1-1B"]});
            service.post("/v1/holds", body).await.0
        });
    }
    let codes = tasks.join_all().await;
    assert_eq!(codes.iter().filter(|code| **code == 201).count(), 1);
    assert_eq!(codes.iter().filter(|code| **code == 409).count(), 39);
}

#[tokio::test]
async fn of_many_payments_for_one_booking_one_is_settled() {
    let service = std::sync::Arc::new(start(Limits::default()).await);
    let booking = service.book().await;
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..20 {
        let (service, booking) = (service.clone(), booking.clone());
        tasks.spawn(async move { service.pay(&booking).await });
    }
    let replies = tasks.join_all().await;
    let settled = replies
        .iter()
        .filter(|(_, reply)| reply["outcome"] == "settled")
        .count();
    assert_eq!(settled, 1, "{replies:?}");
    assert!((service.metric("kai_revenue_idr_total{channel=\"kiosk\"}") - 300_000.0).abs() < 1e-9);
}

#[tokio::test]
async fn refusals_name_the_field() {
    let service = start(Limits::default()).await;
    let date = travel_date();
    let far = Date::today_wib(now_ms()).plus(99).to_string();
    let hold = |train: &str, date: &str, class: &str, passengers: Value| {
        json!({"train_id": train, "date": date, "train_class": class, "passengers": passengers})
            .to_string()
    };
    for (method, path, body, code, field) in [
        (
            "POST",
            "/v1/holds",
            hold("KA9999", &date, "economy", 1.into()),
            404,
            "train_id",
        ),
        (
            "POST",
            "/v1/holds",
            hold("KA1", "2026-02-30", "economy", 1.into()),
            422,
            "date",
        ),
        (
            "POST",
            "/v1/holds",
            hold("KA1", "2020-01-01", "economy", 1.into()),
            422,
            "date",
        ),
        (
            "POST",
            "/v1/holds",
            hold("KA1", &far, "economy", 1.into()),
            422,
            "date",
        ),
        (
            "POST",
            "/v1/holds",
            hold("KA1", &date, "first", 1.into()),
            422,
            "train_class",
        ),
        (
            "POST",
            "/v1/holds",
            hold("KA1", &date, "economy", 0.into()),
            422,
            "passengers",
        ),
        (
            "POST",
            "/v1/holds",
            hold("KA1", &date, "economy", 5.into()),
            422,
            "passengers",
        ),
        (
            "POST",
            "/v1/holds",
            hold("KA1", &date, "economy", 1.5.into()),
            422,
            "passengers",
        ),
        (
            "POST",
            "/v1/holds",
            hold("KA1", &date, "economy", "two".into()),
            400,
            "passengers",
        ),
        ("POST", "/v1/holds", "{}".into(), 400, "train_id"),
        ("POST", "/v1/holds", "{".into(), 400, ""),
        (
            "POST",
            "/v1/bookings",
            r#"{"hold_id":"x","channel":"web"}"#.into(),
            404,
            "hold_id",
        ),
        (
            "POST",
            "/v1/bookings",
            r#"{"hold_id":"H-0-1","channel":"fax"}"#.into(),
            422,
            "channel",
        ),
        (
            "POST",
            "/v1/payments",
            r#"{"booking_id":"B-0-1","method":"cash","amount_idr":1}"#.into(),
            422,
            "method",
        ),
        (
            "POST",
            "/v1/payments",
            r#"{"booking_id":"B-0-1","method":"qris","amount_idr":-5}"#.into(),
            422,
            "amount_idr",
        ),
        (
            "POST",
            "/v1/payments",
            r#"{"booking_id":"B-0-1","method":"qris","amount_idr":"5"}"#.into(),
            400,
            "amount_idr",
        ),
        (
            "POST",
            "/v1/payments",
            r#"{"booking_id":"B-0-1","method":"qris","amount_idr":5}"#.into(),
            404,
            "booking_id",
        ),
        (
            "POST",
            "/v1/refunds",
            r#"{"booking":"B-0-1"}"#.into(),
            400,
            "booking",
        ),
        (
            "GET",
            "/v1/trains?from=GMR&to=BD",
            String::new(),
            400,
            "date",
        ),
        (
            "GET",
            "/v1/trains?from=XX&to=BD&date=2026-12-01",
            String::new(),
            422,
            "from",
        ),
        (
            "GET",
            "/v1/trains?from=BD&to=BD&date=2026-12-01",
            String::new(),
            422,
            "to",
        ),
        (
            "GET",
            "/v1/trains?from=GMR&from=BD&to=BD",
            String::new(),
            400,
            "from",
        ),
        ("GET", "/v1/bookings/nope", String::new(), 404, "booking_id"),
        (
            "POST",
            "/faults",
            r#"{"payment_decline":60}"#.into(),
            400,
            "payment_decline",
        ),
        ("DELETE", "/faults/latncy", String::new(), 404, "name"),
        ("PUT", "/v1/holds", String::new(), 405, ""),
        ("GET", "/nowhere", String::new(), 404, ""),
    ] {
        let (got, reply) = service.send(method, path, &body).await;
        assert_eq!(
            (got, error(&reply, "field")),
            (code, field),
            "{method} {path} {body}: {reply}"
        );
        assert!(!error(&reply, "message").is_empty(), "{reply}");
    }
    let huge = format!(r#"{{"hold_id":"{}"}}"#, "x".repeat(100_000));
    assert_eq!(service.send("POST", "/v1/bookings", &huge).await.0, 413);
    // Whatever was asked for, the metrics page is labelled with templates only.
    let page = service.app.metrics.page().unwrap();
    assert!(
        !page.contains("nowhere") && !page.contains("nope"),
        "{page}"
    );
}

#[tokio::test]
async fn faults_are_switched_on_seen_and_switched_off() {
    let service = start(Limits::default()).await;
    let started = "kai_fault_started_timestamp_seconds{fault=\"payment_decline\"}";
    assert!(service.metric(started).abs() < 1e-9);
    let body = json!({"payment_decline": 1, "errors": 1, "for": "5m"});
    let (code, reply) = service.post("/faults", body).await;
    assert_eq!((code, reply["active"].as_array().unwrap().len()), (201, 2));
    assert_eq!(reply["active"][0]["remaining_seconds"], 300);
    assert!(service.metric(started) > 1.7e9);

    let hold = json!({"train_id": "KA3", "date": travel_date(), "train_class": "economy",
        "passengers": 1});
    let (code, failure) = service.post("/v1/holds", hold).await;
    assert_eq!((code, error(&failure, "code")), (500, "injected_fault"));
    // Health, metrics and the faults themselves stay out of it.
    assert_eq!(service.send("GET", "/healthz", "").await.0, 200);
    assert_eq!(service.send("DELETE", "/faults/errors", "").await.0, 200);

    let booking = service.book().await;
    let (code, payment) = service.pay(&booking).await;
    assert_eq!((code, &payment["outcome"]), (201, &json!("declined")));
    let (_, none) = service.send("DELETE", "/faults", "").await;
    assert_eq!(none, json!({"active": []}));
    assert!(service.metric(started).abs() < 1e-9);
    let (_, payment) = service.pay(&booking).await;
    assert_eq!(
        payment["outcome"], "settled",
        "a declined booking can be paid again"
    );
}

#[tokio::test]
async fn a_caller_who_hangs_up_is_counted() {
    let service = start(Limits::default()).await;
    service.post("/faults", json!({"latency": "30s"})).await;
    let url = format!("{}/v1/trains", service.base);
    let hung_up = service
        .http
        .get(url)
        .timeout(Duration::from_millis(100))
        .send()
        .await;
    assert!(hung_up.is_err());
    let series = "http_requests_total{method=\"GET\",path=\"/v1/trains\",code=\"499\"}";
    for _ in 0..200 {
        if service.metric(series) > 0.0 {
            return;
        }
        tokio::time::sleep(Duration::from_millis(25)).await;
    }
    panic!("{}", service.app.metrics.page().unwrap());
}

#[tokio::test]
async fn the_metrics_page_is_served_as_openmetrics() {
    let service = start(Limits::default()).await;
    let reply = service
        .http
        .get(format!("{}/metrics", service.base))
        .send()
        .await
        .unwrap();
    let content_type = reply.headers()["content-type"].to_str().unwrap().to_owned();
    assert_eq!(
        content_type,
        "application/openmetrics-text; version=1.0.0; charset=utf-8"
    );
    assert!(reply.text().await.unwrap().ends_with("# EOF\n"));
}

#[tokio::test]
async fn a_service_that_shuts_down_is_alive_but_not_ready() {
    let service = start(Limits::default()).await;
    assert_eq!(service.send("GET", "/readyz", "").await.0, 200);
    service.app.start_draining();
    assert_eq!(service.send("GET", "/readyz", "").await.0, 503);
    assert_eq!(service.send("GET", "/healthz", "").await.0, 200);
}
