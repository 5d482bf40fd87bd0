//! The `scrape_configs` section.

use std::path::Path;

use crate::collect::scrape::{Escaping, ScrapeConfig, ScrapeProtocol};
use crate::limits::MOST_SCRAPE_BYTES;
use crate::net::Redirects;
use crate::wire::schema_of_factor;
use crate::yaml::{Mapping, Node, YamlErrors};

use super::discovery::{self, NOT_HERE};
use super::global::{Global, or_default};
use super::http_client::http_client;
use super::relabel::rules;

/// Settings of Prometheus' jobs that this version does not act on, with what may be said instead.
const NOT_YET: [(&str, &str); 2] = [
    ("scrape_failure_log_file", "a job without it; /api/v1/targets has the last error of each target"),
    ("scrape_classic_histograms", "always_scrape_classic_histograms, its name in Prometheus 3"),
];

/// Reads all jobs. Problems that the scrape room finds are placed at their job.
pub(super) fn jobs(
    node: &Node<'_>,
    errors: &mut YamlErrors,
    global: &Global,
    folder: Option<&Path>,
) -> Option<Vec<ScrapeConfig>> {
    let mut jobs = Vec::new();
    for item in node.list(errors) {
        let before = errors.len();
        let Some(job) = job(&item, errors, global, folder) else { continue };
        jobs.push(job);
        if errors.len() > before {
            continue;
        }
        let name = jobs.last().map(|job| job.job_name.clone()).unwrap_or_default();
        // Jobs before this one have had their say.
        let mut found = ScrapeConfig::validate(&jobs).into_iter().filter(|problem| problem.job == name);
        if let Some(problem) = found.next_back() {
            errors.push(item.error(problem.to_string()));
        }
    }
    Some(jobs)
}

fn job(node: &Node<'_>, errors: &mut YamlErrors, global: &Global, folder: Option<&Path>) -> Option<ScrapeConfig> {
    let mut map = node.mapping(errors);
    let defaults = ScrapeConfig::default();
    let name = map.required("job_name", errors, Node::nonempty_string);
    let stated = or_default(&mut map, "scrape_interval", errors);
    let timeout = or_default(&mut map, "scrape_timeout", errors);
    // The default of a second is shorter than Prometheus', and should not refuse timeouts that are good there.
    let least = timeout.filter(|_| !global.states_interval).unwrap_or_default();
    let interval = stated.unwrap_or(global.scrape_interval.max(least));
    let options = Options::read(&mut map, errors, &global.scrape);
    let legacy = options.legacy_names;
    let connection = http_client(&mut map, errors, folder);
    let mut boolean = |key: &'static str, default: bool, errors: &mut YamlErrors| {
        map.optional(key, errors, Node::boolean).unwrap_or(default)
    };
    let honor_labels = boolean("honor_labels", defaults.honor_labels, errors);
    let honor_timestamps = boolean("honor_timestamps", defaults.honor_timestamps, errors);
    let track_timestamps_staleness = boolean("track_timestamps_staleness", defaults.track_timestamps_staleness, errors);
    let enable_compression = boolean("enable_compression", defaults.enable_compression, errors);
    let job = ScrapeConfig {
        job_name: name.unwrap_or_default(),
        interval,
        timeout: timeout.unwrap_or_else(|| global.scrape_timeout.min(interval)),
        metrics_path: map.optional("metrics_path", errors, Node::nonempty_string).unwrap_or(defaults.metrics_path),
        scheme: map.optional("scheme", errors, Node::string).filter(|it| !it.is_empty()).unwrap_or(defaults.scheme),
        params: map.optional("params", errors, params).unwrap_or_default(),
        static_configs: map.optional("static_configs", errors, discovery::static_configs).unwrap_or_default(),
        file_sd: map
            .optional("file_sd_configs", errors, |node, errors| discovery::file_sd(node, errors, folder))
            .unwrap_or_default(),
        http_sd: map
            .optional("http_sd_configs", errors, |node, errors| discovery::http_sd(node, errors, folder))
            .unwrap_or_default(),
        relabel: map
            .optional("relabel_configs", errors, |node, errors| rules(node, errors, legacy))
            .unwrap_or_default(),
        metric_relabel: map
            .optional("metric_relabel_configs", errors, |node, errors| rules(node, errors, legacy))
            .unwrap_or_default(),
        fallback_protocol: map.optional("fallback_scrape_protocol", errors, |node, errors| {
            let silent = node.string(&mut YamlErrors::default()).is_some_and(|text| text.is_empty());
            if silent { None } else { node.word(&ScrapeProtocol::ALL, errors) }
        }),
        histogram_bucket_limit: map
            .optional("native_histogram_bucket_limit", errors, Node::integer::<u32>)
            .map_or(0, |limit| limit as usize),
        histogram_schema: map
            .optional("native_histogram_min_bucket_factor", errors, Node::float)
            .map_or(defaults.histogram_schema, schema_of_factor),
        honor_labels,
        honor_timestamps,
        track_timestamps_staleness,
        enable_compression,
        follow_redirects: connection.redirects != Redirects::Never,
        client: connection.client,
        ..options.job(defaults.body_size_limit)
    };
    for (key, instead) in
        NOT_YET.into_iter().chain(NOT_HERE.map(|key| (key, "static_configs, file_sd_configs or http_sd_configs")))
    {
        if let Some(found) = map.get(key) {
            errors.push(found.error(format!("{key} is not part of this version")).expected(instead));
        }
    }
    map.finish(errors);
    Some(job)
}

