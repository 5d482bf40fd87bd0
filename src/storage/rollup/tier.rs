//! The tiers: how long a bucket is, and how many become one segment.

use std::fmt;

use crate::model::Timestamp;

/// One resolution of rollups.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Tier {
    /// Buckets of a minute.
    Minute,
    /// Buckets of an hour.
    Hour,
    /// Buckets of a day (UTC).
    Day,
}

const MINUTE_MS: i64 = 60_000;
const HOUR_MS: i64 = 60 * MINUTE_MS;
const DAY_MS: i64 = 24 * HOUR_MS;

impl Tier {
    /// From the finest to the coarsest.
    pub const ALL: [Self; 3] = [Self::Minute, Self::Hour, Self::Day];

    /// Length of a bucket in milliseconds. A bucket takes the samples after its start up to its end: `(end − bucket, end]`;
    /// ends are multiples of the length.
    pub fn bucket_ms(self) -> i64 {
        match self {
            Self::Minute => MINUTE_MS,
            Self::Hour => HOUR_MS,
            Self::Day => DAY_MS,
        }
    }

    /// What becomes one segment, in milliseconds.
    pub(crate) fn span_ms(self) -> i64 {
        match self {
            Self::Minute => HOUR_MS,
            Self::Hour => DAY_MS,
            Self::Day => 30 * DAY_MS,
        }
    }

    /// The tier that this one is made of; `None`: of raw samples.
    pub(crate) fn finer(self) -> Option<Self> {
        match self {
            Self::Minute => None,
            Self::Hour => Some(Self::Minute),
            Self::Day => Some(Self::Hour),
        }
    }

    /// The tier that is made of this one.
    pub(crate) fn coarser(self) -> Option<Self> {
        match self {
            Self::Minute => Some(Self::Hour),
            Self::Hour => Some(Self::Day),
            Self::Day => None,
        }
    }

    /// The part of the retention size, in percent, that a tier may take before its oldest segments go for it.
    pub(crate) fn share(self) -> u64 {
        match self {
            Self::Minute => 20,
            Self::Hour => 10,
            Self::Day => 5,
        }
    }

    /// The start of the span that the end of a bucket lies in, for spans are open on the left as buckets are.
    pub(crate) fn span_of(self, ts: Timestamp) -> Timestamp {
        let span = self.span_ms();
        ts.saturating_sub(1).div_euclid(span).saturating_mul(span)
    }

    /// `1m`, `1h`, `1d`: the length of a bucket as people write it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Minute => "1m",
            Self::Hour => "1h",
            Self::Day => "1d",
        }
    }

    /// The number in the directory's records.
    pub(crate) fn code(self) -> u8 {
        match self {
            Self::Minute => 1,
            Self::Hour => 2,
            Self::Day => 3,
        }
    }

    pub(crate) fn of_code(code: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|tier| tier.code() == code)
    }
}

impl fmt::Display for Tier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
