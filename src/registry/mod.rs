//! The series table and the latest values that `/metrics` shows.