/// What `global` and each job may say: a job that is silent, or says 0, has what `global` says.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Options {
    body_size_limit: usize,
    sample_limit: usize,
    target_limit: usize,
    label_limit: usize,
    label_name_length_limit: usize,
    label_value_length_limit: usize,
    keep_dropped_targets: usize,
    protocols: Option<Vec<ScrapeProtocol>>,
    native_histograms: bool,
    always_classic_histograms: bool,
    custom_histograms: bool,
    extra_metrics: bool,
    legacy_names: bool,
    escaping: Option<Escaping>,
}

impl Options {
    pub(super) fn read(map: &mut Mapping<'_>, errors: &mut YamlErrors, above: &Self) -> Self {
        let mut limit = |key: &'static str, above: usize, errors: &mut YamlErrors| {
            let stated = map.optional(key, errors, Node::integer::<u64>);
            let stated = stated.map_or(0, |limit| usize::try_from(limit).unwrap_or(usize::MAX));
            if stated == 0 { above } else { stated }
        };
        let options = Self {
            sample_limit: limit("sample_limit", above.sample_limit, errors),
            target_limit: limit("target_limit", above.target_limit, errors),
            label_limit: limit("label_limit", above.label_limit, errors),
            label_name_length_limit: limit("label_name_length_limit", above.label_name_length_limit, errors),
            label_value_length_limit: limit("label_value_length_limit", above.label_value_length_limit, errors),
            keep_dropped_targets: limit("keep_dropped_targets", above.keep_dropped_targets, errors),
            ..Self::default()
        };
        let mut boolean = |key: &'static str, above: bool, errors: &mut YamlErrors| {
            map.optional(key, errors, Node::boolean).unwrap_or(above)
        };
        let native_histograms = boolean("scrape_native_histograms", above.native_histograms, errors);
        let always = boolean("always_scrape_classic_histograms", above.always_classic_histograms, errors);
        let extra_metrics = boolean("extra_scrape_metrics", above.extra_metrics, errors);
        let custom = boolean("convert_classic_histograms_to_nhcb", above.custom_histograms, errors);
        let (legacy_names, escaping) = names(map, errors, above);
        Self {
            body_size_limit: map.optional("body_size_limit", errors, body_size).unwrap_or(above.body_size_limit),
            protocols: map.optional("scrape_protocols", errors, protocols).or_else(|| above.protocols.clone()),
            native_histograms,
            always_classic_histograms: always,
            custom_histograms: custom,
            extra_metrics,
            legacy_names,
            escaping,
            ..options
        }
    }

    fn job(self, default_body: usize) -> ScrapeConfig {
        let usual = if self.native_histograms {
            ScrapeProtocol::PROTO_FIRST.to_vec()
        } else {
            ScrapeProtocol::DEFAULTS.to_vec()
        };
        let escaping = if self.legacy_names { Escaping::Underscores } else { Escaping::AllowUtf8 };
        ScrapeConfig {
            body_size_limit: if self.body_size_limit == 0 { default_body } else { self.body_size_limit },
            sample_limit: self.sample_limit,
            target_limit: self.target_limit,
            label_limit: self.label_limit,
            label_name_length_limit: self.label_name_length_limit,
            label_value_length_limit: self.label_value_length_limit,
            keep_dropped_targets: self.keep_dropped_targets,
            protocols: self.protocols.unwrap_or(usual),
            native_histograms: self.native_histograms,
            always_classic_histograms: self.always_classic_histograms,
            custom_histograms: self.custom_histograms,
            extra_metrics: self.extra_metrics,
            legacy_names: self.legacy_names,
            escaping: self.escaping.unwrap_or(escaping),
            ..ScrapeConfig::default()
        }
    }
}

