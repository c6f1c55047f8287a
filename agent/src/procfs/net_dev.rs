//! `/proc/net/dev` (proc_pid_net(5)), and the statistics of a network device in the terms of its
//! columns, whichever way they were read.

use super::text::{ParseError, expect_number, fields, lines};

/// One device. The names are node_exporter's, `receive_errs` and so on.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Device {
    pub name: String,
    pub receive_bytes: u64,
    pub receive_packets: u64,
    pub receive_errs: u64,
    pub receive_drop: u64,
    pub receive_fifo: u64,
    pub receive_frame: u64,
    pub receive_compressed: u64,
    pub receive_multicast: u64,
    /// Only netlink tells it.
    pub receive_nohandler: Option<u64>,
    pub transmit_bytes: u64,
    pub transmit_packets: u64,
    pub transmit_errs: u64,
    pub transmit_drop: u64,
    pub transmit_fifo: u64,
    pub transmit_colls: u64,
    pub transmit_carrier: u64,
    pub transmit_compressed: u64,
}

/// The devices, added to `into`.
pub fn parse(text: &[u8], into: &mut Vec<Device>) -> Result<(), ParseError> {
    let mut headers = 0;
    for (line, content) in lines(text) {
        if line <= 2 {
            headers = line;
            continue;
        }
        // An alias (`eth0:1`) has a colon of its own.
        let colon = content
            .iter()
            .rposition(|byte| *byte == b':')
            .filter(|at| *at > 0);
        let Some(colon) = colon else {
            return Err(ParseError::new(line, "no device name and colon"));
        };
        let name = String::from_utf8_lossy(content[..colon].trim_ascii()).into_owned();
        let mut values = [0; 16];
        let mut columns = fields(&content[colon + 1..]);
        for (index, value) in values.iter_mut().enumerate() {
            *value = expect_number(
                line,
                &format!("column {} of {name}", index + 1),
                columns.next(),
            )?;
        }
        let [
            rb,
            rp,
            re,
            rd,
            rfi,
            rfr,
            rc,
            rm,
            tb,
            tp,
            te,
            td,
            tfi,
            tco,
            tca,
            tcm,
        ] = values;
        into.push(Device {
            name,
            receive_bytes: rb,
            receive_packets: rp,
            receive_errs: re,
            receive_drop: rd,
            receive_fifo: rfi,
            receive_frame: rfr,
            receive_compressed: rc,
            receive_multicast: rm,
            receive_nohandler: None,
            transmit_bytes: tb,
            transmit_packets: tp,
            transmit_errs: te,
            transmit_drop: td,
            transmit_fifo: tfi,
            transmit_colls: tco,
            transmit_carrier: tca,
            transmit_compressed: tcm,
        });
    }
    if headers < 2 {
        return Err(ParseError::new(
            headers,
            "the file ends before its two lines of headings",
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const HEAD: &str = "Inter-|   Receive  |  Transmit\n face |bytes packets|bytes\n";

    #[test]
    fn reads_devices_and_aliases() {
        let mut found = Vec::new();
        let text = format!(
            "{HEAD}    lo: 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16\neth0:1:17 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16\n"
        );
        parse(text.as_bytes(), &mut found).unwrap();
        assert_eq!(found[0].name, "lo");
        assert_eq!(
            (found[0].receive_bytes, found[0].transmit_compressed),
            (1, 16)
        );
        assert_eq!(
            (found[1].name.as_str(), found[1].receive_bytes),
            ("eth0:1", 17)
        );
    }

    #[test]
    fn names_the_line_that_is_wrong() {
        let bad = |text: String| {
            parse(text.as_bytes(), &mut Vec::new())
                .unwrap_err()
                .to_string()
        };
        assert_eq!(
            bad(format!("{HEAD}lo: 1 2\n")),
            "line 3: column 3 of lo is missing"
        );
        assert_eq!(
            bad(format!("{HEAD}lo 1 2\n")),
            "line 3: no device name and colon"
        );
        assert_eq!(
            bad(String::new()),
            "line 0: the file ends before its two lines of headings"
        );
    }

    proptest! {
        #[test]
        fn never_panics(text in proptest::collection::vec(any::<u8>(), 0..200)) {
            let mut all = HEAD.as_bytes().to_vec();
            all.extend(text);
            let _ = parse(&all, &mut Vec::new());
        }
    }
}
