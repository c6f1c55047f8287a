//! What container runtimes wrap around a line: the CRI's `time stream tag text` and Docker's
//! `{"log": …, "stream": …, "time": …}`. Both write a long line in parts, which are joined again.

use std::borrow::Cow;

use crate::json;

/// One line of a container's log file, unwrapped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part<'a> {
    /// RFC 3339, as it stands.
    pub time: &'a [u8],
    /// `stdout` or `stderr`.
    pub stream: &'a [u8],
    /// More of the same line follows.
    pub partial: bool,
    pub text: Cow<'a, [u8]>,
}

/// `2026-11-24T02:06:29.123456789Z stdout F text`; the tags are divided by colons, the first is `F`
/// or `P`.
pub fn cri(line: &[u8]) -> Option<Part<'_>> {
    let time_end = memchr::memchr(b' ', line)?;
    let time = &line[..time_end];
    crate::time::text(time)?;
    let rest = &line[time_end + 1..];
    let stream_end = memchr::memchr(b' ', rest)?;
    let stream = &rest[..stream_end];
    if !matches!(stream, b"stdout" | b"stderr") {
        return None;
    }
    let rest = &rest[stream_end + 1..];
    // An empty line may end at its tag.
    let tag_end = memchr::memchr(b' ', rest).unwrap_or(rest.len());
    let partial = match rest[..tag_end].split(|byte| *byte == b':').next()? {
        b"F" => false,
        b"P" => true,
        _ => return None,
    };
    Some(Part {
        time,
        stream,
        partial,
        text: Cow::Borrowed(rest.get(tag_end + 1..).unwrap_or_default()),
    })
}

/// Docker's json-file driver. A part that is not the last does not end with a line end.
pub fn docker(line: &[u8]) -> Option<Part<'_>> {
    let (mut log, mut stream, mut time) = (None, None, None);
    let end = json::object(line, 0, |member| {
        if member.kind != json::Kind::String || member.escaped {
            return;
        }
        match &line[member.key.clone()] {
            b"log" => log = Some(member.value),
            b"stream" => stream = Some(member.value),
            b"time" => time = Some(member.value),
            _ => {}
        }
    })?;
    if json::space(line, end) != line.len() {
        return None;
    }
    let inner = |value: std::ops::Range<usize>| &line[value.start + 1..value.end - 1];
    let log = log?;
    let raw = inner(log.clone());
    let mut text = if memchr::memchr(b'\\', raw).is_some() {
        let read: String = serde_json::from_slice(&line[log]).ok()?;
        Cow::Owned(read.into_bytes())
    } else {
        Cow::Borrowed(raw)
    };
    let whole = text.last() == Some(&b'\n');
    if whole {
        match &mut text {
            Cow::Owned(text) => {
                text.pop();
            }
            Cow::Borrowed(text) => *text = &text[..text.len() - 1],
        }
    }
    Some(Part {
        time: time.map(inner)?,
        stream: stream.map_or(b"stdout", inner),
        partial: !whole,
        text,
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_cri_is_unwrapped() {
        let part = cri(b"2026-11-24T09:06:29.123456789+07:00 stderr F  two  spaces ").unwrap();
        assert_eq!(part.time, b"2026-11-24T09:06:29.123456789+07:00");
        assert_eq!((part.stream, part.partial), (&b"stderr"[..], false));
        assert_eq!(part.text.as_ref(), b" two  spaces ");
        assert!(
            cri(b"2026-11-24T02:06:29Z stdout P:x half")
                .unwrap()
                .partial
        );
        assert_eq!(
            cri(b"2026-11-24T02:06:29Z stdout F ")
                .unwrap()
                .text
                .as_ref(),
            b""
        );
        assert_eq!(
            cri(b"2026-11-24T02:06:29Z stdout F").unwrap().text.as_ref(),
            b""
        );
        for line in [
            &b""[..],
            b"x stdout F y",
            b"2026-11-24T02:06:29Z stdin F y",
            b"2026-11-24T02:06:29Z stdout Q y",
            b"2026-11-24T02:06:29Z stdout",
            b"2026-11-24T02:06:29Z",
        ] {
            assert_eq!(cri(line), None, "{}", String::from_utf8_lossy(line));
        }
    }

    #[test]
    fn dockers_json_is_unwrapped() {
        let part =
            docker(br#"{"log":"a \"b\"\n","stream":"stderr","time":"2026-11-24T02:06:29.1Z"}"#)
                .unwrap();
        assert_eq!((part.stream, part.partial), (&b"stderr"[..], false));
        assert_eq!(part.text.as_ref(), b"a \"b\"");
        let half =
            docker(br#"{"log":"half","stream":"stdout","time":"2026-11-24T02:06:29.1Z"}"#).unwrap();
        assert!(half.partial);
        assert_eq!(half.text.as_ref(), b"half");
        for line in [
            &br#"{"log":"x"}"#[..],
            b"{}",
            br#"{"log":1,"time":"t"}"#,
            b"x",
        ] {
            assert_eq!(docker(line), None);
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_taken(bytes in any::<Vec<u8>>(), near in "2026-11-24T02:06:29Z (stdout|stderr) [FP:]{0,3} ?.{0,9}") {
            let _ = (cri(&bytes), docker(&bytes), cri(near.as_bytes()));
        }

        #[test]
        fn what_docker_writes_is_read(text in any::<String>()) {
            let line = serde_json::json!({"log": format!("{text}\n"), "stream": "stdout", "time": "2026-11-24T02:06:29Z"}).to_string();
            let part = docker(line.as_bytes()).unwrap();
            prop_assert_eq!(part.text.as_ref(), text.as_bytes());
            prop_assert!(!part.partial);
        }
    }
}
