//! `node_systemd_*`: units as systemd tells them on the system's bus.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;

use regex::bytes::Regex;

use super::{CollectError, Collector};
use crate::dbus::{Connection, Property, Refused, Service, wire::Value};
use crate::exposition::{Kind, Page};
use crate::node::{Node, Tree};
use crate::settings::Settings;

const SERVICE: Service<'_> = Service {
    name: "org.freedesktop.systemd1",
    path: "/org/freedesktop/systemd1",
};

const MANAGER: &str = "org.freedesktop.systemd1.Manager";

/// systemd's own socket, for root, where there is no bus.
const PRIVATE: &str = "run/systemd/private";

const STATES: [&str; 5] = ["active", "activating", "deactivating", "inactive", "failed"];

/// Before this version systemd tells neither the system's state nor when a timer last ran.
const SYSTEM_STATE: f64 = 212.0;

pub struct Systemd {
    settings: Settled,
}

/// What of the settings is this collector's.
struct Settled {
    include: Option<Arc<Regex>>,
    exclude: Option<Arc<Regex>>,
    tasks: bool,
    restarts: bool,
    start_times: bool,
}

/// A unit that is shown.
struct Unit {
    name: String,
    state: String,
    path: String,
}

impl Unit {
    fn is(&self, kind: &str) -> bool {
        self.name
            .rsplit_once('.')
            .is_some_and(|(_, suffix)| suffix == kind)
    }
}

/// What is asked of each unit of a kind, and the family that shows it.
struct Asked {
    kind: &'static str,
    interface: &'static str,
    property: &'static str,
    family: &'static str,
    help: &'static str,
    shown_as: Kind,
    /// What the figure is divided by.
    unit: f64,
}

const fn asked(
    kind: &'static str,
    interface: &'static str,
    property: &'static str,
    family: &'static str,
    help: &'static str,
    shown_as: Kind,
) -> Asked {
    Asked {
        kind,
        interface,
        property,
        family,
        help,
        shown_as,
        unit: 1.0,
    }
}

const SOCKET: &str = "org.freedesktop.systemd1.Socket";
const TIMER: &str = "org.freedesktop.systemd1.Timer";
const UNIT_SERVICE: &str = "org.freedesktop.systemd1.Service";
const MOUNT: &str = "org.freedesktop.systemd1.Mount";
const UNIT: &str = "org.freedesktop.systemd1.Unit";

/// The order is node_exporter's: a socket that does not tell one of these is not asked for the next.
const SOCKETS: [Asked; 3] = [
    asked(
        "socket",
        SOCKET,
        "NAccepted",
        "node_systemd_socket_accepted_connections_total",
        "Total number of accepted socket connections",
        Kind::Counter,
    ),
    asked(
        "socket",
        SOCKET,
        "NConnections",
        "node_systemd_socket_current_connections",
        "Current number of socket connections",
        Kind::Gauge,
    ),
    asked(
        "socket",
        SOCKET,
        "NRefused",
        "node_systemd_socket_refused_connections_total",
        "Total number of refused socket connections",
        Kind::Gauge,
    ),
];

const TASKS: [Asked; 2] = [
    asked(
        "service",
        UNIT_SERVICE,
        "TasksCurrent",
        "node_systemd_unit_tasks_current",
        "Current number of tasks per Systemd unit",
        Kind::Gauge,
    ),
    asked(
        "service",
        UNIT_SERVICE,
        "TasksMax",
        "node_systemd_unit_tasks_max",
        "Maximum number of tasks per Systemd unit",
        Kind::Gauge,
    ),
];

const RESTARTS: Asked = asked(
    "service",
    UNIT_SERVICE,
    "NRestarts",
    "node_systemd_service_restart_total",
    "Service unit count of Restart triggers",
    Kind::Counter,
);

const TIMERS: Asked = Asked {
    unit: 1e6,
    ..asked(
        "timer",
        TIMER,
        "LastTriggerUSec",
        "node_systemd_timer_last_trigger_seconds",
        "Seconds since epoch of last trigger.",
        Kind::Gauge,
    )
};

impl Systemd {
    pub fn new(settings: &Settings) -> Self {
        Self {
            settings: Settled {
                include: settings.systemd_units.include.clone(),
                exclude: settings.systemd_units.exclude.clone(),
                tasks: settings.systemd_task_metrics,
                restarts: settings.systemd_restarts_metrics,
                start_times: settings.systemd_start_time_metrics,
            },
        }
    }

    fn shows(&self, name: &str) -> bool {
        let matches = |pattern: &Option<Arc<Regex>>| {
            pattern
                .as_ref()
                .is_some_and(|pattern| pattern.is_match(name.as_bytes()))
        };
        matches(&self.settings.include) && !matches(&self.settings.exclude)
    }
}

