//! What a network driver tells through the ioctl `SIOCETHTOOL`: link modes, the driver's name and its
//! own statistics, which netlink's ethtool does not have.

#![expect(unsafe_code, reason = "no safe library has this system call")]

use std::ffi::c_void;
use std::io;
use std::os::fd::{AsFd, OwnedFd};

use rustix::io::Errno;
use rustix::ioctl::{self, Opcode, Updater};
use rustix::net::{AddressFamily, SocketFlags, SocketType};

const SIOCETHTOOL: Opcode = 0x8946;

const GET_SETTINGS: u32 = 0x01;
const GET_DRIVER: u32 = 0x03;
const GET_STRINGS: u32 = 0x1b;
const GET_STATISTICS: u32 = 0x1d;

/// Names of the statistics, among all the lists of strings that a driver has.
const STATISTICS: u32 = 1;

/// Bytes of one name.
const NAME: usize = 32;

/// Most statistics that are asked for. The kernel fills in as many as the driver has at that moment,
/// whatever it was told of the buffer's size, so the buffers are always this large (untouched pages
/// of them cost nothing), and a driver that comes near is not asked.
const MOST: usize = 32_768;

/// `struct ifreq`: the device's name and where the command is.
#[repr(C)]
struct Request {
    name: [u8; 16],
    command: *mut c_void,
    rest: [u8; 16],
}

/// `struct ethtool_cmd`, of which nine words are not needed.
#[repr(C)]
#[derive(Default)]
struct Settings {
    command: u32,
    supported: u32,
    advertising: u32,
    speed: u16,
    duplex: u8,
    port: u8,
    phy_address: u8,
    transceiver: u8,
    autoneg: u8,
    mdio_support: u8,
    rest: [u32; 6],
}

/// `struct ethtool_drvinfo`
#[repr(C)]
#[derive(Default)]
struct Driver {
    command: u32,
    name: [u8; 32],
    version: [u8; 32],
    firmware: [u8; 32],
    bus: [u8; 32],
    expansion_rom: [u8; 32],
    reserved: [u8; 12],
    private_flags: u32,
    statistics: u32,
    rest: [u32; 3],
}

/// A link's modes, as bits of `enum ethtool_link_mode_bit_indices`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Link {
    pub supported: u32,
    pub advertised: u32,
    pub autonegotiates: u8,
}

/// Names and versions of a driver.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Info {
    pub driver: Vec<u8>,
    pub version: Vec<u8>,
    pub firmware: Vec<u8>,
    pub bus: Vec<u8>,
    pub expansion_rom: Vec<u8>,
}

/// A socket to ask by.
#[derive(Debug)]
pub struct Ethtool {
    socket: OwnedFd,
}

impl Ethtool {
    pub fn new() -> io::Result<Self> {
        let socket = rustix::net::socket_with(
            AddressFamily::INET,
            SocketType::DGRAM,
            SocketFlags::CLOEXEC,
            None,
        )?;
        Ok(Self { socket })
    }

    /// Which modes a device has, offers and uses.
    pub fn link(&self, device: &str) -> io::Result<Link> {
        let mut settings = Settings {
            command: GET_SETTINGS,
            ..Settings::default()
        };
        // SAFETY: the kernel reads and writes one `ethtool_cmd`, which `Settings` is in size and
        // layout.
        unsafe { ask(self.socket.as_fd(), device, (&raw mut settings).cast()) }?;
        Ok(Link {
            supported: settings.supported,
            advertised: settings.advertising,
            autonegotiates: settings.autoneg,
        })
    }

    /// Who drives a device.
    pub fn info(&self, device: &str) -> io::Result<Info> {
        let driver = self.driver(device)?;
        Ok(Info {
            driver: text(&driver.name).to_vec(),
            version: text(&driver.version).to_vec(),
            firmware: text(&driver.firmware).to_vec(),
            bus: text(&driver.bus).to_vec(),
            expansion_rom: text(&driver.expansion_rom).to_vec(),
        })
    }

