//! Which rollups there are, and how a stretch of time is put together of them.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::model::Timestamp;
use crate::storage::segment::SegmentMeta;

use super::Tier;
use super::bucket::end_of;

/// The segments of all tiers, one a span.
#[derive(Debug, Default)]
pub(crate) struct Spans {
    /// By tier, by the start of the span.
    tiers: [BTreeMap<Timestamp, Arc<SegmentMeta>>; Tier::ALL.len()],
}

/// A stretch of time: rollups where there are some, raw samples elsewhere.
#[derive(Debug, Default)]
pub(crate) struct Piecemeal {
    /// Segments with the part of them that is wanted: after the first bound, up to the second. Ascending.
    pub(crate) segments: Vec<(Arc<SegmentMeta>, Timestamp, Timestamp)>,
    /// The rest, with the same kind of bounds.
    pub(crate) raw: Vec<(Timestamp, Timestamp)>,
}

impl Spans {
    fn of(&self, tier: Tier) -> &BTreeMap<Timestamp, Arc<SegmentMeta>> {
        &self.tiers[tier as usize]
    }

    /// Takes a segment up, in the place of the one that was there for the same span.
    pub(crate) fn insert(&mut self, tier: Tier, meta: Arc<SegmentMeta>) {
        self.tiers[tier as usize].insert(meta.window, meta);
    }

    /// Forgets a segment.
    pub(crate) fn remove(&mut self, id: u64) -> Option<Arc<SegmentMeta>> {
        let found = |spans: &BTreeMap<Timestamp, Arc<SegmentMeta>>| {
            spans.iter().find(|(_, meta)| meta.id == id).map(|(span, _)| *span)
        };
        self.tiers.iter_mut().find_map(|spans| found(spans).and_then(|span| spans.remove(&span)))
    }

    pub(crate) fn get(&self, tier: Tier, span: Timestamp) -> Option<&Arc<SegmentMeta>> {
        self.of(tier).get(&span)
    }

    /// The segments of a tier, the oldest first.
    pub(crate) fn all(&self, tier: Tier) -> impl Iterator<Item = &Arc<SegmentMeta>> {
        self.of(tier).values()
    }

    /// The segments of all tiers.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Arc<SegmentMeta>> {
        self.tiers.iter().flat_map(BTreeMap::values)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.tiers.iter().all(BTreeMap::is_empty)
    }

    /// The end of a tier's first bucket.
    pub(crate) fn first(&self, tier: Tier) -> Option<Timestamp> {
        self.of(tier).values().next().map(|meta| meta.min_ts)
    }

    /// Until when a tier reaches.
    pub(crate) fn until(&self, tier: Tier) -> Option<Timestamp> {
        self.of(tier).values().next_back().map(|meta| meta.window_end)
    }

    /// Puts the time after `from` up to `to` together of the coarsest rollups that are at most as coarse as `tier`.
    pub(crate) fn cover(&self, tier: Option<Tier>, from: Timestamp, to: Timestamp, out: &mut Piecemeal) {
        let Some(tier) = tier else {
            if from < to {
                out.raw.push((from, to));
            }
            return;
        };
        let mut at = from;
        let first = tier.span_of(from.saturating_add(1));
        for (span, meta) in self.of(tier).range(first..).take_while(|(span, _)| **span < to) {
            let end = span.saturating_add(tier.span_ms());
            self.cover(tier.finer(), at, (*span).max(at), out);
            out.segments.push((Arc::clone(meta), at.max(*span), end.min(to)));
            at = end.min(to);
        }
        self.cover(tier.finer(), at, to, out);
    }

    /// As [`Spans::cover`], of the finest rollups that there are, and nothing else; with the bucket that `to` is in.
    pub(crate) fn cover_finest(&self, from: Timestamp, to: Timestamp) -> Vec<(Arc<SegmentMeta>, Timestamp, Timestamp)> {
        let mut found = Vec::new();
        let mut gaps = vec![(from, to)];
        for tier in Tier::ALL {
            let mut left = Vec::new();
            for (mut at, to) in gaps {
                let first = tier.span_of(at.saturating_add(1));
                for (span, meta) in self.of(tier).range(first..).take_while(|(span, _)| **span < to) {
                    // The last bucket may end behind what is wanted of it.
                    let end = span.saturating_add(tier.span_ms()).min(end_of(to, tier.bucket_ms()));
                    if at < *span {
                        left.push((at, *span));
                    }
                    found.push((Arc::clone(meta), at.max(*span), end));
                    at = end;
                }
                if at < to {
                    left.push((at, to));
                }
            }
            gaps = left;
        }
        found.sort_by_key(|(_, from, _)| *from);
        found
    }
}
