//! `/proc/net/softnet_stat`: a line of hexadecimal numbers per CPU.

use super::text::{ParseError, fields, hex, lines, quote};

/// One CPU's counters; a column that an older kernel does not have is 0.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Cpu {
    /// The kernel's number, or the line's if it does not tell.
    pub number: u64,
    pub processed: u64,
    pub dropped: u64,
    pub times_squeezed: u64,
    pub collisions: u64,
    pub received_rps: u64,
    pub flow_limits: u64,
    pub backlog: u64,
}

const LEAST: usize = 9;
const MOST: usize = 13;

pub fn parse(text: &[u8]) -> Result<Vec<Cpu>, ParseError> {
    let mut cpus = Vec::new();
    for (line, content) in lines(text) {
        let mut columns = [0; MOST];
        let mut width = 0;
        for (at, field) in fields(content).enumerate() {
            width = at + 1;
            if let Some(column) = columns.get_mut(at) {
                *column = hex(field)
                    .filter(|number| u32::try_from(*number).is_ok())
                    .ok_or_else(|| {
                        ParseError::new(
                            line,
                            format!(
                                "column {width} is {}, not a 32-bit hexadecimal number",
                                quote(field)
                            ),
                        )
                    })?;
            }
        }
        if width < LEAST {
            return Err(ParseError::new(
                line,
                format!("{width} columns, at least {LEAST} are expected"),
            ));
        }
        let complete = width >= MOST;
        cpus.push(Cpu {
            number: if complete {
                columns[12]
            } else {
                cpus.len() as u64
            },
            processed: columns[0],
            dropped: columns[1],
            times_squeezed: columns[2],
            collisions: columns[8],
            received_rps: columns[9],
            flow_limits: columns[10],
            backlog: if complete { columns[11] } else { 0 },
        });
    }
    if cpus.is_empty() {
        return Err(ParseError::new(0, "the file is empty"));
    }
    Ok(cpus)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn old_and_new_lines() {
        let old = parse(b"00358fe3 00006283 00000000 0 0 0 0 0 0 00085bd4 00000003\n").unwrap();
        assert_eq!(
            (old[0].number, old[0].processed, old[0].flow_limits),
            (0, 0x35_8fe3, 3)
        );
        let new = parse(b"1 2 3 0 0 0 0 0 4 5 6 7 e 0 0\n").unwrap();
        let cpu = new[0];
        assert_eq!((cpu.number, cpu.backlog, cpu.collisions), (14, 7, 4));
    }

    #[test]
    fn what_is_wrong_is_placed() {
        assert_eq!(parse(b"").unwrap_err().line, 0);
        assert_eq!(parse(b"1 2 3\n").unwrap_err().line, 1);
        assert_eq!(
            parse(b"0 0 0 0 0 0 0 0 0\n0 0 0 0 0 0 0 0 x\n")
                .unwrap_err()
                .line,
            2
        );
        assert_eq!(parse(b"100000000 0 0 0 0 0 0 0 0\n").unwrap_err().line, 1);
    }
}
