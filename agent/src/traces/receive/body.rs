//! Reads a request's body into memory that was set aside for it. Room is taken for the whole body
//! before the first of it is kept: requests that each held half of theirs would wait for each
//! other.

use std::sync::Arc;
use std::time::Duration;

use http_body_util::BodyExt as _;
use hyper::body::{Body as _, Bytes, Incoming};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::traces::intake::Refusal;

/// How long a request waits for room, and how long its body may take to arrive.
const ROOM_TIMEOUT: Duration = Duration::from_secs(2);
const BODY_TIMEOUT: Duration = Duration::from_secs(10);

/// Room that a request of unknown length takes at a time.
const CHUNK: usize = 64 << 10;

/// A body, and the room that it takes up until it is dropped.
pub struct Held {
    pub bytes: Vec<u8>,
    _room: OwnedSemaphorePermit,
}

/// What reading needs of the lane.
pub struct Reading<'a> {
    pub room: &'a Arc<Semaphore>,
    /// Bytes of a body at most.
    pub limit: usize,
}

impl Reading<'_> {
    /// The whole body of an HTTP request.
    pub async fn whole(&self, body: Incoming) -> Result<Held, Refusal> {
        let length = match body.size_hint().exact() {
            Some(length) => usize::try_from(length)
                .ok()
                .filter(|length| *length <= self.limit)
                .ok_or(Refusal::TooLarge(self.limit))?,
            // Sent in chunks: its room grows with it.
            None => return self.in_time(self.chunks(body)).await,
        };
        self.in_time(async {
            let room = self.room(length).await?;
            self.fill(body, Bytes::new(), length, room).await
        })
        .await
    }

    /// The one message of a unary gRPC request, and whether it is packed.
    pub async fn message(&self, mut body: Incoming) -> Result<(Held, bool), Refusal> {
        self.in_time(async {
            let mut head = Vec::with_capacity(5);
            let mut rest = Bytes::new();
            while head.len() < 5 {
                if rest.is_empty() {
                    rest = next(&mut body).await?.ok_or(Refusal::BrokeOff)?;
                }
                let missing = (5 - head.len()).min(rest.len());
                head.extend_from_slice(&rest.split_to(missing));
            }
            let packed = head[0] == 1;
            let length = u32::from_be_bytes([head[1], head[2], head[3], head[4]]) as usize;
            if length > self.limit {
                return Err(Refusal::TooLarge(self.limit));
            }
            let room = self.room(length).await?;
            let held = self.fill(body, rest, length, room).await?;
            if held.bytes.len() < length {
                return Err(Refusal::BrokeOff);
            }
            Ok((held, packed))
        })
        .await
    }

    async fn in_time<T>(
        &self,
        work: impl Future<Output = Result<T, Refusal>>,
    ) -> Result<T, Refusal> {
        tokio::time::timeout(BODY_TIMEOUT, work)
            .await
            .unwrap_or(Err(Refusal::Slow(BODY_TIMEOUT)))
    }

    async fn chunks(&self, mut body: Incoming) -> Result<Held, Refusal> {
        let mut room = self.room(CHUNK).await?;
        let (mut bytes, mut has) = (Vec::new(), CHUNK);
        while let Some(piece) = next(&mut body).await? {
            let length = bytes.len() + piece.len();
            if length > self.limit {
                return Err(Refusal::TooLarge(self.limit));
            }
            if length > has {
                // Who holds room must not wait for more.
                let more = (length - has).next_multiple_of(CHUNK);
                let more_room = Arc::clone(self.room)
                    .try_acquire_many_owned(u32::try_from(more).unwrap_or(u32::MAX))
                    .map_err(|_| Refusal::Busy)?;
                room.merge(more_room);
                has += more;
            }
            bytes.extend_from_slice(&piece);
        }
        Ok(Held { bytes, _room: room })
    }

    async fn room(&self, bytes: usize) -> Result<OwnedSemaphorePermit, Refusal> {
        let bytes = u32::try_from(bytes).map_err(|_| Refusal::TooLarge(self.limit))?;
        let room = Arc::clone(self.room).acquire_many_owned(bytes);
        match tokio::time::timeout(ROOM_TIMEOUT, room).await {
            Ok(Ok(room)) => Ok(room),
            _ => Err(Refusal::Busy),
        }
    }

    async fn fill(
        &self,
        mut body: Incoming,
        first: Bytes,
        length: usize,
        room: OwnedSemaphorePermit,
    ) -> Result<Held, Refusal> {
        let mut bytes = Vec::with_capacity(length.min(64 << 10));
        let mut piece = first;
        loop {
            if bytes.len() + piece.len() > length {
                return Err(Refusal::TooLarge(self.limit));
            }
            bytes.extend_from_slice(&piece);
            match next(&mut body).await? {
                Some(more) => piece = more,
                None => return Ok(Held { bytes, _room: room }),
            }
        }
    }
}

/// The next piece of the body; trailers are passed over.
async fn next(body: &mut Incoming) -> Result<Option<Bytes>, Refusal> {
    loop {
        match body.frame().await {
            None => return Ok(None),
            Some(Err(_)) => return Err(Refusal::BrokeOff),
            Some(Ok(frame)) => {
                if let Ok(data) = frame.into_data() {
                    return Ok(Some(data));
                }
            }
        }
    }
}
