//! Tests of kai-observe from outside, one subject per file.

mod spec;
