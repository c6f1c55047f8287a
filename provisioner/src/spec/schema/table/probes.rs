//! `probes:`, questions to endpoints. Keys and meanings are blackbox_exporter's, in our spelling.

use super::super::{Field, Kind, Object};
use super::systems::AUTH;
use super::{DURATION, TEXT};
use crate::spec::format::Format;

pub(super) static PROBE: Object = Object {
    name: "probe",
    doc: "A question that the agent asks an endpoint when Prometheus scrapes it: one \
             of `http`, `tcp`, `dns` and `icmp`.",
    fields: &[
        Field::new(
            "service",
            Kind::Text(Format::Name),
            "booking",
            "The service that it tells about: label `service` of its series and alerts; \
             without one the probe's own name.",
        ),
        Field::new(
            "team",
            Kind::Text(Format::Name),
            "booking",
            "Who gets its alerts; without one the service's team, or the fallback.",
        ),
        Field::new(
            "interval",
            DURATION,
            "30s",
            "Time between two questions; without it `defaults.scrapeInterval`.",
        ),
        Field::new(
            "timeout",
            DURATION,
            "5s",
            "How long the answer may take; a little less than the interval when absent.",
        ),
        Field::new(
            "http",
            Kind::Object(&HTTP),
            "{ url: \"https://booking.kai.example/healthz\" }",
            "An HTTP request.",
        ),
        Field::new(
            "tcp",
            Kind::Object(&TCP),
            "{ address: \"db.kai.example:5432\" }",
            "A TCP connection.",
        ),
        Field::new(
            "dns",
            Kind::Object(&DNS),
            "{ server: 10.0.0.2, queryName: booking.kai.example, queryType: A }",
            "A question to a name server.",
        ),
        Field::new("icmp", Kind::Object(&ICMP), "{ host: 10.0.0.1 }", "A ping."),
    ],
    reserved: &[],
};

const PATTERNS: Kind = Kind::List {
    item: &Kind::Text(Format::Expression),
    unique: true,
    min: 1,
};
const WORDS: Kind = Kind::List {
    item: &TEXT,
    unique: true,
    min: 1,
};
const PROTOCOL: Kind = Kind::Enum {
    values: &["ip4", "ip6"],
    reserved: &[],
};

static HTTP: Object = Object {
    name: "httpProbe",
    doc: "An HTTP request.",
    fields: &[
        Field::new(
            "url",
            TEXT,
            "https://booking.kai.example/healthz",
            "What is asked for; `http://` stands before it where there is neither that \
             nor `https://`.",
        )
        .required(),
        Field::new("method", TEXT, "HEAD", "The request's method.").default("GET"),
        Field::new(
            "headers",
            Kind::Map {
                key: Format::OneLine,
                value: &TEXT,
            },
            "{ Accept: application/json }",
            "Sent with it. No place for secrets.",
        ),
        Field::new("body", TEXT, "'{}'", "Sent with it."),
        Field::new(
            "bodyFile",
            TEXT,
            "probe/body.json",
            "File whose bytes are sent with it.",
        ),
        Field::new(
            "validStatusCodes",
            Kind::List {
                item: &Kind::Integer { min: 100, max: 599 },
                unique: true,
                min: 1,
            },
            "[200, 204]",
            "200 to 299 when empty.",
        ),
        Field::new(
            "validHttpVersions",
            WORDS,
            "[HTTP/1.1, HTTP/2.0]",
            "Such as `HTTP/1.1` and `HTTP/2.0`; any when empty.",
        ),
        Field::new(
            "preferredIpProtocol",
            PROTOCOL,
            "ip4",
            "Which of a name's addresses is asked.",
        )
        .default("ip6"),
        Field::new(
            "ipProtocolFallback",
            Kind::Bool,
            "false",
            "The other kind is asked where there is none of the preferred.",
        )
        .default("true"),
        Field::new(
            "followRedirects",
            Kind::Bool,
            "false",
            "Go where a redirect points.",
        )
        .default("true"),
        Field::new("enableHttp2", Kind::Bool, "false", "Offer HTTP/2.").default("true"),
        Field::new("failIfSsl", Kind::Bool, "true", "It must not be TLS.").default("false"),
        Field::new("failIfNotSsl", Kind::Bool, "true", "It must be TLS.").default("false"),
        Field::new(
            "failIfBodyMatchesRegexp",
            PATTERNS,
            "[\"maintenance\"]",
            "None of these may be in the body.",
        ),
        Field::new(
            "failIfBodyNotMatchesRegexp",
            PATTERNS,
            "[\"ready\"]",
            "All of these must be in the body.",
        ),
        Field::new(
            "failIfHeaderMatches",
            Kind::List {
                item: &Kind::Object(&HEADER),
                unique: false,
                min: 1,
            },
            "[{ header: server, regexp: \"^test$\" }]",
            "None of these headers may be.",
        ),
        Field::new(
            "failIfHeaderNotMatches",
            Kind::List {
                item: &Kind::Object(&HEADER),
                unique: false,
                min: 1,
            },
            "[{ header: content-type, regexp: \"^application/json\" }]",
            "All of these headers must be.",
        ),
        Field::new(
            "compression",
            Kind::Enum {
                values: &["gzip", "deflate", "identity"],
                reserved: &[],
            },
            "gzip",
            "How the body must be packed.",
        ),
        Field::new(
            "bodySizeLimit",
            Kind::Integer {
                min: 1,
                max: 1_073_741_824,
            },
            "1048576",
            "Bytes of the body that are read, after decompression; a longer one fails \
             the probe.",
        )
        .default("16777216"),
        Field::new(
            "auth",
            Kind::Object(&AUTH),
            "{ token: { env: PROBE_TOKEN } }",
            "How it is told who asks: `token`, or `username` with `password`.",
        ),
        Field::new(
            "tls",
            Kind::Object(&TLS),
            "{ caFile: /etc/kai/ca.pem }",
            "How its certificate is judged.",
        ),
    ],
    reserved: &[],
};

