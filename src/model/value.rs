//! Sample values, timestamps, and the two NaN payloads that mean something.

use std::sync::Arc;

use super::Histogram;

/// Milliseconds since the Unix epoch.
pub type Timestamp = i64;

/// Bits of the stale marker: "this series ends here" (value/value.go of Prometheus, `StaleNaN`).
pub const STALE_BITS: u64 = 0x7ff0_0000_0000_0002;

/// Bits of a hole in a dense column: the group was read at that time, this series had no value.
///
/// It never leaves the process: a NaN with these bits that comes from outside is stored as the quiet NaN.
pub const ABSENT_BITS: u64 = 0x7ff0_0000_0000_00a5;

/// The stale marker as a float. Compare it with [`is_stale`], never with `==`.
#[inline]
pub const fn stale_marker() -> f64 {
    f64::from_bits(STALE_BITS)
}

/// Whether `value` is the stale marker, by bits.
#[inline]
pub const fn is_stale(value: f64) -> bool {
    value.to_bits() == STALE_BITS
}

/// The hole marker of dense columns as a float. Compare it with [`is_absent`].
#[inline]
pub const fn absent() -> f64 {
    f64::from_bits(ABSENT_BITS)
}

/// Whether `value` is a hole in a dense column, by bits.
#[inline]
pub const fn is_absent(value: f64) -> bool {
    value.to_bits() == ABSENT_BITS
}

/// What one sample holds: a float or a native histogram.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// A plain number; the stale marker is one too.
    Float(f64),
    /// A native histogram, shared because windows and joins pass it on unchanged.
    Histogram(Arc<Histogram>),
}

impl Value {
    /// The float, or `None` for a histogram.
    pub fn as_float(&self) -> Option<f64> {
        match self {
            Self::Float(value) => Some(*value),
            Self::Histogram(_) => None,
        }
    }
}

impl From<f64> for Value {
    fn from(value: f64) -> Self {
        Self::Float(value)
    }
}
