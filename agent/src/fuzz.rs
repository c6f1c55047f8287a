//! Every parser as something that takes bytes and ends: for the fuzzer in `fuzz/`, and for the tests
//! below, which feed each of them bytes that nobody would write and real ones with a few bytes
//! changed or cut off. Those of the kernel's formats are in [`crate::procfs::fuzz`].

use crate::samples::{Format, read};
use crate::{logs, otlp_metrics, postgres, probes, procfs, remote_write, security, traces};

pub use crate::procfs::fuzz::Entry;

const PAGES: &[Entry] = &[
    ("page text", |bytes| {
        drop(read(Format::Text, bytes, &mut |_| ()));
    }),
    ("page openmetrics", |bytes| {
        drop(read(Format::OpenMetrics, bytes, &mut |_| ()));
    }),
    ("page protobuf", |bytes| {
        drop(read(Format::Protobuf, bytes, &mut |_| ()));
    }),
];

/// All of them, by where they are.
pub const LISTS: [&[Entry]; 9] = [
    procfs::fuzz::ENTRIES,
    security::fuzz::ENTRIES,
    probes::fuzz::ENTRIES,
    postgres::fuzz::ENTRIES,
    otlp_metrics::fuzz::ENTRIES,
    traces::fuzz::ENTRIES,
    remote_write::fuzz::ENTRIES,
    logs::fuzz::ENTRIES,
    PAGES,
];

/// Feeds one parser, which the first byte chooses.
pub fn one(data: &[u8]) {
    let Some((choice, bytes)) = data.split_first() else {
        return;
    };
    let entries = LISTS.iter().map(|list| list.len()).sum::<usize>();
    let chosen = usize::from(*choice) % entries;
    if let Some((_, parse)) = LISTS.into_iter().flatten().nth(chosen) {
        parse(bytes);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::sync::LazyLock;

    use proptest::prelude::*;

    use super::*;

    /// Pieces of what they read.
    static SAMPLES: LazyLock<Vec<Vec<u8>>> = LazyLock::new(|| {
        let mut samples: Vec<Vec<u8>> = [
            &b"Nov 24 08:16:43 web1 sshd[1]: Failed password for invalid user a from 192.0.2.1 port 22 ssh2\n"[..],
            b"2026-11-24T08:16:43.1+07:00 web1 sshd-session[1]: Accepted publickey for bob from 2001:db8::1 port 5 ssh2: ED25519 SHA256:abc\n",
            b"2026-11-24T08:16:43Z web1 sudo:  bob : 3 incorrect password attempts ; TTY=pts/0 ; PWD=/ ; USER=root ; COMMAND=/bin/sh\n",
            b"message repeated 2 times: [ Disconnected from authenticating user root 192.0.2.1 port 22 [preauth]]",
            b"new user: name=bob, UID=1001, GID=1001, home=/home/bob",
            b"{\"__CURSOR\":\"s\",\"SYSLOG_IDENTIFIER\":\"su\",\"MESSAGE\":[40,116,111,255]}",
            b"{\"@timestamp\":\"2026-11-24T02:06:29.123Z\",\"log.level\":\"ERROR\",\"message\":\"a@b.id 4111 1111 1111 1111\",\"kai\":{\"a\":[{\"b\":1e9}]},\"kai\":null}",
            b"ts=2026-11-24T02:06:29+07:00 level=warn msg=\"hold \\\"x\\\" expired\" token=abc a.b=1",
            b"192.0.2.1 - bob [24/Nov/2026:08:16:43 +0700] \"GET /a?b=c HTTP/1.1\" 200 17 \"-\" \"curl\"",
            b"<34>1 2026-11-24T02:06:29.003Z web1 su 7 ID47 [a@1 b=\"c\\]\"] failed",
            b"root:x:0:0:root:/root:/bin/sh\n+::::::\nbob:!$6$x:19000:0:99999:7:::\nsudo:x:27:a,b\n",
            b"  sl  local_address\n 0: 0100007F:1538 00000000:0000 0A 0:0 00:0 0 999 0 19012 1\n",
            b"nf_tables 200 3 a,b, Live 0x0 (OE)\n",
            b"Package: a\nStatus: install ok installed\nVersion: 1:2.0~rc1-3+b1\n more\n\nPackage: b\n",
            b"32768\t60999\n",
            b"postgresql://u:p%40@[::1]:5,h/d?sslmode=verify-full&sslrootcert=%2Fa",
            b"user=u password='it\\'s' host=h port=1 sslmode=require",
            b"a=b; Domain=.kai.example; Path=/a; Max-Age=5; Secure",
            b"Sunday, 06-Nov-94 08:49:37 GMT",
            b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03\xcbH\xcd\xc9\xc9\x07\x00\x86\xa6\x106\x05\x00\x00\x00",
            b"# TYPE a histogram\na_bucket{le=\"+Inf\"} 1 # {t=\"x\"} 1 2\na_sum 1\na_count 1\n# EOF\n",
            b"\0\x05\x81\x80\0\x01\0\x02\0\0\0\0\x03kai\x07example\0\0\x06\0\x01\xc0\x0c\0\x06\0\x01\0\0\0\x05\0\x18\xc0\x0c\xc0\x0c\0\0\0\x01\0\0\0\x02\0\0\0\x03\0\0\0\x04\0\0\0\x05",
            b"{\"resourceSpans\":[{\"scopeSpans\":[{\"spans\":[{\"traceId\":\"0af7651916cd43dd8448eb211c80319c\",\"spanId\":\"b7ad6b7169203331\",\"kind\":2}]}]}]}",
            b"\x0a\x20\x12\x1e\x12\x1c\x0a\x01a\x2a\x17\x0a\x15\x19\0\0\0\0\0\0\0\0\x3a\x0a\x0a\x01k\x12\x05\x0a\x03vvv",
        ]
        .map(<[u8]>::to_vec)
        .to_vec();
        samples.push(include_bytes!("security/certificates/test.pem").to_vec());
        let signer = rcgen::generate_simple_self_signed(vec!["a.example".to_owned()]).unwrap();
        samples.push(signer.cert.der().to_vec());
        samples
    });

    fn all(bytes: &[u8]) {
        // The kernel's have tests of their own.
        for (_, parse) in LISTS[1..].iter().copied().flatten() {
            parse(bytes);
        }
    }

    #[test]
    fn each_has_a_name_of_its_own_and_a_number() {
        let names: Vec<_> = LISTS.into_iter().flatten().map(|(name, _)| *name).collect();
        assert_eq!(names.iter().collect::<BTreeSet<_>>().len(), names.len());
        assert!(names.len() <= 256, "one byte chooses");
    }

    #[test]
    fn every_sample_is_read_or_refused_by_every_parser() {
        SAMPLES.iter().for_each(|bytes| all(bytes));
        one(b"");
        (0..=255).for_each(|choice| one(&[choice, b'a']));
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            all(&bytes);
        }

        #[test]
        fn spoiled_samples_are_read_or_refused(
            parts in proptest::collection::vec(any::<prop::sample::Index>(), 1..3),
            changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..8),
            cut in any::<prop::sample::Index>(),
        ) {
            let mut bytes: Vec<u8> = parts.iter().flat_map(|at| at.get(&SAMPLES).clone()).collect();
            for (at, byte) in changes {
                let at = at.index(bytes.len());
                bytes[at] = byte;
            }
            all(&bytes);
            bytes.truncate(cut.index(bytes.len()));
            all(&bytes);
        }
    }
}
