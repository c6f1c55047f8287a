//! The agent's log lane: which files of which service go to which data stream.

pub(super) mod intake;

use std::collections::BTreeMap;
use std::path::PathBuf;

use kai_contract::agent_config::{
    Elasticsearch, LogFormat, LogSource, Logs, MAX_FIELDS, Privacy, Pseudonymise, Spool,
};

use super::elasticsearch::{canary_stream, log_stream, security_stream};
use super::gate;
use super::secrets::Secrets;
use crate::layout::Layout;
use crate::model::{LogKind, Stack};

/// Name of the source that `verify` writes to; no service may have a dot.
const CANARY: &str = "kai.canary";
const AUTH: &str = "kai.auth";
const FINDINGS: &str = "kai.findings";
const MEMORY_BYTES: u64 = 16 << 20;
const DEAD_LETTER_BYTES: u64 = 64 << 20;
const MAX_LINE_BYTES: u64 = 256 << 10;

/// The file that `verify` writes a line to, to find it again.
pub fn canary_file(layout: &Layout) -> PathBuf {
    layout.root.join("log/canary.log")
}

/// Nothing when lines neither have an Elasticsearch to go to nor are counted.
pub(super) fn config(stack: &Stack, layout: &Layout, secrets: &mut Secrets) -> Option<Logs> {
    let elasticsearch = gate::elasticsearch(stack, &mut |reference| {
        secrets.file("agent-elasticsearch", reference)
    });
    if elasticsearch.is_none()
        && !stack
            .services
            .keys()
            .any(|name| stack.counts_lines_of(name))
    {
        return None;
    }
    let mut sources: BTreeMap<String, LogSource> = stack
        .services
        .values()
        .filter_map(|service| {
            let logs = service.logs.as_ref()?;
            if elasticsearch.is_none() && !stack.counts_lines_of(&service.name) {
                return None;
            }
            let data = layout.root.join("data").join(&service.name);
            let data = data.to_string_lossy();
            let source = LogSource {
                paths: logs
                    .paths
                    .iter()
                    .map(|path| path.replace("${data}", &data))
                    .collect(),
                format: logs.format,
                pattern: logs.pattern.clone(),
                container: logs.container,
                multiline: logs.multiline.clone(),
                time_zone: logs.time_zone.clone(),
                data_stream: log_stream(stack, &service.name),
                fields: fields(stack, &service.name, &service.team),
                drop: logs.drop.clone(),
                sample: logs.sample.clone(),
                never_sample: logs.kind == LogKind::Audit,
                ..LogSource::default()
            };
            Some((service.name.clone(), source))
        })
        .collect();
    if elasticsearch.is_some() {
        sources.insert(
            CANARY.to_owned(),
            LogSource {
                paths: vec![canary_file(layout).to_string_lossy().into_owned()],
                format: LogFormat::Json,
                data_stream: canary_stream(stack),
                fields: fields(stack, "kai-observe", &stack.routing.fallback_team),
                ..LogSource::default()
            },
        );
        if stack.ships_security() {
            sources.extend(security(stack, layout));
        }
        sources.extend(intake::sources(stack, secrets));
    }
    let spool = intake::spool(stack);
    Some(lane(stack, secrets, sources, elasticsearch, spool))
}

/// The lane itself.
pub(super) fn lane(
    stack: &Stack,
    secrets: &mut Secrets,
    sources: BTreeMap<String, LogSource>,
    elasticsearch: Option<Elasticsearch>,
    spool: Option<Spool>,
) -> Logs {
    Logs {
        sources,
        elasticsearch,
        privacy: privacy(stack, secrets),
        memory_bytes: MEMORY_BYTES,
        dead_letter_bytes: DEAD_LETTER_BYTES,
        max_line_bytes: MAX_LINE_BYTES,
        max_fields: MAX_FIELDS,
        // The node is on this machine, or near: bytes on the wire cost less than their packing.
        gzip: false,
        spool,
        compress: stack.log_intake().and_then(|intake| intake.compress),
    }
}

/// The authentication logs, and of the agent's own log what differs from the baselines.
fn security(stack: &Stack, layout: &Layout) -> [(String, LogSource); 2] {
    let settings = stack.agent.security.as_ref();
    let logs = settings.map_or_else(Vec::new, |settings| settings.auth.paths.clone());
    let source = |paths, format, drop| LogSource {
        paths,
        format,
        data_stream: security_stream(stack),
        fields: fields(stack, "kai-security", &stack.routing.fallback_team),
        drop,
        never_sample: true,
        ..LogSource::default()
    };
    let own = layout.log("agent").to_string_lossy().into_owned();
    [
        (AUTH.to_owned(), source(logs, LogFormat::Auth, Vec::new())),
        (
            FINDINGS.to_owned(),
            source(
                vec![own],
                LogFormat::Json,
                vec!["!(event.kind == \"alert\")".to_owned()],
            ),
        ),
    ]
}

fn privacy(stack: &Stack, secrets: &mut Secrets) -> Option<Privacy> {
    let given = &stack.privacy;
    let pseudonymise = given.pseudonymise.as_ref().map(|given| Pseudonymise {
        fields: given.fields.clone(),
        key_file: secrets.file("agent-pseudonyms", &given.key).into(),
    });
    (!given.redact.is_empty() || pseudonymise.is_some()).then_some(Privacy {
        redact: given.redact,
        pseudonymise,
    })
}

fn fields(stack: &Stack, service: &str, team: &str) -> BTreeMap<String, String> {
    [
        ("service.name", service),
        ("service.environment", &stack.environment),
        ("event.dataset", &format!("kai.{service}")),
        ("kai.team", team),
    ]
    .into_iter()
    .map(|(name, value)| (name.to_owned(), value.to_owned()))
    .collect()
}
