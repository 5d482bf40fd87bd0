//! The `storage` section.

use std::path::PathBuf;
use std::time::Duration;

use crate::limits::MOST_SERIES;
use crate::model::format_duration;
use crate::registry::SeriesLimits;
use crate::storage::{Config, Durability, Tier};
use crate::yaml::{Node, YamlErrors};

/// What the file says of storage; the path is a choice that a flag may override.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct StorageSection {
    /// Directory of the history, when stated.
    pub path: Option<PathBuf>,
    /// The most series that are alive at once.
    pub limits: SeriesLimits,
    /// Everything else; its own path is not meant.
    pub ring: Config,
}

pub(super) fn storage(node: &Node<'_>, errors: &mut YamlErrors) -> Option<StorageSection> {
    let mut map = node.mapping(errors);
    let path = map.optional("path", errors, Node::nonempty_string).map(PathBuf::from);
    let mut section = StorageSection { path, ..StorageSection::default() };
    let durability = [("immediate", Durability::Immediate), ("relaxed", Durability::Relaxed)];
    if let Some(found) = map.optional("durability", errors, |node, errors| node.word(&durability, errors)) {
        section.ring.durability = found;
    }
    if let Some(interval) = map.optional("relaxed_interval", errors, Node::positive_duration) {
        section.ring.relaxed_interval = interval;
    }
    map.optional("retention", errors, |node, errors| {
        let mut retention = node.mapping(errors);
        if let Some(bytes) = retention.optional("size", errors, size) {
            section.ring.retention_size_bytes = bytes;
        }
        if let Some(time) = retention.optional("time", errors, Node::positive_duration) {
            section.ring.retention_time = time;
        }
        retention.optional("rollups", errors, |node, errors| rollups(node, errors, &mut section.ring));
        retention.finish(errors);
        Some(())
    });
    map.optional("exemplars", errors, |node, errors| {
        let mut exemplars = node.mapping(errors);
        if let Some(most) = exemplars.optional("max_exemplars", errors, Node::integer::<u32>) {
            section.ring.max_exemplars = most as usize;
        }
        exemplars.finish(errors);
        Some(())
    });
    if let Some(found) = map.optional("limits", errors, limits) {
        section.limits = found;
    }
    map.finish(errors);
    Some(section)
}

fn limits(node: &Node<'_>, errors: &mut YamlErrors) -> Option<SeriesLimits> {
    let mut map = node.mapping(errors);
    let mut found = SeriesLimits::default();
    if let Some(series) = map.optional("series", errors, count) {
        found.series = series;
        // Who lowers the one alone does not allow a single metric more.
        found.series_per_family = found.series_per_family.min(series);
    }
    if let Some(series) = map.optional("series_per_family", errors, count) {
        if series > found.series
            && let Some(node) = map.get("series_per_family")
        {
            errors.push(
                node.error("one metric cannot have more series than all").expected("at most storage.limits.series"),
            );
        }
        found.series_per_family = series;
    }
    map.finish(errors);
    Some(found)
}

/// A number of series.
fn count(node: &Node<'_>, errors: &mut YamlErrors) -> Option<u32> {
    let count = node.integer::<u32>(errors)?;
    if (1..=MOST_SERIES).contains(&count) {
        return Some(count);
    }
    errors.push(node.error("not a possible number of series").expected(format!("1 to {MOST_SERIES}")));
    None
}

/// How long each tier stays: `{1m: 90d, 1h: 2y, 1d: 10y}`. Zero turns a tier off, and those that are made of it.
fn rollups(node: &Node<'_>, errors: &mut YamlErrors, ring: &mut Config) -> Option<()> {
    let mut map = node.mapping(errors);
    for tier in Tier::ALL {
        let Some(time) = map.optional(tier.name(), errors, Node::duration) else { continue };
        ring.rollups[tier as usize] = time;
    }
    map.finish(errors);
    for (tier, coarser) in Tier::ALL.into_iter().zip(Tier::ALL.into_iter().skip(1)) {
        let (has, wants) = (ring.rollups[tier as usize], ring.rollups[coarser as usize]);
        if !wants.is_zero() && has < MIN_FINER[tier as usize] {
            let least = format_duration(MIN_FINER[tier as usize]);
            let error = node.error(format!("rollups of {coarser} are made of those of {tier}, which go before that"));
            errors.push(error.expected(format!("{tier}: at least {least}, or {coarser}: 0s")));
        }
    }
    Some(())
}

/// How long a tier must stay for the next coarser one to be made of it: a day, thirty days, and some time to do it.
const MIN_FINER: [Duration; 2] = [Duration::from_secs(2 * 86_400), Duration::from_secs(32 * 86_400)];

/// Redb keeps a fixed megabyte, and a ring needs room for two segments.
const MIN_SIZE: u64 = 8 << 20;

fn size(node: &Node<'_>, errors: &mut YamlErrors) -> Option<u64> {
    let bytes = node.size(errors)?;
    if bytes < MIN_SIZE {
        errors.push(node.error("too small for a ring").expected("at least 8MB"));
    }
    Some(bytes)
}
