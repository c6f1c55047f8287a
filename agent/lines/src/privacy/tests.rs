//! What must not leave, in plain text and in JSON; and that nothing is passed by unseen.

use kai_contract::agent_config::{Redact, Redacted};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

fn all() -> Redactor {
    let key = Key::new(b"0123456789abcdef0123456789abcdef");
    let fields = ["passenger.nik".to_owned(), "passenger.name".to_owned()];
    Redactor::new(Redacted::from(Redact::ALL.to_vec()), &fields, key).unwrap()
}

/// Whether a text is suspected, asked in both ways: what is suspected at a glance is suspected by a
/// close look, too.
fn suspected(redactor: &Redactor, text: &[u8]) -> bool {
    let closely = redactor.suspects(text);
    let mut marks = Marks::default();
    let Some(marks) = marks.look(text) else {
        return closely;
    };
    let glance = redactor.suspects_by(marks, text);
    assert!(
        closely || !glance,
        "{:?} is suspected at a glance alone",
        String::from_utf8_lossy(text)
    );
    glance
}

/// A plain text as it leaves; what is not suspected must hold nothing.
fn plain(text: &str) -> String {
    let redactor = all();
    let (mut out, mut counts) = (Vec::new(), Counts::default());
    let changed = redactor.plain(text.as_bytes(), &mut out, &mut counts);
    assert!(
        !changed || suspected(&redactor, text.as_bytes()),
        "{text:?} is not suspected"
    );
    assert_eq!(changed, counts.any());
    if changed {
        String::from_utf8(out).unwrap()
    } else {
        text.to_owned()
    }
}

fn in_json(value: &Value) -> Value {
    let text = value.to_string();
    raw_json(&text)
}

fn raw_json(text: &str) -> Value {
    let redactor = all();
    let (mut out, mut counts) = (Vec::new(), Counts::default());
    let changed = redactor
        .json(text.as_bytes(), &mut out, &mut counts)
        .expect("it is JSON");
    assert!(
        !changed || suspected(&redactor, text.as_bytes()),
        "{text:?} is not suspected"
    );
    let out = if changed { out } else { text.into() };
    serde_json::from_slice(&out).unwrap_or_else(|error| {
        panic!("{error} in {}", String::from_utf8_lossy(&out));
    })
}

#[test]
fn cards_go_however_they_are_written() {
    for card in [
        "4111111111111111",
        "4111 1111 1111 1111",
        "4111-1111-1111-1111",
        "5555555555554444",
        "2223003122003222",
        "378282246310005",
        "3782 822463 10005",
        "6011111111111117",
        "3530111333300000",
        "30569309025904",
        "6200000000000005",
        "4222222222222",
    ] {
        assert_eq!(
            plain(&format!("paid with {card}, thanks")),
            "paid with [redacted:pan], thanks",
            "{card}"
        );
        assert_eq!(plain(card), "[redacted:pan]");
        assert_eq!(
            plain(&format!("card={card}&x=1")),
            "card=[redacted:pan]&x=1"
        );
    }
    assert_eq!(
        plain("4111 1111 1111 1111 123"),
        "[redacted:pan] 123",
        "a number behind it is another one"
    );
    assert_eq!(plain("card4111111111111111x"), "card[redacted:pan]x");
}

#[test]
fn what_is_no_card_stays() {
    for text in [
        "4111111111111112",
        "1795485989123",
        "1795485989123456",
        "0000000000000000",
        "trace 4bf92f3577b34da6a3ce929d0e0e4736",
        "offset 4111111111111111a0",
        "2026-11-24 02:06:29.123 GET /book 200 1234 5678",
        "10.0.0.1:8080 -> 192.168.100.200:443",
        "9e107d9d372bb6826bd81d3542a419d6",
        "550e8400-e29b-41d4-a716-446655440000",
    ] {
        assert_eq!(plain(text), text);
    }
}

#[test]
fn persons_numbers_go() {
    for text in [
        "3174015708900001",
        "317401 570890 0001",
        "31.74.01.570890.0001",
    ] {
        assert_eq!(
            plain(&format!("nik {text}.")),
            "nik [redacted:nik].",
            "{text}"
        );
    }
    for text in [
        "3174013208900001",
        "3174015713900001",
        "9974015708900001",
        "3174015708900000",
    ] {
        assert_eq!(plain(text), text);
    }
}

#[test]
fn telephone_numbers_go() {
    for text in [
        "081234567890",
        "0812-3456-7890",
        "+62 812-3456-7890",
        "+6281234567890",
        "6281234567890",
        "+62 (21) 345-6789",
        "021-3456-7890",
        "+1 415 555 2671",
        "+442083661177",
    ] {
        assert_eq!(
            plain(&format!("call {text} now")),
            "call [redacted:phone] now",
            "{text}"
        );
    }
    for text in [
        "0212345678",
        "build 1234567890",
        "12-34-56-78-90",
        "+123",
        "seq 0800000000000001",
    ] {
        assert_eq!(plain(text), text);
    }
}

