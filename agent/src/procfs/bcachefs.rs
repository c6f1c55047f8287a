//! bcachefs' files in sysfs: tables and sections with numbers for people.

use super::text::{ParseError, fields, float, lines, number, quote, trim, whole};

/// A number with a unit of 1024 behind it, perhaps.
pub fn human(text: &[u8]) -> Option<u64> {
    let text = trim(text);
    let (last, rest) = text.split_last()?;
    let power = b"kmgtpe"
        .iter()
        .position(|unit| *unit == last.to_ascii_lowercase());
    let (digits, unit) = match power {
        Some(power) => (rest, 1024_f64.powi(power as i32 + 1)),
        None => (text, 1.0),
    };
    Some(whole(float(trim(digits))? * unit))
}

fn bad(line: usize, content: &[u8]) -> ParseError {
    ParseError::new(
        line,
        format!("{} has no number where one is expected", quote(content)),
    )
}

/// A row of a table: its name and two numbers.
type Row = (String, u64, u64);

/// What each way of compressing has made of how much, below a line of headings.
pub fn compression(text: &[u8]) -> Result<Vec<Row>, ParseError> {
    table(text, human, true)
}

/// How often each kind of node was written and how large it was, below a line of headings.
pub fn writes(text: &[u8]) -> Result<Vec<Row>, ParseError> {
    table(text, number, false)
}

fn table(
    text: &[u8],
    first: fn(&[u8]) -> Option<u64>,
    with_average: bool,
) -> Result<Vec<Row>, ParseError> {
    let mut rows = Vec::new();
    for (line, content) in lines(text).skip(1) {
        let mut words = fields(content);
        let (Some(name), Some(one), Some(two)) = (words.next(), words.next(), words.next()) else {
            continue;
        };
        let name = name.strip_suffix(b":").unwrap_or(name);
        let value =
            |read: fn(&[u8]) -> Option<u64>, word| read(word).ok_or_else(|| bad(line, content));
        let row = (
            String::from_utf8_lossy(name).into_owned(),
            value(first, one)?,
            value(human, two)?,
        );
        // The average of an extent, which is not shown and must be one all the same.
        if let (true, Some(average)) = (with_average, words.next()) {
            value(human, average)?;
        }
        put(&mut rows, row, |old, new| old.0 == new.0);
    }
    Ok(rows)
}

/// Adds a row, or puts it in the place of one of the same name: the last one counts.
fn put<T>(rows: &mut Vec<T>, row: T, is_same: impl Fn(&T, &T) -> bool) {
    match rows.iter_mut().find(|old| is_same(old, &row)) {
        Some(old) => *old = row,
        None => rows.push(row),
    }
}

/// A kind of error and its number per line; when it was last seen is not shown.
pub fn errors(text: &[u8]) -> Result<Vec<(String, u64)>, ParseError> {
    let mut rows = Vec::new();
    for (line, content) in lines(text) {
        let mut words = fields(content);
        if let (Some(name), Some(count)) = (words.next(), words.next()) {
            let value = |word| number(word).ok_or_else(|| bad(line, content));
            let count = value(count)?;
            words.next().map(value).transpose()?;
            let row = (String::from_utf8_lossy(name).into_owned(), count);
            put(&mut rows, row, |old, new| old.0 == new.0);
        }
    }
    Ok(rows)
}

/// What a counter has counted since the file system was made.
pub fn counter(text: &[u8]) -> Result<u64, ParseError> {
    let mut found = None;
    for (line, content) in lines(text) {
        if let Some(value) = content.strip_prefix(b"since mount:") {
            human(value).ok_or_else(|| bad(line, content))?;
            found = found.or(Some(0));
        } else if let Some(value) = content.strip_prefix(b"since filesystem creation:") {
            found = Some(human(value).ok_or_else(|| bad(line, content))?);
        }
    }
    found.ok_or_else(|| ParseError::new(0, "no line \"since filesystem creation:\" is in the file"))
}

/// What a line is to the sections of a file.
pub enum Heading {
    /// One begins here.
    Of(String),
    /// What is wanted ends here.
    End,
    No,
}

/// `name: number` lines below each section's heading, with the section.
pub fn sections(
    text: &[u8],
    heading: impl Fn(&[u8]) -> Heading,
) -> Result<Vec<(String, String, u64)>, ParseError> {
    let mut current = None;
    let mut rows = Vec::new();
    for (line, content) in lines(text) {
        match heading(content) {
            Heading::Of(section) => {
                current = Some(section);
                continue;
            }
            Heading::End => break,
            Heading::No => {}
        }
        let content = trim(content);
        let colon = content.iter().position(|byte| *byte == b':');
        if let (Some(section), Some(colon)) = (&current, colon) {
            let value = number(trim(&content[colon + 1..])).ok_or_else(|| bad(line, content))?;
            let name = String::from_utf8_lossy(trim(&content[..colon])).into_owned();
            let is_same = |old: &(String, String, u64), new: &_| {
                let (section, name, _): &(String, String, u64) = new;
                old.0 == *section && old.1 == *name
            };
            put(&mut rows, (section.clone(), name, value), is_same);
        }
    }
    Ok(rows)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_tables_and_sections() {
        assert_eq!(human(b"1.5k"), Some(1536));
        assert_eq!(human(b" 524G"), Some(562_640_715_776));
        assert_eq!(human(b"7"), Some(7));
        assert_eq!(human(b""), None);
        let rows = compression(b"type compressed uncompressed\nlz4: 1k 2k 64k\n").unwrap();
        assert_eq!(rows, [("lz4".to_owned(), 1024, 2048)]);
        assert_eq!(compression(b"h\nlz4: x 2k\n").unwrap_err().line, 2);
        assert_eq!(compression(b"h\nlz4: 1 2k x\n").unwrap_err().line, 2);
        assert_eq!(writes(b"h\nlz4: 1k 2k\n").unwrap_err().line, 2);
        assert_eq!(writes(b"h\nlz4: 1 2k x\n").unwrap()[0].2, 2048);
        assert_eq!(errors(b"a 5\nb 6\na 7\n").unwrap().len(), 2);
        assert_eq!(errors(b"a 5 x\n").unwrap_err().line, 1);
        assert_eq!(errors(b"btree_node_read_err 5 1234\n").unwrap()[0].1, 5);
        assert_eq!(
            counter(b"since mount:  1k\nsince filesystem creation:  2k\n").unwrap(),
            2048
        );
        assert_eq!(counter(b"nonsense\n").unwrap_err().line, 0);
        let heading = |line: &[u8]| match line {
            b"read:" => Heading::Of("read".to_owned()),
            b"end" => Heading::End,
            _ => Heading::No,
        };
        let rows = sections(b"sb: x\nread:\n  sb : 5\nend\nsb: x\n", heading).unwrap();
        assert_eq!(rows, [("read".to_owned(), "sb".to_owned(), 5)]);
    }
}
