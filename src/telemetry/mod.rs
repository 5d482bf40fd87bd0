//! The daemon's own logs and metrics.
//!
//! [`init_logging`] is the only place that sets up subscribers; [`OwnMetrics`] is what `/metrics` shows of the daemon
//! itself, encoded by prometheus-client from sources that rooms hand in.
//!
//! ```
//! use watchfire::telemetry::OwnMetrics;
//! let own = OwnMetrics::new(true);
//! assert!(own.encode().contains("watchfire_demo 1"));
//! ```

mod build;
mod level;
mod logcount;
mod logfmt;
mod logging;
mod own;
mod readings;
mod ring;
mod spans;

pub use build::{BUILD, Build};
pub use level::{LogFormat, LogLevel};
pub use logcount::LogCounts;
pub use logging::{LogConfig, Logging, LoggingError, init_logging};
pub use own::{OWN_FAMILIES, OwnMetrics};
pub use readings::{HistogramReading, OwnSource, Reading, Readings};
pub use ring::RingFeed;
pub use spans::{Recording, SpanEvent, SpanRecorder, SpanRecording};
