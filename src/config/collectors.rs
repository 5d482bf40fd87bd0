//! The `collectors` section: which ones run, and how often.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use super::{cgroups, gpu};
use crate::collect::gpu::GpuConfig;
use crate::collect::system::SystemOptions;
use crate::collect::system::cgroup::CgroupConfig;
use crate::collect::textfile::TextfileConfig;
use crate::yaml::{Node, YamlErrors, nearest};

use super::relative_to;

/// The families of collectors that can be chosen.
const FAMILIES: [(&str, CollectorFamily); 4] = [
    ("system", CollectorFamily::System),
    ("gpu", CollectorFamily::Gpu),
    ("workers", CollectorFamily::Workers),
    ("models", CollectorFamily::Models),
];

/// A family of collectors.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum CollectorFamily {
    /// The machine.
    System,
    /// Its GPUs.
    Gpu,
    /// Groups of processes.
    Workers,
    /// Model servers.
    Models,
}

impl CollectorFamily {
    /// The word in the configuration.
    pub fn as_str(self) -> &'static str {
        FAMILIES.iter().find(|(_, family)| *family == self).map_or("", |(word, _)| word)
    }
}

/// Which collectors run, and how often.
#[derive(Debug, Clone)]
pub struct CollectorsSection {
    /// Families that run.
    pub enabled: Vec<CollectorFamily>,
    /// System collectors that do not run though their family does.
    pub disabled: Vec<String>,
    /// Interval of collectors and model targets that state none; a second, whatever `global.scrape_interval` says.
    pub interval: Duration,
    /// Intervals of single collectors.
    pub intervals: BTreeMap<String, Duration>,
    /// Where textfiles are.
    pub textfile: TextfileConfig,
    /// What is shown of each source of the machine.
    pub options: SystemOptions,
    /// The GPUs.
    pub gpu: GpuConfig,
    /// Which cgroups are watched.
    pub cgroups: CgroupConfig,
}

impl Default for CollectorsSection {
    fn default() -> Self {
        Self {
            enabled: FAMILIES.iter().map(|(_, family)| *family).collect(),
            disabled: Vec::new(),
            interval: Duration::from_secs(1),
            intervals: BTreeMap::new(),
            textfile: TextfileConfig::default(),
            options: SystemOptions::default(),
            gpu: GpuConfig::default(),
            cgroups: CgroupConfig::default(),
        }
    }
}

impl CollectorsSection {
    /// Whether a family runs.
    pub fn has(&self, family: CollectorFamily) -> bool {
        self.enabled.contains(&family)
    }
}

/// Reads the section; `names` are the collectors that exist, relative paths are in `folder`.
pub(super) fn collectors(
    node: &Node<'_>,
    errors: &mut YamlErrors,
    names: &[&str],
    folder: Option<&Path>,
) -> Option<CollectorsSection> {
    let mut map = node.mapping(errors);
    let mut section = CollectorsSection::default();
    if let Some(enabled) = map.optional("enabled", errors, |node, errors| {
        Some(node.list_of(errors, |item, errors| item.word(&FAMILIES, errors)))
    }) {
        section.enabled = enabled;
    }
    if let Some(disabled) = map.optional("disabled", errors, |node, errors| {
        Some(node.list_of(errors, |item, errors| known(item.string(errors)?, item, errors, names)))
    }) {
        section.disabled = disabled;
    }
    if let Some(interval) = map.optional("interval", errors, Node::positive_duration) {
        section.interval = interval;
    }
    map.optional("intervals", errors, |node, errors| {
        for (name, value) in node.mapping(errors).pairs() {
            let interval = value.positive_duration(errors);
            if let (Some(name), Some(interval)) = (known(name.to_owned(), &value, errors, names), interval) {
                section.intervals.insert(name, interval);
            }
        }
        Some(())
    });
    if let Some(textfile) = map.optional("textfile", errors, |node, errors| textfile(node, errors, folder)) {
        section.textfile = textfile;
    }
    if let Some(options) = map.optional("options", errors, super::options::options) {
        section.options = options;
    }
    if let Some(gpu) = map.optional("gpu", errors, gpu::gpu) {
        section.gpu = gpu;
    }
    if let Some(cgroups) = map.optional("cgroups", errors, cgroups::cgroups) {
        section.cgroups = cgroups;
    }
    map.finish(errors);
    Some(section)
}

/// `directory` is one path or pattern, or a list of them.
fn textfile(node: &Node<'_>, errors: &mut YamlErrors, folder: Option<&Path>) -> Option<TextfileConfig> {
    let mut map = node.mapping(errors);
    let directories = map.optional("directory", errors, |node, errors| {
        if node.is_list() { node.strings(errors) } else { node.nonempty_string(errors).map(|one| vec![one]) }
    });
    map.finish(errors);
    let path = |directory: &String| relative_to(folder, directory).to_string_lossy().into_owned();
    Some(TextfileConfig { directories: directories.unwrap_or_default().iter().map(path).collect() })
}

fn known(name: String, node: &Node<'_>, errors: &mut YamlErrors, names: &[&str]) -> Option<String> {
    if names.contains(&name.as_str()) {
        return Some(name);
    }
    let error = node.error(format!("there is no collector {name:?}")).expected(format!("one of {}", names.join(", ")));
    errors.push(error.suggest(nearest(&name, names.iter().copied())));
    None
}
