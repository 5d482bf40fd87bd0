//! The newest value of every own series, looked up by metric name.

use crate::model::{Labels, is_absent};
use crate::registry::{Latest, LayoutFamily};

/// Values of one moment.
pub(in crate::http) struct Snapshot {
    families: Vec<LayoutFamily>,
    values: Vec<f64>,
}

impl Snapshot {
    /// Reads the registry; what `/metrics` would not show is not there either.
    pub(in crate::http) fn read(latest: &Latest) -> Self {
        let families = latest.layout().families;
        let mut values = Vec::new();
        latest.read(&mut values);
        Self { families, values }
    }

    /// Series whose metric name begins with `prefix`: name, labels, value.
    pub(in crate::http) fn starting_with<'a>(
        &'a self,
        prefix: &'a str,
    ) -> impl Iterator<Item = (&'a str, &'a Labels, f64)> {
        self.families
            .iter()
            .filter(move |family| family.family.name.starts_with(prefix))
            .flat_map(|family| &family.series)
            .filter_map(|series| {
                let value = *self.values.get(series.slot as usize)?;
                (!is_absent(value)).then_some((&*series.name, &series.labels, value))
            })
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
