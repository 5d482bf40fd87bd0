//! Where a long answer is cut into parts.

use std::ops::Range;

use crate::promql::{QueryValue, Series};

/// Points of a part: some 400 kB of text, so that both the first byte comes early and threads have something to do.
const PART_POINTS: usize = 16_384;
/// What the labels of a series weigh, in points.
const LABELS_POINTS: usize = 8;

/// A place between two points of an answer: before point `point` of row `row`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Place {
    pub(super) row: usize,
    pub(super) point: usize,
}

impl Place {
    /// About how many points a part has, labels weighed in.
    pub(super) fn points_until(self, end: Self, value: &QueryValue) -> usize {
        let rows = (end.row - self.row) * LABELS_POINTS;
        match value {
            QueryValue::Matrix(series) => {
                let inner: usize = series.iter().take(end.row).skip(self.row).map(points).sum();
                rows + (inner + end.point).saturating_sub(self.point)
            }
            _ => rows,
        }
    }
}

fn points(series: &Series) -> usize {
    series.floats.len() + series.histograms.len()
}

/// The parts of an answer, in order; one at least.
pub(super) fn parts(value: &QueryValue) -> Vec<Range<Place>> {
    let mut cuts = vec![Place::default()];
    let end = match value {
        QueryValue::Scalar(..) | QueryValue::String(..) => 1,
        QueryValue::Vector(samples) => {
            let step = PART_POINTS / LABELS_POINTS;
            cuts.extend((step..samples.len()).step_by(step).map(|row| Place { row, point: 0 }));
            samples.len()
        }
        QueryValue::Matrix(series) => {
            cut_matrix(series, &mut cuts);
            series.len()
        }
    };
    let ends: Vec<Place> = cuts.iter().skip(1).copied().chain([Place { row: end, point: 0 }]).collect();
    cuts.into_iter().zip(ends).map(|(start, end)| start..end).collect()
}

fn cut_matrix(all: &[Series], cuts: &mut Vec<Place>) {
    let mut filled = 0;
    for (row, series) in all.iter().enumerate() {
        let (mut point, points) = (0, points(series));
        if filled >= PART_POINTS {
            cuts.push(Place { row, point });
            filled = 0;
        }
        filled += LABELS_POINTS;
        // What is left behind a cut is never nothing.
        while points - point > PART_POINTS && filled + points - point > 2 * PART_POINTS {
            point += PART_POINTS;
            cuts.push(Place { row, point });
            filled = 0;
        }
        filled += points - point;
    }
}
