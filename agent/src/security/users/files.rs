//! passwd(5), group(5) and shadow(5).

use crate::procfs::text::{ParseError, lines, number, quote};

/// One line of passwd(5).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User<'a> {
    pub name: &'a [u8],
    pub uid: u64,
    pub gid: u64,
    pub home: &'a [u8],
    pub shell: &'a [u8],
}

/// One line of group(5).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group<'a> {
    pub name: &'a [u8],
    pub gid: u64,
    pub members: &'a [u8],
}

/// Whether a password opens an account, from shadow(5).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Password {
    Set,
    /// Everybody may log in.
    Empty,
    Locked,
}

fn columns(line: &[u8]) -> Vec<&[u8]> {
    line.split(|byte| *byte == b':').collect()
}

fn is_entry(line: &[u8]) -> bool {
    // `+` and `-` begin lines for NIS.
    !line.is_empty() && !matches!(line[0], b'#' | b'+' | b'-')
}

pub fn users(text: &[u8]) -> Result<Vec<User<'_>>, ParseError> {
    let entries = lines(text).filter(|(_, line)| is_entry(line));
    entries
        .map(|(line, content)| {
            let columns = columns(content);
            let [name, _, uid, gid, _, home, shell] = columns[..] else {
                return Err(ParseError::new(
                    line,
                    format!("{} columns, seven are expected", columns.len()),
                ));
            };
            let id = |what: &str, field: &[u8]| {
                number(field)
                    .ok_or_else(|| ParseError::new(line, format!("the {what} is {}", quote(field))))
            };
            Ok(User {
                name,
                uid: id("user's number", uid)?,
                gid: id("group's number", gid)?,
                home,
                shell,
            })
        })
        .collect()
}

pub fn groups(text: &[u8]) -> Result<Vec<Group<'_>>, ParseError> {
    let entries = lines(text).filter(|(_, line)| is_entry(line));
    entries
        .map(|(line, content)| {
            let columns = columns(content);
            let [name, _, gid, members] = columns[..] else {
                return Err(ParseError::new(
                    line,
                    format!("{} columns, four are expected", columns.len()),
                ));
            };
            let gid = number(gid).ok_or_else(|| {
                ParseError::new(line, format!("the group's number is {}", quote(gid)))
            })?;
            Ok(Group { name, gid, members })
        })
        .collect()
}

/// Hands over each account's password state; the hash itself goes nowhere.
pub fn passwords(text: &[u8], mut each: impl FnMut(&[u8], Password)) -> Result<(), ParseError> {
    for (line, content) in lines(text).filter(|(_, line)| is_entry(line)) {
        let mut columns = content.split(|byte| *byte == b':');
        let (Some(name), Some(hash)) = (columns.next(), columns.next()) else {
            return Err(ParseError::new(line, "there is no second column"));
        };
        let password = match hash.first() {
            None => Password::Empty,
            Some(b'!' | b'*') => Password::Locked,
            Some(_) => Password::Set,
        };
        each(name, password);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn accounts() {
        let users = users(
            b"root:x:0:0:root:/root:/bin/bash\n#c\n+::::::\nbob:x:1001:1001:,,,:/home/bob:\n",
        )
        .unwrap();
        assert_eq!(users.len(), 2);
        assert_eq!((users[1].uid, users[1].shell), (1001, &b""[..]));
        let groups = groups(b"sudo:x:27:bob,alice\n").unwrap();
        assert_eq!(groups[0].members, b"bob,alice");
        let mut states = Vec::new();
        passwords(b"a:$y$:1\nb:!:1\nc::1\nd:*:\n", |_, state| {
            states.push(state);
        })
        .unwrap();
        assert_eq!(
            states,
            [
                Password::Set,
                Password::Locked,
                Password::Empty,
                Password::Locked
            ]
        );
        assert_eq!(super::users(b"a:x:0\n").unwrap_err().line, 1);
        assert_eq!(
            super::users(b"a:x:0:0:::\nb:x:-1:0:::\n").unwrap_err().line,
            2
        );
        assert_eq!(super::groups(b"a:x:y:\n").unwrap_err().line, 1);
        assert!(passwords(b"a\n", |_, _| ()).is_err());
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(text in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = users(&text);
            let _ = groups(&text);
            let _ = passwords(&text, |_, _| ());
        }

        #[test]
        fn what_is_written_is_read(name in "[a-z_][a-z0-9_-]{0,30}", uid: u32, members in "[a-z,]{0,20}") {
            let text = format!("{name}:x:{uid}:7::/h:/s\n");
            prop_assert_eq!(users(text.as_bytes()).unwrap()[0].uid, u64::from(uid));
            let text = format!("{name}:x:{uid}:{members}\n");
            prop_assert_eq!(groups(text.as_bytes()).unwrap()[0].members, members.as_bytes());
        }
    }
}
