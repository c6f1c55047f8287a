//! `probes`: the agent's own keys, read as they are; besides them whose probe it is and how often.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use kai_contract::agent_config::{
    DnsProbe, HttpProbe, IcmpProbe, Probe as Question, ProbeTls, TcpProbe,
};

use super::plain::read;
use super::{SPARE, auth};
use crate::model::{Probe, Service};
use crate::spec::view::View;

pub(super) fn probes(
    spec: View<'_>,
    services: &BTreeMap<String, Service>,
    usual: Duration,
    fallback_team: &str,
    base_dir: &Path,
) -> BTreeMap<String, Probe> {
    let one = |(name, view): (&str, View<'_>)| {
        let service = view.text("service");
        let of_service = service.as_ref().and_then(|service| services.get(service));
        let interval = view.optional_duration("interval").unwrap_or(usual);
        let timeout = view.optional_duration("timeout");
        let probe = Probe {
            team: view
                .text("team")
                .or_else(|| of_service.map(|service| service.team.clone()))
                .unwrap_or_else(|| fallback_team.to_owned()),
            service: service.unwrap_or_else(|| name.to_owned()),
            interval,
            timeout,
            question: question(view, timeout.unwrap_or(interval.mul_f64(SPARE)), base_dir),
            auth: view
                .child("http")
                .given("auth")
                .and_then(|_| auth(view.child("http").child("auth"), base_dir)),
        };
        (name.to_owned(), probe)
    };
    spec.children("probes").into_iter().map(one).collect()
}

fn question(view: View<'_>, timeout: Duration, base_dir: &Path) -> Question {
    let mut http: Option<HttpProbe> = read(view.given("http"));
    let mut tcp: Option<TcpProbe> = read(view.given("tcp"));
    let mut dns: Option<DnsProbe> = read(view.given("dns"));
    let icmp: Option<IcmpProbe> = read(view.given("icmp"));
    if let Some(http) = &mut http {
        below(base_dir, &mut http.body_file);
    }
    let tls = [
        http.as_mut().map(|http| &mut http.tls),
        tcp.as_mut().map(|tcp| &mut tcp.tls_config),
        dns.as_mut().map(|dns| &mut dns.tls_config),
    ];
    for tls in tls.into_iter().flatten().flatten() {
        let ProbeTls {
            ca_file,
            cert_file,
            key_file,
            ..
        } = tls;
        for file in [ca_file, cert_file, key_file] {
            below(base_dir, file);
        }
    }
    Question {
        timeout_ms: Some(u64::try_from(timeout.as_millis()).unwrap_or(u64::MAX)),
        http,
        tcp,
        dns,
        icmp,
    }
}

fn below(base_dir: &Path, file: &mut Option<PathBuf>) {
    if let Some(file) = file {
        *file = base_dir.join(&*file);
    }
}
