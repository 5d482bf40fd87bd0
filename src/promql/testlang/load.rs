//! Loads: sequences → samples in the store.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::model::Value;
use crate::promql::parser::SequenceValue;

use super::nhcb::convert;
use super::script::Load;
use super::store::{ByLabels, MemoryStore};

/// Adds the samples of a load to the store.
///
/// # Errors
/// When classic histograms cannot be converted to native ones.
pub(super) fn apply(load: &Load, store: &mut MemoryStore) -> Result<(), String> {
    let mut floats = ByLabels::new();
    for (i, series) in load.series.iter().enumerate() {
        // Of two lines for one series the later one counts.
        if load.series[i + 1..].iter().any(|later| later.labels == series.labels) {
            continue;
        }
        let mut column = BTreeMap::new();
        for (i, value) in series.values.iter().enumerate() {
            let ts = i64::try_from(i).unwrap_or(i64::MAX).saturating_mul(load.step_ms);
            let start = series.starts.get(i).copied().flatten().map_or(0, |offset| ts.saturating_add(offset));
            match value {
                SequenceValue::Omitted => {}
                SequenceValue::Float(value) => {
                    column.insert(ts, *value);
                    store.append(&series.labels, ts, start, Value::Float(*value));
                }
                SequenceValue::Histogram { histogram, .. } => {
                    store.append(&series.labels, ts, start, Value::Histogram(Arc::clone(histogram)));
                }
            }
        }
        store.settle(&series.labels);
        if load.with_nhcb && !column.is_empty() {
            floats.insert(series.labels.clone(), column);
        }
    }
    if load.with_nhcb {
        for (labels, samples) in convert(&floats)? {
            for (ts, histogram) in samples {
                store.append(&labels, ts, 0, Value::Histogram(Arc::new(histogram)));
            }
            store.settle(&labels);
        }
    }
    Ok(())
}
