//! `rate`, `increase`, `delta` with extrapolation to the window's ends, and the instant kinds.
//!
//! Source of the rules: Prometheus 3.14, `promql/functions.go` (`extrapolatedRate`, `extendedRate`, `instantValue`).

use crate::model::Timestamp;
use crate::promql::annotate::{self, Notes};
use crate::promql::eval::Ends;
use crate::promql::parser::RangeMode;
use crate::promql::result::QueryError;

use super::{Produced, WindowInput};

type Answer = Result<Produced, QueryError>;

pub(super) fn rate(input: &WindowInput<'_>, notes: &mut Notes) -> Answer {
    change(input, notes, true, true)
}

pub(super) fn increase(input: &WindowInput<'_>, notes: &mut Notes) -> Answer {
    change(input, notes, true, false)
}

pub(super) fn delta(input: &WindowInput<'_>, notes: &mut Notes) -> Answer {
    change(input, notes, false, false)
}

fn change(input: &WindowInput<'_>, notes: &mut Notes, is_counter: bool, per_second: bool) -> Answer {
    let samples = &input.samples;
    if !samples.histograms.is_empty() {
        if !samples.values.is_empty() {
            notes.warn(input.pos, annotate::mixed_floats_histograms(input.name()));
            return Ok(Produced::Nothing);
        }
        if samples.histograms.len() > 1 || input.mode != RangeMode::Plain {
            return Err(QueryError::Unsupported("native histograms in rate, increase and delta".to_owned()));
        }
        return Ok(Produced::Nothing);
    }
    let value = if input.mode == RangeMode::Plain {
        extrapolated(input, notes, is_counter)
    } else {
        extended(input, is_counter)
    };
    let scale = if per_second { input.range as f64 / 1000.0 } else { 1.0 };
    Ok(match value {
        None => Produced::Nothing,
        Some(Change { value, factor }) if input.mode == RangeMode::Plain => Produced::Float(value * (factor / scale)),
        Some(Change { value, .. }) => Produced::Float(value / scale),
    })
}

/// A difference, and by how much it is stretched towards the window's ends.
struct Change {
    value: f64,
    factor: f64,
}

fn extrapolated(input: &WindowInput<'_>, notes: &mut Notes, is_counter: bool) -> Option<Change> {
    let (times, values, starts) = (input.samples.times, input.samples.values, input.samples.starts);
    let (first_ts, last_ts) = (*times.first()?, *times.last()?);
    let (first, last) = (*values.first()?, *values.last()?);
    let mut value = last - first;
    if is_counter {
        value += resets(input);
        if overlaps(times, starts) {
            notes.warn(input.pos, annotate::start_time_overlap(input.name()));
        }
    }
    let mut to_start = (first_ts - input.start) as f64 / 1000.0;
    let mut to_end = (input.end - last_ts) as f64 / 1000.0;
    let mut sampled = (last_ts - first_ts) as f64 / 1000.0;
    let gaps = values.len() - 1;
    let average = if gaps > 0 { sampled / gaps as f64 } else { 0.0 };
    let threshold = average * 1.1;
    let began = starts.first().copied().unwrap_or(0);
    if is_counter && began != 0 && began > input.start && began < first_ts {
        // The counter started inside the window: it was zero then, and nothing is guessed on that side.
        to_start = 0.0;
        sampled = (last_ts - began) as f64 / 1000.0;
        value += first;
    } else if gaps == 0 {
        return None;
    } else {
        if to_start >= threshold {
            to_start = average / 2.0;
        }
        // A counter is never negative: do not extrapolate beyond the time at which it would have been zero.
        if is_counter && value > 0.0 && first >= 0.0 {
            to_start = to_start.min(sampled * (first / value));
        }
    }
    if to_end >= threshold {
        to_end = average / 2.0;
    }
    let factor = if sampled == 0.0 { 1.0 } else { (sampled + to_start + to_end) / sampled };
    Some(Change { value, factor })
}

/// What the counter had counted before each reset, summed.
fn resets(input: &WindowInput<'_>) -> f64 {
    let (times, values, starts) = (input.samples.times, input.samples.values, input.samples.starts);
    let mut lost = 0.0;
    if !starts.is_empty() {
        for i in 1..values.len() {
            if values[i] < values[i - 1] || started_anew(starts[i - 1], times[i - 1], starts[i], times[i]) {
                lost += values[i - 1];
            }
        }
        return lost;
    }
    // Almost always there is none: that is found out without a branch a sample.
    let any = values.iter().zip(&values[1..]).fold(false, |any, (before, now)| any | (now < before));
    if any {
        lost = values.iter().zip(&values[1..]).filter(|(before, now)| now < before).map(|(before, _)| before).sum();
    }
    lost
}

