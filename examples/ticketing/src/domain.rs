//! The railway: a timetable, seats that are held, booked, paid for and refunded. No I/O and no
//! clock: every operation is told what time it is, so that tests own time.

pub mod catalog;
pub mod ids;
pub mod inventory;
pub mod seats;
pub mod timetable;
pub mod words;

#[cfg(test)]
mod properties;