#[test]
fn addresses_go() {
    for (text, expected) in [
        ("to budi@example.org.", "to [redacted:email]."),
        ("<a.b+c@sub.example.co.id>", "<[redacted:email]>"),
        ("to:b@x.io,c@y.io", "to:[redacted:email],[redacted:email]"),
        ("a@b.cc+@0.aa", "[redacted:email]"),
        ("müller@bücher.example", "[redacted:email]"),
        ("a@xn--bcher-kva.xn--p1ai", "[redacted:email]"),
    ] {
        assert_eq!(plain(text), expected);
    }
    for text in [
        "@home",
        "a@b",
        "user @ example.org",
        "x@1.2",
        "decorator @Override.foo",
        "root@localhost",
    ] {
        assert_eq!(plain(text), text);
    }
}

#[test]
fn credentials_go() {
    for (text, expected) in [
        ("password=hunter2 ok", "password=[redacted:token] ok"),
        ("PASSWORD: hunter2, ok", "PASSWORD: [redacted:token], ok"),
        ("url?api_key=abc&x=1", "url?api_key=[redacted:token]&x=1"),
        ("{'secret': 'a b c'}", "{'secret': '[redacted:token]'}"),
        (
            "Authorization: Bearer abcdefgh.ijkl",
            "Authorization: Bearer [redacted:token]",
        ),
        (
            "authorization: Basic dXNlcjpwYXNz",
            "authorization: Basic [redacted:token]",
        ),
        (
            "jwt eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.abc-_d end",
            "jwt [redacted:token] end",
        ),
        ("key AKIAIOSFODNN7EXAMPLE.", "key [redacted:token]."),
        (
            "postgres://kai:s3cr3t@db:5432/x",
            "postgres://[redacted:token]@db:5432/x",
        ),
        (
            "ghp_0123456789abcdefghijklmnopqrstuvwxyz",
            "[redacted:token]",
        ),
    ] {
        assert_eq!(plain(text), expected);
    }
    for text in [
        "no token given",
        "token expired",
        "the password is wrong",
        "Asia/Jakarta",
        "http://example.org/a",
        "password=***",
    ] {
        assert_eq!(plain(text), text);
    }
    assert_eq!(
        plain("password=[redacted:token]"),
        "password=[redacted:token]"
    );
}

#[test]
fn json_stays_json() {
    assert_eq!(
        in_json(&json!({
            "msg": "card 4111111111111111",
            "card": 4_111_111_111_111_111_u64,
            "nested": {"list": ["a@example.org", 1, null, {"phone": "081234567890"}]},
            "password": "x", "user_token": 17, "token_count": 5, "ok": true,
            "Authorization": "", "a@example.org": 1,
        })),
        json!({
            "msg": "card [redacted:pan]",
            "card": null,
            "nested": {"list": ["[redacted:email]", 1, null, {"phone": "[redacted:phone]"}]},
            "password": "[redacted:token]", "user_token": null, "token_count": 5, "ok": true,
            "Authorization": "", "[redacted:email]": 1,
        })
    );
    let (mut out, mut counts) = (Vec::new(), Counts::default());
    assert_eq!(all().json(b"{\"a\":", &mut out, &mut counts), None);
    assert_eq!((out.len(), counts.any()), (0, false));
}

