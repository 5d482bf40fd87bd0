//! YAML → validated configuration. Rooms own their `Config` types; this room reads them from one file.
//!
//! ```
//! use watchfire::config::Config;
//! let config = Config::parse("watchfire.yml", "global: {scrape_interval: 5s}").unwrap();
//! assert_eq!(config.global.scrape_interval.as_secs(), 5);
//! let errors = Config::parse("watchfire.yml", "globl: {}\nstorage: {pth: x}").unwrap_err();
//! assert_eq!(errors.len(), 2);
//! ```

mod cgroups;
mod collectors;
mod discovery;
mod global;
mod gpu;
mod http_client;
mod models;
mod options;
mod print;
mod print_scrape;
mod privacy;
mod relabel;
mod scrape;
mod storage;
mod workers;

use std::path::{Path, PathBuf};

use crate::archive::Privacy;
use crate::collect::llm::ModelTarget;
use crate::collect::scrape::ScrapeConfig;
use crate::collect::worker::WorkerConfig;
use crate::rules::RulesConfig;
use crate::yaml::{Document, Node, YamlErrors};

pub use collectors::{CollectorFamily, CollectorsSection};
pub use global::Global;
pub use http_client::{HttpClientSection, http_client, tls_config};
pub use scrape::Options;
pub use storage::StorageSection;

/// Sections of Prometheus' file that are read and checked for form, but not acted upon in this version.
const NOT_YET: [(&str, &str); 5] = [
    (
        "alerting",
        "alerts are on the page and under /api/v1/alerts, but are not sent to an Alertmanager by this version",
    ),
    ("remote_read", "queries are answered from this machine's samples alone"),
    ("runtime", "these settings are of Go's memory"),
    ("tracing", "this version sends no traces of itself"),
    ("remote_write", "samples are not sent to a remote store by this version"),
];

/// A whole configuration.
#[derive(Debug, Clone)]
pub struct Config {
    /// Defaults of scrapes and rules.
    pub global: Global,
    /// Rule files and rule settings.
    pub rules: RulesConfig,
    /// The ring.
    pub storage: StorageSection,
    /// Which collectors run.
    pub collectors: CollectorsSection,
    /// Groups of processes.
    pub workers: WorkerConfig,
    /// Model servers.
    pub models: Vec<ModelTarget>,
    /// Scrape jobs.
    pub scrape: Vec<ScrapeConfig>,
    /// What exports must not show.
    pub privacy: Privacy,
    /// What is odd but no error.
    pub warnings: Vec<String>,
}

impl Default for Config {
    fn default() -> Self {
        Self::parse("defaults", "").expect("an empty document is valid")
    }
}

impl Config {
    /// Reads a file; paths in it are relative to its folder.
    ///
    /// # Errors
    /// Everything that is wrong with it, each with its place.
    pub fn load(path: &Path) -> Result<Self, YamlErrors> {
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
        Self::read(&Document::load(path)?, folder)
    }

    /// Reads a text; `file` is the name in errors.
    ///
    /// # Errors
    /// Everything that is wrong with it, each with its place.
    pub fn parse(file: &str, text: &str) -> Result<Self, YamlErrors> {
        Self::read(&Document::parse(file, text)?, None)
    }

    fn read(doc: &Document, folder: Option<&Path>) -> Result<Self, YamlErrors> {
        let mut errors = YamlErrors::default();
        let mut map = doc.root().mapping(&mut errors);
        let names = crate::collect::collector_names();
        let global = map.optional("global", &mut errors, global::global).unwrap_or_default();
        let collectors = map
            .optional("collectors", &mut errors, |node, errors| collectors::collectors(node, errors, &names, folder))
            .unwrap_or_default();
        let mut warnings: Vec<String> = doc.warnings().iter().map(ToString::to_string).collect();
        for (key, why) in NOT_YET {
            if map.get(key).is_some_and(|node| !node.is_null()) {
                warnings.push(format!("{}: {key}: {why}", doc.file()));
            }
        }
        if let Some(node) =
            map.get("scrape_config_files").filter(|node| node.is_list() && !node.list(&mut errors).is_empty())
        {
            errors.push(node.error("scrape_config_files is not part of this version").expected("scrape_configs"));
        }
        let config = Self {
            rules: RulesConfig {
                files: map
                    .optional("rule_files", &mut errors, Node::strings)
                    .unwrap_or_default()
                    .iter()
                    .map(|pattern| relative_to(folder, pattern))
                    .collect(),
                shipped: map.optional("rules", &mut errors, shipped).unwrap_or(true),
                evaluation_interval: global.evaluation_interval,
                query_offset: global.rule_query_offset,
                external_labels: global.external_labels.clone(),
                ..RulesConfig::default()
            },
            storage: map.optional("storage", &mut errors, storage::storage).unwrap_or_default(),
            privacy: map.optional("privacy", &mut errors, privacy::privacy).unwrap_or_default(),
            workers: map.optional("workers", &mut errors, workers::workers).unwrap_or_default(),
            models: map
                .optional("models", &mut errors, |node, errors| models::models(node, errors, collectors.interval))
                .unwrap_or_default(),
            scrape: map
                .optional("scrape_configs", &mut errors, |node, errors| scrape::jobs(node, errors, &global, folder))
                .unwrap_or_default(),
            collectors,
            global,
            warnings,
        };
        map.finish(&mut errors);
        errors.into_result(config)
    }
}

fn shipped(node: &Node<'_>, errors: &mut YamlErrors) -> Option<bool> {
    let mut map = node.mapping(errors);
    let shipped = map.optional("shipped", errors, Node::boolean);
    map.finish(errors);
    shipped
}

fn relative_to(folder: Option<&Path>, pattern: &str) -> PathBuf {
    folder.map_or_else(|| PathBuf::from(pattern), |folder| folder.join(pattern))
}

#[cfg(test)]
mod tests;
