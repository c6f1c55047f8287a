//! How lines become events: presets, pauses, limits, and any input at all.

use proptest::prelude::*;

use super::*;

const LARGEST: usize = 1 << 20;

fn joiner(wrapper: Option<Wrapper>, rule: Rule) -> Joiner {
    Joiner::new(wrapper, rule, MOST_LINES)
}

/// The events of a text of whole lines and how much of it they are.
fn events(joiner: &mut Joiner, text: &str, flush: bool) -> (Vec<String>, usize) {
    let mut seen = Vec::new();
    let taken = joiner.events(text.as_bytes(), text.len(), flush, LARGEST, |event| {
        seen.push(String::from_utf8(event.text.to_vec()).unwrap());
    });
    (seen, taken)
}

fn traced(language: Language, text: &str) -> Vec<String> {
    let (events, taken) = events(&mut joiner(None, Rule::Trace(language)), text, true);
    assert_eq!(taken, text.len());
    events
}

#[test]
fn an_event_that_may_go_on_stays() {
    let mut joiner = joiner(None, Rule::Begins(Regex::new(r"^\d{4}-").unwrap()));
    let text = "2026-1 a\n b\n2026-2 c\n d\n";
    assert_eq!(
        events(&mut joiner, text, false),
        (vec!["2026-1 a\n b".to_owned()], 12)
    );
    assert_eq!(
        events(&mut joiner, &text[12..], false),
        (Vec::new(), 0),
        "the last one may go on"
    );
    assert_eq!(
        events(&mut joiner, &text[12..], true),
        (vec!["2026-2 c\n d".to_owned()], 12)
    );
    // What stands before the first beginning is an event, too.
    assert_eq!(
        events(&mut joiner, " x\n2026-1\n", true).0,
        [" x", "2026-1"]
    );
}

#[test]
fn the_two_streams_do_not_mix() {
    let mut joiner = joiner(Some(Wrapper::Cri), Rule::Lines);
    let text = "2026-11-24T02:06:29Z stdout P one \n\
                2026-11-24T02:06:29Z stderr F other\n\
                2026-11-24T02:06:30Z stdout F line\n\
                2026-11-24T02:06:31Z stdout F next\n\
                2026-11-24T02:06:31Z stdout P half\n\
                2026-11-24T02:06:31Z stderr F after\n";
    let mut seen = Vec::new();
    let taken = joiner.events(text.as_bytes(), text.len(), false, LARGEST, |event| {
        seen.push((
            String::from_utf8(event.text.to_vec()).unwrap(),
            event.stream.map(<[u8]>::to_vec),
            event.time.unwrap()[17..19].to_vec(),
        ));
    });
    let event = |text: &str, stream: &str, time: &str| {
        (
            text.to_owned(),
            Some(stream.into()),
            time.as_bytes().to_vec(),
        )
    };
    assert_eq!(
        seen,
        [
            event("one line", "stdout", "29"),
            event("other", "stderr", "29"),
            event("next", "stdout", "31"),
        ]
    );
    assert!(text[taken..].starts_with("2026-11-24T02:06:31Z stdout P half"));
}

#[test]
fn an_event_across_an_open_one_waits_too() {
    let mut joiner = joiner(Some(Wrapper::Cri), Rule::Lines);
    let text = "2026-11-24T02:06:29Z stdout P a\n\
                2026-11-24T02:06:29Z stderr P b\n\
                2026-11-24T02:06:29Z stdout F c\n";
    assert_eq!(events(&mut joiner, text, false), (Vec::new(), 0));
    assert_eq!(events(&mut joiner, text, true).0, ["ac", "b"]);
}

#[test]
fn what_nothing_wraps_is_taken_as_it_stands() {
    let mut joiner = joiner(Some(Wrapper::Either), Rule::Lines);
    let text = "plain\n{\"log\":\"a\\tb\\n\",\"stream\":\"stderr\",\"time\":\"2026-11-24T02:06:29Z\"}\r\n\0\0x\n";
    assert_eq!(events(&mut joiner, text, false).0, ["plain", "a\tb", "x"]);
}

#[test]
fn large_events_are_split() {
    let mut joiner = Joiner::new(None, Rule::Begins(Regex::new("^b").unwrap()), 3);
    let text = "b\n1\n2\n3\n4\n5\n6\nb\n";
    let mut seen = Vec::new();
    joiner.events(text.as_bytes(), text.len(), true, LARGEST, |event| {
        seen.push((String::from_utf8(event.text.to_vec()).unwrap(), event.split));
    });
    let expected = [
        ("b\n1\n2", true),
        ("3\n4\n5", true),
        ("6", false),
        ("b", false),
    ];
    assert_eq!(seen, expected.map(|(text, split)| (text.to_owned(), split)));
    let mut sizes = Vec::new();
    joiner.events(text.as_bytes(), text.len(), true, 3, |event| {
        sizes.push(event.text.len());
    });
    assert_eq!(sizes, [3, 3, 3, 1, 1]);
}

