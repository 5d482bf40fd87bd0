//! What a query gives: values, annotations, or an error that says which kind it is.

use std::sync::Arc;
use std::time::Duration;

use crate::model::{Histogram, Labels, Timestamp, Value};
use crate::storage::Tier;

/// One series with one sample.
#[derive(Debug, Clone, PartialEq)]
pub struct Sample {
    /// Its labels; the name is there unless an operation dropped it.
    pub labels: Labels,
    /// The evaluation time (for a vector), in milliseconds.
    pub ts: Timestamp,
    /// The value.
    pub value: Value,
}

/// One series with samples over time, ascending.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Series {
    /// Its labels.
    pub labels: Labels,
    /// Float samples.
    pub floats: Vec<(Timestamp, f64)>,
    /// Native histogram samples.
    pub histograms: Vec<(Timestamp, Arc<Histogram>)>,
}

/// The value of a query.
#[derive(Debug, Clone, PartialEq)]
pub enum QueryValue {
    /// A number at the evaluation time.
    Scalar(Timestamp, f64),
    /// A string at the evaluation time.
    String(Timestamp, String),
    /// An instant vector; sorted only by functions that sort.
    Vector(Vec<Sample>),
    /// A matrix, sorted by labels; every range query gives one.
    Matrix(Vec<Series>),
}

/// Warnings and infos, each with its text and position as Prometheus writes them, without duplicates, sorted.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Annotations {
    /// `PromQL warning: …`
    pub warnings: Vec<String>,
    /// `PromQL info: …`
    pub infos: Vec<String>,
}

/// What a query cost.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct QueryStats {
    /// Samples read, counted once a step as Prometheus does (`totalQueryableSamples`).
    pub total_samples: u64,
    /// The same for each step of the query; empty unless [`QueryOptions::per_step`](super::QueryOptions::per_step) asks.
    pub samples_per_step: Vec<u64>,
    /// Most samples held at once; holes of a result count as samples.
    pub peak_samples: u64,
    /// Which rollups answered, and how many selectors; empty when raw samples did.
    pub rollups: Vec<(RollupUse, u64)>,
    /// Time spent waiting for a place.
    pub queued: Duration,
    /// Time spent on making the plan.
    pub prepared: Duration,
    /// Wall time, waiting for a place included.
    pub elapsed: Duration,
}

/// Rollups that stand for raw samples in an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct RollupUse {
    /// How long the buckets are, at most.
    pub tier: Tier,
    /// Whether raw samples would have given the same; else they are gone, and windows were moved to where buckets end.
    pub exact: bool,
}

/// A finished query.
#[derive(Debug, Clone, PartialEq)]
pub struct QueryResult {
    /// Its value.
    pub value: QueryValue,
    /// What the reader should know.
    pub annotations: Annotations,
    /// What it cost.
    pub stats: QueryStats,
}

/// Why a query gave nothing; HTTP maps each kind to Prometheus' `errorType` and status.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum QueryError {
    /// The text is no valid query or a parameter is wrong (`bad_data`, 400). Syntax errors carry `line:col: parse error: …`.
    #[error("{0}")]
    BadData(String),
    /// The evaluation failed (`execution`, 422), for example many-to-many matching or a sample limit.
    #[error("{0}")]
    Execution(String),
    /// It needs more samples at once than a query may hold (`execution`, 422).
    #[error("query processing would load too many samples into memory in query execution: {}", needs(*wanted, *limit))]
    TooManySamples {
        /// At least so many; `None` when storage stopped reading at the limit.
        wanted: Option<usize>,
        /// `--query.max-samples`.
        limit: usize,
    },
    /// Part of the language that this version does not evaluate yet (`execution`, 422).
    #[error("unsupported: {0}")]
    Unsupported(String),
    /// Wall time is over (`timeout`, 503).
    #[error("query timed out in {0}")]
    Timeout(String),
    /// The client has gone (`canceled`, 499).
    #[error("query was canceled in {0}")]
    Canceled(String),
    /// Storage failed (`internal`, 500).
    #[error("{0}")]
    Storage(String),
}

fn needs(wanted: Option<usize>, limit: usize) -> String {
    match wanted {
        Some(wanted) => format!("it needs {wanted} or more, the limit is {limit} (--query.max-samples)"),
        None => format!("it needs more than the limit of {limit} (--query.max-samples)"),
    }
}
