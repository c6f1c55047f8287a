//! The statement that a slow request waits for. The service keeps its seats in memory; the fault
//! `latency` stands for a database that has become slow, and is told as one would be: by the names of
//! OpenTelemetry's conventions for databases, with the statement's duration in nanoseconds.

use std::time::Duration;

/// From here on a statement is worth a line.
const SLOW: Duration = Duration::from_millis(100);

/// Method and route → what is asked, in few words and whole.
const STATEMENTS: [(&str, &str, &str, &str); 6] = [
    (
        "GET",
        "/v1/trains",
        "SELECT trains seats",
        "SELECT t.id, t.name, count(s.id) FROM trains t JOIN seats s ON s.train_id = t.id WHERE t.origin = $1 AND t.destination = $2 AND s.travel_date = $3 AND s.hold_id IS NULL GROUP BY t.id, t.name",
    ),
    (
        "POST",
        "/v1/holds",
        "SELECT seats",
        "SELECT id FROM seats WHERE train_id = $1 AND travel_date = $2 AND train_class = $3 AND hold_id IS NULL LIMIT $4 FOR UPDATE SKIP LOCKED",
    ),
    (
        "POST",
        "/v1/bookings",
        "INSERT bookings",
        "INSERT INTO bookings (hold_id, channel, amount_idr) SELECT id, $2, amount_idr FROM holds WHERE id = $1 AND expires_at > now() RETURNING id",
    ),
    (
        "GET",
        "/v1/bookings/{id}",
        "SELECT bookings",
        "SELECT * FROM bookings WHERE id = $1",
    ),
    (
        "POST",
        "/v1/payments",
        "UPDATE bookings",
        "UPDATE bookings SET state = 'paid', payment_id = $2 WHERE id = $1 AND state = 'awaiting_payment'",
    ),
    (
        "POST",
        "/v1/refunds",
        "UPDATE bookings",
        "UPDATE bookings SET state = 'refunded', refund_id = $2 WHERE id = $1 AND state = 'paid'",
    ),
];

/// Tells of a request's statement that took so long, if that is slow.
pub fn tell(method: &str, route: &str, took: Duration) {
    let known = STATEMENTS
        .iter()
        .find(|(by, at, ..)| *by == method && *at == route);
    let (Some((.., summary, text)), true) = (known, took >= SLOW) else {
        return;
    };
    tracing::warn!(
        db.system.name = "postgresql",
        db.namespace = "ticketing",
        db.query.summary = *summary,
        db.query.text = *text,
        event.duration = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX),
        "slow statement: {summary}"
    );
}

#[cfg(test)]
mod tests {
    use super::super::{CUSTOMER, ROUTES};
    use super::*;

    #[test]
    fn each_route_of_customers_has_its_statement() {
        for (method, route, _) in ROUTES.iter().filter(|one| one.1.starts_with(CUSTOMER)) {
            let known = |(by, at, ..): &(&str, &str, &str, &str)| by == method && at == route;
            assert!(STATEMENTS.iter().any(known), "{method} {route}");
        }
    }
}
