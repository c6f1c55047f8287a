//! From a name to the one address that is asked, by blackbox_exporter's rules: the preferred IP
//! protocol if the name has it, the other one if that is allowed.

use std::net::IpAddr;
use std::time::Instant;

use kai_contract::agent_config::IpProtocol;
use tokio::sync::Semaphore;

use super::report::Report;

/// Lookups of names at once. The system's resolver blocks a thread for as long as it likes, and the
/// threads are few; lookups that hang must not take those that other parts need.
static LOOKUPS: Semaphore = Semaphore::const_new(3);

/// What a name is resolved to, and the seconds that it took.
pub struct Resolved {
    pub ip: IpAddr,
    pub seconds: f64,
}

/// Chooses the address; `Err` holds the seconds, and the report says why there is none.
pub async fn choose(
    report: &mut Report,
    host: &str,
    preferred: IpProtocol,
    fallback: bool,
) -> Result<Resolved, f64> {
    gauges(report, 0.0, None);
    let word = match preferred {
        IpProtocol::Ip4 => "ip4",
        IpProtocol::Ip6 => "ip6",
    };
    report.note(format!(
        "looking up {host}, {word} preferred{}",
        if fallback { "" } else { " and nothing else" }
    ));
    let started = Instant::now();
    let found = lookup(host).await;
    let seconds = started.elapsed().as_secs_f64();
    gauges(report, seconds, None);
    let addresses = match found {
        Ok(addresses) => addresses,
        Err(why) => {
            report.fail(format!("cannot resolve {host}: {why}"));
            return Err(seconds);
        }
    };
    let wanted = |ip: &&IpAddr| ip.is_ipv6() == (preferred == IpProtocol::Ip6);
    let chosen = match addresses.iter().find(wanted) {
        Some(ip) => Some(ip),
        None if fallback => addresses.last(),
        None => None,
    };
    let Some(ip) = chosen.copied() else {
        report.fail(format!(
            "{host} has no {word} address; ipProtocolFallback would allow the other kind"
        ));
        return Err(seconds);
    };
    report.note(format!("{host} is {ip}"));
    gauges(report, seconds, Some(ip));
    Ok(Resolved { ip, seconds })
}

fn gauges(report: &mut Report, seconds: f64, ip: Option<IpAddr>) {
    report.set(
        "probe_dns_lookup_time_seconds",
        "Returns the time taken for probe dns lookup in seconds",
        seconds,
    );
    let (protocol, hash) = match ip {
        None => (0.0, 0.0),
        Some(ip) => (if ip.is_ipv4() { 4.0 } else { 6.0 }, hash(ip)),
    };
    report.set(
        "probe_ip_protocol",
        "Specifies whether probe ip protocol is IP4 or IP6",
        protocol,
    );
    report.set(
        "probe_ip_addr_hash",
        "Specifies the hash of IP address. It's useful to detect if the IP address changes.",
        hash,
    );
}

/// All addresses of a name, in the system's order; of an address, itself.
pub async fn lookup(host: &str) -> Result<Vec<IpAddr>, String> {
    if let Ok(ip) = host.parse() {
        return Ok(vec![ip]);
    }
    if host.is_empty() {
        return Err("the name is empty".to_owned());
    }
    let name = host.to_owned();
    // A task of its own holds the place until the system's resolver has ended, even if nobody
    // waits for it any longer.
    let task = tokio::spawn(async move {
        let _place = LOOKUPS.acquire().await;
        let found = tokio::net::lookup_host((name, 0)).await;
        found.map(|addresses| addresses.map(|address| address.ip()).collect::<Vec<_>>())
    });
    match task.await {
        Ok(Ok(addresses)) if addresses.is_empty() => Err("the name has no address".to_owned()),
        Ok(Ok(addresses)) => Ok(addresses),
        Ok(Err(error)) => Err(error.to_string()),
        Err(error) => Err(error.to_string()),
    }
}

/// FNV-1a of the address's bytes, as blackbox_exporter has it.
fn hash(ip: IpAddr) -> f64 {
    let fnv = |bytes: &[u8]| {
        bytes.iter().fold(0x811c_9dc5_u32, |hash, byte| {
            (hash ^ u32::from(*byte)).wrapping_mul(0x0100_0193)
        })
    };
    f64::from(match ip {
        IpAddr::V4(ip) => fnv(&ip.octets()),
        IpAddr::V6(ip) => match ip.to_ipv4_mapped() {
            Some(ip) => fnv(&ip.octets()),
            None => fnv(&ip.octets()),
        },
    })
}

/// `host:port`, `[v6]:port`; the host without brackets.
pub fn split(address: &str) -> Option<(&str, u16)> {
    let (host, port) = address.rsplit_once(':')?;
    let bare = host
        .strip_prefix('[')
        .and_then(|host| host.strip_suffix(']'));
    if bare.is_none() && host.contains(':') {
        return None;
    }
    Some((bare.unwrap_or(host), port.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_are_blackbox_exporters() {
        // By Go's hash/fnv, as blackbox_exporter calls it.
        assert_eq!(hash("127.0.0.1".parse().unwrap()).to_string(), "3668918509");
        assert_eq!(hash("::1".parse().unwrap()).to_string(), "1751717746");
    }

    #[test]
    fn addresses_are_split() {
        assert_eq!(split("h:1"), Some(("h", 1)));
        assert_eq!(split("[::1]:53"), Some(("::1", 53)));
        assert_eq!(split("::1"), None);
        assert_eq!(split("h"), None);
        assert_eq!(split("h:x"), None);
    }
}
