//! The newest value of every own series, looked up by metric name.

use crate::model::Labels;
use crate::registry::{Latest, LatestSeries};

/// Values of one moment.
pub(in crate::http) struct Snapshot(Vec<(LatestSeries, f64)>);

impl Snapshot {
    /// Looks at the registry, waiting for nobody; what `/metrics` would not show is not there either.
    pub(in crate::http) fn read(latest: &Latest) -> Self {
        Self(latest.look())
    }

    /// Series whose metric name begins with `prefix`, sorted by family and labels: name, labels, value.
    pub(in crate::http) fn starting_with<'a>(
        &'a self,
        prefix: &'a str,
    ) -> impl Iterator<Item = (&'a str, &'a Labels, f64)> {
        let is_wanted = |found: &&(LatestSeries, f64)| found.0.family().name.starts_with(prefix);
        let mut found: Vec<&(LatestSeries, f64)> = self.0.iter().filter(is_wanted).collect();
        let key = |series: &'a LatestSeries| (&series.family().name, series.labels(), series.name());
        found.sort_unstable_by(|(a, _), (b, _)| key(a).cmp(&key(b)));
        found.into_iter().map(|(series, value)| (series.name(), series.labels(), *value))
    }

    /// Series of that metric name.
    pub(in crate::http) fn named<'a>(&'a self, name: &'a str) -> impl Iterator<Item = (&'a Labels, f64)> {
        let family = name.strip_suffix("_total").unwrap_or(name);
        self.starting_with(family).filter(move |(found, _, _)| *found == name).map(|(_, labels, value)| (labels, value))
    }

    /// The one series of that name, or the first.
    pub(in crate::http) fn first(&self, name: &str) -> Option<f64> {
        self.named(name).next().map(|(_, value)| value).filter(|value| value.is_finite())
    }

    /// Sum over all series of that name; `None` when there is none.
    pub(in crate::http) fn sum(&self, name: &str) -> Option<f64> {
        self.named(name).map(|(_, value)| value).reduce(|a, b| a + b).filter(|value| value.is_finite())
    }
}
