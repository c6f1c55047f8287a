//! Spans: made for every request so that log lines have trace ids, and sent to an OTLP endpoint
//! when there is one. An endpoint that is slow, full or gone costs spans (which are counted) and
//! nothing else: the queue is bounded, and a failure is said once a minute at most.

use std::sync::Mutex;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use opentelemetry::propagation::{Extractor, Injector, TextMapPropagator};
use opentelemetry::{Context, KeyValue};
use opentelemetry_otlp::WithExportConfig;
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::propagation::TraceContextPropagator;
use opentelemetry_sdk::trace::{
    BatchConfigBuilder, BatchSpanProcessor, SdkTracerProvider, Span, SpanData, SpanExporter,
    SpanProcessor,
};

use crate::metrics::Spans;

const QUEUE_SPANS: usize = 2048;
const BATCH_SPANS: usize = 512;
const SEND_EVERY: Duration = Duration::from_secs(2);
/// Also the longest that stopping waits for an endpoint that does not answer.
pub const EXPORT_TIMEOUT: Duration = Duration::from_secs(3);
const COMPLAIN_EVERY: Duration = Duration::from_mins(1);

/// Makes the provider of spans. Without an endpoint spans get their ids and go nowhere. Must be
/// called within the tokio runtime that shall carry the connection.
pub fn provider(
    service: &str,
    endpoint: Option<&str>,
    spans: &Spans,
) -> anyhow::Result<SdkTracerProvider> {
    let resource = Resource::builder()
        .with_service_name(service.to_owned())
        .with_attribute(KeyValue::new("service.version", env!("CARGO_PKG_VERSION")))
        .build();
    let builder = SdkTracerProvider::builder()
        .with_resource(resource)
        .with_span_processor(Count(spans.clone()));
    let Some(endpoint) = endpoint else {
        return Ok(builder.build());
    };
    if !endpoint.starts_with("http://") {
        bail!(
            "cannot send spans to {endpoint:?}: this example speaks OTLP over plain gRPC only; give an address such as http://127.0.0.1:4317"
        );
    }
    let exporter = opentelemetry_otlp::SpanExporter::builder()
        .with_tonic()
        .with_endpoint(endpoint)
        .with_timeout(EXPORT_TIMEOUT)
        .build()
        .with_context(|| format!("cannot send spans to {endpoint:?}"))?;
    let exporter = Watched {
        exporter,
        spans: spans.clone(),
        endpoint: endpoint.to_owned(),
        complained: Mutex::new(None),
    };
    let config = BatchConfigBuilder::default()
        .with_max_queue_size(QUEUE_SPANS)
        .with_max_export_batch_size(BATCH_SPANS)
        .with_scheduled_delay(SEND_EVERY)
        .build();
    let batches = BatchSpanProcessor::builder(exporter)
        .with_batch_config(config)
        .build();
    Ok(builder.with_span_processor(batches).build())
}

/// Counts spans as they end.
#[derive(Debug)]
struct Count(Spans);

impl SpanProcessor for Count {
    fn on_start(&self, _: &mut Span, _: &Context) {}

    fn on_end(&self, _: SpanData) {
        self.0.ended.inc();
    }

    fn force_flush(&self) -> OTelSdkResult {
        Ok(())
    }

    fn shutdown_with_timeout(&self, _: Duration) -> OTelSdkResult {
        Ok(())
    }
}

/// An exporter whose failures are counted and seldom spoken of.
#[derive(Debug)]
struct Watched<E> {
    exporter: E,
    spans: Spans,
    endpoint: String,
    complained: Mutex<Option<Instant>>,
}

impl<E: SpanExporter> SpanExporter for Watched<E> {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        let count = batch.len() as u64;
        let result = self.exporter.export(batch).await;
        match &result {
            Ok(()) => drop(self.spans.exported.inc_by(count)),
            Err(error) => {
                self.spans.failed.inc_by(count);
                self.complain(&error.to_string(), count);
            }
        }
        result
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.exporter.shutdown_with_timeout(timeout)
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.exporter.force_flush()
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.exporter.set_resource(resource);
    }
}

