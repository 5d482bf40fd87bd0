//! Histograms as a whole: bounds and counts ascend, `+Inf` is there, sum and count come together.

use super::family::Family;
use super::line::{Pairs, Sample};
use crate::model::{MetricKind, parse_float};

#[derive(Default)]
struct Point {
    line: usize,
    bound: Option<f64>,
    value: f64,
    negative: bool,
    sum: Option<f64>,
    count: Option<f64>,
}

/// Checks the histograms of a finished family; gives the line and the problem of each that is wrong.
pub(super) fn check(family: &Family) -> Vec<(usize, String)> {
    if !matches!(family.kind(), MetricKind::Histogram | MetricKind::GaugeHistogram) {
        return Vec::new();
    }
    let gauge = family.kind() == MetricKind::GaugeHistogram;
    let mut problems = Vec::new();
    let mut current: Option<(Pairs, Option<f64>)> = None;
    let mut point = Point::default();
    for (line, sample) in &family.samples {
        let suffix = sample.name.strip_prefix(&family.name).unwrap_or("");
        let key = (sample.group(if suffix == "_bucket" { "le" } else { "" }), sample.ts);
        if current.as_ref() != Some(&key) {
            if current.is_some() {
                problems.extend(point.finish(gauge));
            }
            current = Some(key);
            point = Point { line: *line, ..Point::default() };
        }
        if let Err(problem) = point.add(suffix, sample) {
            problems.push((*line, problem));
        }
    }
    if current.is_some() {
        problems.extend(point.finish(gauge));
    }
    problems
}

impl Point {
    fn add(&mut self, suffix: &str, sample: &Sample) -> Result<(), String> {
        match suffix {
            "_bucket" => {
                let bound = sample.label("le").and_then(parse_float).unwrap_or(f64::NAN);
                let (last_bound, last_value) =
                    (self.bound.replace(bound), std::mem::replace(&mut self.value, sample.value));
                self.negative |= bound < 0.0;
                if last_bound.is_some_and(|last| bound <= last) {
                    return Err("expected buckets in ascending order of le".to_owned());
                }
                if last_bound.is_some() && sample.value < last_value {
                    return Err("expected bucket counts that do not fall as le grows".to_owned());
                }
            }
            "_sum" | "_gsum" => self.sum = Some(sample.value),
            "_count" | "_gcount" => self.count = Some(sample.value),
            _ => {}
        }
        Ok(())
    }

    fn finish(&self, gauge: bool) -> Option<(usize, String)> {
        let problem = if self.bound != Some(f64::INFINITY) {
            "expected a bucket with le=\"+Inf\" as the last one"
        } else if self.count.is_some_and(|count| count != self.value) {
            "expected the count to be that of the +Inf bucket"
        } else if self.sum.is_some() != self.count.is_some() {
            "expected sum and count together or none of them"
        } else if !gauge && self.negative && self.sum.is_some() {
            "expected no sum beside negative buckets"
        } else if !self.negative && self.sum.is_some_and(|sum| sum < 0.0) {
            "expected no negative sum without negative buckets"
        } else {
            return None;
        };
        Some((self.line, problem.to_owned()))
    }
}
