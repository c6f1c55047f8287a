//! MAIL and RCPT: who a message is from and for, and what a relay would not take.

use super::{Action, Refused, Session, Transaction, reply};
use crate::inbox::smtp::address::{self, PathError};

impl Session {
    pub(super) fn mail(&mut self, argument: &str, actions: &mut Vec<Action>) {
        if !self.greeted {
            return self.wrong("503 5.5.1 EHLO or HELO first", actions);
        }
        if self.transaction.is_some() {
            return self.wrong(
                "503 5.5.1 MAIL was given already; RSET to start again",
                actions,
            );
        }
        let Some(text) = keyword(argument, "FROM:") else {
            return self.wrong("501 5.5.4 MAIL FROM:<address> expected", actions);
        };
        let parsed = match address::path(text) {
            Ok(parsed) => parsed,
            Err(error) => return self.bad_path(error, "5.1.7", argument, actions),
        };
        let mut utf8 = false;
        for parameter in parsed.rest.split_ascii_whitespace() {
            let (name, value) = match parameter.split_once('=') {
                Some((name, value)) => (name, Some(value)),
                None => (parameter, None),
            };
            match (name.to_ascii_uppercase().as_str(), value) {
                ("SIZE", Some(value)) => match value.parse::<u64>() {
                    Ok(size) if size > self.limits.max_message as u64 => {
                        return self.refuse(
                            "552 5.3.4 message size exceeds the fixed maximum",
                            Some(parsed.address),
                            Vec::new(),
                            actions,
                        );
                    }
                    Ok(_) => {}
                    Err(_) => return self.wrong("501 5.5.4 SIZE must be a number", actions),
                },
                ("BODY", Some(value))
                    if value.eq_ignore_ascii_case("7BIT")
                        || value.eq_ignore_ascii_case("8BITMIME") => {}
                ("BODY", _) => {
                    return self.wrong("501 5.5.4 BODY must be 7BIT or 8BITMIME", actions);
                }
                ("SMTPUTF8", None) => utf8 = true,
                ("AUTH", Some(_)) => {}
                _ => return self.wrong("555 5.5.4 MAIL parameter not recognised", actions),
            }
        }
        if !utf8 && !parsed.address.is_ascii() {
            let from = Some(parsed.address);
            return self.refuse(
                "553 5.6.7 the address needs SMTPUTF8",
                from,
                Vec::new(),
                actions,
            );
        }
        self.transaction = Some(Transaction {
            from: parsed.address,
            to: Vec::new(),
            utf8,
        });
        actions.push(reply("250 2.1.0 sender ok"));
    }

    pub(super) fn rcpt(&mut self, argument: &str, actions: &mut Vec<Action>) {
        let Some(transaction) = &mut self.transaction else {
            return self.wrong("503 5.5.1 MAIL first", actions);
        };
        let Some(text) = keyword(argument, "TO:") else {
            return self.wrong("501 5.5.4 RCPT TO:<address> expected", actions);
        };
        let utf8 = transaction.utf8;
        let parsed = match address::path(text) {
            Ok(parsed) => parsed,
            Err(error) => return self.bad_path(error, "5.1.3", argument, actions),
        };
        if parsed.address.is_empty() {
            let from = Some(transaction.from.clone());
            return self.refuse(
                "553 5.1.3 a recipient must be named",
                from,
                Vec::new(),
                actions,
            );
        }
        if !parsed.rest.trim().is_empty() {
            return self.wrong("555 5.5.4 RCPT parameter not recognised", actions);
        }
        if !utf8 && !parsed.address.is_ascii() {
            let from = Some(transaction.from.clone());
            let to = vec![parsed.address];
            return self.refuse("553 5.6.7 the address needs SMTPUTF8", from, to, actions);
        }
        if transaction.to.len() >= self.limits.max_recipients {
            actions.push(reply("452 4.5.3 too many recipients"));
            return;
        }
        transaction.to.push(parsed.address);
        actions.push(reply("250 2.1.5 recipient ok"));
    }

    fn bad_path(
        &mut self,
        error: PathError,
        code: &str,
        argument: &str,
        actions: &mut Vec<Action>,
    ) {
        match error {
            PathError::Syntax(why) => self.wrong(&format!("501 5.5.4 {why}"), actions),
            PathError::Address(why) => {
                let text: String = argument
                    .chars()
                    .filter(|c| !c.is_control())
                    .take(320)
                    .collect();
                let from = self.transaction.as_ref().map(|t| t.from.clone());
                let why = format!("553 {code} {why}");
                self.refuse(&why, from, vec![text], actions);
            }
        }
    }

    fn refuse(
        &mut self,
        text: &str,
        from: Option<String>,
        to: Vec<String>,
        actions: &mut Vec<Action>,
    ) {
        let refused = Refused {
            reply: text.to_owned(),
            from,
            to,
            data: Vec::new(),
        };
        actions.push(Action::Refused(refused));
        self.wrong(text, actions);
    }
}

/// What follows `FROM:` or `TO:`, in any case.
fn keyword<'a>(argument: &'a str, word: &str) -> Option<&'a str> {
    let start = argument.get(..word.len())?;
    start
        .eq_ignore_ascii_case(word)
        .then(|| &argument[word.len()..])
}
