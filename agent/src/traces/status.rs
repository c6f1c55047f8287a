//! gRPC's codes and what OTLP makes of them; `RetryInfo` in a status' details. Pure.

use std::time::Duration;

use super::base64;
use super::wire::{Reader, Value, put_bytes, put_key, put_varint};

const RETRY_INFO: &str = "type.googleapis.com/google.rpc.RetryInfo";

/// The codes by number.
const NAMES: [&str; 17] = [
    "OK",
    "CANCELLED",
    "UNKNOWN",
    "INVALID_ARGUMENT",
    "DEADLINE_EXCEEDED",
    "NOT_FOUND",
    "ALREADY_EXISTS",
    "PERMISSION_DENIED",
    "RESOURCE_EXHAUSTED",
    "FAILED_PRECONDITION",
    "ABORTED",
    "OUT_OF_RANGE",
    "UNIMPLEMENTED",
    "INTERNAL",
    "UNAVAILABLE",
    "DATA_LOSS",
    "UNAUTHENTICATED",
];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Code(pub u32);

impl Code {
    pub const OK: Self = Self(0);
    pub const CANCELLED: Self = Self(1);
    pub const UNKNOWN: Self = Self(2);
    pub const INVALID_ARGUMENT: Self = Self(3);
    pub const DEADLINE_EXCEEDED: Self = Self(4);
    pub const NOT_FOUND: Self = Self(5);
    pub const PERMISSION_DENIED: Self = Self(7);
    pub const RESOURCE_EXHAUSTED: Self = Self(8);
    pub const ABORTED: Self = Self(10);
    pub const OUT_OF_RANGE: Self = Self(11);
    pub const UNIMPLEMENTED: Self = Self(12);
    pub const INTERNAL: Self = Self(13);
    pub const UNAVAILABLE: Self = Self(14);
    pub const DATA_LOSS: Self = Self(15);
    pub const UNAUTHENTICATED: Self = Self(16);

    pub fn name(self) -> &'static str {
        NAMES.get(self.0 as usize).copied().unwrap_or("UNKNOWN")
    }

    /// Whether the same spans may be sent again, by the table of the OTLP specification.
    pub fn retryable(self, with_retry_info: bool) -> bool {
        match self {
            Self::CANCELLED
            | Self::DEADLINE_EXCEEDED
            | Self::ABORTED
            | Self::OUT_OF_RANGE
            | Self::UNAVAILABLE
            | Self::DATA_LOSS => true,
            Self::RESOURCE_EXHAUSTED => with_retry_info,
            _ => false,
        }
    }

    /// Whether a refusal can be about one of several requests that were sent as one. The others
    /// are about who asks or what is asked for.
    pub fn about_the_data(self) -> bool {
        !matches!(
            self,
            Self::NOT_FOUND | Self::PERMISSION_DENIED | Self::UNIMPLEMENTED | Self::UNAUTHENTICATED
        )
    }

    /// For an answer without a gRPC status.
    /// <https://github.com/grpc/grpc/blob/master/doc/http-grpc-status-mapping.md>
    pub fn of_http(status: u16) -> Self {
        match status {
            400 => Self::INTERNAL,
            401 => Self::UNAUTHENTICATED,
            403 => Self::PERMISSION_DENIED,
            404 => Self::UNIMPLEMENTED,
            429 | 502 | 503 | 504 => Self::UNAVAILABLE,
            _ => Self::UNKNOWN,
        }
    }
}

/// `google.rpc.Status` with its message and, for who may try again, `RetryInfo`.
pub fn encode(code: Code, message: &str, retry_after: Option<Duration>) -> Vec<u8> {
    let mut out = Vec::new();
    if code != Code::OK {
        put_key(&mut out, 1, 0);
        put_varint(&mut out, u64::from(code.0));
    }
    put_bytes(&mut out, 2, message.as_bytes());
    if let Some(after) = retry_after {
        let mut duration = Vec::new();
        put_key(&mut duration, 1, 0);
        put_varint(&mut duration, after.as_secs());
        put_key(&mut duration, 2, 0);
        put_varint(&mut duration, u64::from(after.subsec_nanos()));
        let mut info = Vec::new();
        put_bytes(&mut info, 1, &duration);
        let mut any = Vec::new();
        put_bytes(&mut any, 1, RETRY_INFO.as_bytes());
        put_bytes(&mut any, 2, &info);
        put_bytes(&mut out, 3, &any);
    }
    out
}

