//! The words of `--log.level` and `--log.format`.

use std::str::FromStr;

use tracing_subscriber::filter::LevelFilter;

/// What is logged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum LogLevel {
    /// Everything, also what happens every tick.
    Debug,
    /// What changes.
    #[default]
    Info,
    /// What somebody should look at.
    Warn,
    /// What failed.
    Error,
}

/// How it is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum LogFormat {
    /// Short and coloured on a terminal, logfmt elsewhere.
    #[default]
    Auto,
    /// `time=… level=INFO source=… msg="…" key=value`, as Prometheus 3.
    Logfmt,
    /// One JSON object a line.
    Json,
}

/// Not one of the words.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("unknown {what} {word:?}: expected {expected}")]
pub struct UnknownWord {
    what: &'static str,
    word: String,
    expected: &'static str,
}

impl FromStr for LogLevel {
    type Err = UnknownWord;

    fn from_str(word: &str) -> Result<Self, UnknownWord> {
        Ok(match word.to_ascii_lowercase().as_str() {
            "debug" => Self::Debug,
            "info" => Self::Info,
            "warn" => Self::Warn,
            "error" => Self::Error,
            _ => {
                let expected = "debug, info, warn or error";
                return Err(UnknownWord { what: "log level", word: word.to_owned(), expected });
            }
        })
    }
}

impl FromStr for LogFormat {
    type Err = UnknownWord;

    fn from_str(word: &str) -> Result<Self, UnknownWord> {
        Ok(match word {
            "auto" => Self::Auto,
            "logfmt" => Self::Logfmt,
            "json" => Self::Json,
            _ => {
                let expected = "auto, logfmt or json";
                return Err(UnknownWord { what: "log format", word: word.to_owned(), expected });
            }
        })
    }
}

impl From<LogLevel> for LevelFilter {
    fn from(level: LogLevel) -> Self {
        match level {
            LogLevel::Debug => Self::DEBUG,
            LogLevel::Info => Self::INFO,
            LogLevel::Warn => Self::WARN,
            LogLevel::Error => Self::ERROR,
        }
    }
}
