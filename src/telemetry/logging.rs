//! Sets up the one subscriber: log lines to stderr, and the span recorder for `/debug/pprof/trace`.

use std::io::IsTerminal as _;

use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{Layer, Registry};

use super::logfmt::LineFormat;
use super::{LogCounts, LogFormat, LogLevel, SpanRecorder};
use crate::clock::Clock;

/// How the daemon logs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct LogConfig {
    /// What is logged of watchfire; of other crates warnings and errors at most.
    pub level: LogLevel,
    /// How.
    pub format: LogFormat,
}

/// Logging that is set up.
#[derive(Debug)]
pub struct Logging {
    /// Records spans while somebody asks for a trace; for `profiling`.
    pub spans: SpanRecorder,
    /// Counts the lines that are logged.
    pub counts: LogCounts,
}

/// Logging was set up before.
#[derive(Debug, thiserror::Error)]
#[error("cannot set up logging: {0}")]
pub struct LoggingError(String);

/// Sets up logging for the whole process; call it once, first thing.
///
/// # Errors
/// When it was called before.
pub fn init_logging(config: LogConfig, clock: Clock) -> Result<Logging, LoggingError> {
    let (spans, counts) = (SpanRecorder::default(), LogCounts::default());
    Registry::default()
        .with(lines(config, clock))
        .with(counts.clone().with_filter(filter(config)))
        .with(spans.layer())
        .try_init()
        .map_err(|error| LoggingError(error.to_string()))?;
    Ok(Logging { spans, counts })
}

fn filter(config: LogConfig) -> Targets {
    let level = LevelFilter::from(config.level);
    Targets::new().with_target("watchfire", level).with_default(level.min(LevelFilter::WARN))
}

fn lines(config: LogConfig, clock: Clock) -> Box<dyn Layer<Registry> + Send + Sync> {
    let filter = filter(config);
    let layer = tracing_subscriber::fmt::layer().with_writer(std::io::stderr);
    match config.format {
        LogFormat::Json => layer.json().flatten_event(true).with_timer(Rfc3339(clock)).with_filter(filter).boxed(),
        LogFormat::Auto if wants_colour() => layer.event_format(LineFormat::Human(clock)).with_filter(filter).boxed(),
        LogFormat::Auto | LogFormat::Logfmt => {
            layer.event_format(LineFormat::Logfmt(clock)).with_filter(filter).boxed()
        }
    }
}

/// A person reads along and has not asked for plain text (<https://no-color.org>).
fn wants_colour() -> bool {
    std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

/// Timestamps of JSON lines.
struct Rfc3339(Clock);

impl tracing_subscriber::fmt::time::FormatTime for Rfc3339 {
    fn format_time(&self, out: &mut tracing_subscriber::fmt::format::Writer<'_>) -> std::fmt::Result {
        match jiff::Timestamp::from_millisecond(self.0.now()) {
            Ok(time) => write!(out, "{time:.3}"),
            Err(_) => Ok(()),
        }
    }
}