impl Collector for Systemd {
    fn collect(&mut self, node: &dyn Node, page: &mut Page) -> Result<(), CollectError> {
        let mut systemd = connect(node)?;
        let version = manager(&mut systemd, "Version")?;
        let (number, version) = version_number(version.as_deref().unwrap_or_default());
        page.family(
            "node_systemd_version",
            "Detected systemd version",
            Kind::Gauge,
        )
        .sample(&[("version", version.as_bytes())], number);
        let virtualization = match manager(&mut systemd, "Virtualization")? {
            None => "unknown".to_owned(),
            // Nothing said means no virtual machine.
            Some(text) if text.is_empty() => "none".to_owned(),
            Some(text) => text,
        };
        page.family(
            "node_systemd_virtualization_info",
            "Detected virtualization technology",
            Kind::Gauge,
        )
        .sample(&[("virtualization_type", virtualization.as_bytes())], 1.0);
        let units = self.units(&mut systemd, page)?;
        states(&mut systemd, &units, page)?;
        if self.settings.restarts {
            figures(&mut systemd, &units, &RESTARTS, page, |_| true)?;
        }
        if self.settings.start_times {
            start_times(&mut systemd, &units, page)?;
        }
        if self.settings.tasks {
            for asked in &TASKS {
                // The largest number stands for "not known" and for "no limit".
                figures(&mut systemd, &units, asked, page, |value| value != u64::MAX)?;
            }
        }
        sockets(&mut systemd, &units, page)?;
        if number < SYSTEM_STATE {
            return Ok(());
        }
        figures(&mut systemd, &units, &TIMERS, page, |_| true)?;
        let state = manager(&mut systemd, "SystemState")?.ok_or_else(|| {
            CollectError::Part(Box::new(CollectError::Ask {
                what: "systemd's state of the system",
                source: io::Error::other("systemd answers with an error"),
            }))
        })?;
        page.single(
            "node_systemd_system_running",
            "Whether the system is operational (see 'systemctl is-system-running')",
            Kind::Gauge,
            f64::from(u8::from(state == "running")),
        );
        Ok(())
    }
}

impl Systemd {
    /// Counts all units by their state and gives those that are shown.
    fn units(&self, systemd: &mut Connection, page: &mut Page) -> Result<Vec<Unit>, CollectError> {
        let mut summary: BTreeMap<String, f64> = STATES.map(|state| (state.to_owned(), 0.0)).into();
        let mut units = Vec::new();
        systemd
            .call(SERVICE, MANAGER, "ListUnits", |message| {
                message.rows("a(ssssssouso)", |row| {
                    let text = |at: usize| row[at].text().unwrap_or_default();
                    *summary.entry(text(3).to_owned()).or_default() += 1.0;
                    if text(2) == "loaded" && self.shows(text(0)) {
                        units.push(Unit {
                            name: text(0).to_owned(),
                            state: text(3).to_owned(),
                            path: text(6).to_owned(),
                        });
                    }
                })
            })
            .map_err(|refused| ask("systemd for its units", refused))?;
        let mut family = page.family(
            "node_systemd_units",
            "Summary of systemd unit states",
            Kind::Gauge,
        );
        for (state, count) in &summary {
            family.sample(&[("state", state.as_bytes())], *count);
        }
        Ok(units)
    }
}

/// By the bus; root may ask systemd itself where there is none.
fn connect(node: &dyn Node) -> Result<Connection, CollectError> {
    let bus = super::logind::bus(node)?;
    let source = match Connection::bus(&bus) {
        Ok(connection) => return Ok(connection),
        Err(error) => error,
    };
    if rustix::process::geteuid().is_root()
        && let Ok(connection) = Connection::private(&node.path(Tree::Root, PRIVATE))
    {
        return Ok(connection);
    }
    Err(CollectError::Read { path: bus, source })
}

fn ask(what: &'static str, refused: Refused) -> CollectError {
    let source = match refused {
        Refused::Bus(error) => error,
        Refused::Answer(name) => io::Error::other(name),
    };
    CollectError::Ask { what, source }
}

fn lost(source: io::Error) -> CollectError {
    CollectError::Ask {
        what: "systemd",
        source,
    }
}

fn manager(systemd: &mut Connection, name: &'static str) -> Result<Option<String>, CollectError> {
    let property = Property {
        path: SERVICE.path,
        interface: MANAGER,
        name,
    };
    systemd
        .property(SERVICE, property, |value| value.text().map(str::to_owned))
        .map_err(lost)
}

/// The first number of three digits or more, as in `252.39-1~deb12u1` or `v219`.
fn version_number(version: &str) -> (f64, &str) {
    let bytes = version.as_bytes();
    let digits = |from: usize| {
        bytes[from..]
            .iter()
            .take_while(|byte| byte.is_ascii_digit())
            .count()
    };
    let mut at = 0;
    while at < bytes.len() {
        let whole = digits(at);
        if whole >= 3 {
            let mut end = at + whole;
            if bytes.get(end) == Some(&b'.') && digits(end + 1) > 0 {
                end += 1 + digits(end + 1);
            }
            if let Some(number) = version.get(at..end).and_then(|text| text.parse().ok()) {
                return (number, version);
            }
        }
        at += whole.max(1);
    }
    (0.0, "")
}

