//! What a family allows: the rules for single samples and for their order.

use std::collections::HashSet;

use super::line::{Pairs, Sample};
use crate::exposition::layout::suffixes;
use crate::model::{MetricKind, parse_float};

/// Characters of an exemplar's label names and values together.
const EXEMPLAR_CHARS: usize = 128;

/// A family while its lines are read.
pub(super) struct Family {
    pub(super) name: String,
    pub(super) line: usize,
    pub(super) kind: Option<MetricKind>,
    pub(super) help: bool,
    pub(super) unit: Option<String>,
    pub(super) samples: Vec<(usize, Sample)>,
    groups: HashSet<Pairs>,
    current: Option<(Pairs, Option<f64>)>,
    points: HashSet<(String, Pairs)>,
}

impl Family {
    pub(super) fn new(name: &str, line: usize) -> Self {
        Self {
            name: name.to_owned(),
            line,
            kind: None,
            help: false,
            unit: None,
            samples: Vec::new(),
            groups: HashSet::new(),
            current: None,
            points: HashSet::new(),
        }
    }

    pub(super) fn kind(&self) -> MetricKind {
        self.kind.unwrap_or(MetricKind::Unknown)
    }

    /// Whether a sample of this name belongs to the family.
    pub(super) fn allows(&self, sample: &str) -> bool {
        self.sample_names().any(|name| name == sample)
    }

    pub(super) fn sample_names(&self) -> impl Iterator<Item = String> + '_ {
        suffixes(self.kind()).iter().map(|suffix| format!("{}{suffix}", self.name))
    }

    /// Checks a sample and takes it.
    pub(super) fn add(&mut self, line: usize, sample: Sample) -> Result<(), String> {
        self.check_labels(&sample)?;
        self.check_value(&sample)?;
        self.check_exemplar(&sample)?;
        self.check_order(&sample)?;
        self.samples.push((line, sample));
        Ok(())
    }

    fn suffix<'a>(&self, sample: &'a Sample) -> &'a str {
        sample.name.strip_prefix(&self.name).unwrap_or("")
    }

    fn check_labels(&self, sample: &Sample) -> Result<(), String> {
        match (self.kind(), self.suffix(sample)) {
            (MetricKind::Histogram | MetricKind::GaugeHistogram, "_bucket") => {
                let bound = sample.label("le").and_then(parse_float).filter(|bound| !bound.is_nan());
                bound.map(drop).ok_or_else(|| "expected a number as label le of a bucket".to_owned())
            }
            (MetricKind::Summary, "") => {
                let quantile = sample.label("quantile").and_then(parse_float);
                let good = quantile.filter(|quantile| (0.0..=1.0).contains(quantile));
                good.map(drop).ok_or_else(|| "expected a label quantile from 0 to 1".to_owned())
            }
            (MetricKind::StateSet, _) if sample.label(&self.name).is_none() => {
                Err(format!("expected the label {:?} on a sample of a stateset", self.name))
            }
            _ => Ok(()),
        }
    }

    fn check_value(&self, sample: &Sample) -> Result<(), String> {
        let (kind, suffix, value) = (self.kind(), self.suffix(sample), sample.value);
        let counts = match kind {
            MetricKind::Counter | MetricKind::Histogram => true,
            MetricKind::GaugeHistogram => suffix != "_gsum",
            MetricKind::Summary => !suffix.is_empty(),
            _ => false,
        };
        match kind {
            MetricKind::StateSet if value != 0.0 && value != 1.0 => Err("expected 0 or 1 in a stateset".to_owned()),
            MetricKind::Info if value != 1.0 => Err("expected 1 as the value of an info".to_owned()),
            MetricKind::GaugeHistogram if value.is_nan() => Err("expected no NaN in a gaugehistogram".to_owned()),
            MetricKind::Summary if suffix.is_empty() && value < 0.0 => {
                Err("expected no negative quantile value".to_owned())
            }
            _ if counts && (value.is_nan() || value < 0.0) => {
                Err(format!("expected {suffix:?} of a {} to be neither NaN nor negative", kind.as_str()))
            }
            _ => Ok(()),
        }
    }

    fn check_exemplar(&self, sample: &Sample) -> Result<(), String> {
        let Some(labels) = &sample.exemplar else { return Ok(()) };
        let allowed = matches!(
            (self.kind(), self.suffix(sample)),
            (MetricKind::Counter, "_total") | (MetricKind::Histogram | MetricKind::GaugeHistogram, "_bucket")
        );
        if !allowed {
            return Err("expected exemplars only on counters' _total and on buckets".to_owned());
        }
        let chars: usize = labels.iter().map(|(name, value)| name.chars().count() + value.chars().count()).sum();
        if chars > EXEMPLAR_CHARS {
            return Err(format!("expected at most {EXEMPLAR_CHARS} characters in an exemplar's labels, found {chars}"));
        }
        Ok(())
    }

    fn check_order(&mut self, sample: &Sample) -> Result<(), String> {
        let group = match (self.kind(), self.suffix(sample)) {
            (MetricKind::Info, _) => Vec::new(),
            (MetricKind::Summary, "") => sample.group("quantile"),
            (MetricKind::StateSet, _) => sample.group(&self.name),
            (MetricKind::Histogram | MetricKind::GaugeHistogram, "_bucket") => sample.group("le"),
            _ => sample.group(""),
        };
        let point = (sample.name.clone(), sample.group(""));
        if let Some((current, ts)) = self.current.as_ref().filter(|(current, _)| *current == group) {
            if ts.is_some() != sample.ts.is_some() {
                return Err("expected a timestamp on all samples of a metric or on none".to_owned());
            }
            if self.kind() != MetricKind::Info && sample.ts < *ts {
                return Err(format!("expected timestamps that do not go back within {current:?}"));
            }
            if sample.ts.is_none() && self.points.contains(&point) {
                return Err("expected each series once".to_owned());
            }
        } else {
            if !self.groups.insert(group.clone()) {
                return Err("expected all samples of a metric in one place".to_owned());
            }
            self.points.clear();
        }
        self.points.insert(point);
        self.current = Some((group, sample.ts));
        Ok(())
    }
}
