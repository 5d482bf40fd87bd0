//! A target: its URL, its labels, its place within the interval.

use std::collections::BTreeMap;
use std::hash::{Hash, Hasher};
use std::sync::Arc;
use std::time::Duration;

use super::config::{SHORTEST_INTERVAL, ScrapeConfig};
use crate::model::{Labels, LabelsBuilder, format_duration, parse_duration};
use crate::relabel::RelabelRules;

/// Labels that say when a target is scraped.
const INTERVAL: &str = "__scrape_interval__";
const TIMEOUT: &str = "__scrape_timeout__";

/// What makes a target the same as before: its series stay its own.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct TargetKey {
    /// All labels after relabeling, hidden ones too; without those of interval and timeout, which may change.
    pub(super) all: Labels,
    pub(super) url: String,
}

/// What one task scrapes.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Target {
    /// The job, without what made its targets.
    pub(super) job: Arc<ScrapeConfig>,
    pub(super) key: TargetKey,
    /// Labels of its series.
    pub(super) labels: Labels,
    pub(super) discovered: Labels,
    pub(super) interval: Duration,
    pub(super) timeout: Duration,
    /// Interval and timeout as its labels have them.
    pub(super) written: (String, String),
}

/// What became of an address.
pub(super) enum Built {
    Target(Target),
    /// A rule dropped it; the labels are those before.
    Dropped(Labels),
}

impl Target {
    /// Relabels one address of a group. An error says why it cannot be a target.
    pub(super) fn build(
        job: &Arc<ScrapeConfig>,
        rules: &RelabelRules,
        address: &str,
        group: &[(String, String)],
    ) -> Result<Built, String> {
        let mut labels = discover(job, address, group);
        let discovered = labels.build();
        if !rules.apply(&mut labels) {
            return Ok(Built::Dropped(discovered));
        }
        let address = labels.get("__address__").to_owned();
        if address.is_empty() {
            return Err("no address: expected __address__ after relabeling".to_owned());
        }
        if address.contains('/') {
            return Err(format!("{address:?} is not a valid hostname: expected host:port without a path"));
        }
        let interval = positive(labels.get(INTERVAL), "interval")?;
        let timeout = positive(labels.get(TIMEOUT), "timeout")?;
        if interval < SHORTEST_INTERVAL {
            return Err(format!("scrape interval {} is too short: expected at least 100ms", format_duration(interval)));
        }
        if timeout > interval {
            let (timeout, interval) = (format_duration(timeout), format_duration(interval));
            return Err(format!("scrape timeout cannot be greater than scrape interval ({timeout} > {interval})"));
        }
        if labels.get("instance").is_empty() {
            labels.put("instance", &address);
        }
        let written = (labels.get(INTERVAL).to_owned(), labels.get(TIMEOUT).to_owned());
        let all = labels.build().filtered(|name| !name.starts_with("__meta_") && !matches!(name, INTERVAL | TIMEOUT));
        let key = TargetKey { url: url(&all, &job.params), all };
        let labels = key.all.filtered(|name| !name.starts_with("__"));
        Ok(Built::Target(Self { job: Arc::clone(job), labels, key, discovered, interval, timeout, written }))
    }

    /// The targets of static groups, for tests of what comes after.
    #[cfg(test)]
    pub(super) fn all(jobs: &[ScrapeConfig]) -> Vec<Self> {
        let mut targets = Vec::new();
        for job in jobs {
            let shared = Arc::new(job.of_scrapes());
            for group in &job.static_configs {
                for address in &group.addresses {
                    match Self::build(&shared, &job.relabel, address, &group.labels) {
                        Ok(Built::Target(target)) => targets.push(target),
                        Ok(Built::Dropped(_)) => {}
                        Err(problem) => panic!("{problem}"),
                    }
                }
            }
        }
        targets
    }

    /// Where its slots lie within the interval: the same after every start.
    pub(super) fn offset(&self) -> Duration {
        let mut hasher = rustc_hash::FxHasher::default();
        for (name, value) in self.labels.iter() {
            (name, value).hash(&mut hasher);
        }
        self.key.url.hash(&mut hasher);
        let interval = u64::try_from(self.interval.as_millis()).unwrap_or(u64::MAX).max(1);
        // The high bits of this hash are the well mixed ones.
        Duration::from_millis(((u128::from(hasher.finish()) * u128::from(interval)) >> 64) as u64)
    }
}

/// Labels before relabeling: what the group says wins over what the job says.
fn discover(job: &ScrapeConfig, address: &str, group: &[(String, String)]) -> LabelsBuilder {
    let mut labels = LabelsBuilder::new();
    for (name, value) in group {
        labels.put(name, value);
    }
    labels.put("__address__", address);
    let mut default = |name: &str, value: &str| {
        if labels.get(name).is_empty() {
            labels.put(name, value);
        }
    };
    default("job", &job.job_name);
    default(INTERVAL, &format_duration(job.interval));
    default(TIMEOUT, &format_duration(job.timeout));
    default("__metrics_path__", &job.metrics_path);
    default("__scheme__", &job.scheme);
    for (name, values) in &job.params {
        if let Some(first) = values.first() {
            default(&format!("__param_{name}"), first);
        }
    }
    labels
}