/// The delay that a `grpc-status-details-bin` asks for, if it holds a `RetryInfo`.
pub fn retry_after(details: &[u8]) -> Option<Duration> {
    let status = base64::decode(details)?;
    let inside = |bytes: &[u8], wanted: u32| -> Vec<Vec<u8>> {
        let mut reader = Reader::new(bytes);
        let mut found = Vec::new();
        while let Ok(Some((number, value))) = reader.field() {
            if let (true, Value::Bytes(bytes)) = (number == wanted, value) {
                found.push(bytes.to_vec());
            }
        }
        found
    };
    let any = inside(&status, 3).into_iter().find(|any| {
        inside(any, 1)
            .iter()
            .any(|url| url == RETRY_INFO.as_bytes())
    })?;
    let info = inside(&any, 2).pop().unwrap_or_default();
    // Without a delay it still says that trying again makes sense.
    let duration = inside(&info, 1).pop().unwrap_or_default();
    let mut after = Duration::ZERO;
    let mut reader = Reader::new(&duration);
    while let Ok(Some((number, value))) = reader.field() {
        match (number, value) {
            // A negative number is none that can be waited.
            (1, Value::Varint(seconds)) if i64::try_from(seconds).is_ok() => {
                after = after.saturating_add(Duration::from_secs(seconds));
            }
            (2, Value::Varint(nanos)) if nanos < 1_000_000_000 => {
                after = after.saturating_add(Duration::from_nanos(nanos));
            }
            _ => {}
        }
    }
    Some(after)
}

/// `grpc-message` is percent-encoded; what is no printable ASCII, and the percent sign.
pub fn percent_encode(message: &str) -> String {
    let mut out = String::with_capacity(message.len());
    for byte in message.bytes() {
        if (0x20..0x7f).contains(&byte) && byte != b'%' {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}

pub fn percent_decode(message: &[u8]) -> String {
    let mut out = Vec::with_capacity(message.len());
    let mut rest = message;
    while let [first, tail @ ..] = rest {
        rest = tail;
        if let (b'%', Some((hex, after))) = (first, tail.split_at_checked(2))
            && let Ok(hex) = std::str::from_utf8(hex)
            && let Ok(byte) = u8::from_str_radix(hex, 16)
        {
            out.push(byte);
            rest = after;
        } else {
            out.push(*first);
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn retry_info_survives_the_way() {
        for after in [
            Duration::from_millis(2500),
            Duration::ZERO,
            Duration::from_secs(30),
        ] {
            let details = base64::encode(&encode(Code::UNAVAILABLE, "full", Some(after)));
            assert_eq!(retry_after(details.as_bytes()), Some(after));
        }
        let without = base64::encode(&encode(Code::UNAVAILABLE, "away", None));
        assert_eq!(retry_after(without.as_bytes()), None);
        assert_eq!(retry_after(b"not base64!"), None);
    }

    #[test]
    fn messages_are_text_again() {
        for text in ["plain", "100 % süß\n", "", "%zz"] {
            assert_eq!(percent_decode(percent_encode(text).as_bytes()), text);
        }
        assert_eq!(percent_decode(b"50%"), "50%");
        assert_eq!(percent_decode(b"%zz"), "%zz");
    }

    #[test]
    fn the_table_of_the_specification() {
        let retryable: Vec<&str> = (0..17)
            .map(Code)
            .filter(|code| code.retryable(false))
            .map(Code::name)
            .collect();
        assert_eq!(
            retryable,
            [
                "CANCELLED",
                "DEADLINE_EXCEEDED",
                "ABORTED",
                "OUT_OF_RANGE",
                "UNAVAILABLE",
                "DATA_LOSS"
            ]
        );
        assert!(Code::RESOURCE_EXHAUSTED.retryable(true));
    }
}
