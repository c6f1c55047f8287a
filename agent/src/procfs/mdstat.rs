//! `/proc/mdstat` (md(4)): a line per array, then its status and perhaps how far a sync has come.

use super::text::{ParseError, fields, lines, number, quote, signed};

/// One array.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Array {
    pub name: String,
    /// `active` or `inactive`, or what it is doing: `recovering`, `resyncing`, `checking` or
    /// `reshaping`.
    pub state: String,
    pub active: u64,
    pub required: u64,
    pub failed: u64,
    pub spare: u64,
    pub blocks: i64,
    pub synced: i64,
}

/// What a sync line says is being done; the first that is named counts.
const ACTIVITIES: [(&[u8], &str); 4] = [
    (b"recovery", "recovering"),
    (b"reshape", "reshaping"),
    (b"check", "checking"),
    (b"resync", "resyncing"),
];

pub fn parse(text: &[u8]) -> Result<Vec<Array>, ParseError> {
    let all: Vec<(usize, &[u8])> = lines(text).collect();
    let mut arrays = Vec::new();
    for (at, (line, content)) in all.iter().enumerate() {
        let content = *content;
        if content.trim_ascii().is_empty()
            || content.starts_with(b" ")
            || content.starts_with(b"\t")
            || content.starts_with(b"unused")
            || content.starts_with(b"Personalities :")
        {
            continue;
        }
        let mut words = fields(content);
        let (Some(name), Some(_), Some(state)) = (words.next(), words.next(), words.next()) else {
            return Err(ParseError::new(
                *line,
                format!("{} is not a name, a colon and a state", quote(content)),
            ));
        };
        let following = |count: usize| all.get(at + count).map(|(_, content)| *content);
        let Some(status) = following(1) else {
            return Err(ParseError::new(
                *line,
                format!("the status of {} is missing", quote(name)),
            ));
        };
        let mut array = Array {
            name: String::from_utf8_lossy(name).into_owned(),
            state: String::from_utf8_lossy(state).into_owned(),
            failed: count(content, b"(F)"),
            spare: count(content, b"(S)"),
            ..of_status(line + 1, content, status)?
        };
        let mut sync = 2;
        if following(sync).is_some_and(|next| contains(next, b"bitmap")) {
            sync += 1;
        }
        let next = following(sync).unwrap_or_default();
        let activity = ACTIVITIES.iter().find(|(word, _)| contains(next, word));
        if let Some((_, state)) = activity {
            (*state).clone_into(&mut array.state);
            array.synced = if contains(next, b"PENDING") || contains(next, b"DELAYED") {
                0
            } else {
                synced(next).ok_or_else(|| {
                    ParseError::new(
                        line + sync,
                        format!("{} does not say (done/of all) blocks", quote(next)),
                    )
                })?
            };
        }
        arrays.push(array);
    }
    Ok(arrays)
}

/// The figures of the status line; names and states are the caller's.
fn of_status(line: usize, device: &[u8], status: &[u8]) -> Result<Array, ParseError> {
    let bad = || {
        ParseError::new(
            line,
            format!("{} is not the status of an array", quote(status)),
        )
    };
    let blocks = fields(status).next().and_then(signed).ok_or_else(bad)?;
    let (required, active) = if contains(device, b"raid0") || contains(device, b"linear") {
        let members = count(device, b"[");
        (members, members)
    } else if contains(device, b"inactive") {
        (0, 0)
    } else {
        members(status).ok_or_else(bad)?
    };
    Ok(Array {
        name: String::new(),
        state: String::new(),
        active,
        required,
        failed: 0,
        spare: 0,
        blocks,
        synced: blocks,
    })
}

/// Required and active members out of `5853468288 blocks … [3/2] [UU_]`.
fn members(status: &[u8]) -> Option<(u64, u64)> {
    let after = status.windows(8).position(|part| part == b" blocks ")? + 8;
    let is_place = |word: &[u8]| !word.is_empty() && word.iter().all(|byte| b"U_".contains(byte));
    let mut words = fields(&status[after..]).filter_map(|word| {
        word.strip_prefix(b"[")
            .and_then(|rest| rest.strip_suffix(b"]"))
    });
    let mut found = None;
    let mut last = words.next()?;
    for next in words {
        if is_place(next)
            && let Some(slash) = last.iter().position(|byte| *byte == b'/')
        {
            found = Some((number(&last[..slash])?, number(&last[slash + 1..])?));
        }
        last = next;
    }
    found
}

/// Blocks done out of `… recovery = 8.5% (16775552/195310144) finish=17.0min …`.
fn synced(line: &[u8]) -> Option<i64> {
    line.split(|byte| *byte == b'(').skip(1).find_map(|rest| {
        let end = rest.iter().position(|byte| *byte == b')')?;
        let slash = rest[..end].iter().position(|byte| *byte == b'/')?;
        number(&rest[slash + 1..end])?;
        signed(&rest[..slash])
    })
}

fn contains(text: &[u8], word: &[u8]) -> bool {
    count(text, word) > 0
}

fn count(text: &[u8], word: &[u8]) -> u64 {
    text.windows(word.len())
        .filter(|part| *part == word)
        .count() as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "Personalities : [raid1] [raid6]
md3 : active raid6 sda1[8] sdh1[7] sdg1[6](F) sdf1[5](S)
      5853468288 blocks super 1.2 level 6, 64k chunk, algorithm 2 [8/7] [UUUU_UUU]
      bitmap: 0/30 pages [0KB], 65536KB chunk

md6 : active raid1 sdb2[2] sda2[0]
      195310144 blocks [2/1] [U_]
      [=>...................]  recovery =  8.5% (16775552/195310144) finish=17.0min speed=259783K/sec

md0 : active raid0 sda[0] sdb[1]
      248896 blocks

unused devices: <none>
";

    #[test]
    fn arrays_and_their_states() {
        let arrays = parse(TEXT.as_bytes()).unwrap();
        let figures: Vec<_> = arrays
            .iter()
            .map(|a| {
                (
                    a.name.as_str(),
                    a.state.as_str(),
                    a.active,
                    a.required,
                    a.blocks,
                    a.synced,
                )
            })
            .collect();
        assert_eq!(
            figures,
            [
                ("md3", "active", 7, 8, 5_853_468_288, 5_853_468_288),
                ("md6", "recovering", 1, 2, 195_310_144, 16_775_552),
                ("md0", "active", 2, 2, 248_896, 248_896),
            ]
        );
        assert_eq!((arrays[0].failed, arrays[0].spare), (1, 1));
    }

    #[test]
    fn what_is_wrong_is_placed() {
        for (text, line) in [
            ("md0 : active raid1 sda[0]", 1),
            ("md0\n", 1),
            (
                "md0 : active raid1 sda[0]\n      x blocks [2/2] [UU]\n\n",
                2,
            ),
            ("md0 : active raid1 sda[0]\n      1 blocks [2/2]\n\n", 2),
            (
                "md0 : active raid1 sda[0]\n      1 blocks [2/2] [UU]\n  recovery = 1%\n\n",
                3,
            ),
        ] {
            assert_eq!(parse(text.as_bytes()).unwrap_err().line, line, "{text}");
        }
        assert!(
            parse(b"Personalities :\nunused devices: <none>\n")
                .unwrap()
                .is_empty()
        );
    }
}