fn positive(text: &str, what: &str) -> Result<Duration, String> {
    match parse_duration(text) {
        Ok(Duration::ZERO) => Err(format!("scrape {what} cannot be 0")),
        Ok(duration) => Ok(duration),
        Err(error) => Err(format!("error parsing scrape {what}: {error}")),
    }
}

/// The URL that the labels say, with the job's parameters; of each the first value is a label's.
fn url(labels: &Labels, params: &[(String, Vec<String>)]) -> String {
    let path = labels.get("__metrics_path__");
    let mut url = format!("{}://{}", labels.get("__scheme__"), labels.get("__address__"));
    if !path.is_empty() && !path.starts_with('/') {
        url.push('/');
    }
    encode(&mut url, path, b"$&+,/:;=@");
    let mut query: BTreeMap<&str, Vec<&str>> =
        params.iter().map(|(name, values)| (name.as_str(), values.iter().map(String::as_str).collect())).collect();
    for (name, value) in labels.iter() {
        let Some(name) = name.strip_prefix("__param_") else { continue };
        let values = query.entry(name).or_default();
        match values.first_mut() {
            Some(first) => *first = value,
            None => values.push(value),
        }
    }
    let mut separator = '?';
    for (name, values) in query {
        for value in values {
            url.push(separator);
            separator = '&';
            encode_query(&mut url, name);
            url.push('=');
            encode_query(&mut url, value);
        }
    }
    url
}

/// As forms do it: a blank is a plus sign.
fn encode_query(out: &mut String, text: &str) {
    for (i, part) in text.split(' ').enumerate() {
        out.push_str(if i > 0 { "+" } else { "" });
        encode(out, part, b"");
    }
}

/// Percent-encoding of everything but RFC 3986's unreserved characters and `also`.
fn encode(out: &mut String, text: &str, also: &[u8]) {
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'~') || also.contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Built, Target};
    use crate::collect::scrape::ScrapeConfig;
    use crate::relabel::{RelabelConfig, RelabelRules};
    use std::sync::Arc;

    fn set(target: &str, value: &str) -> RelabelConfig {
        RelabelConfig { target_label: target.into(), replacement: value.into(), ..RelabelConfig::default() }
    }

    #[test]
    fn labels_decide_what_is_scraped() {
        let params = vec![("b".to_owned(), vec!["1".to_owned(), "2 3".to_owned()])];
        let job = Arc::new(ScrapeConfig { job_name: "app".into(), params, ..ScrapeConfig::default() });
        type Case<'a> = (&'a str, &'a [(&'a str, &'a str)], &'a [(&'a str, &'a str)], &'a str, &'a str);
        let cases: &[Case<'_>] = &[
            ("h:1", &[], &[], "http://h:1/metrics?b=1&b=2+3", r#"{instance="h:1", job="app"}"#),
            // No port is added.
            ("h", &[("job", "own")], &[], "http://h/metrics?b=1&b=2+3", r#"{instance="h", job="own"}"#),
            (
                "h:1",
                &[("__scheme__", "https"), ("__metrics_path__", "p/a th?x"), ("instance", "i")],
                &[("__param_b", "z"), ("__param_a", "y")],
                "https://h:1/p/a%20th%3Fx?a=y&b=z&b=2+3",
                r#"{instance="i", job="app"}"#,
            ),
            (
                "h:1",
                &[("__meta_x", "m"), ("__tmp", "t"), ("rack", "r")],
                &[("__address__", "other:2"), ("__param_b", "")],
                "http://other:2/metrics?b=1&b=2+3",
                r#"{instance="other:2", job="app", rack="r"}"#,
            ),
        ];
        for (address, group, rules, url, labels) in cases {
            let group: Vec<_> = group.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
            let rules = RelabelRules::new(rules.iter().map(|(name, value)| set(name, value)).collect()).expect("good");
            match Target::build(&job, &rules, address, &group) {
                Ok(Built::Target(target)) => {
                    assert_eq!((target.key.url.as_str(), target.labels.to_string().as_str()), (*url, *labels));
                    assert_eq!(target.discovered.get("__address__"), *address);
                    assert!(!target.key.all.contains("__meta_x"));
                }
                Ok(Built::Dropped(labels)) => panic!("{labels} dropped"),
                Err(problem) => panic!("{address}: {problem}"),
            }
        }
    }

    #[test]
    fn labels_that_make_no_target_are_refused() {
        let job = Arc::new(ScrapeConfig { job_name: "app".into(), ..ScrapeConfig::default() });
        let cases = [
            ("__address__", "", "no address"),
            ("__address__", "http://h:1/x", "is not a valid hostname"),
            ("__scrape_interval__", "", "error parsing scrape interval"),
            ("__scrape_interval__", "soon", "error parsing scrape interval"),
            ("__scrape_interval__", "0", "scrape interval cannot be 0"),
            ("__scrape_interval__", "10ms", "at least 100ms"),
            ("__scrape_interval__", "500ms", "scrape timeout cannot be greater than scrape interval (1s > 500ms)"),
            ("__scrape_timeout__", "0s", "scrape timeout cannot be 0"),
            ("__scrape_timeout__", "x", "error parsing scrape timeout"),
        ];
        for (name, value, expected) in cases {
            let rules = RelabelRules::new(vec![set(name, value)]).expect("good");
            let found = Target::build(&job, &rules, "h:1", &[]).map_or_else(|error| error, |_| String::new());
            assert!(found.contains(expected), "{name}={value}: {found:?}");
        }
    }
}
