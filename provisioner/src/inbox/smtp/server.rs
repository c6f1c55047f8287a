//! Sockets and time for the SMTP sessions. Every connection is bounded in number, in idleness and
//! in length, and every message is durable before it is accepted.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::session::{Action, Delivery, Limits, Refused, Session};
use crate::inbox::mail;
use crate::inbox::message::{Channel, Draft, Kind, Verdict};
use crate::inbox::server::{App, MailLimits};

/// RFC 5321 section 4.5.3.2.7: at least five minutes.
const IDLE: Duration = Duration::from_mins(5);
const WRITE: Duration = Duration::from_mins(1);
/// However busy it is.
const LONGEST: Duration = Duration::from_hours(1);
/// What is read after the last reply, so that a reset does not overtake it.
const LINGER: Duration = Duration::from_secs(1);
/// Refusals of one connection that are kept.
const REFUSALS_KEPT: u32 = 10;

/// Accepts until told to stop, then lets the conversations end.
pub async fn serve(
    listener: TcpListener,
    app: Arc<App>,
    limits: MailLimits,
    mut stopping: watch::Receiver<bool>,
) {
    let places = Arc::new(Semaphore::new(limits.connections));
    let session = Limits {
        hostname: "kai-inbox.localhost".to_owned(),
        max_message: limits.max_message,
        max_recipients: limits.max_recipients,
    };
    let mut connections = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            _ = stopping.wait_for(|stop| *stop) => break,
            _ = connections.join_next(), if !connections.is_empty() => continue,
            accepted = listener.accept() => accepted,
        };
        let stream = match accepted {
            Ok((stream, _)) => stream,
            Err(error) => {
                tracing::warn!(%error, "accepting an SMTP connection");
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        app.counters
            .smtp_connections
            .fetch_add(1, Ordering::Relaxed);
        let Ok(place) = Arc::clone(&places).try_acquire_owned() else {
            connections.spawn(goodbye(
                stream,
                "421 4.3.2 too many connections; try again later",
            ));
            continue;
        };
        let (app, session, stopping) = (Arc::clone(&app), session.clone(), stopping.clone());
        connections.spawn(async move {
            let talk = converse(stream, &app, session, stopping);
            match timeout(LONGEST, talk).await {
                Ok(Ok(())) => {}
                Ok(Err(error)) => tracing::debug!(%error, "an SMTP connection ended early"),
                Err(_) => tracing::info!("an SMTP connection was open for an hour; closed"),
            }
            drop(place);
        });
    }
    drop(listener);
    while connections.join_next().await.is_some() {}
}

async fn goodbye(mut stream: TcpStream, text: &'static str) {
    drop(timeout(LINGER, close(&mut stream, text)).await);
}

async fn close(stream: &mut TcpStream, text: &str) -> std::io::Result<()> {
    stream.write_all(format!("{text}\r\n").as_bytes()).await?;
    linger(stream).await
}

async fn linger(stream: &mut TcpStream) -> std::io::Result<()> {
    stream.shutdown().await?;
    let mut rest = [0; 4096];
    let drain = async { while matches!(stream.read(&mut rest).await, Ok(1..)) {} };
    drop(timeout(LINGER, drain).await);
    Ok(())
}

async fn converse(
    mut stream: TcpStream,
    app: &App,
    limits: Limits,
    mut stopping: watch::Receiver<bool>,
) -> std::io::Result<()> {
    let mut session = Session::new(limits);
    write(&mut stream, session.greeting().as_bytes()).await?;
    let mut buffer = vec![0; 32 * 1024];
    let mut kept = 0;
    loop {
        let read = tokio::select! {
            biased;
            read = timeout(IDLE, stream.read(&mut buffer)) => Some(read),
            _ = stopping.wait_for(|stop| *stop) => None,
        };
        let Some(read) = read else {
            return close(&mut stream, "421 4.3.2 shutting down; try again later").await;
        };
        let Ok(read) = read else {
            return close(&mut stream, "421 4.4.2 idle for too long").await;
        };
        let read = read?;
        if read == 0 {
            return Ok(());
        }
        let mut actions = session.receive(&buffer[..read]);
        loop {
            let mut replies = String::new();
            let mut stored = None;
            let mut ended = false;
            for action in actions {
                match action {
                    Action::Reply(text) => replies.push_str(&text),
                    Action::Close => ended = true,
                    Action::Refused(refused) => {
                        kept += 1;
                        if kept <= REFUSALS_KEPT && app.keep(refusal(refused)).await.is_err() {
                            tracing::warn!("a refused e-mail could not be kept");
                        }
                    }
                    Action::Deliver(delivery) => {
                        // What was said before must not wait for the disk.
                        write(&mut stream, std::mem::take(&mut replies).as_bytes()).await?;
                        stored = Some(app.keep(accepted(delivery)).await.is_ok());
                    }
                }
            }
            write(&mut stream, replies.as_bytes()).await?;
            if ended {
                return linger(&mut stream).await;
            }
            match stored {
                Some(ok) => actions = session.stored(ok),
                None => break,
            }
        }
    }
}

async fn write(stream: &mut TcpStream, bytes: &[u8]) -> std::io::Result<()> {
    match timeout(WRITE, stream.write_all(bytes)).await {
        Ok(written) => written,
        Err(_) => Err(std::io::ErrorKind::TimedOut.into()),
    }
}

fn accepted(delivery: Delivery) -> Draft {
    let Delivery { from, to, data } = delivery;
    draft(&from, &to, &data, Verdict::Accepted { status: 250 })
}

fn refusal(refused: Refused) -> Draft {
    let Refused {
        reply,
        from,
        to,
        data,
    } = refused;
    let status = reply
        .get(..3)
        .and_then(|code| code.parse().ok())
        .unwrap_or(550);
    let verdict = Verdict::Refused {
        status,
        reasons: vec![reply],
    };
    draft(&from.unwrap_or_default(), &to, &data, verdict)
}

fn draft(from: &str, to: &[String], data: &[u8], verdict: Verdict) -> Draft {
    let (mail, facts) = mail::read(from, to, data);
    let raw = match data {
        [] => Value::Null,
        data => Value::String(String::from_utf8_lossy(data).into_owned()),
    };
    Draft {
        channel: Channel::Email,
        endpoint: to.join(", "),
        kind: Kind::Message,
        verdict,
        facts,
        mail: Some(mail),
        raw,
        truncated: false,
    }
}
