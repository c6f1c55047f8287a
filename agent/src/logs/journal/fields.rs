//! An entry of the journal as a JSON object under ECS names. The names are those of Filebeat's journald
//! input where ECS has none (`systemd.*`, `journald.*`), and ECS's own where Filebeat's integration copies
//! them to. A message that is an object itself (JSON, or of the source's format) keeps its members.

use crate::logs::json;
use crate::logs::{parse, time};
use jiff::tz::TimeZone;
use kai_contract::agent_config::LogFormat;
use regex::bytes::Regex;

use super::export::Entry;

/// How messages are read.
#[derive(Debug, Clone)]
pub struct Message {
    pub format: LogFormat,
    pub pattern: Option<Regex>,
    pub zone: Option<TimeZone>,
}

/// What came of a message.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Composed {
    pub repaired: bool,
    pub unparsed: bool,
    pub invalid_json: bool,
}

enum As {
    Text,
    Number,
}
use As::{Number, Text};

/// Fields with a name of their own. systemd.journal-fields(7) explains them.
const NAMES: &[(&str, &str, As)] = &[
    ("CODE_FILE", "log.origin.file.name", Text),
    ("CODE_FUNC", "log.origin.function", Text),
    ("CODE_LINE", "log.origin.file.line", Number),
    ("CONTAINER_ID_FULL", "container.id", Text),
    ("CONTAINER_NAME", "container.name", Text),
    ("CONTAINER_TAG", "container.log.tag", Text),
    ("COREDUMP_UNIT", "journald.coredump.unit", Text),
    ("COREDUMP_USER_UNIT", "journald.coredump.user_unit", Text),
    ("ERRNO", "error.code", Text),
    ("IMAGE_NAME", "container.image.name", Text),
    ("MESSAGE_ID", "event.code", Text),
    (
        "OBJECT_CMDLINE",
        "journald.object.process.command_line",
        Text,
    ),
    ("OBJECT_COMM", "journald.object.process.name", Text),
    ("OBJECT_EXE", "journald.object.process.executable", Text),
    ("OBJECT_GID", "journald.object.gid", Number),
    ("OBJECT_PID", "journald.object.pid", Number),
    ("OBJECT_SYSTEMD_UNIT", "journald.object.systemd.unit", Text),
    ("OBJECT_UID", "journald.object.uid", Number),
    ("SYSLOG_FACILITY", "log.syslog.facility.code", Number),
    ("SYSLOG_IDENTIFIER", "log.syslog.appname", Text),
    ("SYSLOG_PID", "log.syslog.procid", Text),
    ("TID", "process.thread.id", Number),
    ("UNIT", "journald.unit", Text),
    ("USER_UNIT", "journald.user_unit", Text),
    ("_AUDIT_LOGINUID", "journald.audit.login_uid", Number),
    ("_AUDIT_SESSION", "journald.audit.session", Text),
    ("_BOOT_ID", "host.boot.id", Text),
    ("_CAP_EFFECTIVE", "journald.process.capabilities", Text),
    ("_CMDLINE", "process.command_line", Text),
    ("_COMM", "process.name", Text),
    ("_EXE", "process.executable", Text),
    ("_GID", "group.id", Text),
    ("_HOSTNAME", "host.hostname", Text),
    ("_KERNEL_DEVICE", "journald.kernel.device", Text),
    ("_KERNEL_SUBSYSTEM", "journald.kernel.subsystem", Text),
    ("_MACHINE_ID", "host.id", Text),
    ("_NAMESPACE", "journald.namespace", Text),
    ("_PID", "process.pid", Number),
    ("_RUNTIME_SCOPE", "journald.runtime_scope", Text),
    ("_SELINUX_CONTEXT", "journald.selinux_context", Text),
    ("_STREAM_ID", "journald.stream_id", Text),
    ("_SYSTEMD_CGROUP", "systemd.cgroup", Text),
    ("_SYSTEMD_INVOCATION_ID", "systemd.invocation_id", Text),
    ("_SYSTEMD_OWNER_UID", "systemd.owner_uid", Number),
    ("_SYSTEMD_SESSION", "systemd.session", Text),
    ("_SYSTEMD_SLICE", "systemd.slice", Text),
    ("_SYSTEMD_UNIT", "systemd.unit", Text),
    ("_SYSTEMD_USER_SLICE", "systemd.user_slice", Text),
    ("_SYSTEMD_USER_UNIT", "systemd.user_unit", Text),
    ("_TRANSPORT", "systemd.transport", Text),
    ("_UDEV_DEVLINK", "journald.kernel.device_symlinks", Text),
    ("_UDEV_DEVNODE", "journald.kernel.device_node_path", Text),
    ("_UDEV_SYSNAME", "journald.kernel.device_name", Text),
    ("_UID", "user.id", Text),
];

