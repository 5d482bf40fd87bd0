//! A target: its URL, its labels, its place within the interval.

use std::hash::{Hash, Hasher};
use std::sync::Arc;
use std::time::Duration;

use super::config::{ScrapeConfig, StaticTarget};
use crate::model::{Labels, LabelsBuilder, format_duration};

/// What one task scrapes. Equal targets are the same target: a reload leaves them running.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Target {
    /// The job, without its targets.
    pub(super) job: Arc<ScrapeConfig>,
    pub(super) url: String,
    /// Labels of its series: `job`, `instance` and its own.
    pub(super) labels: Labels,
    pub(super) discovered: Labels,
}

impl Target {
    /// All targets of the jobs; of two with the same labels in one job the first counts.
    pub(super) fn all(jobs: &[ScrapeConfig]) -> Vec<Self> {
        let mut targets: Vec<Self> = Vec::new();
        for job in jobs {
            let shared = Arc::new(ScrapeConfig { targets: Vec::new(), ..job.clone() });
            for target in &job.targets {
                let target = Self::new(&shared, target);
                if !targets.iter().any(|known| known.labels == target.labels) {
                    targets.push(target);
                }
            }
        }
        targets
    }

    fn new(job: &Arc<ScrapeConfig>, target: &StaticTarget) -> Self {
        let mut labels = LabelsBuilder::new();
        let mut discovered = LabelsBuilder::new()
            .set("__address__", &target.address)
            .set("__scheme__", &job.scheme)
            .set("__metrics_path__", &job.metrics_path)
            .set("__scrape_interval__", &format_duration(job.interval))
            .set("__scrape_timeout__", &format_duration(job.timeout))
            .set("job", &job.job_name);
        labels.put("job", &job.job_name);
        labels.put("instance", &target.address);
        for (name, value) in &target.labels {
            discovered.put(name, value);
            if !name.starts_with("__") {
                labels.put(name, value);
            }
        }
        for (name, values) in &job.params {
            discovered.put(&format!("__param_{name}"), values.first().map_or("", String::as_str));
        }
        Self {
            job: Arc::clone(job),
            url: url(job, &target.address),
            labels: labels.build(),
            discovered: discovered.build(),
        }
    }

    /// Where its slots lie within the interval: the same after every start.
    pub(super) fn offset(&self) -> Duration {
        let mut hasher = rustc_hash::FxHasher::default();
        for (name, value) in self.labels.iter() {
            (name, value).hash(&mut hasher);
        }
        self.url.hash(&mut hasher);
        let interval = u64::try_from(self.job.interval.as_millis()).unwrap_or(u64::MAX).max(1);
        // The high bits of this hash are the well mixed ones.
        Duration::from_millis(((u128::from(hasher.finish()) * u128::from(interval)) >> 64) as u64)
    }
}

fn url(job: &ScrapeConfig, address: &str) -> String {
    let mut url = format!("{}://{address}{}", job.scheme, job.metrics_path);
    let mut separator = if job.metrics_path.contains('?') { '&' } else { '?' };
    for (name, values) in &job.params {
        for value in values {
            url.push(separator);
            separator = '&';
            encode(&mut url, name);
            url.push('=');
            encode(&mut url, value);
        }
    }
    url
}

/// Percent-encoding of everything but RFC 3986's unreserved characters.
fn encode(out: &mut String, text: &str) {
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'~') {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
}
