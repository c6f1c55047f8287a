//! kai-observe from outside.

mod inbox;