/// Fields that are read otherwise, or say only where the journal is.
const OWN: [&str; 12] = [
    "MESSAGE",
    "PRIORITY",
    "SYSLOG_RAW",
    "SYSLOG_TIMESTAMP",
    "_LINE_BREAK",
    "_SOURCE_BOOTTIME_TIMESTAMP",
    "_SOURCE_MONOTONIC_TIMESTAMP",
    "_SOURCE_REALTIME_TIMESTAMP",
    "__CURSOR",
    "__MONOTONIC_TIMESTAMP",
    "__REALTIME_TIMESTAMP",
    "__SEQNUM",
];

/// Names of an object that tell a time, or a level.
const TIMES: [&[u8]; 4] = [b"@timestamp", b"timestamp", b"ts", b"time"];
const LEVELS: [&[u8]; 4] = [b"log.level", b"log", b"level", b"severity"];

/// Fields of one entry that nobody else knows, at most.
const MOST_CUSTOM: usize = 64;

/// Microseconds since 1970 of an entry: as the program said, else as journald received it.
pub fn micros(entry: &Entry) -> Option<u64> {
    let number = |name| std::str::from_utf8(entry.get(name)?).ok()?.parse().ok();
    number("_SOURCE_REALTIME_TIMESTAMP").or_else(|| number("__REALTIME_TIMESTAMP"))
}

