//! `changes` and `resets`: counts of what happens between neighbouring samples.

use std::sync::Arc;

use crate::model::{Histogram, Timestamp};
use crate::promql::annotate::Notes;
use crate::promql::parser::RangeMode;
use crate::promql::result::QueryError;

use super::rate::started_anew;
use super::{Produced, WindowInput, same_histogram};

type Answer = Result<Produced, QueryError>;

pub(super) fn changes(input: &WindowInput<'_>, _: &mut Notes) -> Answer {
    let Some(range) = part(input) else { return Ok(Produced::Nothing) };
    if input.samples.histograms.is_empty() {
        let values = &input.samples.values[range];
        let count = values.windows(2).filter(|pair| differ(pair[0], pair[1])).count();
        return Ok(Produced::Float(count as f64));
    }
    let merged = merged(input);
    let changed = |pair: &&[Merged<'_>]| match (&pair[0].value, &pair[1].value) {
        (Kind::Float(a), Kind::Float(b)) => differ(*a, *b),
        (Kind::Histogram(a), Kind::Histogram(b)) => !same_histogram(a, b),
        _ => true,
    };
    Ok(Produced::Float(merged.windows(2).filter(changed).count() as f64))
}

pub(super) fn resets(input: &WindowInput<'_>, _: &mut Notes) -> Answer {
    let Some(range) = part(input) else { return Ok(Produced::Nothing) };
    let samples = &input.samples;
    if samples.histograms.is_empty() {
        let mut count = 0;
        for i in range.start + 1..range.end {
            let fell = samples.values[i] < samples.values[i - 1];
            let anew = !samples.starts.is_empty()
                && started_anew(samples.starts[i - 1], samples.times[i - 1], samples.starts[i], samples.times[i]);
            count += usize::from(fell || anew);
        }
        return Ok(Produced::Float(count as f64));
    }
    let mut count = 0;
    for pair in merged(input).windows(2) {
        count += usize::from(match (&pair[0].value, &pair[1].value) {
            (Kind::Float(a), Kind::Float(b)) => b < a,
            (Kind::Histogram(_), Kind::Histogram(_)) => {
                return Err(QueryError::Unsupported("native histograms in resets".to_owned()));
            }
            _ => true,
        });
    }
    Ok(Produced::Float(count as f64))
}

fn differ(a: f64, b: f64) -> bool {
    a != b && !(a.is_nan() && b.is_nan())
}

/// The floats that count: all of a plain window; of an anchored one those from the last at or before its start.
/// `None` when nothing lies inside the window.
fn part(input: &WindowInput<'_>) -> Option<std::ops::Range<usize>> {
    let samples = &input.samples;
    if input.mode != RangeMode::Anchored {
        return Some(0..samples.values.len());
    }
    let inside = samples.times.partition_point(|ts| *ts <= input.start);
    let histogram_inside = samples.histogram_times.partition_point(|ts| *ts <= input.start);
    let any = inside < samples.times.len() || histogram_inside < samples.histogram_times.len();
    any.then(|| inside.saturating_sub(1)..samples.values.len())
}

enum Kind<'a> {
    Float(f64),
    Histogram(&'a Arc<Histogram>),
}

struct Merged<'a> {
    ts: Timestamp,
    value: Kind<'a>,
}

/// Floats and histograms in one order of time, from the anchor on.
fn merged<'a>(input: &WindowInput<'a>) -> Vec<Merged<'a>> {
    let samples = input.samples;
    let floats = samples.times.iter().zip(samples.values).map(|(ts, v)| Merged { ts: *ts, value: Kind::Float(*v) });
    let histograms = samples
        .histogram_times
        .iter()
        .zip(samples.histograms)
        .map(|(ts, h)| Merged { ts: *ts, value: Kind::Histogram(h) });
    let mut all: Vec<Merged<'a>> = floats.chain(histograms).collect();
    all.sort_by_key(|sample| sample.ts);
    if input.mode == RangeMode::Anchored {
        let inside = all.partition_point(|sample| sample.ts <= input.start);
        all.drain(..inside.saturating_sub(1));
    }
    all
}
