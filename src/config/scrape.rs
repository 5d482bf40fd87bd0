//! The `scrape_configs` section.

use std::time::Duration;

use crate::collect::scrape::{ScrapeConfig, StaticTarget};
use crate::yaml::{Mapping, Node, YamlErrors};

use super::global::{Global, labels};

/// Keys of Prometheus' scrape jobs that this version does not act on.
const NOT_YET: [&str; 8] = [
    "relabel_configs",
    "metric_relabel_configs",
    "file_sd_configs",
    "http_sd_configs",
    "dns_sd_configs",
    "basic_auth",
    "tls_config",
    "enable_compression",
];

/// Reads all jobs. Problems that the scrape room finds are placed at their job.
pub(super) fn jobs(node: &Node<'_>, errors: &mut YamlErrors, global: &Global) -> Option<Vec<ScrapeConfig>> {
    let mut jobs = Vec::new();
    for item in node.list(errors) {
        let before = errors.len();
        let Some(job) = job(&item, errors, global) else { continue };
        jobs.push(job);
        if errors.len() > before {
            continue;
        }
        if let (Some(name), Some(problem)) = (jobs.last().map(|job| &job.job_name), ScrapeConfig::validate(&jobs).pop())
            && problem.job == *name
        {
            errors.push(item.error(problem.to_string()));
        }
    }
    Some(jobs)
}

fn job(node: &Node<'_>, errors: &mut YamlErrors, global: &Global) -> Option<ScrapeConfig> {
    let mut map = node.mapping(errors);
    let defaults = ScrapeConfig::default();
    let name = map.required("job_name", errors, Node::nonempty_string);
    let interval = map.optional("scrape_interval", errors, Node::positive_duration).unwrap_or(global.scrape_interval);
    let timeout = map.optional("scrape_timeout", errors, Node::positive_duration);
    let job = ScrapeConfig {
        job_name: name.unwrap_or_default(),
        interval,
        timeout: timeout.unwrap_or_else(|| default_timeout(global, interval)),
        metrics_path: map.optional("metrics_path", errors, Node::string).unwrap_or(defaults.metrics_path),
        scheme: map.optional("scheme", errors, Node::string).unwrap_or(defaults.scheme),
        params: map.optional("params", errors, params).unwrap_or_default(),
        targets: map.optional("static_configs", errors, targets).unwrap_or_default(),
        honor_labels: map.optional("honor_labels", errors, Node::boolean).unwrap_or(defaults.honor_labels),
        honor_timestamps: map.optional("honor_timestamps", errors, Node::boolean).unwrap_or(defaults.honor_timestamps),
        sample_limit: map.optional("sample_limit", errors, Node::integer::<u32>).unwrap_or(0) as usize,
        body_size_limit: map
            .optional("body_size_limit", errors, Node::size)
            .and_then(|bytes| usize::try_from(bytes).ok())
            .filter(|bytes| *bytes > 0)
            .map_or(defaults.body_size_limit, |bytes| bytes.min(defaults.body_size_limit)),
        follow_redirects: map.optional("follow_redirects", errors, Node::boolean).unwrap_or(defaults.follow_redirects),
        bearer_token: bearer_token(&mut map, errors),
    };
    for key in NOT_YET {
        if let Some(found) = map.get(key) {
            errors.push(found.error(format!("{key} is not part of this version")).expected("a job without it"));
        }
    }
    map.finish(errors);
    Some(job)
}

/// Prometheus' default is 10 s, but never longer than the interval.
fn default_timeout(global: &Global, interval: Duration) -> Duration {
    if interval == global.scrape_interval { global.scrape_timeout } else { interval.min(Duration::from_secs(10)) }
}

fn params(node: &Node<'_>, errors: &mut YamlErrors) -> Option<Vec<(String, Vec<String>)>> {
    let pairs = node.mapping(errors).pairs();
    Some(
        pairs
            .into_iter()
            .map(|(name, values)| {
                let values =
                    if values.is_list() { values.strings(errors) } else { values.string(errors).map(|v| vec![v]) };
                (name.to_owned(), values.unwrap_or_default())
            })
            .collect(),
    )
}

fn targets(node: &Node<'_>, errors: &mut YamlErrors) -> Option<Vec<StaticTarget>> {
    let mut all = Vec::new();
    for group in node.list(errors) {
        let mut map = group.mapping(errors);
        let addresses = map.required("targets", errors, Node::strings).unwrap_or_default();
        let labels = map.optional("labels", errors, labels).unwrap_or_default();
        map.finish(errors);
        let labels: Vec<(String, String)> = labels.iter().map(|(n, v)| (n.to_owned(), v.to_owned())).collect();
        all.extend(addresses.into_iter().map(|address| StaticTarget { address, labels: labels.clone() }));
    }
    Some(all)
}

/// `bearer_token_file`, or `authorization: {credentials | credentials_file}`.
fn bearer_token(map: &mut Mapping<'_>, errors: &mut YamlErrors) -> Option<String> {
    let old = map.optional("bearer_token_file", errors, token_file);
    let new = map.optional("authorization", errors, |node, errors| {
        let mut auth = node.mapping(errors);
        let kind = auth.optional("type", errors, Node::string).unwrap_or_else(|| "Bearer".to_owned());
        if kind != "Bearer" {
            errors.push(
                node.error(format!("authorization type {kind:?} is not part of this version")).expected("Bearer"),
            );
        }
        let given = auth.optional("credentials", errors, Node::secret).map(|secret| secret.reveal().to_owned());
        let read = auth.optional("credentials_file", errors, token_file);
        auth.finish(errors);
        given.or(read)
    });
    new.or(old)
}

pub(super) fn token_file(node: &Node<'_>, errors: &mut YamlErrors) -> Option<String> {
    let path = node.nonempty_string(errors)?;
    match std::fs::read_to_string(&path) {
        Ok(text) => Some(text.trim().to_owned()),
        Err(error) => {
            errors.push(node.error(format!("cannot read {path}: {error}")).expected("a file with the token"));
            None
        }
    }
}
