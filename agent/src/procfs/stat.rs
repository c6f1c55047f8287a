//! `/proc/stat` (proc_stat(5)): time per CPU and mode, and the kernel's counters since boot.

use super::text::{ParseError, expect_number, fields, lines, number, quote};

/// Clock ticks per second in which user space sees times (`USER_HZ`); 100 on every architecture
/// that Linux supports today.
pub const USER_HZ: f64 = 100.0;

/// The modes of a `cpu` line in its own order; `guest` times are also contained in `user` and
/// `nice`.
pub const MODES: usize = 10;

/// One CPU's ticks: user, nice, system, idle, iowait, irq, softirq, steal, guest, guest_nice.
/// Columns that an older kernel does not have are 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cpu {
    pub number: u32,
    pub ticks: [u64; MODES],
}

/// The lines that are not about a CPU.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counters {
    pub boot_time: u64,
    pub interrupts: u64,
    pub context_switches: u64,
    pub forks: u64,
    pub procs_running: u64,
    pub procs_blocked: u64,
}

/// The `cpuN` lines, added to `into`; offline CPUs have none. Other lines must follow them, or the
/// file is cut off and CPUs are missing.
pub fn cpus(text: &[u8], into: &mut Vec<Cpu>) -> Result<(), ParseError> {
    let (mut last, mut complete) = (0, false);
    for (line, content) in lines(text) {
        last = line;
        let Some(rest) = content.strip_prefix(b"cpu") else {
            complete = !into.is_empty();
            continue;
        };
        let mut fields = fields(rest);
        // The first line, `cpu` and blanks, sums up all CPUs.
        if rest.first().is_none_or(u8::is_ascii_whitespace) {
            continue;
        }
        let name = fields.next().unwrap_or_default();
        let number = number(name)
            .and_then(|number| u32::try_from(number).ok())
            .ok_or_else(|| {
                ParseError::new(line, format!("{} is not the number of a CPU", quote(name)))
            })?;
        let mut ticks = [0; MODES];
        let mut columns = 0;
        for (slot, field) in ticks.iter_mut().zip(fields) {
            *slot = expect_number(
                line,
                &format!("column {} of cpu{number}", columns + 1),
                Some(field),
            )?;
            columns += 1;
        }
        if columns < 4 {
            // user, nice, system and idle have been there since Linux 2.0.
            return Err(ParseError::new(
                line,
                format!("cpu{number} has {columns} columns, at least 4 are expected"),
            ));
        }
        into.push(Cpu { number, ticks });
    }
    if complete {
        Ok(())
    } else {
        Err(ParseError::new(
            last,
            "the file ends before the list of CPUs does",
        ))
    }
}

/// The counters; an error if one of them is missing.
pub fn counters(text: &[u8]) -> Result<Counters, ParseError> {
    let names: [&[u8]; 6] = [
        b"btime",
        b"intr",
        b"ctxt",
        b"processes",
        b"procs_running",
        b"procs_blocked",
    ];
    let mut found = [None; 6];
    let mut last = 0;
    for (line, content) in lines(text) {
        last = line;
        let mut fields = fields(content);
        let name = fields.next().unwrap_or_default();
        if let Some(index) = names.iter().position(|known| *known == name) {
            // `intr` goes on with a column per interrupt; the first is their sum.
            let shown = String::from_utf8_lossy(name);
            found[index] = Some(expect_number(line, &shown, fields.next())?);
        }
    }
    let mut values = [0; 6];
    for ((value, found), name) in values.iter_mut().zip(found).zip(names) {
        *value = found.ok_or_else(|| {
            let name = String::from_utf8_lossy(name);
            ParseError::new(last, format!("the file ends without a line {name}"))
        })?;
    }
    let [
        boot_time,
        interrupts,
        context_switches,
        forks,
        procs_running,
        procs_blocked,
    ] = values;
    Ok(Counters {
        boot_time,
        interrupts,
        context_switches,
        forks,
        procs_running,
        procs_blocked,
    })
}

/// Kinds of soft interrupts in the order of the line `softirq`.
pub const SOFTIRQS: [&str; 10] = [
    "hi",
    "timer",
    "net_tx",
    "net_rx",
    "block",
    "block_iopoll",
    "tasklet",
    "sched",
    "hrtimer",
    "rcu",
];