/// Whether the start timestamps say that a counter began again between two samples.
///
/// A start at or after its own sample says nothing. A start that equals the previous sample's time is a delta series,
/// unless the previous start is unknown or impossible.
pub(super) fn started_anew(prev_start: Timestamp, prev: Timestamp, start: Timestamp, ts: Timestamp) -> bool {
    if start == 0 || start >= ts || start < prev {
        return false;
    }
    start > prev || (prev_start != 0 && prev_start < prev)
}

fn overlaps(times: &[Timestamp], starts: &[Timestamp]) -> bool {
    starts.windows(2).zip(times).any(|(pair, prev)| pair[1] != 0 && pair[1] < *prev && pair[1] != pair[0])
}

fn extended(input: &WindowInput<'_>, is_counter: bool) -> Option<Change> {
    let (times, values) = (input.samples.times, input.samples.values);
    let smoothed = input.mode == RangeMode::Smoothed;
    let ends = Ends::of(times, input.start, input.end, smoothed)?;
    let left = ends.left(times, values, input.start, smoothed, is_counter);
    let right = ends.right(times, values, input.end, smoothed, is_counter);
    let mut value = right - left;
    if is_counter {
        let mut before = left;
        for now in values[ends.inner(times, input.start, input.end)].iter().chain([&right]) {
            if *now < before {
                value += before;
            }
            before = *now;
        }
    }
    Some(Change { value, factor: 1.0 })
}

pub(super) fn irate(input: &WindowInput<'_>, notes: &mut Notes) -> Answer {
    instant_change(input, notes, true)
}

pub(super) fn idelta(input: &WindowInput<'_>, notes: &mut Notes) -> Answer {
    instant_change(input, notes, false)
}

/// The change between the last two samples.
fn instant_change(input: &WindowInput<'_>, notes: &mut Notes, is_rate: bool) -> Answer {
    let samples = &input.samples;
    if samples.values.len() + samples.histograms.len() < 2 {
        return Ok(Produced::Nothing);
    }
    match histograms_in_last_two(samples.times, samples.histogram_times) {
        0 => {}
        1 => {
            notes.warn(input.first_arg, annotate::mixed_floats_histograms(input.name()));
            return Ok(Produced::Nothing);
        }
        _ => return Err(QueryError::Unsupported("native histograms in irate and idelta".to_owned())),
    }
    let n = samples.values.len();
    let (before, now) = (samples.values[n - 2], samples.values[n - 1]);
    let (before_ts, now_ts) = (samples.times[n - 2], samples.times[n - 1]);
    let start = |i: usize| samples.starts.get(i).copied().unwrap_or(0);
    let was_reset = now < before || started_anew(start(n - 2), before_ts, start(n - 1), now_ts);
    let mut value = if is_rate && was_reset { now } else { now - before };
    if is_rate {
        value /= (now_ts - before_ts) as f64 / 1000.0;
    }
    Ok(Produced::Float(value))
}

/// Of the last two samples, how many are histograms.
fn histograms_in_last_two(times: &[Timestamp], histogram_times: &[Timestamp]) -> usize {
    let newest = histogram_times.iter().rev().take(2).enumerate();
    newest.filter(|(later, ts)| later + times.iter().rev().take_while(|float| float > ts).take(2).count() < 2).count()
}

#[cfg(test)]
mod tests {
    use super::{histograms_in_last_two, started_anew};

    #[test]
    fn the_last_two_may_be_of_two_kinds() {
        for (times, histograms, expected) in
            [(vec![1, 2], vec![], 0), (vec![3], vec![1, 2], 1), (vec![1], vec![2, 3], 2), (vec![3, 4], vec![1, 2], 0)]
        {
            assert_eq!(histograms_in_last_two(&times, &histograms), expected);
        }
    }

    #[test]
    fn start_times_tell_resets() {
        // previous start, previous sample, start, sample
        let cases = [
            (0, 100, 0, 200, false),
            (50, 100, 50, 200, false),
            (50, 100, 150, 200, true),
            (50, 100, 100, 200, true),
            (0, 100, 100, 200, false),
            (100, 100, 100, 200, false),
            (160, 100, 100, 200, false),
            (50, 100, 200, 200, false),
        ];
        for (prev_start, prev, start, ts, expected) in cases {
            assert_eq!(started_anew(prev_start, prev, start, ts), expected, "{prev_start} {prev} {start} {ts}");
        }
    }
}
