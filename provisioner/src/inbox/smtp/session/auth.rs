//! AUTH PLAIN and LOGIN (RFC 4954, 4616): any well-formed credentials are accepted, so that a
//! sender configured for a real relay works here; they are checked for form and dropped.

/// A half-finished exchange. Holds no credentials.
#[derive(Debug)]
pub enum Auth {
    Plain,
    LoginUser,
    LoginPassword,
}

/// What comes next.
#[derive(Debug)]
pub enum Step {
    Ask(Auth, &'static str),
    Done,
    Failed(&'static str),
}

/// `Username:` and `Password:` in base64.
const ASK_USER: &str = "VXNlcm5hbWU6";
const ASK_PASSWORD: &str = "UGFzc3dvcmQ6";
const MALFORMED: Step = Step::Failed("501 5.5.2 the response is not valid base64 of credentials");

impl Auth {
    /// `PLAIN`, `PLAIN <response>`, `LOGIN`, `LOGIN <user>`.
    pub fn start(argument: &str) -> Step {
        let mut words = argument.split_ascii_whitespace();
        let mechanism = words.next().unwrap_or_default().to_ascii_uppercase();
        let initial = words.next();
        if words.next().is_some() {
            return Step::Failed("501 5.5.4 AUTH takes a mechanism and one response");
        }
        match (mechanism.as_str(), initial) {
            ("", _) => Step::Failed("501 5.5.4 AUTH needs a mechanism"),
            ("PLAIN", None) => Step::Ask(Self::Plain, ""),
            ("PLAIN", Some(response)) => Self::Plain.response(response),
            ("LOGIN", None) => Step::Ask(Self::LoginUser, ASK_USER),
            ("LOGIN", Some(user)) => Self::LoginUser.response(user),
            _ => Step::Failed("504 5.5.4 mechanism not supported; PLAIN and LOGIN are"),
        }
    }

    /// The client's next line.
    pub fn response(&self, line: &str) -> Step {
        if line == "*" {
            return Step::Failed("501 5.7.0 authentication cancelled");
        }
        let Some(decoded) = base64(line) else {
            return MALFORMED;
        };
        match self {
            // authzid NUL authcid NUL password
            Self::Plain => {
                let parts: Vec<&[u8]> = decoded.split(|byte| *byte == 0).collect();
                match parts.as_slice() {
                    [_, user, password] if !user.is_empty() && !password.is_empty() => Step::Done,
                    [_, _, _] => Step::Failed("535 5.7.8 user and password must not be empty"),
                    _ => MALFORMED,
                }
            }
            Self::LoginUser if decoded.is_empty() => {
                Step::Failed("535 5.7.8 user and password must not be empty")
            }
            Self::LoginUser => Step::Ask(Self::LoginPassword, ASK_PASSWORD),
            Self::LoginPassword if decoded.is_empty() => {
                Step::Failed("535 5.7.8 user and password must not be empty")
            }
            Self::LoginPassword => Step::Done,
        }
    }
}

/// Strict base64 with padding.
fn base64(text: &str) -> Option<Vec<u8>> {
    let bytes = text.as_bytes();
    if !bytes.len().is_multiple_of(4) {
        return None;
    }
    let body = text.trim_end_matches('=');
    if bytes.len() - body.len() > 2 {
        return None;
    }
    let mut out = Vec::with_capacity(body.len() * 3 / 4);
    let (mut bits, mut held) = (0_u32, 0_u32);
    for byte in body.bytes() {
        let value = match byte {
            b'A'..=b'Z' => byte - b'A',
            b'a'..=b'z' => byte - b'a' + 26,
            b'0'..=b'9' => byte - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            _ => return None,
        };
        bits = (bits << 6 | u32::from(value)) & 0xFFFF;
        held += 6;
        if held >= 8 {
            held -= 8;
            out.push((bits >> held) as u8);
        }
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_is_read() {
        assert_eq!(base64("VXNlcm5hbWU6").as_deref(), Some(&b"Username:"[..]));
        assert_eq!(base64("AGEAYg==").as_deref(), Some(&b"\0a\0b"[..]));
        assert_eq!(base64("").as_deref(), Some(&b""[..]));
        for bad in ["a", "ab=c", "====", "ab c", "üü=="] {
            assert_eq!(base64(bad), None, "{bad}");
        }
    }

    #[test]
    fn the_mechanisms() {
        assert!(matches!(Auth::start("PLAIN AGEAYg=="), Step::Done));
        assert!(matches!(Auth::start("plain"), Step::Ask(Auth::Plain, "")));
        assert!(matches!(
            Auth::start("LOGIN"),
            Step::Ask(Auth::LoginUser, ASK_USER)
        ));
        assert!(matches!(
            Auth::LoginUser.response("YQ=="),
            Step::Ask(Auth::LoginPassword, _)
        ));
        assert!(matches!(Auth::LoginPassword.response("YQ=="), Step::Done));
        for bad in [
            "",
            "CRAM-MD5",
            "PLAIN AAAA",
            "PLAIN =",
            "PLAIN a b",
            "LOGIN =",
        ] {
            assert!(matches!(Auth::start(bad), Step::Failed(_)), "{bad}");
        }
        assert!(matches!(Auth::Plain.response("*"), Step::Failed(_)));
    }
}
