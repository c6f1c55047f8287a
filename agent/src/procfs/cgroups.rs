//! `/proc/cgroups` (cgroups(7)): a line per controller.

use super::text::{ParseError, fields, lines, quote, signed};

/// A controller: its name, and how many cgroups it has and whether it is enabled.
pub type Controller<'a> = (&'a [u8], [i64; 2]);

pub fn parse(text: &[u8]) -> Result<Vec<Controller<'_>>, ParseError> {
    let mut controllers = Vec::new();
    for (line, content) in lines(text).filter(|(_, content)| !content.starts_with(b"#")) {
        let columns: Vec<&[u8]> = fields(content).collect();
        let bad = || {
            ParseError::new(
                line,
                format!("{} is not a controller and three numbers", quote(content)),
            )
        };
        let [name, hierarchy, count, enabled, ..] = columns[..] else {
            return Err(bad());
        };
        signed(hierarchy).ok_or_else(bad)?;
        let numbers = [count, enabled].map(signed);
        let [Some(count), Some(enabled)] = numbers else {
            return Err(bad());
        };
        controllers.push((name, [count, enabled]));
    }
    if controllers.is_empty() {
        return Err(ParseError::new(0, "no controller is in the file"));
    }
    Ok(controllers)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn controllers() {
        let text = b"#subsys_name\thierarchy\tnum_cgroups\tenabled\ncpu\t3\t72\t1\n";
        assert_eq!(parse(text).unwrap(), [(&b"cpu"[..], [72, 1])]);
        assert_eq!(parse(b"#h\ncpu 3 x 1\n").unwrap_err().line, 2);
        assert_eq!(parse(b"#h\ncpu 3\n").unwrap_err().line, 2);
        assert_eq!(parse(b"").unwrap_err().line, 0);
    }
}
