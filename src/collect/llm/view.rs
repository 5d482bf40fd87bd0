//! What is known about a model server, for the page and the API.

use std::time::Duration;

use crate::model::Timestamp;

/// A model target as it stands.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct ModelView {
    /// Its configured name.
    pub target: String,
    /// Its base URL, without user name and password.
    pub url: String,
    /// `llamacpp`, `vllm`, or empty while it is not known.
    pub runtime: String,
    /// Version of the server, or empty.
    pub version: String,
    /// Models that it serves.
    pub models: Vec<String>,
    /// Whether the last health check answered 200; `None` before the first.
    pub up: Option<bool>,
    /// What was wrong at the last poll, or empty.
    pub last_error: String,
    /// The slot of the last poll; 0 before the first.
    pub last_poll: Timestamp,
    /// The slot of the last poll that read the metrics; 0 before.
    pub last_success: Timestamp,
    /// How long the last poll took.
    pub last_duration: Duration,
}
