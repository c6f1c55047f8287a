//! Turns tracing events into one JSON object a line, in Elastic Common Schema names. The trace and
//! span ids are those of the OpenTelemetry layer, so a log line leads to its span.

use std::fmt::Debug;
use std::sync::OnceLock;

use opentelemetry::trace::TraceContextExt;
use serde_json::{Map, Value};
use tracing::dispatcher::WeakDispatch;
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Dispatch, Event, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::Context;
use tracing_subscriber::registry::LookupSpan;

use super::Log;
use crate::calendar::{now_ms, rfc3339};

/// Writes events to the log. Fields of the spans around an event are written with it.
#[derive(Debug)]
pub struct JsonLayer {
    log: Log,
    service: String,
    dispatch: OnceLock<WeakDispatch>,
}

impl JsonLayer {
    pub fn new(log: Log, service: &str) -> Self {
        Self {
            log,
            service: service.to_owned(),
            dispatch: OnceLock::new(),
        }
    }
}

/// The fields of one span, kept beside it.
struct SpanFields(Map<String, Value>);

impl<S> Layer<S> for JsonLayer
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    fn on_register_dispatch(&self, dispatch: &Dispatch) {
        let _ = self.dispatch.set(dispatch.downgrade());
    }

    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, ctx: Context<'_, S>) {
        let mut fields = Fields(Map::new());
        attributes.record(&mut fields);
        if let Some(span) = ctx.span(id) {
            span.extensions_mut().insert(SpanFields(fields.0));
        }
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, ctx: Context<'_, S>) {
        let mut fields = Fields(Map::new());
        values.record(&mut fields);
        if let Some(span) = ctx.span(id)
            && let Some(kept) = span.extensions_mut().get_mut::<SpanFields>()
        {
            kept.0.extend(fields.0);
        }
    }

    fn on_event(&self, event: &Event<'_>, ctx: Context<'_, S>) {
        let mut line = Map::new();
        line.insert("@timestamp".into(), rfc3339(now_ms()).into());
        let level = event.metadata().level().as_str().to_ascii_lowercase();
        line.insert("log.level".into(), level.into());
        let mut fields = Fields(Map::new());
        event.record(&mut fields);
        let message = fields.0.remove("message").unwrap_or_else(|| "".into());
        line.insert("message".into(), message);
        line.insert("service.name".into(), self.service.clone().into());
        line.insert("service.version".into(), env!("CARGO_PKG_VERSION").into());
        if let Some(span) = ctx.event_span(event) {
            let dispatch = self.dispatch.get().and_then(WeakDispatch::upgrade);
            let otel = dispatch.and_then(|dispatch| {
                tracing_opentelemetry::get_otel_context(&span.id(), &dispatch)
            });
            if let Some(otel) = otel {
                let context = otel.span().span_context().clone();
                if context.is_valid() {
                    line.insert("trace.id".into(), context.trace_id().to_string().into());
                    line.insert("span.id".into(), context.span_id().to_string().into());
                }
            }
            for span in span.scope().from_root() {
                if let Some(kept) = span.extensions().get::<SpanFields>() {
                    line.extend(kept.0.clone());
                }
            }
        }
        line.extend(fields.0);
        let mut bytes = Value::Object(line).to_string().into_bytes();
        bytes.push(b'\n');
        self.log.line(bytes);
    }
}

/// Collects fields as JSON values; `otel.*` steers the OpenTelemetry layer and is no data.
struct Fields(Map<String, Value>);

impl Fields {
    fn put(&mut self, field: &Field, value: Value) {
        if !field.name().starts_with("otel.") {
            self.0.insert(field.name().to_owned(), value);
        }
    }
}

impl Visit for Fields {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.put(field, value.into());
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.put(field, value.into());
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.put(field, value.into());
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.put(field, value.into());
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.put(field, value.into());
    }

    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.put(field, format!("{value:?}").into());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::{Arc, Mutex};

    use opentelemetry::trace::TracerProvider;
    use opentelemetry_sdk::error::OTelSdkResult;
    use opentelemetry_sdk::trace::{SdkTracerProvider, SpanData, SpanExporter};
    use prometheus_client::metrics::counter::Counter;
    use tracing_subscriber::layer::SubscriberExt;

    #[derive(Debug, Clone, Default)]
    struct Kept(Arc<Mutex<Vec<SpanData>>>);

    impl SpanExporter for Kept {
        async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
            self.0.lock().unwrap().extend(batch);
            Ok(())
        }
    }

    #[test]
    fn a_line_carries_its_spans_fields_and_the_exported_ids() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("app.log");
        let log = Log::start(Some(&path), Counter::default()).unwrap();
        let exporter = Kept::default();
        let provider = SdkTracerProvider::builder()
            .with_simple_exporter(exporter.clone())
            .build();
        let subscriber = tracing_subscriber::registry()
            .with(tracing_opentelemetry::layer().with_tracer(provider.tracer("test")))
            .with(JsonLayer::new(log.clone(), "booking"));
        tracing::subscriber::with_default(subscriber, || {
            let outer = tracing::info_span!(
                "outer",
                otel.kind = "server",
                kai.booking.id = "B-1",
                kai.amount_idr = tracing::field::Empty
            );
            outer.record("kai.amount_idr", 150_000u64);
            outer.in_scope(|| {
                tracing::info_span!("inner", kai.hold.id = "H-1").in_scope(|| {
                    tracing::warn!(event.duration = 12u64, "said \"so\"\nand more");
                });
            });
            tracing::info!("alone");
        });
        log.flush();
        let text = std::fs::read_to_string(&path).unwrap();
        let lines: Vec<Value> = text
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect();
        assert_eq!(lines.len(), 2);
        let line = &lines[0];
        assert_eq!(line["log.level"], "warn");
        assert_eq!(line["message"], "said \"so\"\nand more");
        assert_eq!(line["service.name"], "booking");
        assert_eq!(line["kai.booking.id"], "B-1");
        assert_eq!(line["kai.amount_idr"], 150_000);
        assert_eq!(line["kai.hold.id"], "H-1");
        assert_eq!(line["event.duration"], 12);
        assert_eq!(line.get("otel.kind"), None);
        let spans = exporter.0.lock().unwrap();
        let inner = spans.iter().find(|s| s.name == "inner").unwrap();
        assert_eq!(line["trace.id"], inner.span_context.trace_id().to_string());
        assert_eq!(line["span.id"], inner.span_context.span_id().to_string());
        assert_eq!(lines[1].get("trace.id"), None);
    }
}
