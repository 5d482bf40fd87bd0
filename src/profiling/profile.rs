//! A profile before it is written: stacks of addresses with their values.

use std::borrow::Cow;
use std::time::Duration;

use crate::model::Timestamp;

/// What a column of values means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ValueType {
    /// `cpu`, `inuse_space`, …
    pub kind: &'static str,
    /// `nanoseconds`, `bytes`, `count`.
    pub unit: &'static str,
}

/// One stack and what was measured on it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stack {
    /// Addresses from the innermost frame outwards.
    pub addresses: Vec<usize>,
    /// One value for each of the profile's types.
    pub values: Vec<i64>,
    /// Name of the thread, where known.
    pub thread: Option<String>,
}

/// Stacks of one kind, ready to be written as pprof protobuf or as a flame graph.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Profile {
    /// What each value of a stack means.
    pub types: Vec<ValueType>,
    /// Index into `types` of what a viewer shows first.
    pub default_type: usize,
    /// What `period` counts.
    pub period_type: ValueType,
    /// Distance of two samples, in the unit of `period_type`.
    pub period: i64,
    /// When it was taken, in milliseconds since the epoch.
    pub taken_at: Timestamp,
    /// How long it took; zero for a snapshot.
    pub duration: Duration,
    /// The stacks.
    pub stacks: Vec<Stack>,
    /// Remarks for the reader.
    pub comments: Vec<Cow<'static, str>>,
}
