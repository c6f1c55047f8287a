//! The ICMP probe: one echo request. An unprivileged datagram socket (`net.ipv4.ping_group_range`)
//! if the machine grants one, else a raw one, which needs CAP_NET_RAW.

use std::io::{self, IoSlice, IoSliceMut};
use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsRawFd, OwnedFd};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::Instant;

use kai_contract::agent_config::IcmpProbe;
use nix::sys::socket::{
    AddressFamily, ControlMessageOwned, MsgFlags, SockFlag, SockProtocol, SockType,
    SockaddrStorage, bind, recvmsg, sendmsg, setsockopt, socket, sockopt,
};
use rustix::net::sockopt::{
    Ipv4PathMtuDiscovery, Ipv6PathMtuDiscovery, set_ip_mtu_discover, set_ip_ttl,
    set_ipv6_mtu_discover, set_ipv6_unicast_hops,
};
use tokio::io::unix::AsyncFd;

use super::report::Report;
use super::resolve;

const PHASES: &str = "probe_icmp_duration_seconds";
const HELP: &str = "Duration of icmp request by phase";

/// What a packet begins with; blackbox_exporter's own words, which firewalls may know.
const WORDS: &[u8] = b"Prometheus Blackbox Exporter";

static SEQUENCE: OnceLock<AtomicU16> = OnceLock::new();

pub(super) async fn probe(config: &IcmpProbe, report: &mut Report) -> bool {
    for phase in ["resolve", "setup", "rtt"] {
        report.add_phase(PHASES, HELP, phase, 0.0);
    }
    let resolved = resolve::choose(
        report,
        &config.host,
        config.preferred_ip_protocol,
        config.ip_protocol_fallback,
    )
    .await;
    let Ok(resolved) = resolved else {
        return false;
    };
    report.add_phase(PHASES, HELP, "resolve", resolved.seconds);
    match echo(config, report, resolved.ip).await {
        Ok(()) => true,
        Err(why) => {
            report.fail(why);
            false
        }
    }
}

async fn echo(config: &IcmpProbe, report: &mut Report, to: IpAddr) -> Result<(), String> {
    let setup = Instant::now();
    let (fd, raw) = open(to)?;
    report.note(if raw {
        "raw socket (CAP_NET_RAW)"
    } else {
        "unprivileged datagram socket"
    });
    options(&fd, config, to).map_err(|error| format!("cannot prepare the socket: {error}"))?;
    if let Some(from) = config
        .source_ip_address
        .as_ref()
        .and_then(|from| from.parse::<IpAddr>().ok())
    {
        bind(
            fd.as_raw_fd(),
            &SockaddrStorage::from(SocketAddr::new(from, 0)),
        )
        .map_err(|error| format!("cannot send from {from}: {error}"))?;
    }
    let id = rand::random::<u16>();
    let sequence = SEQUENCE
        .get_or_init(|| AtomicU16::new(rand::random()))
        .fetch_add(1, Ordering::Relaxed);
    let packet = packet(to.is_ipv6(), id, sequence, config.payload_size.into());
    #[expect(
        deprecated,
        reason = "unsound for types that may close the descriptor early; an OwnedFd does not, and \
                  the function in its place is unsafe"
    )]
    let socket = AsyncFd::new(fd).map_err(|error| format!("cannot wait for packets: {error}"))?;
    report.add_phase(PHASES, HELP, "setup", setup.elapsed().as_secs_f64());
    report.note(format!(
        "echo request {sequence} with {} bytes to {to}",
        config.payload_size
    ));
    let started = Instant::now();
    socket
        .async_io(tokio::io::Interest::WRITABLE, |fd| {
            let address = SockaddrStorage::from(SocketAddr::new(to, 0));
            let sent = sendmsg(
                fd.as_raw_fd(),
                &[IoSlice::new(&packet)],
                &[],
                MsgFlags::empty(),
                Some(&address),
            );
            sent.map_err(io::Error::from)
        })
        .await
        .map_err(|error| format!("cannot send the request to {to}: {error}"))?;
    report.note("waiting for the reply");
    let mut buffer = vec![0; 65_536];
    loop {
        let (length, hops, from) = socket
            .async_io(tokio::io::Interest::READABLE, |fd| receive(fd, &mut buffer))
            .await
            .map_err(|error| format!("cannot read a reply: {error}"))?;
        if from.is_some_and(|from| from != to) {
            continue;
        }
        // A raw IPv4 socket gives the packet with its header.
        let skip = match (raw && to.is_ipv4(), buffer.first()) {
            (true, Some(first)) => usize::from(first & 0x0f) * 4,
            _ => 0,
        };
        let reply = buffer.get(skip..length).unwrap_or_default();
        // The kernel puts its own id into the packets of datagram sockets, and sorts by it.
        if !is_reply(reply, &packet, to.is_ipv6(), raw) {
            continue;
        }
        report.add_phase(PHASES, HELP, "rtt", started.elapsed().as_secs_f64());
        if let Some(hops) = hops {
            report.set(
                "probe_icmp_reply_hop_limit",
                "Replied packet hop limit (TTL for ipv4)",
                hops.into(),
            );
        }
        report.note(format!("reply from {to}"));
        return Ok(());
    }
}