#[test]
fn escapes_hide_nothing() {
    assert_eq!(
        raw_json(r#"{"m":"budi\u0040example.org \u0034111111111111111 \"q\""}"#),
        json!({"m": "[redacted:email] [redacted:pan] \"q\""})
    );
    assert_eq!(
        raw_json(r#"{"p\u0061ssword":"x"}"#),
        json!({"password": "[redacted:token]"})
    );
    // Half a pair alone is JSON, though no Unicode.
    let (mut out, mut counts) = (Vec::new(), Counts::default());
    let text = br#"{"m":"\ud800 budi\u0040example.org"}"#;
    assert_eq!(all().json(text, &mut out, &mut counts), Some(true));
    assert!(!String::from_utf8(out).unwrap().contains("example"));
    // A credential inside a string that is JSON itself.
    let inner = json!({"password": "hunter2", "n": 1}).to_string();
    let outer = in_json(&json!({"body": inner}));
    assert!(!outer.to_string().contains("hunter2"), "{outer}");
}

#[test]
fn named_fields_become_pseudonyms() {
    let name = |value: &Value| value["passenger"]["name"].as_str().unwrap().to_owned();
    let nested = in_json(&json!({"passenger": {"name": "Siti", "nik": 3_174_015_708_900_001_u64}}));
    let dotted = in_json(&json!({"passenger.name": "Siti", "name": "Siti"}));
    assert_eq!(name(&nested), dotted["passenger.name"].as_str().unwrap());
    assert_eq!(name(&nested).len(), 28);
    assert!(name(&nested).starts_with("p-"));
    assert_eq!(dotted["name"], "Siti");
    let as_text = in_json(&json!({"passenger": {"nik": "3174015708900001"}}));
    assert_eq!(nested["passenger"]["nik"], as_text["passenger"]["nik"]);
    let other = in_json(&json!({"passenger": {"nik": "Siti"}}));
    assert_ne!(name(&nested), other["passenger"]["nik"].as_str().unwrap());
    assert_eq!(
        in_json(&json!({"passenger": {"nik": null}})),
        json!({"passenger": {"nik": null}})
    );
}

#[test]
fn a_key_is_long_and_not_shown() {
    assert!(Key::new(b"short").is_none());
    let key = Key::new(&[7; 32]).unwrap();
    assert_eq!(format!("{key:?}"), "Key(…)");
    // By Python's hmac: of "f", a zero byte and "v", the first 128 bits.
    assert_eq!(key.pseudonym("f", b"v"), "p-5pyj66hnwfga48g1gkp85wz3vm");
    assert_ne!(key.pseudonym("f", b"v"), key.pseudonym("g", b"v"));
}

#[test]
fn a_slash_that_json_escapes_hides_nothing() {
    let text = br#"{"phone":"+62\/812\/3456\/7890","url":"https:\/\/kai.example\/a"}"#;
    let redactor = all();
    assert!(suspected(&redactor, text));
    let (mut out, mut counts) = (Vec::new(), Counts::default());
    assert_eq!(redactor.json(text, &mut out, &mut counts), Some(true));
    assert_eq!(counts.phone, 1, "{}", String::from_utf8_lossy(&out));
    assert!(!suspected(
        &redactor,
        br#"{"url":"https:\/\/kai.example\/a\/7"}"#
    ));
}

/// Two separators end one run of digits, and another begins in the same breath.
#[test]
fn a_number_behind_two_separators_is_suspected() {
    for text in ["000000(- 0(2000-0000:", "001945(/ 0(555285-7899:"] {
        let _ = plain(text); // asserts it
    }
}

proptest! {
    #[test]
    fn what_is_not_suspected_holds_nothing(
        text in r"([0-9]{0,9}[a-f @.,:+()/\-]){0,40}"
    ) {
        let _ = plain(&text); // asserts it
    }

    #[test]
    fn anything_with_a_card_in_it_loses_it(
        before in "[a-z ,:]{0,20}[ =:]", after in "[ ,;\"][a-z ,:]{0,20}", digits in "4[0-9]{14}"
    ) {
        let check = (0..10).find(|check| {
            let number: Vec<u32> = format!("{digits}{check}").chars().map(|c| c.to_digit(10).unwrap()).collect();
            let sum: u32 = number.iter().rev().enumerate().map(|(i, d)| match (i % 2, d * 2) {
                (0, _) => *d, (_, d @ 0..=9) => d, (_, d) => d - 9,
            }).sum();
            sum.is_multiple_of(10)
        }).unwrap();
        let card = format!("{digits}{check}");
        let text = format!("{before}{card}{after}");
        let out = plain(&text);
        prop_assert!(!out.contains(&card), "{out}");
    }

    #[test]
    fn a_password_in_an_address_is_suspected_whatever_it_ends_with(
        password in r#"[a-z0-9"',{\[(@:.\\-]{1,12}"#
    ) {
        let _ = plain(&format!("GET https://kai:{password}@db.example/x")); // asserts it
        let text = serde_json::json!({ "@timestamp": "x", "url": format!("https://kai:{password}@db/x") });
        let (mut out, mut counts) = (Vec::new(), Counts::default());
        let text = text.to_string();
        let changed = all().json(text.as_bytes(), &mut out, &mut counts) == Some(true);
        prop_assert!(!changed || suspected(&all(), text.as_bytes()), "{text}");
    }

    #[test]
    fn any_bytes_are_taken(bytes in any::<Vec<u8>>()) {
        let redactor = all();
        let (mut out, mut counts) = (Vec::new(), Counts::default());
        let _ = suspected(&redactor, &bytes);
        let _ = redactor.plain(&bytes, &mut out, &mut counts);
        let _ = redactor.json(&bytes, &mut out, &mut counts);
    }

    #[test]
    fn once_is_enough(text in r"[0-9a-z @.+=\-]{0,60}") {
        let once = plain(&text);
        prop_assert_eq!(plain(&once), once.clone());
    }

    /// Needles of every kind at every place of a line, as they are and in the spellings that JSON
    /// has: what the close look finds in the line is found.
    #[test]
    fn nothing_is_missed_at_a_glance(
        before in r"[a-z0-9 .:=/,\-]{0,80}",
        needle in proptest::sample::select(NEEDLES),
        between in r"[ .,;:=/_+\-]{0,3}",
        other in proptest::sample::select(NEEDLES),
        after in r"[ ,;.:][a-z0-9 .:=/]{0,70}",
        spelling in 0_u8..4,
        as_key in any::<bool>(),
    ) {
        let text = format!("{before}{needle}{between}{other}{after}");
        let _ = plain(&text); // asserts it
        let (key, value) = if as_key { (needle, text.as_str()) } else { ("m", text.as_str()) };
        let line = json!({ "@timestamp": "2026-11-24T02:06:29.123Z", "n": 17, key: value, "o": [value] });
        let spelt = respelt(&line.to_string(), spelling);
        let _ = raw_json(&spelt); // asserts it
    }

    #[test]
    fn names_of_credentials_are_seen_however_they_are_divided(
        name in proptest::sample::select(&["password", "apikey", "secret", "token", "cookie", "cvv",
            "passphrase", "authorization", "cvc2", "otp", "credentials", "api_key", "private-key"]),
        before in r"[a-z_.\- ]{0,4}", end in r#"[_.\-\]\[ "'é\t\n:=/]{0,3}"#,
        sign in r" {0,2}[=:] {0,2}", quote in r#"["']?"#
    ) {
        let _ = plain(&format!("x {before}{name}{quote}{sign}{quote}hunter2{quote} y"));
        // Not a word that lines are searched for unless it ends a name: too many others hold it.
        let end = if name == "otp" { String::new() } else { end };
        let _ = raw_json(&json!({ format!("{before}{name}{end}"): "hunter2", "n": 1 }).to_string());
        let text = format!("{before}{name}{end}{sign}hunter2");
        let _ = raw_json(&json!({ "m": text }).to_string());
    }
}

/// One of each that is looked for, and what only looks like one.
const NEEDLES: &[&str] = &[
    "4111111111111111",
    "4111 1111 1111 1111",
    "378282246310005",
    "3782 822463 10005",
    "3174015708900001",
    "317401 570890 0001",
    "31.74.01.570890.0001",
    "+6281234567890",
    "+62 (812) 3456-7890",
    "081234567890",
    "0812-3456-7890",
    "6281234567890",
    "021-3456-7890",
    "+1 415 555 2671",
    "+(62)81234567890",
    "budi@example.org",
    "a.b+c@sub.example.co.id",
    "postgres://kai:s3cr3t@db:5432/x",
    "password=hunter2",
    "Password: hunter2",
    "PASSWORD='hunter2'",
    "passwd = x",
    "pwd=x",
    "api_key=x",
    "api-key: x",
    "apiKey=x",
    "access_key=x",
    "private_key=x",
    "secret=x",
    "client_secret\": \"x",
    "cvv=123",
    "cvv2=123",
    "cookie: a=b",
    "passphrase=x",
    "token=x",
    "--token \t= x",
    "token\n=x",
    "Authorization: Bearer abcdefgh.ijkl",
    "authorization: Basic dXNlcjpwYXNz",
    "bearer abcdefgh12",
    "BEARER abcdefgh12",
    "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.abc-_d",
    "AKIAIOSFODNN7EXAMPLE",
    "ASIAIOSFODNN7EXAMPLE",
    "ghp_0123456789abcdefghijklmnopqrstuvwxyz",
    "ghs_0123456789abcdefghijklmnopqrstuvwxyz",
    "github_pat_0123456789abcdefghijklmnopqrstuvwxyz",
    "xoxb-1234567890-abc",
    "sk_live_0123456789abcdefgh",
    "rk_live_0123456789abcdefgh",
    "-----BEGIN RSA PRIVATE KEY-----abc-----END",
    "-----BEGIN PRIVATE KEY-----abc",
    "passenger",
    "nik",
    "2026-11-24 02:06:29",
    "4bf92f3577b34da6a3ce929d0e0e4736",
    "10.0.0.1:8080",
    "no token given",
    "000000000000000012345678",
];

/// The same JSON with some characters of its strings by their numbers, or slashes escaped.
fn respelt(text: &str, spelling: u8) -> String {
    match spelling {
        1 => text.replace('@', "\\u0040").replace("4111", "\\u0034111"),
        2 => text.replace('/', "\\/"),
        3 => text
            .replace("ss", "s\\u0073")
            .replace("ke", "\\u006be")
            .replace("+6", "\\u002B6"),
        _ => text.to_owned(),
    }
}
