//! Datagrams: one message each. Nobody waits for an answer and nobody sends again, so what finds no
//! room is dropped, and the kernel's drops are counted as well.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::UdpSocket;
use tokio::sync::watch;

use super::frame::Frame;
use super::sockets::Sockets;
use super::{AGAIN, Arriving, Taker, kernel_drops, origin};
use crate::shutdown::ended;

/// The largest datagram.
const LARGEST: usize = 64 << 10;
/// Datagrams and bytes that are put into the queue together.
const TOGETHER: usize = 512;
const ENOUGH: usize = 256 << 10;

/// The kernel's drops are looked up this often.
const LOOK: Duration = Duration::from_secs(1);

pub async fn serve(
    taker: Arc<Taker>,
    address: String,
    sockets: Arc<Sockets>,
    mut stop: watch::Receiver<bool>,
) {
    let mut said = false;
    let socket = loop {
        let opened = sockets.udp(&address, taker.config.receive_buffer_bytes);
        match opened.and_then(UdpSocket::from_std) {
            Ok(socket) => break socket,
            Err(error) => super::tcp::cannot_listen(&taker, &address, &error, &mut said),
        }
        tokio::select! {
            () = tokio::time::sleep(AGAIN) => {}
            () = ended(&mut stop) => return,
        }
    };
    if let Ok(bound) = socket.local_addr() {
        tracing::info!(source = %taker.name, syslog_udp = %bound, "taking syslog messages");
    }
    let mut room = vec![0; LARGEST];
    let mut arriving = Arriving::default();
    let mut peers = Peers::default();
    let mut look = tokio::time::interval(LOOK);
    let mut drops = kernel_drops::of(&socket).unwrap_or_default();
    loop {
        tokio::select! {
            readable = socket.readable() => {
                if readable.is_err() {
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
                take(&taker, &socket, &mut room, &mut arriving, &mut peers);
            }
            _ = look.tick() => {
                let now = kernel_drops::of(&socket).unwrap_or(drops);
                taker.meters().kernel_dropped(&taker.name, now.saturating_sub(drops));
                drops = now.max(drops);
            }
            () = ended(&mut stop) => break,
        }
    }
    // What has arrived by now.
    while take(&taker, &socket, &mut room, &mut arriving, &mut peers) {}
    let now = kernel_drops::of(&socket).unwrap_or(drops);
    taker
        .meters()
        .kernel_dropped(&taker.name, now.saturating_sub(drops));
}

/// Takes what is there; whether there was anything.
fn take(
    taker: &Taker,
    socket: &UdpSocket,
    room: &mut [u8],
    arriving: &mut Arriving,
    peers: &mut Peers,
) -> bool {
    let mut any = false;
    for _ in 0..TOGETHER {
        let Ok((length, peer)) = socket.try_recv_from(room) else {
            break;
        };
        any = true;
        let message = Frame {
            text: &room[..length],
            cut: false,
        };
        taker.shape(message, peers.origin(peer), arriving);
        if arriving.bytes() >= ENOUGH {
            break;
        }
    }
    if let Err(refused) = taker.commit(arriving) {
        taker.give_up(arriving, refused.reason());
    }
    any
}

/// The last sender's members: most messages in a row are from one.
#[derive(Default)]
struct Peers {
    last: Option<(SocketAddr, Vec<u8>)>,
}

impl Peers {
    fn origin(&mut self, peer: SocketAddr) -> &[u8] {
        if self.last.as_ref().is_none_or(|(known, _)| *known != peer) {
            self.last = Some((peer, origin(peer)));
        }
        self.last.as_ref().map_or(&[], |(_, members)| members)
    }
}
