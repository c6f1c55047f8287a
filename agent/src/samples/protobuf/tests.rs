//! Protobuf pages, whole and damaged.

use proptest::prelude::*;

use super::*;

fn varint(mut value: u64) -> Vec<u8> {
    let mut out = Vec::new();
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
    out
}

/// A field with a length.
pub fn field(number: u64, content: &[u8]) -> Vec<u8> {
    [
        varint(number << 3 | 2),
        varint(content.len() as u64),
        content.to_vec(),
    ]
    .concat()
}

fn double(number: u64, value: f64) -> Vec<u8> {
    [varint(number << 3 | 1), value.to_le_bytes().to_vec()].concat()
}

fn count(number: u64, value: u64) -> Vec<u8> {
    [varint(number << 3), varint(value)].concat()
}

pub fn label(name: &str, value: &str) -> Vec<u8> {
    field(
        1,
        &[field(1, name.as_bytes()), field(2, value.as_bytes())].concat(),
    )
}

pub fn metric(fields: &[Vec<u8>]) -> Vec<u8> {
    fields.concat()
}

pub fn histogram(buckets: &[(f64, u64)], total: u64, sum: f64, more: &[Vec<u8>]) -> Vec<u8> {
    let mut out = [count(1, total), double(2, sum)].concat();
    for (bound, cumulative) in buckets {
        out.extend(field(
            3,
            &[count(1, *cumulative), double(2, *bound)].concat(),
        ));
    }
    out.extend(more.concat());
    out
}

pub fn delimited(fields: &[Vec<u8>]) -> Vec<u8> {
    let message = fields.concat();
    [varint(message.len() as u64), message].concat()
}

fn zig(value: i64) -> u64 {
    ((value << 1) ^ (value >> 63)) as u64
}

#[test]
fn a_native_histogram_is_read_whole() {
    let spans = [count(1, zig(-2)), count(2, 2)].concat();
    let more = [
        count(5, zig(3)),
        double(6, 0.001),
        count(7, 1),
        field(12, &spans),
        field(13, &[varint(zig(2)), varint(zig(-1))].concat()),
        field(15, &[count(1, 10), count(2, 5_000_000)].concat()),
        field(
            16,
            &[
                label("trace_id", "t"),
                double(2, 0.5),
                field(3, &count(1, 7)),
            ]
            .concat(),
        ),
    ];
    let body = delimited(&[
        field(1, b"h_seconds"),
        field(2, b"help"),
        count(3, 4),
        field(
            4,
            &metric(&[
                label("a", "x"),
                field(7, &histogram(&[], 4, 9.5, &more)),
                count(6, 77),
            ]),
        ),
        field(5, b"seconds"),
    ]);
    let mut seen = 0;
    families(&body, &mut |family, metrics| {
        seen += 1;
        assert_eq!(
            (family.name, family.help, family.unit),
            ("h_seconds", "help", "seconds")
        );
        assert_eq!(family.range, 0..body.len());
        let metric = &metrics[0];
        assert_eq!(
            (metric.labels.as_slice(), metric.timestamp),
            (&[("a", "x")][..], Some(77))
        );
        assert_eq!(metric.series(), 1);
        let Value::Histogram(histogram) = &metric.value else {
            panic!("{metric:?}");
        };
        let native = histogram.native.as_ref().unwrap();
        assert_eq!(
            (native.schema, native.zero_threshold, native.zero_count),
            (3, 0.001, 1.0)
        );
        assert_eq!((native.count, native.sum, native.float), (4.0, 9.5, false));
        assert_eq!(
            native.positive_spans,
            [Span {
                offset: -2,
                length: 2
            }]
        );
        assert_eq!(native.positive_counts, [2.0, 1.0]);
        assert_eq!(histogram.created, Some(10_005));
        assert_eq!(histogram.exemplars[0].labels, [("trace_id", "t")]);
        assert_eq!(histogram.exemplars[0].timestamp, Some(7000));
    })
    .unwrap();
    assert_eq!(seen, 1);
}

#[test]
fn what_is_wrong_is_named_with_its_place() {
    let gauge = field(4, &field(2, &double(1, 1.0)));
    let sound = delimited(&[field(1, b"g"), count(3, 1), gauge.clone()]);
    for (body, expected) in [
        (
            delimited(&[count(3, 1), gauge.clone()]),
            "a family without a name",
        ),
        (
            delimited(&[field(1, b"g"), count(3, 9), gauge.clone()]),
            "9 is not a type",
        ),
        (
            delimited(&[field(1, b"g"), count(3, 4), gauge]),
            "without a value of its family's type",
        ),
        (delimited(&[field(1, b"\xff")]), "not UTF-8"),
        (sound[..sound.len() - 1].to_vec(), "bytes are announced"),
        (vec![0xff; 12], "more than ten bytes"),
        (
            delimited(&[
                field(1, b"h"),
                count(3, 4),
                field(4, &field(7, &field(12, &count(2, 4_000_000_000)))),
            ]),
            "have room for 4000000000 buckets, not for 0",
        ),
    ] {
        let error = families(&body, &mut |_, _| {}).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    }
}

proptest! {
    #[test]
    fn any_bytes_are_taken(bytes in any::<Vec<u8>>()) {
        let _ = families(&bytes, &mut |_, _| {});
    }

    #[test]
    fn a_changed_byte_makes_no_panic(at in any::<prop::sample::Index>(), byte in any::<u8>()) {
        let more = [count(5, 3), field(12, &count(2, 1)), field(13, &varint(4))];
        let mut body = delimited(&[
            field(1, b"h"),
            count(3, 4),
            field(4, &metric(&[label("a", "x"), field(7, &histogram(&[(1.0, 2)], 4, 1.0, &more))])),
        ]);
        let at = at.index(body.len());
        body[at] = byte;
        let _ = families(&body, &mut |_, metrics| {
            let _ = metrics.iter().map(Metric::series).sum::<usize>();
        });
    }
}
