//! Types, helps and units that targets state.

use rustc_hash::FxHashMap;

use crate::exposition::Meta;
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
    /// Metadata by family name, sorted.
    pub metrics: Vec<(String, MetricMetadata)>,
}

/// The metadata of one target, updated line by line.
#[derive(Default)]
pub(super) struct MetadataStore(FxHashMap<Box<str>, MetricMetadata>);

impl MetadataStore {
    pub(super) fn note(&mut self, name: &str, meta: Meta<'_>) {
        if !self.0.contains_key(name) {
            if self.0.len() >= MAX_FAMILIES {
                return;
            }
            self.0.insert(name.into(), MetricMetadata::default());
        }
        let Some(known) = self.0.get_mut(name) else { return };
        match meta {
            Meta::Kind(kind) => known.kind = kind,
            Meta::Unit(unit) if known.unit != unit => unit.clone_into(&mut known.unit),
            Meta::Help(help) if known.help != help => known.help = unescape_help(help),
            Meta::Unit(_) | Meta::Help(_) => {}
        }
    }

    pub(super) fn list(&self) -> Vec<(String, MetricMetadata)> {
        let mut list: Vec<_> = self.0.iter().map(|(name, meta)| (name.to_string(), meta.clone())).collect();
        list.sort_by(|a, b| a.0.cmp(&b.0));
        list
    }
}

fn unescape_help(help: &str) -> String {
    if !help.contains('\\') {
        return help.to_owned();
    }
    help.replace("\\\\", "\u{0}").replace("\\n", "\n").replace("\\\"", "\"").replace('\u{0}', "\\")
}
