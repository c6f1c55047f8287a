//! The listeners' sockets, which stay open while a reload replaces what reads from them: datagrams
//! and connections that arrive meanwhile wait in the kernel.

use std::collections::HashMap;
use std::io;
use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::os::fd::AsFd;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Whether it is UDP, and the address.
type Key = (bool, String);

#[derive(Debug, Default)]
pub struct Sockets {
    udp: Mutex<HashMap<String, UdpSocket>>,
    tcp: Mutex<HashMap<String, TcpListener>>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn parsed(address: &str) -> io::Result<SocketAddr> {
    address
        .parse()
        .map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error))
}

impl Sockets {
    /// Closes all that are not wanted any more.
    pub fn keep(&self, wanted: &[Key]) {
        let is = |udp: bool, address: &String| {
            wanted
                .iter()
                .any(|(of, name)| *of == udp && name == address)
        };
        lock(&self.udp).retain(|address, _| is(true, address));
        lock(&self.tcp).retain(|address, _| is(false, address));
    }

    pub fn udp(&self, address: &str, buffer: u64) -> io::Result<UdpSocket> {
        let mut held = lock(&self.udp);
        let socket = match held.get(address) {
            Some(socket) => socket.try_clone()?,
            None => {
                let socket = UdpSocket::bind(parsed(address)?)?;
                socket.set_nonblocking(true)?;
                held.insert(address.to_owned(), socket.try_clone()?);
                socket
            }
        };
        receive_buffer(&socket, buffer, address);
        Ok(socket)
    }

    pub fn tcp(&self, address: &str) -> io::Result<TcpListener> {
        let mut held = lock(&self.tcp);
        if let Some(listener) = held.get(address) {
            return listener.try_clone();
        }
        let listener = TcpListener::bind(parsed(address)?)?;
        listener.set_nonblocking(true)?;
        held.insert(address.to_owned(), listener.try_clone()?);
        Ok(listener)
    }
}

/// Asks for room for datagrams; the kernel gives twice what it grants.
fn receive_buffer(socket: impl AsFd, wanted: u64, address: &str) {
    use rustix::net::sockopt;
    let wanted = usize::try_from(wanted).unwrap_or(usize::MAX);
    // With CAP_NET_ADMIN whatever the limit is.
    let forced = sockopt::set_socket_recv_buffer_size_force(&socket, wanted);
    if forced.is_err()
        && let Err(error) = sockopt::set_socket_recv_buffer_size(&socket, wanted)
    {
        tracing::warn!(%address, %error, "cannot set the receive buffer of a syslog listener");
        return;
    }
    if let Ok(granted) = sockopt::socket_recv_buffer_size(&socket)
        && granted / 2 < wanted
    {
        tracing::warn!(
            %address,
            wanted,
            granted = granted / 2,
            "the kernel grants a smaller receive buffer to a syslog listener: raise \
             net.core.rmem_max, or give the agent CAP_NET_ADMIN"
        );
    }
}