static HEADER: Object = Object {
    name: "headerMatch",
    doc: "A header and what its value matches.",
    fields: &[
        Field::new("header", TEXT, "content-type", "Its name.").required(),
        Field::new(
            "regexp",
            Kind::Text(Format::Expression),
            "\"^text/html\"",
            "What its value must, or must not, match.",
        )
        .required(),
        Field::new(
            "allowMissing",
            Kind::Bool,
            "true",
            "A header that is not there is right.",
        )
        .default("false"),
    ],
    reserved: &[],
};

static TLS: Object = Object {
    name: "probeTls",
    doc: "How a server's certificate is judged, and which of ours it is shown.",
    fields: &[
        Field::new(
            "caFile",
            TEXT,
            "/etc/kai/ca.pem",
            "PEM file of authorities; the machine's own when absent.",
        ),
        Field::new(
            "certFile",
            TEXT,
            "/etc/kai/client.pem",
            "PEM file of our own certificate.",
        ),
        Field::new(
            "keyFile",
            TEXT,
            "/etc/kai/client.key",
            "PEM file of its key.",
        ),
        Field::new(
            "serverName",
            TEXT,
            "booking.kai.example",
            "The name that the certificate must be for; the target's host when absent.",
        ),
        Field::new(
            "dangerousInsecureSkipVerify",
            Kind::Bool,
            "true",
            "`insecure_skip_verify`: anybody in between may answer. The certificate is \
             still described.",
        )
        .default("false"),
    ],
    reserved: &[],
};

static TCP: Object = Object {
    name: "tcpProbe",
    doc: "A TCP connection, with TLS or a conversation if that is said.",
    fields: &[
        Field::new("address", TEXT, "db.kai.example:5432", "`host:port`.").required(),
        Field::new(
            "preferredIpProtocol",
            PROTOCOL,
            "ip4",
            "Which of a name's addresses is asked.",
        )
        .default("ip6"),
        Field::new(
            "ipProtocolFallback",
            Kind::Bool,
            "false",
            "The other kind is asked where there is none of the preferred.",
        )
        .default("true"),
        Field::new(
            "sourceIpAddress",
            TEXT,
            "10.0.0.7",
            "Address that it is asked from.",
        ),
        Field::new("tls", Kind::Bool, "true", "How its certificate is judged.").default("false"),
        Field::new(
            "tlsConfig",
            Kind::Object(&TLS),
            "{ caFile: /etc/kai/ca.pem }",
            "How its certificate is judged.",
        ),
        Field::new(
            "queryResponse",
            Kind::List {
                item: &Kind::Object(&STEP),
                unique: false,
                min: 1,
            },
            "[{ expect: \"^220\" }, { send: QUIT }]",
            "A conversation, step by step.",
        ),
    ],
    reserved: &[],
};

static STEP: Object = Object {
    name: "queryResponse",
    doc: "One step of a conversation: wait, then say, then perhaps begin TLS.",
    fields: &[
        Field::new(
            "expect",
            Kind::Text(Format::Expression),
            "\"^220 ([a-z.]+)\"",
            "Lines are read until one matches.",
        ),
        Field::new("expectBytes", TEXT, "\"SSH-2.0\"", "These bytes must come."),
        Field::new(
            "labels",
            Kind::List {
                item: &Kind::Object(&LABEL),
                unique: false,
                min: 1,
            },
            "[{ name: server, value: \"${1}\" }]",
            "Labels of `probe_expect_info`; `${1}` is the first group of `expect`.",
        ),
        Field::new(
            "send",
            TEXT,
            "QUIT",
            "A line that is sent; `${1}` is the first group of `expect`.",
        ),
        Field::new("starttls", Kind::Bool, "true", "Then TLS begins.").default("false"),
    ],
    reserved: &[],
};

