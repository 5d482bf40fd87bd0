//! Types, helps and units that targets state.

use rustc_hash::FxHashMap;

use crate::exposition::{Format, Meta};
use crate::model::{Labels, MetricKind};

/// Families whose metadata one target may state; further ones are ignored.
const MAX_FAMILIES: usize = 10_000;

/// What a target says about one family.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct MetricMetadata {
    /// Type.
    pub kind: MetricKind,
    /// Help text.
    pub help: String,
    /// Unit, mostly empty.
    pub unit: String,
}

/// Everything that one target says.
#[derive(Debug, Clone, PartialEq)]
pub struct TargetMetadata {
    /// Labels of the target.
    pub labels: Labels,
    /// Metadata by the name that a query uses (with `_total` and `_info`), sorted.
    pub metrics: Vec<(String, MetricMetadata)>,
}

/// The metadata of one target, updated line by line.
#[derive(Default)]
pub(super) struct MetadataStore {
    families: FxHashMap<Box<str>, MetricMetadata>,
    format: Format,
}

impl MetadataStore {
    /// Says in which format the next page states its families.
    pub(super) fn begin(&mut self, format: Format) {
        self.format = format;
    }

    pub(super) fn note(&mut self, name: &str, meta: Meta<'_>) {
        if !self.families.contains_key(name) {
            if self.families.len() >= MAX_FAMILIES {
                return;
            }
            self.families.insert(name.into(), MetricMetadata::default());
        }
        let Some(known) = self.families.get_mut(name) else { return };
        match meta {
            Meta::Kind(kind) => known.kind = kind,
            Meta::Unit(unit) if known.unit != unit => unit.clone_into(&mut known.unit),
            Meta::Help(help) if known.help != help => known.help = unescape_help(help),
            Meta::Unit(_) | Meta::Help(_) => {}
        }
    }

    /// All metadata by the name that a query uses, sorted.
    pub(super) fn list(&self) -> Vec<(String, MetricMetadata)> {
        let named = |(name, meta): (&Box<str>, &MetricMetadata)| (self.queried_name(name, meta.kind), meta.clone());
        let mut list: Vec<_> = self.families.iter().map(named).collect();
        list.sort_by(|a, b| a.0.cmp(&b.0));
        list
    }

    /// OpenMetrics names a family without the suffix of its samples; in text both are the same.
    fn queried_name(&self, name: &str, kind: MetricKind) -> String {
        match (self.format, kind) {
            (Format::OpenMetrics, MetricKind::Counter) => format!("{name}_total"),
            (Format::OpenMetrics, MetricKind::Info) => format!("{name}_info"),
            _ => name.to_owned(),
        }
    }
}

fn unescape_help(help: &str) -> String {
    if !help.contains('\\') {
        return help.to_owned();
    }
    help.replace("\\\\", "\u{0}").replace("\\n", "\n").replace("\\\"", "\"").replace('\u{0}', "\\")
}
