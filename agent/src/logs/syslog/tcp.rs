//! Connections, with TLS or without. A connection is read from only while there is room for what it
//! brings; syslog has no answer, so what was read is in the queue before more is read, and more is
//! not promised.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;

use super::frame::Framer;
use super::sockets::Sockets;
use super::tls::Certificates;
use super::{AGAIN, Arriving, Refused, Taker, origin};
use crate::shutdown::ended;

/// One read.
const READ: usize = 32 << 10;

/// A full queue is asked again after this time.
const PAUSE: Duration = Duration::from_millis(50);

/// Time for a TLS handshake.
const HANDSHAKE: Duration = Duration::from_secs(10);

/// When the listener ends, what a connection has sent by then is taken for so long.
const DRAIN: Duration = Duration::from_secs(1);
const QUIET: Duration = Duration::from_millis(50);

/// A peer that is gone without a word is noticed after a few minutes.
const KEEPALIVE_AFTER: Duration = Duration::from_mins(2);
const KEEPALIVE_EVERY: Duration = Duration::from_secs(20);

pub async fn serve(
    taker: Arc<Taker>,
    address: String,
    tls: Option<Certificates>,
    sockets: Arc<Sockets>,
    mut stop: watch::Receiver<bool>,
) {
    let mut said = false;
    let listener = loop {
        let opened = sockets.tcp(&address).and_then(TcpListener::from_std);
        let ready = opened.and_then(|listener| match &tls {
            Some(tls) => tls.read().map(|()| listener),
            None => Ok(listener),
        });
        match ready {
            Ok(listener) => break listener,
            Err(error) => cannot_listen(&taker, &address, &error, &mut said),
        }
        tokio::select! {
            () = tokio::time::sleep(AGAIN) => {}
            () = ended(&mut stop) => return,
        }
    };
    if let Ok(bound) = listener.local_addr() {
        match &tls {
            Some(_) => {
                tracing::info!(source = %taker.name, syslog_tls = %bound, "taking syslog messages");
            }
            None => {
                tracing::info!(source = %taker.name, syslog_tcp = %bound, "taking syslog messages");
            }
        }
    }
    let tls = tls.map(Arc::new);
    let places = Arc::new(Semaphore::new(taker.config.max_connections as usize));
    let mut connections = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            Some(_) = connections.join_next() => continue,
            () = ended(&mut stop) => break,
        };
        let (stream, peer) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(source = %taker.name, %error, "cannot accept a syslog connection");
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        let Ok(place) = Arc::clone(&places).try_acquire_owned() else {
            taker.meters().refused(&taker.name, "too_many", Some(peer));
            continue; // closed
        };
        keep_alive(&stream);
        let (taker, tls, stop) = (Arc::clone(&taker), tls.clone(), stop.clone());
        connections.spawn(async move {
            taker.meters().opened(&taker.name);
            connection(&taker, stream, peer, tls.as_deref(), stop).await;
            taker.meters().closed(&taker.name);
            drop(place);
        });
    }
    drop(listener);
    while connections.join_next().await.is_some() {}
}

pub fn cannot_listen(taker: &Taker, address: &str, error: &io::Error, said: &mut bool) {
    if std::mem::replace(said, true) {
        return;
    }
    let hint = match error.kind() {
        io::ErrorKind::AddrInUse => {
            "; another process has the port: stop it or set another address"
        }
        io::ErrorKind::PermissionDenied => "; ports below 1024 need CAP_NET_BIND_SERVICE",
        _ => "",
    };
    tracing::error!(
        source = %taker.name,
        "cannot listen on {address}: {error}{hint}; it is tried again"
    );
}

fn keep_alive(stream: &TcpStream) {
    use rustix::net::sockopt;
    // Without, a dead peer's connection stays until the agent ends.
    let _ = sockopt::set_socket_keepalive(stream, true);
    let _ = sockopt::set_tcp_keepidle(stream, KEEPALIVE_AFTER);
    let _ = sockopt::set_tcp_keepintvl(stream, KEEPALIVE_EVERY);
    let _ = sockopt::set_tcp_keepcnt(stream, 6);
}

