//! From the labels of a line to those of a series: the target's labels, relabeling, limits.

use super::config::ScrapeConfig;
use crate::exposition::{canonical_bound, parse_series};
use crate::model::{Labels, LabelsBuilder, METRIC_NAME, MetricKind, is_classic_label_name, is_classic_metric_name};

/// What the series of a target depend on.
#[derive(Clone, Copy)]
pub(super) struct SeriesRules<'t> {
    pub(super) target: &'t Labels,
    pub(super) job: &'t ScrapeConfig,
    /// The type that the page stated last.
    pub(super) kind: MetricKind,
}

impl SeriesRules<'_> {
    /// The labels that the line's series has in the end, the metric's name among them; `None` when a rule drops it.
    ///
    /// # Errors
    /// Bad labels on the line, and limits: both fail the scrape.
    pub(super) fn labels(&self, raw: &str) -> Result<Option<Labels>, String> {
        let parsed = parse_series(raw)?;
        let mut labels = LabelsBuilder::new();
        // `1`, `1.0` and `1.00` are one bound: clients spell them as they like, and differently in each format.
        let bound = match self.kind {
            MetricKind::Histogram => "le",
            MetricKind::Summary => "quantile",
            _ => "",
        };
        for (name, value) in &parsed.labels {
            if name == METRIC_NAME {
                return Err("expected no label __name__ on a sample".to_owned());
            }
            match (*name == bound).then(|| canonical_bound(value)).flatten() {
                Some(value) => labels.put(name, &value),
                None => labels.put(name, value),
            };
        }
        if self.job.honor_labels {
            // An empty label of the page is honored too: it takes the target's away.
            let stated = |name: &str| parsed.labels.iter().any(|(known, _)| known == name);
            for (name, value) in self.target.iter().filter(|(name, _)| !stated(name)) {
                labels.put(name, value);
            }
        } else {
            self.put_target(&mut labels);
        }
        labels.put(METRIC_NAME, &parsed.name);
        if !self.job.metric_relabel.apply(&mut labels) {
            return Ok(None);
        }
        let labels = labels.build();
        if labels.is_empty() {
            return Ok(None);
        }
        self.check(&labels)?;
        Ok(Some(labels))
    }

    /// The target's labels win; what the page has under their names moves aside, the shortest name first.
    fn put_target(&self, labels: &mut LabelsBuilder) {
        let mut aside: Vec<(&str, String)> = Vec::new();
        for (name, value) in self.target.iter() {
            let stated = labels.get(name);
            if !stated.is_empty() {
                aside.push((name, stated.to_owned()));
            }
            labels.put(name, value);
        }
        aside.sort_by_key(|(name, _)| name.len());
        for (name, value) in aside {
            let mut name = format!("exported_{name}");
            while !labels.get(&name).is_empty() {
                name.insert_str(0, "exported_");
            }
            labels.put(&name, &value);
        }
    }

    fn check(&self, labels: &Labels) -> Result<(), String> {
        let name = labels.metric_name();
        if name.is_empty() {
            return Err("missing metric name (__name__ label) after relabeling".to_owned());
        }
        let job = self.job;
        let is_classic = || is_classic_metric_name(name) && labels.iter().all(|(name, _)| is_classic_label_name(name));
        if job.legacy_names && !is_classic() {
            return Err(format!("invalid metric name or label names: {labels}"));
        }
        let short = |text: &str| text.chars().take(50).collect::<String>();
        let exceeded = |limit: usize, count: usize| limit > 0 && count > limit;
        if exceeded(job.label_limit, labels.len()) {
            let (metric, limit) = (short(name), job.label_limit);
            return Err(format!(
                "label_limit exceeded (metric: {metric}, number of labels: {}, limit: {limit})",
                labels.len()
            ));
        }
        for (label, value) in labels.iter() {
            let place = || format!("metric: {}, label name: {}", short(name), short(label));
            if exceeded(job.label_name_length_limit, label.len()) {
                let (length, limit) = (label.len(), job.label_name_length_limit);
                return Err(format!(
                    "label_name_length_limit exceeded ({}, length: {length}, limit: {limit})",
                    place()
                ));
            }
            if exceeded(job.label_value_length_limit, value.len()) {
                let (length, limit) = (value.len(), job.label_value_length_limit);
                return Err(format!(
                    "label_value_length_limit exceeded ({}, value: {:?}, length: {length}, limit: {limit})",
                    place(),
                    short(value)
                ));
            }
        }
        Ok(())
    }
}
