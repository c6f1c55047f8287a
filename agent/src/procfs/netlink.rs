//! The kernel's answer to `RTM_GETLINK` (rtnetlink(7), `include/uapi/linux/if_link.h`): one message
//! per network device, its statistics as an attribute.

use super::net_dev::Device;
use super::text::ParseError;

const MESSAGE_HEADER: usize = 16;
const LINK_HEADER: usize = 16;
const ATTRIBUTE_HEADER: usize = 4;

const NLMSG_ERROR: u16 = 2;
const NLMSG_DONE: u16 = 3;
const RTM_NEWLINK: u16 = 16;
/// The list changed while the kernel wrote it; ask again.
const NLM_F_DUMP_INTR: u16 = 0x10;

const IFLA_IFNAME: u16 = 3;
const IFLA_STATS: u16 = 7;
const IFLA_STATS64: u16 = 23;
/// Upper bits of an attribute's type are flags.
const TYPE_MASK: u16 = 0x3fff;

/// How far the answer has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    /// More datagrams follow.
    More,
    /// The list is complete.
    Done,
    /// The list is inconsistent; ask again.
    Interrupted,
    /// The kernel refused, with this errno.
    Refused(i32),
}

/// The request for all devices.
pub fn request(sequence: u32) -> [u8; MESSAGE_HEADER + LINK_HEADER] {
    const RTM_GETLINK: u16 = 18;
    const NLM_F_REQUEST: u16 = 1;
    const NLM_F_DUMP: u16 = 0x300;
    const LENGTH: usize = MESSAGE_HEADER + LINK_HEADER;
    let mut message = [0; LENGTH];
    message[0..4].copy_from_slice(&(LENGTH as u32).to_ne_bytes());
    message[4..6].copy_from_slice(&RTM_GETLINK.to_ne_bytes());
    message[6..8].copy_from_slice(&(NLM_F_REQUEST | NLM_F_DUMP).to_ne_bytes());
    message[8..12].copy_from_slice(&sequence.to_ne_bytes());
    message
}

/// Reads one datagram of the answer, adding its devices to `into`.
pub fn parse(mut data: &[u8], into: &mut Vec<Device>) -> Result<Progress, ParseError> {
    while !data.is_empty() {
        let length = u32_at(data, 0).unwrap_or(0) as usize;
        if length < MESSAGE_HEADER || length > data.len() {
            return Err(ParseError::new(
                0,
                format!("netlink message of {length} bytes in {}", data.len()),
            ));
        }
        let (message, rest) = data.split_at(length);
        data = rest.get(align(length) - length..).unwrap_or_default();
        if u16_at(message, 6).unwrap_or(0) & NLM_F_DUMP_INTR != 0 {
            return Ok(Progress::Interrupted);
        }
        match u16_at(message, 4) {
            Some(NLMSG_DONE) => return Ok(Progress::Done),
            Some(NLMSG_ERROR) => {
                let errno = u32_at(message, MESSAGE_HEADER).unwrap_or(0) as i32;
                return Ok(Progress::Refused(errno.saturating_neg()));
            }
            Some(RTM_NEWLINK) => into.extend(link(message)),
            _ => {}
        }
    }
    Ok(Progress::More)
}

/// One device, `None` if it has no name or no statistics.
fn link(message: &[u8]) -> Option<Device> {
    let mut attributes = message.get(MESSAGE_HEADER + LINK_HEADER..)?;
    let (mut name, mut stats, mut stats64) = (None, None, None);
    while let Some(length) = u16_at(attributes, 0).map(usize::from) {
        let kind = u16_at(attributes, 2)? & TYPE_MASK;
        let value = attributes.get(ATTRIBUTE_HEADER..length)?;
        match kind {
            IFLA_IFNAME => name = Some(value.split(|byte| *byte == 0).next().unwrap_or_default()),
            IFLA_STATS => stats = Some(value),
            IFLA_STATS64 => stats64 = Some(value),
            _ => {}
        }
        attributes = attributes.get(align(length)..).unwrap_or_default();
    }
    let at = |index: usize| -> u64 {
        match (stats64, stats) {
            (Some(wide), _) => u64_at(wide, index * 8).unwrap_or(0),
            (None, Some(narrow)) => u32_at(narrow, index * 4).map_or(0, u64::from),
            (None, None) => 0,
        }
    };
    stats64.or(stats)?;
    // Indices into rtnl_link_stats64; the sums are those of /proc/net/dev
    // (dev_seq_printf_stats in net/core/net-procfs.c).
    let sum = |indices: &[usize]| {
        indices
            .iter()
            .fold(0_u64, |sum, i| sum.wrapping_add(at(*i)))
    };
    Some(Device {
        name: String::from_utf8_lossy(name?).into_owned(),
        receive_packets: at(0),
        transmit_packets: at(1),
        receive_bytes: at(2),
        transmit_bytes: at(3),
        receive_errs: at(4),
        transmit_errs: at(5),
        receive_drop: sum(&[6, 15]),
        transmit_drop: at(7),
        receive_multicast: at(8),
        transmit_colls: at(9),
        receive_frame: sum(&[13, 10, 11, 12]),
        receive_fifo: at(14),
        transmit_carrier: sum(&[17, 16, 19, 20]),
        transmit_fifo: at(18),
        receive_compressed: at(21),
        transmit_compressed: at(22),
        receive_nohandler: Some(at(23)),
    })
}

