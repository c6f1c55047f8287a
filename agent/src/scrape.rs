//! Applications' metrics pages on their way through the agent: fetched, relabelled, held to their
//! budgets, handed on in the format they came in.

pub mod budget;
pub mod relabel;