async fn connection(
    taker: &Taker,
    stream: TcpStream,
    peer: SocketAddr,
    tls: Option<&Certificates>,
    mut stop: watch::Receiver<bool>,
) {
    let Some(tls) = tls else {
        return messages(taker, stream, peer, &mut stop).await;
    };
    let Some(acceptor) = tls.acceptor() else {
        return; // read before the first connection
    };
    let handshake = tokio::time::timeout(HANDSHAKE, acceptor.accept(stream));
    let shaken = tokio::select! {
        shaken = handshake => shaken,
        () = ended(&mut stop) => return,
    };
    match shaken {
        Ok(Ok(stream)) => messages(taker, stream, peer, &mut stop).await,
        Ok(Err(error)) => {
            taker.meters().refused(&taker.name, "handshake", Some(peer));
            tracing::debug!(source = %taker.name, %peer, %error, "a TLS handshake failed");
        }
        Err(_) => taker.meters().refused(&taker.name, "handshake", Some(peer)),
    }
}

async fn messages(
    taker: &Taker,
    mut stream: impl AsyncRead + Unpin,
    peer: SocketAddr,
    stop: &mut watch::Receiver<bool>,
) {
    let origin = origin(peer);
    let mut framer = Framer::new(taker.max_line);
    let mut arriving = Arriving::default();
    let mut room = vec![0; READ];
    let idle = match taker.config.idle_seconds {
        0 => Duration::from_hours(8760),
        seconds => Duration::from_secs(seconds),
    };
    // Until when it is read from, once the listener has ended.
    let mut last_read: Option<Instant> = None;
    loop {
        let limit = match last_read {
            None => idle,
            Some(until) => QUIET.min(until.saturating_duration_since(Instant::now())),
        };
        let read = tokio::select! {
            read = tokio::time::timeout(limit, stream.read(&mut room)) => read,
            () = ended(stop), if last_read.is_none() => {
                // What is on its way already is taken.
                last_read = Some(Instant::now() + DRAIN);
                continue;
            }
        };
        let length = match read {
            Ok(Ok(0)) => break,
            Ok(Ok(length)) => length,
            Ok(Err(error)) => {
                tracing::debug!(source = %taker.name, %peer, %error, "a syslog connection broke");
                break;
            }
            Err(_) if last_read.is_some() => break,
            Err(_) => {
                taker.meters().refused(&taker.name, "idle", Some(peer));
                break;
            }
        };
        let fed = framer.feed(&room[..length], |frame| {
            taker.shape(frame, &origin, &mut arriving);
        });
        settle(taker, &mut arriving, stop).await;
        if let Err(absurd) = fed {
            tracing::warn!(source = %taker.name, %peer, %absurd, "a syslog connection is closed");
            taker.meters().refused(&taker.name, "framing", Some(peer));
            return;
        }
    }
    framer.end(|frame| taker.shape(frame, &origin, &mut arriving));
    settle(taker, &mut arriving, stop).await;
}

/// Puts messages into the queue, and waits for room as long as it takes: nothing is read meanwhile,
/// and the sender notices.
async fn settle(taker: &Taker, arriving: &mut Arriving, stop: &mut watch::Receiver<bool>) {
    loop {
        let refused = match taker.commit(arriving) {
            Ok(()) => return,
            Err(refused) => refused,
        };
        if let Refused::TooLarge(_) = refused {
            return taker.give_up(arriving, refused.reason());
        }
        taker.meters().waits(&taker.name, &refused);
        tokio::select! {
            () = tokio::time::sleep(PAUSE) => {}
            () = ended(stop) => {
                // The last attempt.
                if taker.commit(arriving).is_err() {
                    taker.give_up(arriving, "shutdown");
                }
                return;
            }
        }
    }
}