fn align(length: usize) -> usize {
    length.next_multiple_of(4)
}

fn u16_at(data: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_ne_bytes(data.get(at..at + 2)?.try_into().ok()?))
}

fn u32_at(data: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_ne_bytes(data.get(at..at + 4)?.try_into().ok()?))
}

fn u64_at(data: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_ne_bytes(data.get(at..at + 8)?.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn attribute(kind: u16, value: &[u8]) -> Vec<u8> {
        let mut out = ((value.len() + 4) as u16).to_ne_bytes().to_vec();
        out.extend(kind.to_ne_bytes());
        out.extend(value);
        out.resize(align(out.len()), 0);
        out
    }

    fn message(kind: u16, flags: u16, body: &[u8]) -> Vec<u8> {
        let mut out = ((body.len() + MESSAGE_HEADER) as u32)
            .to_ne_bytes()
            .to_vec();
        out.extend(kind.to_ne_bytes());
        out.extend(flags.to_ne_bytes());
        out.extend([0; 8]);
        out.extend(body);
        out
    }

    fn device(name: &str, stats: &[u8], kind: u16) -> Vec<u8> {
        let mut body = vec![0; LINK_HEADER];
        body.extend(attribute(IFLA_IFNAME, format!("{name}\0").as_bytes()));
        body.extend(attribute(kind, stats));
        message(RTM_NEWLINK, 0, &body)
    }

    #[test]
    fn sums_as_proc_net_dev_does() {
        let wide: Vec<u8> = (1..=25_u64).flat_map(u64::to_ne_bytes).collect();
        let narrow: Vec<u8> = (1..=24_u32).flat_map(u32::to_ne_bytes).collect();
        let mut data = device("eth0", &wide, IFLA_STATS64);
        data.extend(device("old", &narrow, IFLA_STATS));
        data.extend(message(NLMSG_DONE, 0, &[0; 4]));
        let mut found = Vec::new();
        assert_eq!(parse(&data, &mut found), Ok(Progress::Done));
        for (device, name) in found.iter().zip(["eth0", "old"]) {
            assert_eq!(device.name, name);
            assert_eq!((device.receive_bytes, device.transmit_packets), (3, 2));
            assert_eq!(device.receive_drop, 7 + 16);
            assert_eq!(device.receive_frame, 14 + 11 + 12 + 13);
            assert_eq!(device.transmit_carrier, 18 + 17 + 20 + 21);
            assert_eq!(device.receive_nohandler, Some(24));
        }
        assert_eq!(found.len(), 2);
    }

    #[test]
    fn refusal_and_interruption_are_told() {
        let error = message(NLMSG_ERROR, 0, &(-1_i32).to_ne_bytes());
        assert_eq!(parse(&error, &mut Vec::new()), Ok(Progress::Refused(1)));
        let changed = message(RTM_NEWLINK, NLM_F_DUMP_INTR, &[]);
        assert_eq!(parse(&changed, &mut Vec::new()), Ok(Progress::Interrupted));
        assert!(parse(&[1, 2, 3], &mut Vec::new()).is_err());
    }

    proptest! {
        #[test]
        fn never_panics(data in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = parse(&data, &mut Vec::new());
            let _ = parse(&message(RTM_NEWLINK, 0, &data), &mut Vec::new());
        }
    }
}