/// Appends the object.
pub fn compose(entry: &Entry, form: &Message, out: &mut Vec<u8>) -> Composed {
    let mut composed = Composed::default();
    let message = entry.get("MESSAGE").map(|bytes| {
        let text = String::from_utf8_lossy(bytes);
        composed.repaired |= matches!(text, std::borrow::Cow::Owned(_));
        text
    });
    let micros = micros(entry);
    let millis = micros.map_or(0, |micros| (micros / 1000) as i64);
    let text = message.as_deref().unwrap_or_default().as_bytes();
    let mut parsed = Vec::new();
    let object = match form.format {
        LogFormat::Plain => false,
        LogFormat::Auto | LogFormat::Json => {
            let object = is_object(text);
            composed.invalid_json = !object
                && (form.format == LogFormat::Json
                    || text.get(json::space(text, 0)) == Some(&b'{'));
            object
        }
        LogFormat::Logfmt => parse::logfmt::object(text, &mut parsed),
        LogFormat::Access => parse::access::object(text, &mut parsed),
        LogFormat::Syslog => parse::syslog::object(text, form.zone.as_ref(), millis, &mut parsed),
        // An entry of a journal says itself who wrote it.
        LogFormat::Auth => false,
        LogFormat::Pattern => form
            .pattern
            .as_ref()
            .is_some_and(|pattern| parse::by_expression(pattern, text, &mut parsed)),
    };
    composed.unparsed = !object
        && !matches!(
            form.format,
            LogFormat::Plain | LogFormat::Auto | LogFormat::Json
        );
    let start = out.len();
    let mut names = Names::default();
    if object {
        let object = if parsed.is_empty() { text } else { &parsed };
        names.of(object);
        let end = object.iter().rposition(|byte| *byte == b'}').unwrap_or(0);
        out.extend_from_slice(&object[..end]);
    } else {
        out.push(b'{');
        if message.is_some() {
            names.text(out, start, "message", text);
        }
    }
    if let Some(micros) = micros
        && !names.any(&TIMES)
    {
        let mut written = Vec::new();
        time::write(&mut written, millis);
        if written.pop() == Some(b'Z') {
            written.extend_from_slice(format!("{:03}Z", micros % 1000).as_bytes());
            names.text(out, start, "@timestamp", &written);
        }
    }
    if let Some([digit @ b'0'..=b'7']) = entry.get("PRIORITY") {
        names.raw(out, start, "log.syslog.severity.code", &[*digit]);
        if !names.any(&LEVELS) {
            let level = parse::syslog::LEVELS[usize::from(digit - b'0')];
            names.text(out, start, "log.level", level.as_bytes());
        }
    }
    if entry.cut && !names.has(b"log.flags") {
        names.raw(out, start, "log.flags", b"[\"truncated\"]");
    }
    let mut custom = 0;
    for (name, value) in entry.fields() {
        let name = std::str::from_utf8(name).unwrap_or_default();
        if OWN.contains(&name) || name.starts_with("__") {
            continue;
        }
        let value = String::from_utf8_lossy(value);
        composed.repaired |= matches!(value, std::borrow::Cow::Owned(_));
        let value = value.as_bytes();
        if let Ok(found) = NAMES.binary_search_by(|(known, ..)| (*known).cmp(name)) {
            let (_, to, kind) = &NAMES[found];
            match kind {
                Text => names.text(out, start, to, value),
                Number if is_number(value) => names.raw(out, start, to, value),
                Number => {}
            }
        } else if custom < MOST_CUSTOM {
            custom += 1;
            let name = format!("journald.custom.{}", name.to_ascii_lowercase());
            names.text(out, start, &name, value);
        }
    }
    out.push(b'}');
    composed
}

/// Whether all of a text is a JSON object.
fn is_object(text: &[u8]) -> bool {
    let start = json::space(text, 0);
    text.get(start) == Some(&b'{')
        && json::object(text, start, |_| {}).is_some_and(|end| json::space(text, end) == text.len())
}

/// A whole number, as journald writes them and JSON may have them.
fn is_number(text: &[u8]) -> bool {
    json::is_number(text) && text.len() < 19
}

/// The names that the object has.
#[derive(Debug, Default)]
struct Names(Vec<Box<[u8]>>);

impl Names {
    fn of(&mut self, object: &[u8]) {
        json::object(object, json::space(object, 0), |member| {
            self.0.push(object[member.key].into());
        });
    }

    fn has(&self, name: &[u8]) -> bool {
        self.0.iter().any(|known| **known == *name)
    }

    fn any(&self, names: &[&[u8]]) -> bool {
        names.iter().any(|name| self.has(name))
    }

    /// Elasticsearch refuses an object that has a name twice, dotted or not.
    fn is_free(&self, name: &[u8]) -> bool {
        let below = |short: &[u8], long: &[u8]| {
            long.len() > short.len() && long.starts_with(short) && long[short.len()] == b'.'
        };
        !self
            .0
            .iter()
            .any(|known| **known == *name || below(known, name) || below(name, known))
    }

    fn text(&mut self, out: &mut Vec<u8>, start: usize, name: &str, value: &[u8]) {
        if self.add(out, start, name) {
            out.push(b'"');
            json::escape_into(out, value);
            out.push(b'"');
        }
    }

    fn raw(&mut self, out: &mut Vec<u8>, start: usize, name: &str, value: &[u8]) {
        if self.add(out, start, name) {
            out.extend_from_slice(value);
        }
    }

