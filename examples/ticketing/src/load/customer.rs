//! One customer's visit: search, hold, book, pay, sometimes refund. Any answer that is not what the
//! customer came for ends the visit, as it does with people.

use serde_json::{Value, json};
use tracing::{Instrument, info_span};

use super::client::{Client, Unreachable};
use super::journey::{End, Journey};
use super::pace::Pace;
use crate::calendar::{Date, now_ms};
use crate::domain::words::Method;
use crate::word::Word;

/// The whole visit is one trace.
pub async fn visit(client: &Client, pace: &Pace, journey: &Journey) -> Result<(), Unreachable> {
    // The first request's turn comes before the trace, so that the trace holds no waiting room.
    pace.wait().await;
    let span = info_span!(
        "customer journey",
        kai.customer = journey.number,
        kai.booking.channel = journey.channel.word()
    );
    steps(client, pace, journey).instrument(span).await
}

async fn steps(client: &Client, pace: &Pace, journey: &Journey) -> Result<(), Unreachable> {
    let date = Date::today_wib(now_ms()).plus(journey.days_ahead);
    let search = format!(
        "/v1/trains?from={}&to={}&date={date}",
        journey.from, journey.to
    );
    let mut found = client.get(&search).await?;
    for _ in 0..journey.looks_around {
        pace.wait().await;
        found = client.get(&search).await?;
    }
    let Some(trains) = found.1["trains"]
        .as_array()
        .filter(|trains| !trains.is_empty())
    else {
        return Ok(());
    };
    if journey.end == End::Searches {
        return Ok(());
    }

    let first = journey.train_choice % trains.len();
    // The chosen train, or the next one that still has seats.
    let Some(train) = (0..trains.len())
        .map(|n| &trains[(first + n) % trains.len()])
        .find(|train| available(train, journey) >= u64::from(journey.passengers))
    else {
        return Ok(());
    };
    pace.wait().await;
    let hold = json!({
        "train_id": train["train_id"],
        "date": date.to_string(),
        "train_class": journey.class.word(),
        "passengers": journey.passengers,
    });
    let (code, hold) = client.post("/v1/holds", &hold).await?;
    if code != 201 || journey.end == End::Holds {
        return Ok(());
    }

    pace.wait().await;
    let booking = json!({"hold_id": hold["hold_id"], "channel": journey.channel.word()});
    let (code, booking) = client.post("/v1/bookings", &booking).await?;
    if code != 201 || journey.end == End::Books {
        return Ok(());
    }

    let mut paid = pay(client, pace, &booking, journey.method).await?;
    if let (false, Some(second)) = (paid, journey.second_method) {
        paid = pay(client, pace, &booking, second).await?;
    }
    if paid && journey.end == End::Refunds {
        pace.wait().await;
        client
            .post("/v1/refunds", &json!({"booking_id": booking["booking_id"]}))
            .await?;
    }
    Ok(())
}

async fn pay(
    client: &Client,
    pace: &Pace,
    booking: &Value,
    method: Method,
) -> Result<bool, Unreachable> {
    pace.wait().await;
    let payment = json!({
        "booking_id": booking["booking_id"],
        "method": method.word(),
        "amount_idr": booking["amount_idr"],
    });
    let (_, answer) = client.post("/v1/payments", &payment).await?;
    Ok(answer["outcome"] == "settled")
}

fn available(train: &Value, journey: &Journey) -> u64 {
    train["classes"]
        .as_array()
        .into_iter()
        .flatten()
        .find(|class| class["train_class"] == journey.class.word())
        .and_then(|class| class["available"].as_u64())
        .unwrap_or(0)
}
