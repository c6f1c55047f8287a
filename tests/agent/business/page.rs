//! What `/metrics/business` says, and to whom.
