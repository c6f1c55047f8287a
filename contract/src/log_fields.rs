//! The fields of lines that an index template maps, whoever sends them: names of the Elastic Common
//! Schema. `kai-observe` writes the template by this list, and the agent does not count these names
//! when it counts those that lines bring with them.

/// Looked for and counted as a whole.
pub const KEYWORDS: [&str; 61] = [
    "client.ip",
    "container.id",
    "container.name",
    "db.collection.name",
    "db.operation.name",
    "db.query.summary",
    "db.system.name",
    "data_stream.dataset",
    "data_stream.namespace",
    "data_stream.type",
    "ecs.version",
    "error.code",
    "error.type",
    "event.action",
    "event.category",
    "event.dataset",
    "event.id",
    "event.kind",
    "event.outcome",
    "host.hostname",
    "event.reason",
    "event.type",
    "file.path",
    "group.name",
    "host.name",
    "http.request.id",
    "http.request.method",
    "http.request.referrer",
    "http.route",
    "http.version",
    "kai.fingerprint",
    "kai.pattern",
    "kai.team",
    "kubernetes.container.name",
    "kubernetes.namespace",
    "kubernetes.node.name",
    "kubernetes.pod.name",
    "kubernetes.pod.uid",
    "log.file.path",
    "log.flags",
    "log.iostream",
    "log.level",
    "log.logger",
    "process.name",
    "service.environment",
    "service.name",
    "service.node.name",
    "service.version",
    "source.address",
    "source.ip",
    "span.id",
    "tags",
    "trace.id",
    "transaction.id",
    "url.domain",
    "url.original",
    "url.path",
    "user.effective.name",
    "user.id",
    "user.name",
    "user_agent.original",
];

/// Name and type.
pub const TYPED: [(&str, &str); 15] = [
    ("@timestamp", "date"),
    ("event.ingested", "date"),
    ("event.duration", "long"),
    // A service's own number of its events, which shows what is missing.
    ("event.sequence", "long"),
    ("http.response.body.bytes", "long"),
    ("http.response.status_code", "long"),
    // Of how many lines this one is: 1 divided by it.
    ("kai.sampled", "float"),
    ("log.offset", "long"),
    ("process.pid", "long"),
    // A statement is read, not counted; `db.query.summary` is.
    ("db.query.text", "text"),
    ("source.ip", "ip"),
    ("message", "text"),
    ("error.message", "text"),
    ("error.stack_trace", "text"),
    // What has no place of its own among the fields: searched as text, counted by nobody.
    ("kai.overflow", "text"),
];

pub fn mapped() -> impl Iterator<Item = &'static str> {
    let typed = TYPED.iter().map(|(name, _)| *name);
    KEYWORDS.iter().copied().chain(typed)
}
