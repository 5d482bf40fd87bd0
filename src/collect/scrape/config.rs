//! What a scrape job is told.

use std::time::Duration;

use crate::limits::MAX_SCRAPE_BYTES;
use crate::model::{format_duration, is_classic_label_name};

/// One entry of `scrape_configs`, with Prometheus' meanings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScrapeConfig {
    /// The `job` label; unique.
    pub job_name: String,
    /// Time between two scrapes of a target.
    pub interval: Duration,
    /// The longest that one scrape may take; at most the interval.
    pub timeout: Duration,
    /// Path of the page.
    pub metrics_path: String,
    /// `http`; `https` is refused until TLS comes.
    pub scheme: String,
    /// Query parameters.
    pub params: Vec<(String, Vec<String>)>,
    /// Where to scrape.
    pub targets: Vec<StaticTarget>,
    /// Whether labels of the page win over those of the target; otherwise they move aside to `exported_…`.
    pub honor_labels: bool,
    /// Whether timestamps of the page are used.
    pub honor_timestamps: bool,
    /// The most samples of a page; 0 means no limit. More fails the scrape.
    pub sample_limit: usize,
    /// The most bytes of a page after decompression.
    pub body_size_limit: usize,
    /// Whether redirects are followed, to other hosts too (without the token).
    pub follow_redirects: bool,
    /// Sent as `Authorization: Bearer …` when it is there.
    pub bearer_token: Option<String>,
}

/// A target and its own labels.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct StaticTarget {
    /// `host:port`.
    pub address: String,
    /// Labels that all its series get.
    pub labels: Vec<(String, String)>,
}

impl Default for ScrapeConfig {
    fn default() -> Self {
        Self {
            job_name: String::new(),
            interval: Duration::from_secs(1),
            timeout: Duration::from_secs(1),
            metrics_path: "/metrics".to_owned(),
            scheme: "http".to_owned(),
            params: Vec::new(),
            targets: Vec::new(),
            honor_labels: false,
            honor_timestamps: true,
            sample_limit: 0,
            body_size_limit: MAX_SCRAPE_BYTES,
            follow_redirects: true,
            bearer_token: None,
        }
    }
}

/// What is wrong with a job.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("scrape job {job:?}: {problem}")]
pub struct ScrapeConfigError {
    /// The job.
    pub job: String,
    /// The problem and what was expected.
    pub problem: String,
}

impl ScrapeConfig {
    /// Checks all jobs and reports everything that is wrong.
    pub fn validate(jobs: &[Self]) -> Vec<ScrapeConfigError> {
        let mut problems = Vec::new();
        for (at, job) in jobs.iter().enumerate() {
            let mut say = |problem: String| problems.push(ScrapeConfigError { job: job.job_name.clone(), problem });
            if job.job_name.is_empty() {
                say("expected a job_name".to_owned());
            }
            if jobs.iter().take(at).any(|other| other.job_name == job.job_name) {
                say("expected each job_name once".to_owned());
            }
            job.validate_one(&mut say);
        }
        problems
    }

    fn validate_one(&self, say: &mut dyn FnMut(String)) {
        if self.interval < Duration::from_millis(100) {
            say(format!("expected a scrape_interval of at least 100ms, found {}", format_duration(self.interval)));
        }
        if self.timeout.is_zero() || self.timeout > self.interval {
            let (timeout, interval) = (format_duration(self.timeout), format_duration(self.interval));
            say(format!("expected a scrape_timeout above 0 and up to the interval of {interval}, found {timeout}"));
        }
        match self.scheme.as_str() {
            "http" => {}
            "https" => say("https is not spoken by this version yet: expected http".to_owned()),
            other => say(format!("expected the scheme http, found {other:?}")),
        }
        if !self.metrics_path.starts_with('/') {
            say(format!("expected a metrics_path that starts with /, found {:?}", self.metrics_path));
        }
        for target in &self.targets {
            if target.address.is_empty() || target.address.contains(['/', ' ', '@']) {
                say(format!("expected a target as host:port, found {:?}", target.address));
            }
            for (name, _) in &target.labels {
                if !is_classic_label_name(name) {
                    say(format!("expected a label name of letters, digits and _, found {name:?}"));
                }
            }
        }
    }
}