    /// The driver's statistics, in its order; none if it has none.
    pub fn statistics(&self, device: &str) -> io::Result<Vec<(Vec<u8>, u64)>> {
        let count = self.driver(device)?.statistics as usize;
        if count == 0 {
            return Ok(Vec::new());
        }
        if count > MOST / 2 {
            let message = format!(
                "the driver has {count} statistics, at most {} are read",
                MOST / 2
            );
            return Err(io::Error::other(message));
        }
        // Command, list, length; then the names.
        let mut names = vec![0_u32; 3 + MOST * NAME / 4];
        names[..3].copy_from_slice(&[GET_STRINGS, STATISTICS, count as u32]);
        // SAFETY: the kernel reads three words and writes as many names as the driver has, for which
        // the buffer has room, see `MOST`.
        unsafe { ask(self.socket.as_fd(), device, names.as_mut_ptr().cast()) }?;
        // Command and length, then the values.
        let mut values = vec![0_u64; 1 + MOST];
        values[0] = header(GET_STATISTICS, count as u32);
        // SAFETY: the kernel reads two words and writes as many values as the driver has, likewise.
        unsafe { ask(self.socket.as_fd(), device, values.as_mut_ptr().cast()) }?;
        let bytes = names[3..].iter().flat_map(|word| word.to_ne_bytes());
        let bytes: Vec<u8> = bytes.take(count * NAME).collect();
        let names = bytes.chunks(NAME).map(|name| text(name).to_vec());
        Ok(names.zip(values[1..].iter().copied()).collect())
    }

    fn driver(&self, device: &str) -> io::Result<Driver> {
        let mut driver = Driver {
            command: GET_DRIVER,
            ..Driver::default()
        };
        // SAFETY: the kernel reads and writes one `ethtool_drvinfo`, which `Driver` is in size and
        // layout.
        unsafe { ask(self.socket.as_fd(), device, (&raw mut driver).cast()) }?;
        Ok(driver)
    }
}

/// Two words as they lie in memory.
fn header(command: u32, length: u32) -> u64 {
    let mut bytes = [0; 8];
    bytes[..4].copy_from_slice(&command.to_ne_bytes());
    bytes[4..].copy_from_slice(&length.to_ne_bytes());
    u64::from_ne_bytes(bytes)
}

/// Up to the zero byte, if there is one.
fn text(bytes: &[u8]) -> &[u8] {
    bytes.split(|byte| *byte == 0).next().unwrap_or_default()
}

/// # Safety
/// `command` must point to a command with room for all that the kernel answers to it.
unsafe fn ask(
    socket: std::os::fd::BorrowedFd<'_>,
    device: &str,
    command: *mut c_void,
) -> io::Result<()> {
    let mut request = Request {
        name: [0; 16],
        command,
        rest: [0; 16],
    };
    let (name, bytes) = (&mut request.name, device.as_bytes());
    // The last byte ends the name.
    if bytes.len() >= name.len() || bytes.contains(&0) {
        return Err(Errno::NODEV.into());
    }
    name[..bytes.len()].copy_from_slice(bytes);
    // SAFETY: SIOCETHTOOL reads an `ifreq`, which `Request` is in size and layout.
    let request = unsafe { Updater::<SIOCETHTOOL, Request>::new(&mut request) };
    // SAFETY: the request is of the type that the opcode takes, and what it points to is as the
    // caller vouches.
    unsafe { ioctl::ioctl(socket, request) }.map_err(io::Error::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_structures_are_the_kernels() {
        assert_eq!(size_of::<Settings>(), 44);
        assert_eq!(size_of::<Driver>(), 196);
        assert_eq!(size_of::<Request>(), 16 + size_of::<*mut c_void>() + 16);
        assert_eq!(std::mem::offset_of!(Settings, autoneg), 18);
        assert_eq!(
            std::mem::offset_of!(Driver, statistics),
            4 + 5 * 32 + 12 + 4
        );
    }

    #[test]
    fn devices_of_this_machine_answer_or_refuse() {
        let ethtool = Ethtool::new().unwrap();
        for device in std::fs::read_dir("/sys/class/net").unwrap() {
            let name = device.unwrap().file_name().into_string().unwrap();
            let refused = |error: io::Error| matches!(error.raw_os_error(), Some(95 | 1 | 19));
            assert!(ethtool.link(&name).map_or_else(refused, |_| true), "{name}");
            assert!(
                ethtool
                    .info(&name)
                    .map_or_else(refused, |info| !info.driver.is_empty()),
                "{name}"
            );
            let statistics = ethtool.statistics(&name);
            assert!(
                statistics.map_or_else(refused, |all| all
                    .iter()
                    .all(|(name, _)| name.len() <= NAME)),
                "{name}"
            );
        }
    }

    #[test]
    fn a_name_that_is_none_is_no_device() {
        let ethtool = Ethtool::new().unwrap();
        for name in ["", "sixteen-bytes-is", "nul\0", "no such device"] {
            assert_eq!(
                ethtool.info(name).unwrap_err().raw_os_error(),
                Some(19),
                "{name}"
            );
        }
    }
}