#[test]
fn javas_traces_are_one_event() {
    let trace = "2026 ERROR failed\n\
        java.lang.IllegalStateException: no hold\n\
        \tat kai.Booking.hold(Booking.java:12)\n\
        \t... 3 more\n\
        Caused by: java.sql.SQLException: dead\n\
        \tat x.Y.z(Y.java:1)\n\
        2026 INFO next\n";
    let events = traced(Language::Java, trace);
    assert_eq!(events.len(), 2, "{events:#?}");
    assert!(events[0].ends_with("Y.java:1)") && events[0].starts_with("2026 ERROR"));
}

#[test]
fn pythons_traces_are_one_event() {
    let trace = "ERROR:root:failed\n\
        Traceback (most recent call last):\n\
        \u{20} File \"a.py\", line 1, in <module>\n\
        \u{20}   f()\n\
        ValueError: no\n\
        \n\
        During handling of the above exception, another exception occurred:\n\
        \n\
        Traceback (most recent call last):\n\
        \u{20} File \"a.py\", line 2, in <module>\n\
        KeyError: 'x'\n\
        INFO:root:next\n\
        INFO:root:after\n";
    let events = traced(Language::Python, trace);
    assert_eq!(events.len(), 3, "{events:#?}");
    assert!(events[0].ends_with("KeyError: 'x'"));
    assert_eq!(events[1..], ["INFO:root:next", "INFO:root:after"]);
}

#[test]
fn gos_panics_are_one_event() {
    let trace = "2026/11/24 02:06:29 booked\n\
        panic: runtime error: index out of range [1] with length 0\n\
        \n\
        goroutine 1 [running]:\n\
        main.main()\n\
        \t/tmp/a.go:5 +0x1d\n\
        example.com/kai/booking.(*Hold).Expire(0xc000012345, {0x1, 0x2})\n\
        \t/tmp/b.go:7 +0x2\n\
        created by net/http.(*Server).Serve in goroutine 1\n\
        \t/usr/lib/go/server.go:1 +0x1\n\
        exit status 2\n\
        2026/11/24 02:06:30 started\n";
    let events = traced(Language::Go, trace);
    assert_eq!(events.len(), 3, "{events:#?}");
    assert!(events[1].ends_with("exit status 2"));
}

#[test]
fn rusts_panics_are_one_event() {
    let trace = "started\n\
        thread 'main' panicked at src/main.rs:2:5:\n\
        no hold\n\
        stack backtrace:\n\
        \u{20}  0: rust_begin_unwind\n\
        \u{20}            at /rustc/x/panicking.rs:1\n\
        note: run with `RUST_BACKTRACE=1` environment variable to display a backtrace\n\
        next\n";
    let events = traced(Language::Rust, trace);
    assert_eq!(events.len(), 3, "{events:#?}");
    assert_eq!(events[2], "next");
}

#[test]
fn nodes_errors_are_one_event() {
    let trace = "Error: ENOENT: no such file\n\
        \u{20}   at Object.openSync (node:fs:1:2) {\n\
        \u{20} errno: -2,\n\
        }\n\
        listening\n";
    let events = traced(Language::Node, trace);
    assert_eq!(events.len(), 2, "{events:#?}");
}

proptest! {
    /// However a text is cut into reads, the same events come out, as long as nothing flushes.
    #[test]
    fn reads_do_not_matter(
        lines in proptest::collection::vec("[ab ]{0,4}", 1..20),
        reads in proptest::collection::vec(1usize..40, 1..30),
    ) {
        let text = lines.join("\n") + "\n";
        let rule = || Rule::Begins(Regex::new("^b").unwrap());
        let mut whole = events(&mut joiner(None, rule()), &text, true).0;
        let mut joiner = joiner(None, rule());
        let (mut start, mut end, mut seen) = (0, 0, Vec::new());
        for read in reads {
            end = (end + read).min(text.len());
            let upto = text[start..end].rfind('\n').map_or(0, |at| at + 1);
            let (mut more, taken) = events(&mut joiner, &text[start..start + upto], false);
            seen.append(&mut more);
            start += taken;
        }
        seen.append(&mut events(&mut joiner, &text[start..], true).0);
        // An empty line before a beginning ends an event with a line end or is passed over.
        for event in whole.iter_mut().chain(&mut seen) {
            *event = event.trim_end().to_owned();
        }
        prop_assert_eq!(seen, whole);
    }

    /// Every byte is taken once, and events neither overlap nor hold what is not in the text.
    #[test]
    fn nothing_is_lost_between_streams(
        lines in proptest::collection::vec((any::<bool>(), any::<bool>(), "[a-z]{1,3}"), 1..20),
        flush in any::<bool>(),
    ) {
        let text = lines
            .iter()
            .map(|(error, partial, text)| format!(
                "2026-11-24T02:06:29Z {} {} {text}\n",
                if *error { "stderr" } else { "stdout" },
                if *partial { "P" } else { "F" },
            ))
            .collect::<Vec<_>>()
            .concat();
        let mut joiner = joiner(Some(Wrapper::Cri), Rule::Lines);
        let (first, taken) = events(&mut joiner, &text, flush);
        let (second, all) = events(&mut joiner, &text[taken..], true);
        prop_assert_eq!(taken + all, text.len());
        let got: usize = first.iter().chain(&second).map(String::len).sum();
        let put: usize = lines.iter().map(|(.., text)| text.len()).sum();
        prop_assert_eq!(got, put);
    }
}
