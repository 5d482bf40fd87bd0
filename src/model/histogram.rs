//! Native histograms: the shape that storage, PromQL and the wire agree on.

/// Schema number of a histogram whose bucket bounds are listed ([`Histogram::custom_values`]).
pub const CUSTOM_BUCKETS_SCHEMA: i32 = -53;

/// A run of consecutive buckets: skip `offset` buckets, then `length` buckets follow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    /// Distance to the end of the previous span; for the first span, the index of its first bucket.
    pub offset: i32,
    /// How many buckets the span covers.
    pub length: u32,
}

/// What is known about a counter reset between this histogram and the one before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ResetHint {
    /// Nothing is known: a reader must compare.
    #[default]
    Unknown,
    /// This is the first sample after a reset.
    Reset,
    /// No reset happened.
    NotReset,
    /// A gauge histogram: resets mean nothing.
    Gauge,
}

/// A native (sparse) histogram with float counts, as in Prometheus' `model/histogram/float_histogram.go`.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Histogram {
    /// Resolution, -4 to 8 for exponential buckets; [`CUSTOM_BUCKETS_SCHEMA`] for listed bounds.
    pub schema: i32,
    /// Width of the zero bucket.
    pub zero_threshold: f64,
    /// Observations in the zero bucket.
    pub zero_count: f64,
    /// All observations, NaN ones included.
    pub count: f64,
    /// Sum of all observations; the stale marker's bits make the whole histogram stale.
    pub sum: f64,
    /// Where the positive buckets lie.
    pub positive_spans: Vec<Span>,
    /// Where the negative buckets lie.
    pub negative_spans: Vec<Span>,
    /// Absolute counts of the positive buckets, in span order.
    pub positive: Vec<f64>,
    /// Absolute counts of the negative buckets, in span order.
    pub negative: Vec<f64>,
    /// Upper bounds without +Inf, ascending; only for [`CUSTOM_BUCKETS_SCHEMA`].
    pub custom_values: Vec<f64>,
    /// What is known about a reset before this sample.
    pub reset_hint: ResetHint,
}
