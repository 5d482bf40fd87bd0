//! The configuration that is in force, as YAML for `/api/v1/status/config`; secrets are left out.

use serde::Serialize;

use crate::model::{Labels, format_duration};
use crate::storage::Tier;
use crate::yaml;

use super::Config;
use super::print_scrape::Job;

#[derive(Serialize)]
struct Shown {
    global: Global,
    rule_files: Vec<String>,
    storage: Storage,
    collectors: Collectors,
    scrape_configs: Vec<Job>,
    models: Vec<Model>,
    workers: Vec<String>,
    privacy: Privacy,
}

#[derive(Serialize)]
struct Collectors {
    enabled: Vec<&'static str>,
    disabled: Vec<String>,
    interval: String,
    intervals: std::collections::BTreeMap<String, String>,
    textfile: Textfile,
}

#[derive(Serialize)]
struct Textfile {
    directory: Vec<String>,
}

#[derive(Serialize)]
struct Privacy {
    redact: Vec<String>,
    min_group: usize,
}

#[derive(Serialize)]
struct Global {
    scrape_interval: String,
    scrape_timeout: String,
    evaluation_interval: String,
    rule_query_offset: String,
    external_labels: std::collections::BTreeMap<String, String>,
}

#[derive(Serialize)]
struct Storage {
    retention_size_bytes: u64,
    retention_time: String,
    retention_rollups: std::collections::BTreeMap<&'static str, String>,
    limits: Limits,
}

#[derive(Serialize)]
struct Limits {
    series: u32,
    series_per_family: u32,
}

#[derive(Serialize)]
struct Model {
    name: String,
    url: String,
}

impl Config {
    /// The configuration in force, defaults filled in; what is secret reads `<secret>`.
    pub fn to_yaml(&self) -> String {
        let shown = Shown {
            global: self.shown_global(),
            rule_files: self.rules.files.iter().map(|path| path.display().to_string()).collect(),
            storage: Storage {
                retention_size_bytes: self.storage.ring.retention_size_bytes,
                retention_time: format_duration(self.storage.ring.retention_time),
                limits: Limits {
                    series: self.storage.limits.series,
                    series_per_family: self.storage.limits.series_per_family,
                },
                retention_rollups: Tier::ALL
                    .into_iter()
                    .map(|tier| (tier.name(), format_duration(self.storage.ring.rollups[tier as usize])))
                    .collect(),
            },
            collectors: self.shown_collectors(),
            scrape_configs: self.scrape.iter().map(Job::of).collect(),
            models: self
                .models
                .iter()
                .map(|target| Model { name: target.name.clone(), url: crate::net::without_userinfo(&target.url) })
                .collect(),
            privacy: Privacy { redact: self.privacy.patterns(), min_group: self.privacy.min_group() },
            workers: self.workers.groups.iter().map(|group| group.name.clone()).collect(),
        };
        yaml::to_string(&shown).unwrap_or_else(|error| format!("# cannot be shown: {error}\n"))
    }

    fn shown_collectors(&self) -> Collectors {
        let section = &self.collectors;
        let intervals = section.intervals.iter().map(|(name, every)| (name.clone(), format_duration(*every)));
        Collectors {
            enabled: section.enabled.iter().map(|family| family.as_str()).collect(),
            disabled: section.disabled.clone(),
            interval: format_duration(section.interval),
            intervals: intervals.collect(),
            textfile: Textfile { directory: section.textfile.directories.clone() },
        }
    }

    fn shown_global(&self) -> Global {
        Global {
            scrape_interval: format_duration(self.global.scrape_interval),
            scrape_timeout: format_duration(self.global.scrape_timeout),
            evaluation_interval: format_duration(self.global.evaluation_interval),
            rule_query_offset: format_duration(self.global.rule_query_offset),
            external_labels: pairs(&self.global.external_labels),
        }
    }
}

fn pairs(labels: &Labels) -> std::collections::BTreeMap<String, String> {
    labels.iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}
