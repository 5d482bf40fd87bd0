//! How fast something grows: the slope of a least-squares line through the last ten minutes.

use std::collections::VecDeque;

use crate::model::Timestamp;

/// Time between two points.
pub(super) const STEP_MS: i64 = 10_000;
/// Points that are kept: ten minutes.
const POINTS: usize = 60;
/// Points before there is a slope: two minutes. Fewer would call a start a leak.
const MIN_POINTS: usize = 12;

/// The last points of two readings of one process.
#[derive(Debug, Default)]
pub(super) struct Window(VecDeque<(Timestamp, f64, Option<f64>)>);

/// Slopes per second.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct Slopes {
    pub(super) memory: Option<f64>,
    pub(super) files: Option<f64>,
}

impl Window {
    /// Takes a point in, if it is time for one; gives the slopes then. A clock that went back starts anew.
    pub(super) fn push(&mut self, now: Timestamp, memory: f64, files: Option<f64>) -> Option<Slopes> {
        match self.0.back() {
            Some((last, _, _)) if now < *last => self.0.clear(),
            Some((last, _, _)) if now - last < STEP_MS => return None,
            _ => {}
        }
        if self.0.len() == POINTS {
            self.0.pop_front();
        }
        self.0.push_back((now, memory, files));
        let files = self.0.iter().filter_map(|(at, _, files)| Some((*at, (*files)?)));
        Some(Slopes { memory: slope(self.0.iter().map(|(at, memory, _)| (*at, *memory))), files: slope(files) })
    }
}

/// Ordinary least squares around the means, so that large readings keep their digits.
fn slope(points: impl Iterator<Item = (Timestamp, f64)> + Clone) -> Option<f64> {
    let count = points.clone().count();
    if count < MIN_POINTS {
        return None;
    }
    let first = points.clone().next()?.0;
    let seconds = |at: Timestamp| (at - first) as f64 / 1e3;
    let (time_sum, value_sum) = points.clone().fold((0.0, 0.0), |(t, v), (at, value)| (t + seconds(at), v + value));
    let (time_mean, value_mean) = (time_sum / count as f64, value_sum / count as f64);
    let (mut covariance, mut variance) = (0.0, 0.0);
    for (at, value) in points {
        let distance = seconds(at) - time_mean;
        covariance += distance * (value - value_mean);
        variance += distance * distance;
    }
    (variance > 0.0).then(|| covariance / variance)
}

#[cfg(test)]
mod tests {
    use super::{MIN_POINTS, POINTS, STEP_MS, Slopes, Window};

    #[test]
    fn slopes_and_when_there_is_none() {
        let mut window = Window::default();
        let mut last = Slopes::default();
        for point in 0..MIN_POINTS as i64 {
            assert_eq!(last, Slopes::default(), "too few points at {point}");
            let at = point * STEP_MS;
            last = window.push(at, 1e12 + at as f64, (point % 2 == 0).then_some(5.0)).unwrap();
            assert_eq!(window.push(at + 1, 9.0, None), None, "not yet time");
        }
        assert!((last.memory.unwrap() - 1e3).abs() < 1e-6, "a byte a millisecond: {last:?}");
        assert_eq!(last.files, None, "half of the points are missing");
        for point in MIN_POINTS as i64..4 * POINTS as i64 {
            last = window.push(point * STEP_MS, 7.0, Some(5.0)).unwrap();
        }
        assert_eq!((window.0.len(), last), (POINTS, Slopes { memory: Some(0.0), files: Some(0.0) }));
        assert_eq!(window.push(0, 1.0, None), Some(Slopes::default()), "a clock that was set back");
    }
}