impl<E> Watched<E> {
    fn complain(&self, error: &str, count: u64) {
        let Ok(mut last) = self.complained.lock() else {
            return;
        };
        if last.is_none_or(|at| at.elapsed() >= COMPLAIN_EVERY) {
            *last = Some(Instant::now());
            tracing::warn!(
                error.message = error,
                url.full = self.endpoint.as_str(),
                "cannot send spans ({count} lost now; ticketing_spans_export_failed_total counts \
                 on); bookings go on, check the OTLP endpoint"
            );
        }
    }
}

/// The trace that a request belongs to, by its W3C `traceparent` header; a fresh one without.
pub fn extract(headers: &axum::http::HeaderMap) -> Context {
    TraceContextPropagator::new().extract(&HeadersIn(headers))
}

/// Writes the W3C headers of `context`.
pub fn inject(context: &Context, headers: &mut axum::http::HeaderMap) {
    TraceContextPropagator::new().inject_context(context, &mut HeadersOut(headers));
}

struct HeadersIn<'a>(&'a axum::http::HeaderMap);

impl Extractor for HeadersIn<'_> {
    fn get(&self, key: &str) -> Option<&str> {
        self.0.get(key)?.to_str().ok()
    }

    fn keys(&self) -> Vec<&str> {
        self.0.keys().map(axum::http::HeaderName::as_str).collect()
    }
}

struct HeadersOut<'a>(&'a mut axum::http::HeaderMap);

impl Injector for HeadersOut<'_> {
    fn set(&mut self, key: &str, value: String) {
        if let (Ok(name), Ok(value)) = (
            key.parse::<axum::http::HeaderName>(),
            axum::http::HeaderValue::try_from(value),
        ) && !value.is_empty()
        {
            self.0.insert(name, value);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::HeaderMap;
    use opentelemetry::trace::TraceContextExt;
    use opentelemetry_sdk::error::OTelSdkError;

    const PARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

    #[test]
    fn traceparent_goes_through() {
        let mut headers = HeaderMap::new();
        headers.insert("traceparent", PARENT.parse().unwrap());
        let context = extract(&headers);
        let trace = context.span().span_context().trace_id().to_string();
        assert_eq!(trace, "0af7651916cd43dd8448eb211c80319c");
        let mut out = HeaderMap::new();
        inject(&context, &mut out);
        assert_eq!(out.get("traceparent").unwrap(), PARENT);
        assert_eq!(out.get("tracestate"), None);
    }

    #[test]
    fn a_bad_traceparent_starts_a_new_trace() {
        for bad in [
            "",
            "00-zz-1-01",
            "00-00000000000000000000000000000000-b7ad6b7169203331-01",
        ] {
            let mut headers = HeaderMap::new();
            headers.insert("traceparent", bad.parse().unwrap());
            assert!(!extract(&headers).span().span_context().is_valid(), "{bad}");
        }
    }

    #[test]
    fn an_address_that_cannot_work_is_refused() {
        for bad in ["https://collector:4317", "127.0.0.1:4317"] {
            let error = provider("booking", Some(bad), &Spans::default()).unwrap_err();
            assert!(
                error.to_string().contains("http://127.0.0.1:4317"),
                "{error}"
            );
        }
    }

    #[derive(Debug)]
    struct Refuses;

    impl SpanExporter for Refuses {
        async fn export(&self, _: Vec<SpanData>) -> OTelSdkResult {
            Err(OTelSdkError::InternalFailure("refused".into()))
        }
    }

    #[test]
    fn lost_spans_are_counted() {
        use opentelemetry::trace::{Tracer, TracerProvider};
        let spans = Spans::default();
        let exporter = Watched {
            exporter: Refuses,
            spans: spans.clone(),
            endpoint: "http://127.0.0.1:1".into(),
            complained: Mutex::new(None),
        };
        let provider = SdkTracerProvider::builder()
            .with_span_processor(Count(spans.clone()))
            .with_simple_exporter(exporter)
            .build();
        for _ in 0..3 {
            drop(provider.tracer("test").start("span"));
        }
        assert_eq!(
            (spans.ended.get(), spans.failed.get(), spans.exported.get()),
            (3, 3, 0)
        );
    }
}