/// The states, with the type that services and mounts have.
fn states(systemd: &mut Connection, units: &[Unit], page: &mut Page) -> Result<(), CollectError> {
    let mut types = vec![String::new(); units.len()];
    let (mut places, mut questions) = (Vec::new(), Vec::new());
    for (place, unit) in units.iter().enumerate() {
        let interface = match () {
            () if unit.is("service") => UNIT_SERVICE,
            () if unit.is("mount") => MOUNT,
            () => continue,
        };
        places.push(place);
        questions.push(Property {
            path: &unit.path,
            interface,
            name: "Type",
        });
    }
    systemd
        .properties(SERVICE, &questions, |at, value| {
            if let Some(text) = value.and_then(Value::text) {
                text.clone_into(&mut types[places[at]]);
            }
        })
        .map_err(lost)?;
    let mut family = page.family("node_systemd_unit_state", "Systemd unit", Kind::Gauge);
    for (unit, kind) in units.iter().zip(&types) {
        for state in STATES {
            family.sample(
                &[
                    ("name", unit.name.as_bytes()),
                    ("state", state.as_bytes()),
                    ("type", kind.as_bytes()),
                ],
                f64::from(u8::from(unit.state == state)),
            );
        }
    }
    Ok(())
}

/// One family of one property of the units of a kind; what a unit does not tell is left out.
fn figures(
    systemd: &mut Connection,
    units: &[Unit],
    asked: &Asked,
    page: &mut Page,
    is_shown: impl Fn(u64) -> bool,
) -> Result<(), CollectError> {
    let units: Vec<&Unit> = units.iter().filter(|unit| unit.is(asked.kind)).collect();
    told(systemd, &units, asked, page, is_shown).map(drop)
}

/// The same of these units; those that told it are given back.
fn told<'a>(
    systemd: &mut Connection,
    units: &[&'a Unit],
    asked: &Asked,
    page: &mut Page,
    is_shown: impl Fn(u64) -> bool,
) -> Result<Vec<&'a Unit>, CollectError> {
    let questions: Vec<Property<'_>> = units
        .iter()
        .map(|unit| Property {
            path: &unit.path,
            interface: asked.interface,
            name: asked.property,
        })
        .collect();
    let mut told = Vec::new();
    let mut family = page.family(asked.family, asked.help, asked.shown_as);
    systemd
        .properties(SERVICE, &questions, |at, value| {
            if let Some(value) = value.and_then(Value::number) {
                told.push(units[at]);
                if is_shown(value) {
                    let labels = [("name", units[at].name.as_bytes())];
                    family.sample(&labels, value as f64 / asked.unit);
                }
            }
        })
        .map_err(lost)?;
    Ok(told)
}

fn sockets(systemd: &mut Connection, units: &[Unit], page: &mut Page) -> Result<(), CollectError> {
    let mut units: Vec<&Unit> = units.iter().filter(|unit| unit.is("socket")).collect();
    for asked in &SOCKETS {
        units = told(systemd, &units, asked, page, |_| true)?;
    }
    Ok(())
}

/// 0 for a unit that is not active.
fn start_times(
    systemd: &mut Connection,
    units: &[Unit],
    page: &mut Page,
) -> Result<(), CollectError> {
    let active: Vec<&Unit> = units.iter().filter(|unit| unit.state == "active").collect();
    let questions: Vec<Property<'_>> = active
        .iter()
        .map(|unit| Property {
            path: &unit.path,
            interface: UNIT,
            name: "ActiveEnterTimestamp",
        })
        .collect();
    let mut family = page.family(
        "node_systemd_unit_start_time_seconds",
        "Start time of the unit since unix epoch in seconds.",
        Kind::Gauge,
    );
    for unit in units.iter().filter(|unit| unit.state != "active") {
        family.sample(&[("name", unit.name.as_bytes())], 0.0);
    }
    systemd
        .properties(SERVICE, &questions, |at, value| {
            if let Some(value) = value.and_then(Value::number) {
                family.sample(&[("name", active[at].name.as_bytes())], value as f64 / 1e6);
            }
        })
        .map_err(lost)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_is_its_first_number_of_three_digits() {
        for (text, number) in [
            ("252.39-1~deb12u1", 252.39),
            ("219", 219.0),
            ("v257.9-2.fc42", 257.9),
            ("systemd 12 249.11-0ubuntu3", 249.11),
            ("255.", 255.0),
        ] {
            assert_eq!(version_number(text), (number, text));
        }
        assert_eq!(version_number("44"), (0.0, ""));
        assert_eq!(version_number(""), (0.0, ""));
    }
}
