//! `GET /v1/trains?from=GMR&to=BD&date=2026-12-24[&train_class=economy]`

use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use serde_json::{Value, json};
use tracing::Span;

use super::error::ApiError;
use super::fields::Fields;
use crate::app::Shared;
use crate::calendar::Date;
use crate::domain::catalog::STATIONS;
use crate::domain::inventory::Inventory;
use crate::domain::timetable::TrainIndex;
use crate::domain::words::TrainClass;
use crate::word::Word;

const FIELDS: &[&str] = &["from", "to", "date", "train_class"];

pub async fn trains(
    State(app): State<Shared>,
    query: Result<Query<Vec<(String, String)>>, QueryRejection>,
) -> Result<Json<Value>, ApiError> {
    let Query(pairs) = query.map_err(|rejection| {
        ApiError::malformed(
            "",
            format!("the query cannot be read: {}", rejection.body_text()),
        )
    })?;
    let fields = Fields::query(pairs, FIELDS)?;
    let (from, to) = (station(&fields, "from")?, station(&fields, "to")?);
    if from == to {
        return Err(ApiError::invalid(
            "to",
            format!("to is another station than from; both are {to}"),
        ));
    }
    let date = fields.date("date")?;
    let class = fields
        .has("train_class")
        .then(|| fields.word::<TrainClass>("train_class"))
        .transpose()?;
    let span = Span::current();
    span.record("kai.search.route", format!("{from}-{to}"));
    span.record("kai.travel.date", date.to_string());

    let trains = app.railway(|railway, now| {
        railway.check_date(now, date)?;
        let trains = railway
            .timetable()
            .between(from, to)
            .iter()
            .filter(|index| railway.timetable().train(**index).departure(date) > now)
            .map(|index| show(railway, *index, date, class))
            .collect::<Vec<Value>>();
        Ok::<_, ApiError>(trains)
    })?;
    app.metrics.searches.inc();
    span.record("kai.search.results", trains.len());
    Ok(Json(
        json!({"from": from, "to": to, "date": date.to_string(), "trains": trains}),
    ))
}

fn station(fields: &Fields, name: &str) -> Result<&'static str, ApiError> {
    let text = fields.text(name, "GMR")?;
    STATIONS
        .iter()
        .map(|(code, _)| *code)
        .find(|code| *code == text)
        .ok_or_else(|| {
            let known = STATIONS
                .map(|(code, station)| format!("{code} ({station})"))
                .join(", ");
            ApiError::invalid(
                name,
                format!("{name} is a station code, one of {known}; got {text:?}"),
            )
        })
}

fn show(railway: &Inventory, index: TrainIndex, date: Date, only: Option<TrainClass>) -> Value {
    let train = railway.timetable().train(index);
    let classes: Vec<Value> = TrainClass::ALL
        .iter()
        .filter(|class| only.is_none_or(|only| only == **class))
        .map(|class| {
            json!({
                "train_class": class.word(),
                "fare_idr": train.offer(*class).fare,
                "available": railway.free(index, date, *class),
            })
        })
        .collect();
    json!({
        "train_id": train.id,
        "name": train.name,
        "departs_at": board_time(date, train.departs),
        "arrives_at": board_time(date, train.departs + train.minutes),
        "classes": classes,
    })
}

/// The time on the station's board: RFC 3339 in Western Indonesian Time.
pub fn board_time(date: Date, minutes: u32) -> String {
    let (day, minute) = (date.plus(minutes / 1440), minutes % 1440);
    format!("{day}T{:02}:{:02}:00+07:00", minute / 60, minute % 60)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_night_train_arrives_the_next_day() {
        let date = Date::parse("2026-12-31").unwrap();
        assert_eq!(board_time(date, 22 * 60 + 800), "2027-01-01T11:20:00+07:00");
    }
}
