//! Checks on where the stack runs: what a cluster needs, and what it does not have.

use super::{Subject, reported};
use crate::components::catalogue::Catalogue;
use crate::components::version::Version;
use crate::model::{Kubernetes, RunsOn};
use crate::render::kubernetes;
use crate::spec::Findings;
use crate::spec::address::Address;

fn cluster<'a>(subject: &Subject<'a>) -> Option<&'a Kubernetes> {
    match &subject.stack.runs_on {
        RunsOn::Kubernetes(cluster) => Some(cluster),
        RunsOn::Local => None,
    }
}

pub(super) fn has_what_it_needs(subject: &Subject<'_>, findings: &mut Findings) {
    let Some(cluster) = cluster(subject) else {
        return;
    };
    let image = ["kubernetes", "images", "agent"];
    if cluster.agent_image.is_empty() && !reported(findings, &image) {
        findings
            .error(
                "missing-image",
                subject.key(&image[..2]),
                "there is no image of kai-agent, and none is published",
            )
            .help(
                "build one by deploy/Containerfile, push it, and add \
                 `kubernetes: { images: { agent: \"registry.example.org/kai-agent:0.1.0\" } }`",
            );
    }
    versions_are_published(subject, cluster, findings);
    let namespace = ["kubernetes", "namespace"];
    if cluster.agent_namespace().len() > 63 && !reported(findings, &namespace) {
        let most = 63 - Kubernetes::AGENT_SUFFIX.len();
        findings
            .error(
                "name-too-long",
                subject.at(&namespace),
                format!(
                    "the agent's namespace `{}` would have more than 63 characters",
                    cluster.agent_namespace()
                ),
            )
            .help(format!("choose a namespace of at most {most} characters"));
    }
}

/// The vendor's image is named by the version: a tag that nobody published would be found out by
/// pods that do not start.
fn versions_are_published(subject: &Subject<'_>, cluster: &Kubernetes, findings: &mut Findings) {
    let systems = &subject.stack.systems;
    let prometheus = systems.prometheus.as_ref().map(|s| s.version.as_deref());
    let alertmanager = systems.alertmanager.as_ref().map(|s| s.version.as_deref());
    for (system, version, image) in [
        ("prometheus", prometheus, &cluster.prometheus_image),
        ("alertmanager", alertmanager, &cluster.alertmanager_image),
    ] {
        let path = ["systems", system, "version"];
        let Some(text) = version.flatten() else {
            continue;
        };
        if reported(findings, &path) {
            continue;
        }
        if image.is_none() && !is_release(text) {
            findings
                .error(
                    "bad-version",
                    subject.at(&path),
                    format!("there is no image of {system} {text}: its images have whole versions"),
                )
                .help("write all three numbers, as in \"3.5.0\", or name an image");
            continue;
        }
        let least = Catalogue::embedded()
            .ok()
            .and_then(|catalogue| catalogue.get(system).ok()?.minimum());
        if let (Some(least), Some(given)) = (least, Version::parse(text))
            && given < least
        {
            findings
                .error(
                    "bad-version",
                    subject.at(&path),
                    format!("{system} {text} does not read what this build renders"),
                )
                .help(format!("use {least} or a later one"));
        }
    }
}

/// `3.5.0`, `3.5.0-rc.1`.
fn is_release(text: &str) -> bool {
    let (numbers, rest) = text.split_once('-').unwrap_or((text, "rc.0"));
    let numbers: Vec<&str> = numbers.split('.').collect();
    let digits = |t: &&str| !t.is_empty() && t.bytes().all(|b| b.is_ascii_digit());
    numbers.len() == 3
        && numbers.iter().all(digits)
        && rest.strip_prefix("rc.").is_some_and(|n| digits(&n))
}

pub(super) fn asks_for_nothing_else(subject: &Subject<'_>, findings: &mut Findings) {
    if cluster(subject).is_none() {
        return;
    }
    let inbox = ["systems", "inbox", "mode"];
    if subject.stack.systems.inbox.is_some() && !reported(findings, &inbox) {
        findings
            .error(
                "not-implemented",
                subject.at(&inbox),
                "the inbox does not run in a cluster in this build",
            )
            .help("write `off`, and give every channel its real endpoint");
    }
    for (system, placement) in subject.stack.systems.placements() {
        let path = ["systems", system];
        if placement.is_managed() && !reported(findings, &[path[0], path[1], "mode"]) {
            findings
                .error(
                    "not-implemented",
                    subject.key(&path),
                    format!("`{system}` is not rendered for a cluster in this build"),
                )
                .help("say `mode: external` and where it is, or take it out");
        }
    }
    for service in subject.stack.services.values() {
        let name = service.name.as_str();
        let run = ["services", name, "run"];
        if service.run.is_some() && !reported(findings, &run) {
            findings
                .error(
                    "not-here",
                    subject.key(&run),
                    format!(
                        "service `{name}` is to be started here, but the stack runs in a cluster"
                    ),
                )
                .help("deploy it yourself, take `run` out, and give its address in the cluster");
        }
        for (key, page) in [("metrics", &service.metrics), ("health", &service.health)] {
            let path = ["services", name, key];
            let Some(address) = page.as_deref().and_then(|page| Address::parse(page).ok()) else {
                continue;
            };
            if address.is_loopback() && !reported(findings, &path) {
                findings
                    .error(
                        "not-here",
                        subject.at(&path),
                        "in a cluster a loopback address is the asking pod itself",
                    )
                    .help(format!(
                        "name its Service, as in http://{name}.kai.svc:{}{}",
                        address.port, address.path
                    ));
            }
        }
    }
}

/// What a ConfigMap may hold, all keys and values together.
const CONFIG_MAP_BYTES: usize = 1 << 20;

pub(super) fn rules_fit(subject: &Subject<'_>, findings: &mut Findings) {
    let stack = subject.stack;
    if cluster(subject).is_none() || stack.systems.prometheus.is_none() {
        return;
    }
    let place = subject.at(&["alerts", "rules"]);
    for file in &stack.alerts.files {
        if !kubernetes::is_config_key(&file.name) {
            findings
                .error(
                    "bad-file-name",
                    place,
                    format!(
                        "the rule file {:?} cannot be a key of a ConfigMap",
                        file.name
                    ),
                )
                .help("use letters, digits, `-`, `_` and `.` in its name, at most 253");
        }
    }
    let bytes = kubernetes::rules_bytes(stack);
    if bytes > CONFIG_MAP_BYTES {
        findings
            .error(
                "too-large",
                place,
                format!(
                    "all rules together have {bytes} bytes, a ConfigMap may have {CONFIG_MAP_BYTES}"
                ),
            )
            .help("split the stack, or take rules out that nobody needs");
    }
}

pub(super) fn unused_is_said(subject: &Subject<'_>, findings: &mut Findings) {
    let mut unused = |path: &[&str], why: &str| {
        if subject.tree.find(path).is_some() && !reported(findings, path) {
            findings
                .warning(
                    "unused",
                    subject.key(path),
                    format!("`{}` is not used: {why}", path.join(".")),
                )
                .help("take it out, or leave it for an environment that runs elsewhere");
        }
    };
    if cluster(subject).is_some() {
        unused(
            &["ports"],
            "in a cluster every part has an address of its own",
        );
        return;
    }
    for system in ["prometheus", "alertmanager"] {
        for key in ["replicas", "storage", "resources"] {
            unused(&["systems", system, key], "the stack runs on this machine");
        }
    }
    unused(&["agent", "resources"], "the stack runs on this machine");
}
