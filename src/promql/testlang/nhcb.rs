//! Classic histograms (`_bucket`, `_count`, `_sum`) → native ones with custom buckets.

use std::collections::BTreeMap;

use crate::model::{CUSTOM_BUCKETS_SCHEMA, Histogram, Labels, METRIC_NAME, Span, Timestamp, parse_float};

use super::store::ByLabels;

/// What is known of one histogram at one time.
#[derive(Debug, Default)]
struct Classic {
    /// Cumulative counts by upper bound, ascending.
    buckets: Vec<(f64, f64)>,
    count: Option<f64>,
    sum: f64,
}

type Converted = BTreeMap<Labels, BTreeMap<Timestamp, Histogram>>;

/// Collects the parts of each histogram and converts them.
///
/// # Errors
/// When counts fall from one bucket to the next.
pub(super) fn convert(series: &ByLabels) -> Result<Converted, String> {
    let mut parts: BTreeMap<Labels, BTreeMap<Timestamp, Classic>> = BTreeMap::new();
    for (labels, samples) in series {
        let name = labels.metric_name();
        let (base, suffix) = match name.rsplit_once('_') {
            Some((base, suffix @ ("bucket" | "count" | "sum"))) => (base, suffix),
            _ => continue,
        };
        let bound = match suffix {
            "bucket" => match parse_float(labels.get("le")).filter(|bound| !bound.is_nan()) {
                Some(bound) => bound,
                None => continue,
            },
            _ => 0.0,
        };
        let target = parts.entry(labels.without(&["le"]).with(METRIC_NAME, base)).or_default();
        for (ts, value) in samples {
            let classic = target.entry(*ts).or_default();
            match suffix {
                "bucket" => classic.buckets.push((bound, *value)),
                "count" => classic.count = Some(*value),
                _ => classic.sum = *value,
            }
        }
    }
    let mut out = Converted::new();
    for (labels, by_time) in parts {
        let mut samples = BTreeMap::new();
        for (ts, classic) in by_time {
            samples.insert(ts, classic.finish().map_err(|reason| format!("{labels} at {ts} ms: {reason}"))?);
        }
        out.insert(labels, samples);
    }
    Ok(out)
}

impl Classic {
    fn finish(mut self) -> Result<Histogram, String> {
        self.buckets.sort_by(|a, b| a.0.total_cmp(&b.0));
        self.buckets.dedup_by(|a, b| a.0 == b.0);
        let highest = self.buckets.last().map_or(0.0, |(_, count)| *count);
        let count = self.count.unwrap_or(highest);
        if self.buckets.last().is_none_or(|(bound, _)| *bound != f64::INFINITY) {
            self.buckets.push((f64::INFINITY, count));
        }
        let mut positive = Vec::with_capacity(self.buckets.len());
        let mut below = 0.0;
        for (bound, cumulative) in &self.buckets {
            let count = cumulative - below;
            if count < 0.0 {
                return Err(format!("bucket counts fall at le={bound}"));
            }
            positive.push(count);
            below = *cumulative;
        }
        Ok(Histogram {
            schema: CUSTOM_BUCKETS_SCHEMA,
            count,
            sum: self.sum,
            positive_spans: vec![Span { offset: 0, length: positive.len() as u32 }],
            positive,
            custom_values: self.buckets.iter().map(|(bound, _)| *bound).filter(|bound| bound.is_finite()).collect(),
            ..Histogram::default()
        })
    }
}