/// Which names series may have, and how others are asked for. A job that says the first of the two does not inherit the second.
fn names(map: &mut Mapping<'_>, errors: &mut YamlErrors, above: &Options) -> (bool, Option<Escaping>) {
    let legacy = map.optional("metric_name_validation_scheme", errors, |node, errors| {
        node.word(&[("utf8", Some(false)), ("legacy", Some(true)), ("", None)], errors)
    });
    let legacy = legacy.flatten();
    let stated = map.optional("metric_name_escaping_scheme", errors, |node, errors| node.word(&Escaping::ALL, errors));
    let is_legacy = legacy.unwrap_or(above.legacy_names);
    if let (true, Some(Escaping::AllowUtf8), Some(node)) = (is_legacy, stated, map.get("metric_name_escaping_scheme")) {
        let what = "legacy names cannot be asked for without escaping";
        errors.push(node.error(what).expected("underscores, dots or values"));
    }
    (is_legacy, stated.or(if legacy.is_none() { above.escaping } else { None }))
}

fn protocols(node: &Node<'_>, errors: &mut YamlErrors) -> Option<Vec<ScrapeProtocol>> {
    let mut found: Vec<ScrapeProtocol> = Vec::new();
    for item in node.list(errors) {
        let Some(protocol) = item.word(&ScrapeProtocol::ALL, errors) else { continue };
        if found.contains(&protocol) {
            errors.push(item.error("the protocol stands in the list already").expected("each once"));
        } else {
            found.push(protocol);
        }
    }
    if node.is_list() && node.list(errors).is_empty() {
        errors.push(node.error("there is no protocol").expected("at least one"));
    }
    (!found.is_empty()).then_some(found)
}

/// 0 is the default, since nothing here is without a limit.
fn body_size(node: &Node<'_>, errors: &mut YamlErrors) -> Option<usize> {
    let size = node.size(errors)?;
    let found = usize::try_from(size).ok().filter(|size| *size <= MOST_SCRAPE_BYTES);
    if found.is_none() {
        errors.push(node.error("a page that large is not held in memory").expected("at most 256MB"));
    }
    found.filter(|size| *size > 0)
}

fn params(node: &Node<'_>, errors: &mut YamlErrors) -> Option<Vec<(String, Vec<String>)>> {
    let pairs = node.mapping(errors).pairs();
    let read = |(name, values): (&str, Node<'_>)| {
        let found = if values.is_null() {
            None
        } else if values.is_list() {
            values.strings(errors)
        } else {
            values.string(errors).map(|v| vec![v])
        };
        (name.to_owned(), found.unwrap_or_default())
    };
    Some(pairs.into_iter().map(read).collect())
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
