//! `/sys/devices/system/clocksource/clocksource<N>/`: names separated by blanks.

use super::text::{fields, trim};

/// The clock sources that the machine has.
pub fn available(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    fields(text)
}

/// The clock source in use.
pub fn current(text: &[u8]) -> &[u8] {
    trim(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_names() {
        let names: Vec<_> = available(b"tsc hpet acpi_pm \n").collect();
        assert_eq!(names, [&b"tsc"[..], b"hpet", b"acpi_pm"]);
        assert_eq!(current(b"tsc\n"), b"tsc");
    }
}
