//! One SMTP conversation as a machine: bytes in, replies and messages out, no I/O and no clock, so
//! that any way of cutting the same bytes into reads gives the same answers.

mod auth;
mod envelope;

use super::data::{Collector, Ended};
use auth::{Auth, Step};

/// Command lines: the standard asks for 512 octets and for more where extensions need it.
const MAX_COMMAND_LINE: usize = 2048;
/// RFC 4954 section 4.
const MAX_AUTH_LINE: usize = 12_288;
/// A client that is wrong this often is no mail client.
const MAX_ERRORS: u32 = 20;

/// What the owner of the server decides.
#[derive(Debug, Clone)]
pub struct Limits {
    /// The name in the greeting.
    pub hostname: String,
    pub max_message: usize,
    pub max_recipients: usize,
}

/// What the server does next, in this order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Send this, line ends included.
    Reply(String),
    /// Store this, then call [`Session::stored`]; until then nothing more is processed.
    Deliver(Delivery),
    /// A message, sender or recipient was refused: worth keeping.
    Refused(Refused),
    /// Close the connection.
    Close,
}

/// A message that the protocol accepted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delivery {
    pub from: String,
    pub to: Vec<String>,
    pub data: Vec<u8>,
}

/// What was refused and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    /// The reply: `553 5.1.3 …`.
    pub reply: String,
    pub from: Option<String>,
    pub to: Vec<String>,
    /// The beginning of the message, when it came that far.
    pub data: Vec<u8>,
}

#[derive(Debug)]
pub struct Session {
    limits: Limits,
    input: Vec<u8>,
    /// The present line is longer than allowed; the rest of it is skipped.
    overlong: bool,
    mode: Mode,
    greeted: bool,
    authenticated: bool,
    transaction: Option<Transaction>,
    errors: u32,
    first_command: bool,
}

#[derive(Debug)]
enum Mode {
    Command,
    Auth(Auth),
    Data(Collector),
    /// A message is being stored.
    Waiting,
    Closed,
}

#[derive(Debug)]
struct Transaction {
    from: String,
    to: Vec<String>,
    utf8: bool,
}

impl Session {
    pub fn new(limits: Limits) -> Self {
        Self {
            limits,
            input: Vec::new(),
            overlong: false,
            mode: Mode::Command,
            greeted: false,
            authenticated: false,
            transaction: None,
            errors: 0,
            first_command: true,
        }
    }

    /// What the server says first.
    pub fn greeting(&self) -> String {
        format!("220 {} ESMTP kai-observe inbox\r\n", self.limits.hostname)
    }

    /// Takes what was read from the connection.
    pub fn receive(&mut self, bytes: &[u8]) -> Vec<Action> {
        self.input.extend_from_slice(bytes);
        let mut actions = Vec::new();
        self.run(&mut actions);
        actions
    }

    /// The delivered message is durable, or could not be stored.
    pub fn stored(&mut self, ok: bool) -> Vec<Action> {
        let mut actions = Vec::new();
        if matches!(self.mode, Mode::Waiting) {
            self.mode = Mode::Command;
            self.transaction = None;
            actions.push(reply(if ok {
                "250 2.0.0 ok, kept in the inbox"
            } else {
                "451 4.3.0 could not be stored; try again later"
            }));
            self.run(&mut actions);
        }
        actions
    }

    fn run(&mut self, actions: &mut Vec<Action>) {
        loop {
            match &mut self.mode {
                Mode::Closed => {
                    self.input.clear();
                    return;
                }
                Mode::Waiting => return,
                Mode::Data(collector) => {
                    if self.input.is_empty() {
                        return;
                    }
                    let utf8 = self.transaction.as_ref().is_some_and(|t| t.utf8);
                    let (used, ended) = collector.take(&self.input, utf8);
                    self.input.drain(..used);
                    if let Some(ended) = ended {
                        self.message(ended, actions);
                    }
                }
                Mode::Command | Mode::Auth(_) => {
                    let Some(line) = self.line() else { return };
                    self.handle(line, actions);
                }
            }
        }
    }

    /// The next whole line, without its line feed. `Err` for one that was too long.
    fn line(&mut self) -> Option<Result<Vec<u8>, ()>> {
        let max = match self.mode {
            Mode::Auth(_) => MAX_AUTH_LINE,
            // An initial response may stand on the AUTH line itself.
            _ if self
                .input
                .get(..5)
                .is_some_and(|verb| verb.eq_ignore_ascii_case(b"AUTH ")) =>
            {
                MAX_AUTH_LINE
            }
            _ => MAX_COMMAND_LINE,
        };
        let Some(at) = self.input.iter().position(|byte| *byte == b'\n') else {
            if self.input.len() > max {
                self.overlong = true;
            }
            if self.overlong {
                self.input.clear();
            }
            return None;
        };
        let mut line: Vec<u8> = self.input.drain(..=at).collect();
        line.pop();
        let overlong = std::mem::take(&mut self.overlong) || line.len() > max;
        Some(if overlong { Err(()) } else { Ok(line) })
    }

    fn handle(&mut self, line: Result<Vec<u8>, ()>, actions: &mut Vec<Action>) {
        let Ok(mut line) = line else {
            self.mode = Mode::Command;
            return self.wrong("500 5.5.6 line too long", actions);
        };
        if line.pop() != Some(b'\r') {
            self.mode = Mode::Command;
            return self.wrong("500 5.5.2 lines end with CRLF (RFC 5321 2.3.8)", actions);
        }
        let Ok(line) = String::from_utf8(line) else {
            self.mode = Mode::Command;
            return self.wrong("500 5.5.2 the line is not UTF-8", actions);
        };
        if let Mode::Auth(auth) = &mut self.mode {
            let step = auth.response(&line);
            return self.auth(step, actions);
        }
        self.command(&line, actions);
    }

