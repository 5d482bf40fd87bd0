//! What a scrape job is told.

use std::path::PathBuf;
use std::time::Duration;

use super::protocol::{Escaping, ScrapeProtocol};
use crate::limits::MAX_SCRAPE_BYTES;
use crate::model::{format_duration, is_classic_label_name};
use crate::net::ClientConfig;
use crate::relabel::RelabelRules;

/// The shortest time between two scrapes of a target.
pub(super) const SHORTEST_INTERVAL: Duration = Duration::from_millis(100);

/// The finest schema of native histograms that there is.
const FINEST_SCHEMA: i32 = 8;

/// One entry of `scrape_configs`, with Prometheus' meanings. A limit of 0 means none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScrapeConfig {
    /// The `job` label unless relabeling sets another, and the name of the scrape pool; unique.
    pub job_name: String,
    /// Time between two scrapes of a target.
    pub interval: Duration,
    /// The longest that one scrape may take; at most the interval.
    pub timeout: Duration,
    /// Path of the page.
    pub metrics_path: String,
    /// `http` or `https`.
    pub scheme: String,
    /// Query parameters.
    pub params: Vec<(String, Vec<String>)>,
    /// Targets that stand in the configuration.
    pub static_configs: Vec<TargetGroup>,
    /// Targets that stand in files.
    pub file_sd: Vec<FileSd>,
    /// Targets that a server names.
    pub http_sd: Vec<HttpSd>,
    /// Rules on targets.
    pub relabel: RelabelRules,
    /// Rules on the series of a page.
    pub metric_relabel: RelabelRules,
    /// Whether labels of the page win over those of the target; otherwise they move aside to `exported_…`.
    pub honor_labels: bool,
    /// Whether timestamps of the page are used.
    pub honor_timestamps: bool,
    /// Whether series with timestamps of the page end with a stale marker when they leave it.
    pub track_timestamps_staleness: bool,
    /// The most samples of a page after relabeling. More fails the scrape.
    pub sample_limit: usize,
    /// The most labels of a series after relabeling, its name among them. More fails the scrape.
    pub label_limit: usize,
    /// The most bytes of a label's name after relabeling.
    pub label_name_length_limit: usize,
    /// The most bytes of a label's value after relabeling.
    pub label_value_length_limit: usize,
    /// The most targets after relabeling. More fail the scrapes of all of them.
    pub target_limit: usize,
    /// The most bytes of a page after decompression; never without a limit.
    pub body_size_limit: usize,
    /// The most dropped targets that the API shows.
    pub keep_dropped_targets: usize,
    /// Whether redirects are followed, to other hosts too (without credentials).
    pub follow_redirects: bool,
    /// Whether compressed pages are asked for.
    pub enable_compression: bool,
    /// Formats that are asked for, the best first; never empty.
    pub protocols: Vec<ScrapeProtocol>,
    /// The format of pages that do not say theirs; text when there is none.
    pub fallback_protocol: Option<ScrapeProtocol>,
    /// How names beyond the classic characters are asked for.
    pub escaping: Escaping,
    /// Whether names have to be of the classic characters.
    pub legacy_names: bool,
    /// Whether native histograms are taken.
    pub native_histograms: bool,
    /// Whether classic histograms are taken beside the native ones of the same family.
    pub always_classic_histograms: bool,
    /// Whether classic histograms become native ones with listed bounds.
    pub custom_histograms: bool,
    /// The most buckets of a native histogram: more are merged, and fail the scrape where that cannot be.
    pub histogram_bucket_limit: usize,
    /// The finest schema of native histograms; finer ones are made coarser.
    pub histogram_schema: i32,
    /// Whether `scrape_timeout_seconds`, `scrape_sample_limit` and `scrape_body_size_bytes` are written.
    pub extra_metrics: bool,
    /// How targets are connected to, and how we prove who we are.
    pub client: ClientConfig,
}

/// Targets with labels in common.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TargetGroup {
    /// Where the group came from, for messages.
    pub source: String,
    /// `host:port` of each.
    pub addresses: Vec<String>,
    /// Labels that all of them get.
    pub labels: Vec<(String, String)>,
}

/// One entry of `file_sd_configs`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileSd {
    /// Files; `*`, `?` and `[a-c]` may stand in the last part of the path, which ends with json, yml or yaml.
    pub files: Vec<PathBuf>,
    /// After this time files are read again, changed or not. Changes are noticed within about a second.
    pub refresh_interval: Duration,
}

/// One entry of `http_sd_configs`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpSd {
    /// Who is asked.
    pub url: String,
    /// Time between two questions.
    pub refresh_interval: Duration,
    /// How the server is connected to.
    pub client: ClientConfig,
    /// Whether redirects are followed.
    pub follow_redirects: bool,
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
            static_configs: Vec::new(),
            file_sd: Vec::new(),
            http_sd: Vec::new(),
            relabel: RelabelRules::default(),
            metric_relabel: RelabelRules::default(),
            honor_labels: false,
            honor_timestamps: true,
            track_timestamps_staleness: false,
            sample_limit: 0,
            label_limit: 0,
            label_name_length_limit: 0,
            label_value_length_limit: 0,
            target_limit: 0,
            body_size_limit: MAX_SCRAPE_BYTES,
            keep_dropped_targets: 0,
            follow_redirects: true,
            enable_compression: true,
            protocols: ScrapeProtocol::DEFAULTS.to_vec(),
            fallback_protocol: None,
            escaping: Escaping::default(),
            legacy_names: false,
            native_histograms: false,
            always_classic_histograms: false,
            custom_histograms: false,
            histogram_bucket_limit: 0,
            histogram_schema: FINEST_SCHEMA,
            extra_metrics: false,
            client: ClientConfig::default(),
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
        if self.interval < SHORTEST_INTERVAL {
            say(format!("expected a scrape_interval of at least 100ms, found {}", format_duration(self.interval)));
        }
        if self.timeout.is_zero() || self.timeout > self.interval {
            let (timeout, interval) = (format_duration(self.timeout), format_duration(self.interval));
            say(format!(
                "expected a scrape_timeout above 0 and up to the scrape_interval of {interval}, found {timeout}"
            ));
        }
        if !matches!(self.scheme.as_str(), "http" | "https") {
            say(format!("expected the scheme http or https, found {:?}", self.scheme));
        }
        if let Err(error) = self.client.tls.validate() {
            say(error.to_string());
        }
        for group in &self.static_configs {
            // Rules may make an address of what is none yet.
            for address in group.addresses.iter().filter(|_| self.relabel.is_empty()) {
                if address.is_empty() || address.contains(['/', ' ', '@']) {
                    say(format!("expected a target as host:port, found {address:?}"));
                }
            }
            for (name, _) in group.labels.iter().filter(|(name, _)| self.legacy_names && !is_classic_label_name(name)) {
                say(format!("expected a label name of letters, digits and _, found {name:?}"));
            }
        }
    }

    /// What the scrapes themselves depend on: without the rules and lists that made the targets.
    pub(super) fn of_scrapes(&self) -> Self {
        Self {
            static_configs: Vec::new(),
            file_sd: Vec::new(),
            http_sd: Vec::new(),
            relabel: RelabelRules::default(),
            target_limit: 0,
            keep_dropped_targets: 0,
            ..self.clone()
        }
    }
}
