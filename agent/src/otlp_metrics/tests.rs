//! From pushed points to pages, and what is refused.