/// The socket, and whether it is a raw one.
fn open(to: IpAddr) -> Result<(OwnedFd, bool), String> {
    let (family, protocol) = if to.is_ipv6() {
        (AddressFamily::Inet6, SockProtocol::IcmpV6)
    } else {
        (AddressFamily::Inet, SockProtocol::Icmp)
    };
    let flags = SockFlag::SOCK_NONBLOCK | SockFlag::SOCK_CLOEXEC;
    let unprivileged = match socket(family, SockType::Datagram, flags, protocol) {
        Ok(fd) => return Ok((fd, false)),
        Err(error) => error,
    };
    match socket(family, SockType::Raw, flags, protocol) {
        Ok(fd) => Ok((fd, true)),
        Err(raw) => Err(format!(
            "not probed: this agent may not send ICMP (datagram socket: {unprivileged}, raw \
             socket: {raw}); add its group to net.ipv4.ping_group_range, or give it CAP_NET_RAW"
        )),
    }
}

fn options(fd: &OwnedFd, config: &IcmpProbe, to: IpAddr) -> io::Result<()> {
    if to.is_ipv6() {
        setsockopt(fd, sockopt::Ipv6RecvHopLimit, &true)?;
        set_ipv6_unicast_hops(fd, Some(config.ttl))?;
        if config.dont_fragment {
            set_ipv6_mtu_discover(fd, Ipv6PathMtuDiscovery::DO)?;
        }
    } else {
        setsockopt(fd, sockopt::Ipv4RecvTtl, &true)?;
        set_ip_ttl(fd, config.ttl.into())?;
        let mtu = if config.dont_fragment {
            Ipv4PathMtuDiscovery::DO
        } else {
            Ipv4PathMtuDiscovery::DONT
        };
        set_ip_mtu_discover(fd, mtu)?;
    }
    Ok(())
}

fn receive(fd: &OwnedFd, buffer: &mut [u8]) -> io::Result<(usize, Option<i32>, Option<IpAddr>)> {
    let mut control = nix::cmsg_space!(i32, i32);
    let mut slices = [IoSliceMut::new(buffer)];
    let message = recvmsg::<SockaddrStorage>(
        fd.as_raw_fd(),
        &mut slices,
        Some(&mut control),
        MsgFlags::empty(),
    )?;
    let mut hops = None;
    if let Ok(all) = message.cmsgs() {
        for one in all {
            match one {
                ControlMessageOwned::Ipv4Ttl(ttl) => hops = Some(ttl),
                ControlMessageOwned::Ipv6HopLimit(limit) => hops = Some(limit),
                _ => {}
            }
        }
    }
    let from = message.address.and_then(|address| {
        address
            .as_sockaddr_in()
            .map(|v4| IpAddr::V4(v4.ip()))
            .or_else(|| address.as_sockaddr_in6().map(|v6| IpAddr::V6(v6.ip())))
    });
    Ok((message.bytes, hops, from))
}

/// An echo request (RFC 792, RFC 4443).
fn packet(v6: bool, id: u16, sequence: u16, payload: usize) -> Vec<u8> {
    let mut out = vec![if v6 { 128 } else { 8 }, 0, 0, 0];
    out.extend_from_slice(&id.to_be_bytes());
    out.extend_from_slice(&sequence.to_be_bytes());
    out.extend_from_slice(&WORDS[..payload.min(WORDS.len())]);
    out.resize(8 + payload, 0);
    if !v6 {
        // Of ICMPv6 the kernel makes the sum itself: addresses are part of it.
        let sum = checksum(&out).to_be_bytes();
        out[2..4].copy_from_slice(&sum);
    }
    out
}

fn checksum(packet: &[u8]) -> u16 {
    let mut sum = 0_u32;
    for pair in packet.chunks(2) {
        let low = pair.get(1).copied().unwrap_or_default();
        sum += u32::from(u16::from_be_bytes([pair[0], low]));
    }
    while sum > 0xffff {
        sum = (sum >> 16) + (sum & 0xffff);
    }
    !(sum as u16)
}

/// Whether this is the answer to that request.
fn is_reply(reply: &[u8], request: &[u8], v6: bool, with_id: bool) -> bool {
    let kind = if v6 { 129 } else { 0 };
    reply.len() == request.len()
        && reply[..2] == [kind, 0]
        && (!with_id || reply[4..6] == request[4..6])
        && reply[6..] == request[6..]
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_request_sums_up_to_nought() {
        let request = packet(false, 0x1234, 7, 33);
        assert_eq!(request.len(), 41);
        assert_eq!(checksum(&request), 0);
        assert_eq!(&request[8..18], b"Prometheus");
    }

    proptest! {
        #[test]
        fn only_the_answer_is_one(bytes in proptest::collection::vec(any::<u8>(), 0..60), raw: bool) {
            let request = packet(false, 5, 6, 28);
            let _ = is_reply(&bytes, &request, false, raw);
            let mut reply = request.clone();
            reply[0] = 0;
            prop_assert!(is_reply(&reply, &request, false, raw));
            reply[7] ^= 1;
            prop_assert!(!is_reply(&reply, &request, false, raw));
        }
    }
}
