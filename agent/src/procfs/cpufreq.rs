//! The statistics of a CPU's frequencies (the kernel's cpufreq-stats.rst), of which nothing is shown:
//! whether they are what the kernel writes.

use super::text::{ParseError, fields, lines, number, quote};

/// `time_in_state`: a frequency and how long it was in force, per line.
pub fn durations(text: &[u8]) -> Result<(), ParseError> {
    for (line, content) in lines(text).filter(|(_, content)| !content.is_empty()) {
        let pair: Vec<_> = fields(content).map(number).collect();
        if !matches!(pair[..], [Some(_), Some(_)]) {
            let message = format!("{} is not a frequency and a time", quote(content));
            return Err(ParseError::new(line, message));
        }
    }
    Ok(())
}

/// `trans_table`: below a line of words frequencies, and how often each followed each.
pub fn transitions(text: &[u8]) -> Result<(), ParseError> {
    for (line, content) in lines(text)
        .skip(1)
        .filter(|(_, content)| !content.is_empty())
    {
        let mut words = fields(content);
        let first = words
            .next()
            .map(|word| word.strip_suffix(b":").unwrap_or(word));
        let is_good = first.is_some_and(|first| first.is_empty() || number(first).is_some())
            && words.all(|word| number(word).is_some());
        if !is_good {
            let message = format!("{} is not a row of numbers", quote(content));
            return Err(ParseError::new(line, message));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_of_frequencies() {
        assert_eq!(durations(b"3600000 2089\n3400000 136\n\n"), Ok(()));
        assert_eq!(durations(b"3600000 2089\n3400000\n").unwrap_err().line, 2);
        assert_eq!(durations(b"3600000 x\n").unwrap_err().line, 1);
        assert_eq!(durations(b" \n").unwrap_err().line, 1);
        let table =
            b"   From  :    To\n         :   3600000   3400000 \n  3600000:         0         5 \n";
        assert_eq!(transitions(table), Ok(()));
        assert_eq!(transitions(b"h\n1: 2 x\n").unwrap_err().line, 2);
        assert_eq!(transitions(b"h\n \n").unwrap_err().line, 2);
    }
}