static LABEL: Object = Object {
    name: "expectLabel",
    doc: "A label of `probe_expect_info`.",
    fields: &[
        Field::new("name", TEXT, "server", "Its name.").required(),
        Field::new(
            "value",
            TEXT,
            "\"${1}\"",
            "Its value; `${1}` is the first group of `expect`.",
        )
        .required(),
    ],
    reserved: &[],
};

static DNS: Object = Object {
    name: "dnsProbe",
    doc: "A question to a name server.",
    fields: &[
        Field::new(
            "server",
            TEXT,
            "10.0.0.2:53",
            "`host` or `host:port` of the server that is asked; port 53, or 853 over TLS.",
        )
        .required(),
        Field::new(
            "queryName",
            TEXT,
            "booking.kai.example",
            "The name that is asked for.",
        )
        .required(),
        Field::new(
            "queryType",
            TEXT,
            "A",
            "Type of record, such as `A`, `AAAA`, `MX`, `TYPE65`.",
        )
        .default("ANY"),
        Field::new("queryClass", TEXT, "CH", "Class of record.").default("IN"),
        Field::new(
            "recursionDesired",
            Kind::Bool,
            "false",
            "The server may ask others.",
        )
        .default("true"),
        Field::new(
            "transportProtocol",
            Kind::Enum {
                values: &["udp", "tcp"],
                reserved: &[],
            },
            "tcp",
            "How it is asked.",
        )
        .default("udp"),
        Field::new("dnsOverTls", Kind::Bool, "true", "Over TLS.").default("false"),
        Field::new(
            "tlsConfig",
            Kind::Object(&TLS),
            "{ caFile: /etc/kai/ca.pem }",
            "How its certificate is judged.",
        ),
        Field::new(
            "preferredIpProtocol",
            PROTOCOL,
            "ip4",
            "Which of a name's addresses is asked.",
        )
        .default("ip6"),
        Field::new(
            "ipProtocolFallback",
            Kind::Bool,
            "false",
            "The other kind is asked where there is none of the preferred.",
        )
        .default("true"),
        Field::new(
            "sourceIpAddress",
            TEXT,
            "10.0.0.7",
            "Address that it is asked from.",
        ),
        Field::new(
            "validRcodes",
            WORDS,
            "[NOERROR, NXDOMAIN]",
            "`NOERROR` when empty.",
        ),
        Field::new(
            "validateAnswerRrs",
            Kind::Object(&RECORDS),
            "{ failIfNotMatchesRegexp: [\"10[.]0[.]0[.]7\"] }",
            "What must be, or must not be, among the answers.",
        ),
        Field::new(
            "validateAuthorityRrs",
            Kind::Object(&RECORDS),
            "{ failIfMatchesRegexp: [\"old\"] }",
            "The same for authority records.",
        ),
        Field::new(
            "validateAdditionalRrs",
            Kind::Object(&RECORDS),
            "{ failIfMatchesRegexp: [\"old\"] }",
            "The same for additional records.",
        ),
    ],
    reserved: &[],
};

static RECORDS: Object = Object {
    name: "recordRules",
    doc: "Patterns for records as text: name, seconds, class, type, value, a tab between.",
    fields: &[
        Field::new(
            "failIfMatchesRegexp",
            PATTERNS,
            "[\"old\"]",
            "No record may match one of these.",
        ),
        Field::new(
            "failIfAllMatchRegexp",
            PATTERNS,
            "[\"old\"]",
            "Not all records may match these.",
        ),
        Field::new(
            "failIfNotMatchesRegexp",
            PATTERNS,
            "[\"new\"]",
            "Each record must match all of these.",
        ),
        Field::new(
            "failIfNoneMatchesRegexp",
            PATTERNS,
            "[\"new\"]",
            "At least one record must match one of these.",
        ),
    ],
    reserved: &[],
};

static ICMP: Object = Object {
    name: "icmpProbe",
    doc: "An echo request (ping).",
    fields: &[
        Field::new("host", TEXT, "10.0.0.1", "Who is asked.").required(),
        Field::new(
            "preferredIpProtocol",
            PROTOCOL,
            "ip4",
            "Which of a name's addresses is asked.",
        )
        .default("ip6"),
        Field::new(
            "ipProtocolFallback",
            Kind::Bool,
            "false",
            "The other kind is asked where there is none of the preferred.",
        )
        .default("true"),
        Field::new(
            "sourceIpAddress",
            TEXT,
            "10.0.0.7",
            "Address that it is asked from.",
        ),
        Field::new(
            "payloadSize",
            Kind::Integer {
                min: 0,
                max: 65_507,
            },
            "56",
            "Bytes of data behind the header.",
        )
        .default("28"),
        Field::new(
            "dontFragment",
            Kind::Bool,
            "true",
            "Nobody on the way may divide it.",
        )
        .default("false"),
        Field::new(
            "ttl",
            Kind::Integer { min: 1, max: 255 },
            "4",
            "Hops at most.",
        )
        .default("64"),
    ],
    reserved: &[],
};