    fn command(&mut self, line: &str, actions: &mut Vec<Action>) {
        let (verb, argument) = line.split_once(' ').unwrap_or((line, ""));
        let verb = verb.to_ascii_uppercase();
        let first = std::mem::take(&mut self.first_command);
        match verb.as_str() {
            "EHLO" | "HELO" => self.hello(verb == "EHLO", argument, actions),
            "MAIL" => self.mail(argument, actions),
            "RCPT" => self.rcpt(argument, actions),
            "DATA" => self.data(argument, actions),
            "RSET" if argument.trim().is_empty() => {
                self.transaction = None;
                actions.push(reply("250 2.0.0 ok"));
            }
            "NOOP" => actions.push(reply("250 2.0.0 ok")),
            "QUIT" if argument.trim().is_empty() => {
                actions.push(reply("221 2.0.0 bye"));
                self.close(actions);
            }
            "RSET" | "QUIT" => self.wrong("501 5.5.4 takes no argument", actions),
            "VRFY" if argument.trim().is_empty() => {
                self.wrong("501 5.5.4 VRFY needs an address", actions);
            }
            "VRFY" => {
                actions.push(reply("252 2.1.5 cannot verify, will take mail for it"));
            }
            "HELP" => {
                actions.push(reply(
                    "214 2.0.0 EHLO HELO MAIL RCPT DATA RSET NOOP VRFY AUTH QUIT; see RFC 5321",
                ));
            }
            "AUTH" => self.start_auth(argument, actions),
            "EXPN" | "STARTTLS" | "BDAT" | "TURN" | "ETRN" => {
                self.wrong("502 5.5.1 command not implemented", actions);
            }
            // A browser made to talk to this port by some page.
            "GET" | "POST" | "PUT" | "HEAD" | "OPTIONS" | "CONNECT" if first => {
                actions.push(reply("421 4.7.0 this is SMTP, not HTTP"));
                self.close(actions);
            }
            _ => self.wrong("500 5.5.2 command unknown", actions),
        }
    }

    fn hello(&mut self, extended: bool, argument: &str, actions: &mut Vec<Action>) {
        if argument.trim().is_empty() {
            return self.wrong("501 5.5.4 needs the name of the client", actions);
        }
        self.greeted = true;
        self.transaction = None;
        let name = &self.limits.hostname;
        actions.push(if extended {
            Action::Reply(format!(
                "250-{name}\r\n250-PIPELINING\r\n250-SIZE {}\r\n250-8BITMIME\r\n250-SMTPUTF8\r\n\
                 250-ENHANCEDSTATUSCODES\r\n250-AUTH PLAIN LOGIN\r\n250 HELP\r\n",
                self.limits.max_message
            ))
        } else {
            Action::Reply(format!("250 {name}\r\n"))
        });
    }

    fn data(&mut self, argument: &str, actions: &mut Vec<Action>) {
        if !argument.trim().is_empty() {
            return self.wrong("501 5.5.4 takes no argument", actions);
        }
        match &self.transaction {
            None => self.wrong("503 5.5.1 MAIL first", actions),
            Some(transaction) if transaction.to.is_empty() => {
                self.wrong("554 5.5.1 no valid recipients", actions);
            }
            Some(_) => {
                actions.push(reply("354 end with <CRLF>.<CRLF>"));
                self.mode = Mode::Data(Collector::new(self.limits.max_message));
            }
        }
    }

    fn message(&mut self, ended: Ended, actions: &mut Vec<Action>) {
        self.mode = Mode::Command;
        let Some(transaction) = self.transaction.take() else {
            return;
        };
        match ended {
            Ended::Message(data) => {
                self.mode = Mode::Waiting;
                let Transaction { from, to, .. } = transaction;
                actions.push(Action::Deliver(Delivery { from, to, data }));
            }
            Ended::Refused(text, data) => {
                actions.push(Action::Refused(Refused {
                    reply: text.to_owned(),
                    from: Some(transaction.from),
                    to: transaction.to,
                    data,
                }));
                actions.push(reply(text));
            }
        }
    }

    fn start_auth(&mut self, argument: &str, actions: &mut Vec<Action>) {
        if !self.greeted {
            return self.wrong("503 5.5.1 EHLO first", actions);
        }
        if self.authenticated || self.transaction.is_some() {
            return self.wrong("503 5.5.1 AUTH is not possible now", actions);
        }
        let step = Auth::start(argument);
        self.auth(step, actions);
    }

    fn auth(&mut self, step: Step, actions: &mut Vec<Action>) {
        self.mode = Mode::Command;
        match step {
            Step::Ask(auth, prompt) => {
                self.mode = Mode::Auth(auth);
                actions.push(Action::Reply(format!("334 {prompt}\r\n")));
            }
            Step::Done => {
                self.authenticated = true;
                actions.push(reply("235 2.7.0 accepted, and forgotten"));
            }
            Step::Failed(text) => self.wrong(text, actions),
        }
    }

    fn wrong(&mut self, text: &str, actions: &mut Vec<Action>) {
        self.errors += 1;
        if self.errors > MAX_ERRORS {
            actions.push(reply("421 4.7.0 too many errors"));
            self.close(actions);
        } else {
            actions.push(reply(text));
        }
    }

    fn close(&mut self, actions: &mut Vec<Action>) {
        self.mode = Mode::Closed;
        self.transaction = None;
        actions.push(Action::Close);
    }
}

fn reply(text: &str) -> Action {
    Action::Reply(format!("{text}\r\n"))
}

#[cfg(test)]
mod tests;