/// How often each kind of soft interrupt was served.
pub fn softirqs(text: &[u8]) -> Result<[u64; SOFTIRQS.len()], ParseError> {
    let mut counts = [0; SOFTIRQS.len()];
    for (line, content) in lines(text) {
        let mut fields = fields(content);
        if fields.next() != Some(b"softirq") {
            continue;
        }
        expect_number(line, "the sum of softirq", fields.next())?;
        for (slot, name) in counts.iter_mut().zip(SOFTIRQS) {
            *slot = expect_number(line, name, fields.next())?;
        }
    }
    Ok(counts)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn soft_interrupts_by_kind() {
        let counts = softirqs(b"ctxt 1\nsoftirq 55 1 2 3 4 5 6 7 8 9 10\n").unwrap();
        assert_eq!(counts, [1, 2, 3, 4, 5, 6, 7, 8, 9, 10]);
        assert_eq!(softirqs(b"ctxt 1\nsoftirq 55 1 2\n").unwrap_err().line, 2);
    }

    const STAT: &[u8] = b"cpu  301854 612 111922 8979004 3552 2 3944 0 44 36\n\
        cpu0 44490 19 21045 1087069 220 1 3410 0 2 1\n\
        cpu3 1 2 3 4\n\
        intr 8885917 17 0 0\nctxt 38014093\nbtime 1418183276\nprocesses 26442\n\
        procs_running 2\nprocs_blocked 1\nsoftirq 5057579 250191 1481983\n";

    #[test]
    fn reads_cpus_and_leaves_the_sum_out() {
        let mut found = Vec::new();
        cpus(STAT, &mut found).unwrap();
        assert_eq!(
            found,
            [
                Cpu {
                    number: 0,
                    ticks: [44490, 19, 21045, 1087069, 220, 1, 3410, 0, 2, 1]
                },
                Cpu {
                    number: 3,
                    ticks: [1, 2, 3, 4, 0, 0, 0, 0, 0, 0]
                },
            ]
        );
    }

    #[test]
    fn reads_counters() {
        let found = counters(STAT).unwrap();
        assert_eq!(found.boot_time, 1_418_183_276);
        assert_eq!(found.interrupts, 8_885_917);
        assert_eq!(found.context_switches, 38_014_093);
        assert_eq!(found.forks, 26_442);
        assert_eq!((found.procs_running, found.procs_blocked), (2, 1));
    }

    #[test]
    fn names_the_line_that_is_wrong() {
        let bad = |text: &[u8]| cpus(text, &mut Vec::new()).unwrap_err();
        assert_eq!(bad(b"cpu 1\ncpu0 1 2 3 x\n").line, 2);
        assert_eq!(
            bad(b"cpu0 1 2\n").message,
            "cpu0 has 2 columns, at least 4 are expected"
        );
        assert_eq!(bad(b"cpux 1 2 3 4\n").line, 1);
        assert_eq!(bad(b"cpu0 99999999999999999999 2 3 4\n").line, 1);
        let error = counters(b"ctxt 1\nbtime -5\n").unwrap_err();
        assert_eq!(
            (error.line, error.message.as_str()),
            (2, "btime is \"-5\", not a 64-bit number")
        );
        let error = counters(b"ctxt 1\nbtime 5\n").unwrap_err();
        assert_eq!(
            (error.line, error.message.as_str()),
            (2, "the file ends without a line intr")
        );
    }

    proptest! {
        #[test]
        fn never_panics(text in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = cpus(&text, &mut Vec::new());
            let _ = counters(&text);
        }

        #[test]
        fn what_is_written_is_read(rows in proptest::collection::vec(any::<[u64; MODES]>(), 1..5)) {
            let mut text = "cpu 1 2 3 4\n".to_owned();
            for (number, ticks) in rows.iter().enumerate() {
                text.push_str(&format!("cpu{number}"));
                for value in ticks {
                    text.push_str(&format!(" {value}"));
                }
                text.push('\n');
            }
            text.push_str("intr 1\n");
            let mut found = Vec::new();
            cpus(text.as_bytes(), &mut found).unwrap();
            let ticks: Vec<_> = found.iter().map(|cpu| cpu.ticks).collect();
            prop_assert_eq!(ticks, rows);
        }
    }
}
