//! The closed vocabularies of the railway: train class, sales channel, payment method, outcome.
//! Each is a metric label.

use crate::word::words;

words! {
    /// Comfort and price of a seat.
    TrainClass { Executive = "executive", Business = "business", Economy = "economy" }
}

words! {
    /// Where a ticket is sold.
    Channel { Web = "web", Mobile = "mobile", Kiosk = "kiosk", Agent = "agent" }
}

words! {
    /// How a ticket is paid for.
    Method { Qris = "qris", VirtualAccount = "virtual_account", Card = "card" }
}

words! {
    /// What the payment provider answered.
    Outcome { Settled = "settled", Declined = "declined" }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::word::Word;

    #[test]
    fn words_read_back() {
        for class in TrainClass::ALL {
            assert_eq!(TrainClass::parse(class.word()), Some(*class));
        }
        assert_eq!(Method::WORDS, ["qris", "virtual_account", "card"]);
        assert_eq!(Method::parse("QRIS"), None);
    }
}
