//! What is known about a target, for `/api/v1/targets` and the page.

use std::time::Duration;

use crate::model::{Labels, Timestamp};

/// Whether a target answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Health {
    /// It has not been scraped yet.
    #[default]
    Unknown,
    /// The last scrape succeeded.
    Up,
    /// The last scrape failed.
    Down,
}

impl Health {
    /// The word that Prometheus' API uses.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Up => "up",
            Self::Down => "down",
        }
    }
}

/// A target as it stands.
#[derive(Debug, Clone, PartialEq)]
pub struct TargetView {
    /// Its job, which is also its scrape pool.
    pub job: String,
    /// Its `instance` label.
    pub instance: String,
    /// Labels that its series get.
    pub labels: Labels,
    /// Labels before relabeling: `__address__`, `__scheme__`, `__metrics_path__`, `__scrape_interval__`, …
    pub discovered: Labels,
    /// What is scraped.
    pub url: String,
    /// Whether it answers.
    pub health: Health,
    /// Why the last scrape failed, or empty.
    pub last_error: String,
    /// The slot of the last scrape; 0 before the first.
    pub last_scrape: Timestamp,
    /// How long the last scrape took.
    pub last_duration: Duration,
    /// Samples of the last scrape.
    pub last_samples: usize,
    /// Time between scrapes.
    pub interval: Duration,
    /// Timeout of a scrape.
    pub timeout: Duration,
    /// Both as they were written: `90s` stays `90s`.
    pub written: (String, String),
}

/// What the API shows of a job beside its targets.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct PoolView {
    /// The job.
    pub job: String,
    /// Labels of dropped targets before relabeling; at most as many as the job keeps.
    pub dropped: Vec<Labels>,
    /// How many were dropped in all.
    pub dropped_count: usize,
    /// What is wrong with the discovery of its targets now: files and servers that cannot be read.
    pub problems: Vec<String>,
}
