//! Identifiers of holds, bookings, payments and refunds: a letter, the start time of the process
//! and a sequence number, so that two runs of the service never give the same one.

use std::fmt;

/// Which kind of thing an identifier names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    Hold,
    Booking,
    Payment,
    Refund,
}

impl Kind {
    fn letter(self) -> char {
        match self {
            Self::Hold => 'H',
            Self::Booking => 'B',
            Self::Payment => 'P',
            Self::Refund => 'R',
        }
    }
}

/// `B-<run>-<number>`, both in base 36: `B-1b2c3d-2f`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Id {
    pub kind: Kind,
    run: u64,
    pub number: u64,
}

impl Id {
    pub fn new(kind: Kind, run: u64, number: u64) -> Self {
        Self { kind, run, number }
    }

    /// Reads exactly what `Display` writes, for one kind.
    pub fn parse(kind: Kind, text: &str) -> Option<Self> {
        let mut parts = text.split('-');
        let (letter, run, number) = (parts.next()?, parts.next()?, parts.next()?);
        let id = Self {
            kind,
            run: u64::from_str_radix(run, 36).ok()?,
            number: u64::from_str_radix(number, 36).ok()?,
        };
        let whole =
            parts.next().is_none() && letter.len() == 1 && letter.starts_with(kind.letter());
        // "+1", "01" and capitals are other spellings of the same number: one id, one spelling.
        (whole && id.to_string() == text).then_some(id)
    }

    pub fn is_of_run(self, run: u64) -> bool {
        self.run == run
    }
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}-{}-{}",
            self.kind.letter(),
            base36(self.run),
            base36(self.number)
        )
    }
}

fn base36(mut n: u64) -> String {
    let mut digits = Vec::new();
    loop {
        digits.push(char::from(
            b"0123456789abcdefghijklmnopqrstuvwxyz"[(n % 36) as usize],
        ));
        n /= 36;
        if n == 0 {
            return digits.iter().rev().collect();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn reads_back(run in any::<u64>(), number in any::<u64>()) {
            let id = Id::new(Kind::Booking, run, number);
            prop_assert_eq!(Id::parse(Kind::Booking, &id.to_string()), Some(id));
            prop_assert_eq!(Id::parse(Kind::Hold, &id.to_string()), None);
        }

        #[test]
        fn any_text_is_read_or_refused(text in "\\PC{0,20}") {
            if let Some(id) = Id::parse(Kind::Hold, &text) {
                prop_assert_eq!(id.to_string(), text);
            }
        }
    }

    #[test]
    fn one_spelling_only() {
        assert!(Id::parse(Kind::Hold, "H-1-2").is_some());
        for text in [
            "H-01-2", "H-1-+2", "H-A-2", "h-1-2", "H-1-2-3", "H-1", "HH-1-2", "", "--",
        ] {
            assert_eq!(Id::parse(Kind::Hold, text), None, "{text}");
        }
    }
}
