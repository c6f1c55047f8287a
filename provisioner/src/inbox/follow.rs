//! `kai-observe inbox --follow`: one line for each thing that happens on an alert's way, from the
//! fault in the application to the notice that it is over.
//!
//! `timeline` decides what is said and when, from values; `render` turns it into text or JSON;
//! `prometheus` reads the alerts and the faults; this file asks, waits and prints.

mod prometheus;
mod render;
mod timeline;

use std::io::{self, Write};
use std::time::{Duration, Instant};

use tokio::time::{sleep, sleep_until, timeout};

use super::InboxError;
use super::client::Client;
use super::filter::Filter;
use super::time;
use timeline::Timeline;
pub use timeline::{Event, Happened};

/// Between two questions to Prometheus.
const ASK_PROMETHEUS: Duration = Duration::from_secs(1);
const LONG_POLL: Duration = Duration::from_secs(10);
/// How long an inbox may be away before the stream says so once more.
const RETRY: Duration = Duration::from_secs(1);

/// How lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Output {
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

/// What to follow, and until when.
#[derive(Debug, Clone, Default)]
pub struct FollowOptions {
    pub output: Output,
    /// The caller knows whether this is a terminal and what `NO_COLOR` says.
    pub color: bool,
    /// With it, alerts that become pending and firing and faults that begin are shown too.
    pub prometheus: Option<String>,
    pub filter: Filter,
    /// Messages after this id; without it, those that arrive from now on.
    pub after: Option<u64>,
    /// End when everything that was received has been resolved.
    pub until_resolved: bool,
    /// End after so many messages.
    pub count: Option<u64>,
    /// End after so long.
    pub timeout: Option<Duration>,
}

/// Why the stream ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    Resolved,
    Counted,
    TimedOut,
    /// Ctrl-C, SIGTERM or a reader that closed the pipe.
    Stopped,
}

/// How it ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Followed {
    pub ended: Ended,
    /// Accepted and refused together.
    pub messages: u64,
    /// Received and not resolved.
    pub open: usize,
}

/// Prints to standard output until the end that was asked for, or Ctrl-C.
pub async fn follow(url: &str, options: FollowOptions) -> Result<Followed, InboxError> {
    let stop = async {
        // Without a handler the signal ends the process, which is as good.
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await;
        }
    };
    run(url, options, &mut io::stdout(), stop).await
}

/// The same, to any writer.
pub async fn follow_to(
    url: &str,
    options: FollowOptions,
    out: &mut (dyn Write + Send),
) -> Result<Followed, InboxError> {
    run(url, options, out, std::future::pending()).await
}

async fn run(
    url: &str,
    options: FollowOptions,
    out: &mut (dyn Write + Send),
    stop: impl Future<Output = ()>,
) -> Result<Followed, InboxError> {
    let client = Client::new(url)?;
    // An inbox that is not there at the start is a mistake, not a pause.
    let mut after = match options.after {
        Some(after) => after,
        None => client.last_id().await?,
    };
    let mut prometheus = match &options.prometheus {
        Some(url) => Some(prometheus::Prometheus::new(url)?),
        None => None,
    };
    let deadline = options.timeout.map(|timeout| Instant::now() + timeout);
    let mut timeline = Timeline::default();
    let mut screen = Screen {
        out,
        output: options.output,
        color: options.color,
    };
    let start = Happened::Waiting {
        url: url.to_owned(),
        after,
        prometheus: prometheus.is_some(),
    };
    if !screen.show(&[Event {
        at: time::Instant::now(),
        what: start,
    }])? {
        return Ok(timeline.ended(Ended::Stopped));
    }

    let mut next_look = tokio::time::Instant::now();
    // A poll that is under way is never dropped half-way: only what it returns moves `after` on.
    let mut poll = Box::pin(poll(
        client.clone(),
        options.filter.clone(),
        after,
        Duration::ZERO,
    ));
    let mut lost = false;
    let mut stop = std::pin::pin!(stop);
    loop {
        let stop_at = deadline.map_or_else(
            || tokio::time::Instant::now() + Duration::from_hours(1),
            tokio::time::Instant::from_std,
        );
        tokio::select! {
            biased;
            () = &mut stop => return Ok(timeline.ended(Ended::Stopped)),
            () = sleep_until(next_look), if prometheus.is_some() => {
                if let Some(prometheus) = &mut prometheus {
                    let events = timeline.prometheus(prometheus.look().await, time::Instant::now());
                    if !screen.show(&events)? {
                        return Ok(timeline.ended(Ended::Stopped));
                    }
                }
                next_look = tokio::time::Instant::now() + ASK_PROMETHEUS;
            }
            answer = &mut poll => {
                let mut pause = Duration::ZERO;
                match answer {
                    Ok(page) => {
                        if lost {
                            lost = false;
                            let back = Event { at: time::Instant::now(), what: Happened::Back };
                            screen.show(&[back])?;
                        }
                        // The alert must be known before its message is shown.
                        if let (Some(prometheus), false) = (&mut prometheus, page.messages.is_empty()) {
                            let seen = timeout(ASK_PROMETHEUS, prometheus.look()).await;
                            if let Ok(seen) = seen {
                                let events = timeline.prometheus(seen, time::Instant::now());
                                screen.show(&events)?;
                            }
                        }
                        after = page.next(after);
                        for message in &page.messages {
                            let events = timeline.message(message);
                            if !screen.show(&events)? {
                                return Ok(timeline.ended(Ended::Stopped));
                            }
                            if options.count.is_some_and(|count| timeline.messages() >= count) {
                                return Ok(timeline.ended(Ended::Counted));
                            }
                            if options.until_resolved && timeline.all_resolved() {
                                return Ok(timeline.ended(Ended::Resolved));
                            }
                        }
                    }
                    Err(error @ InboxError::Unreachable { .. }) => {
                        if !lost {
                            lost = true;
                            let what = Happened::Lost { reason: error.to_string() };
                            screen.show(&[Event { at: time::Instant::now(), what }])?;
                        }
                        pause = RETRY;
                    }
                    Err(error) => return Err(error),
                }
                let (client, filter) = (client.clone(), options.filter.clone());
                poll.set(self::poll(client, filter, after, pause));
            }
            () = sleep_until(stop_at), if deadline.is_some() => {
                return Ok(timeline.ended(Ended::TimedOut));
            }
        }
    }
}

async fn poll(
    client: Client,
    filter: Filter,
    after: u64,
    pause: Duration,
) -> Result<super::client::Page, InboxError> {
    sleep(pause).await;
    client.after(&filter, after, LONG_POLL).await
}

struct Screen<'a> {
    out: &'a mut (dyn Write + Send),
    output: Output,
    color: bool,
}

impl Screen<'_> {
    /// False when nobody reads any more (`| head`).
    fn show(&mut self, events: &[Event]) -> Result<bool, InboxError> {
        let mut text = String::new();
        for event in events {
            match self.output {
                Output::Text => text.push_str(&render::text(event, self.color)),
                Output::Json => text.push_str(&render::json::line(event)),
            }
        }
        let written = self
            .out
            .write_all(text.as_bytes())
            .and_then(|()| self.out.flush());
        match written {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(false),
            Err(error) => Err(InboxError::Printing(error)),
        }
    }
}