    fn add(&mut self, out: &mut Vec<u8>, start: usize, name: &str) -> bool {
        if !self.is_free(name.as_bytes()) {
            return false;
        }
        let inside = out[start..].trim_ascii();
        if inside != b"{" {
            out.push(b',');
        }
        out.push(b'"');
        json::escape_into(out, name.as_bytes());
        out.extend_from_slice(b"\":");
        self.0.push(name.as_bytes().into());
        true
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::super::export::Export;
    use super::*;

    fn entry(text: &str) -> Entry {
        let mut found = None;
        let mut export = Export::new(1 << 20);
        export
            .push(format!("{text}\n\n").as_bytes(), |entry| {
                found = Some(entry.clone());
                true
            })
            .unwrap();
        found.unwrap()
    }

    fn form(format: LogFormat) -> Message {
        Message {
            format,
            pattern: None,
            zone: None,
        }
    }

    fn object(text: &str, format: LogFormat) -> Value {
        let mut out = b"before".to_vec();
        compose(&entry(text), &form(format), &mut out);
        serde_json::from_slice(&out[6..]).unwrap()
    }

    #[test]
    fn the_table_is_sorted() {
        assert!(NAMES.windows(2).all(|pair| pair[0].0 < pair[1].0));
    }

    #[test]
    fn fields_go_by_their_ecs_names() {
        let found = object(
            "__CURSOR=s=1;i=2\n__REALTIME_TIMESTAMP=1764500000000009\n_SOURCE_REALTIME_TIMESTAMP=1764500000123456\n\
             PRIORITY=3\nSYSLOG_IDENTIFIER=sshd\nSYSLOG_FACILITY=10\n_SYSTEMD_UNIT=ssh.service\n_PID=77\n_UID=0\n\
             _HOSTNAME=n1\n_BOOT_ID=b\nORDER_ID=o-1\nMESSAGE=Failed password",
            LogFormat::Auto,
        );
        assert_eq!(
            found,
            json!({
                "message": "Failed password", "@timestamp": "2025-11-30T10:53:20.123456Z",
                "log.level": "error", "log.syslog.severity.code": 3, "log.syslog.appname": "sshd",
                "log.syslog.facility.code": 10, "systemd.unit": "ssh.service", "process.pid": 77,
                "user.id": "0", "host.hostname": "n1", "host.boot.id": "b",
                "journald.custom.order_id": "o-1",
            })
        );
    }

    #[test]
    fn an_object_keeps_its_members_and_no_name_comes_twice() {
        let found = object(
            "__REALTIME_TIMESTAMP=1764500000000009\nPRIORITY=6\n_PID=7\n_COMM=x\n_HOSTNAME=n1\n\
             MESSAGE={\"level\":\"error\",\"process\":{\"pid\":1},\"time\":\"t\",\"host.hostname\":\"mine\"} ",
            LogFormat::Auto,
        );
        assert_eq!(
            found,
            json!({
                "level": "error", "process": {"pid": 1}, "time": "t", "host.hostname": "mine",
                "log.syslog.severity.code": 6,
            })
        );
        let found = object(
            "PRIORITY=4\nMESSAGE=level=warn msg=\"x y\"",
            LogFormat::Logfmt,
        );
        assert_eq!(found["message"], "x y");
        assert_eq!(
            object("MESSAGE={}\n_PID=7", LogFormat::Json),
            json!({"process.pid": 7})
        );
        assert_eq!(
            object("MESSAGE={x\n_PID=a", LogFormat::Auto),
            json!({"message": "{x"})
        );
    }

    proptest! {
        #[test]
        fn whatever_an_entry_has_it_becomes_an_object(fields in proptest::collection::vec(("(MESSAGE|_PID|PRIORITY|CODE_LINE|[A-Z_]{1,5})", "[^\n]{0,20}"), 1..8), format in 0usize..6) {
            let text: Vec<String> = fields.iter().map(|(name, value)| format!("{name}={value}")).collect();
            let formats = [LogFormat::Auto, LogFormat::Json, LogFormat::Plain, LogFormat::Logfmt, LogFormat::Access, LogFormat::Syslog];
            let found = object(&text.join("\n"), formats[format]);
            prop_assert!(found.is_object());
        }
    }
}
