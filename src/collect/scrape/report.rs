//! `up` and the `scrape_*` series of a target.

use crate::model::{Batch, Family, Intern, Labels, Origin, SeriesKey, SeriesRef};

/// The names, in the order of the numbers below.
const NAMES: [&str; 8] = [
    "up",
    "scrape_duration_seconds",
    "scrape_samples_scraped",
    "scrape_samples_post_metric_relabeling",
    "scrape_series_added",
    "scrape_timeout_seconds",
    "scrape_sample_limit",
    "scrape_body_size_bytes",
];
/// How many of them every target has; the rest is for those who ask.
const USUAL: usize = 5;

/// What one scrape reports about itself.
pub(super) struct Outcome {
    pub(super) up: bool,
    pub(super) seconds: f64,
    pub(super) scraped: usize,
    pub(super) kept: usize,
    pub(super) added: usize,
    pub(super) timeout_seconds: f64,
    pub(super) sample_limit: usize,
    /// Bytes of the page; -1 when it was too large, 0 when there was none.
    pub(super) body_bytes: f64,
}

/// The references of a target's report series.
pub(super) struct Report(Vec<Option<SeriesRef>>);

impl Report {
    pub(super) fn new(target: &Labels, extra: bool, intern: &dyn Intern) -> Self {
        let mut report = Self(vec![None; if extra { NAMES.len() } else { USUAL }]);
        report.complete(target, intern);
        report
    }

    /// Tries those again that the series table refused: `up` is not to be missing for longer than there is no room.
    pub(super) fn complete(&mut self, target: &Labels, intern: &dyn Intern) {
        for (place, name) in self.0.iter_mut().zip(NAMES).filter(|(place, _)| place.is_none()) {
            // Prometheus empties `exported_x` for each label `x` of the target, one after the other by name.
            let emptied =
                |name: &str| name.strip_prefix("exported_").is_some_and(|inner| inner > name && target.contains(inner));
            let labels: Vec<(&str, &str)> = target.iter().filter(|(name, _)| !emptied(name)).collect();
            let family = Family::default();
            *place = intern.intern(SeriesKey { family: &family, name, labels: &labels, origin: Origin::Foreign });
        }
    }

    pub(super) fn append(&self, outcome: &Outcome, batch: &mut Batch) {
        let numbers = [
            f64::from(u8::from(outcome.up)),
            outcome.seconds,
            outcome.scraped as f64,
            outcome.kept as f64,
            outcome.added as f64,
            outcome.timeout_seconds,
            outcome.sample_limit as f64,
            outcome.body_bytes,
        ];
        batch
            .floats
            .extend(self.0.iter().zip(numbers).filter_map(|(series, number)| series.map(|series| (series, number))));
    }

    pub(super) fn release(&self, intern: &dyn Intern) {
        let refs: Vec<SeriesRef> = self.0.iter().flatten().copied().collect();
        intern.release(&refs);
    }
}
