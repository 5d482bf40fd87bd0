//! Instant vectors over all steps: one row a series, one cell a step.

use std::sync::{Arc, LazyLock};

use crate::model::{Histogram, Labels, absent, is_absent};

/// Labels that describe the metric itself; operations that change its meaning drop them at the end of the query.
const METADATA: [&str; 3] = ["__name__", "__type__", "__unit__"];

/// Whether `name` is the metric's name, type or unit.
pub(crate) fn is_metadata(name: &str) -> bool {
    METADATA.contains(&name)
}

/// `labels` without name, type and unit.
pub(crate) fn without_metadata(labels: &Labels) -> Labels {
    labels.filtered(|name| !is_metadata(name))
}

/// The rows of a vector without any label: one for all, so that what is worked out of it is remembered.
pub(crate) fn nameless() -> Arc<Vec<Labels>> {
    static NAMELESS: LazyLock<Arc<Vec<Labels>>> = LazyLock::new(|| Arc::new(vec![Labels::empty()]));
    Arc::clone(&NAMELESS)
}

/// Which series lose their metadata labels when the query ends.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Dropped {
    None,
    All,
    Some(Vec<bool>),
}

impl Dropped {
    pub(crate) fn get(&self, row: usize) -> bool {
        match self {
            Self::None => false,
            Self::All => true,
            Self::Some(rows) => rows.get(row).copied().unwrap_or(false),
        }
    }

    pub(crate) fn from_rows(rows: Vec<bool>) -> Self {
        if rows.iter().all(|dropped| !dropped) {
            Self::None
        } else if rows.iter().all(|dropped| *dropped) {
            Self::All
        } else {
            Self::Some(rows)
        }
    }
}

/// Histogram cells, parallel to the floats of a [`Block`]; a cell that is set hides the float, which is a hole then.
pub(crate) type HistogramCells = Vec<Option<Arc<Histogram>>>;

/// A vector over all steps. Rows lie one after the other in `cells`; a hole is [`absent`].
#[derive(Debug, Clone)]
pub(crate) struct Block {
    /// Labels of each row; shared, because most operators keep them.
    pub(crate) labels: Arc<Vec<Labels>>,
    pub(crate) dropped: Dropped,
    pub(crate) steps: usize,
    pub(crate) cells: Vec<f64>,
    /// `None` when no cell holds a histogram: almost always.
    pub(crate) histograms: Option<HistogramCells>,
}

impl Block {
    pub(crate) fn empty(steps: usize) -> Self {
        Self::floats(Arc::new(Vec::new()), Dropped::None, steps, Vec::new())
    }

    /// A block of floats only. `cells` holds `labels.len() * steps` values.
    pub(crate) fn floats(labels: Arc<Vec<Labels>>, dropped: Dropped, steps: usize, cells: Vec<f64>) -> Self {
        debug_assert_eq!(labels.len() * steps, cells.len());
        Self { labels, dropped, steps, cells, histograms: None }
    }

    /// A block of holes.
    pub(crate) fn holes(labels: Arc<Vec<Labels>>, dropped: Dropped, steps: usize) -> Self {
        let cells = vec![absent(); labels.len() * steps];
        Self::floats(labels, dropped, steps, cells)
    }

    pub(crate) fn rows(&self) -> usize {
        self.labels.len()
    }

    pub(crate) fn row(&self, row: usize) -> &[f64] {
        &self.cells[row * self.steps..(row + 1) * self.steps]
    }

    pub(crate) fn histogram(&self, row: usize, step: usize) -> Option<&Arc<Histogram>> {
        self.histograms.as_ref()?.get(row * self.steps + step)?.as_ref()
    }

    /// Whether the series has a sample at this step, of either kind.
    pub(crate) fn has(&self, row: usize, step: usize) -> bool {
        !is_absent(self.cells[row * self.steps + step]) || self.histogram(row, step).is_some()
    }

    pub(crate) fn has_any(&self, row: usize) -> bool {
        self.row(row).iter().any(|cell| !is_absent(*cell))
            || self
                .histograms
                .as_ref()
                .is_some_and(|cells| cells[row * self.steps..(row + 1) * self.steps].iter().any(Option::is_some))
    }

    pub(crate) fn set_histogram(&mut self, row: usize, step: usize, histogram: Arc<Histogram>) {
        let size = self.cells.len();
        let cells = self.histograms.get_or_insert_with(|| vec![None; size]);
        cells[row * self.steps + step] = Some(histogram);
    }

    /// Empties one cell.
    pub(crate) fn clear(&mut self, row: usize, step: usize) {
        let index = row * self.steps + step;
        self.cells[index] = absent();
        if let Some(histograms) = &mut self.histograms {
            histograms[index] = None;
        }
    }

    /// Forgets all histograms, as functions of floats do.
    pub(crate) fn without_histograms(mut self) -> Self {
        self.histograms = None;
        self
    }

    /// Changes every float, holes apart, and drops the metadata labels; histograms vanish.
    pub(crate) fn map_floats(mut self, apply: impl Fn(f64) -> f64) -> Self {
        for cell in &mut self.cells {
            if !is_absent(*cell) {
                *cell = apply(*cell);
            }
        }
        self.dropped = Dropped::All;
        self.without_histograms()
    }

    /// The rows at `rows`, in that order.
    pub(crate) fn pick(&self, rows: &[usize]) -> Self {
        let labels = rows.iter().map(|row| self.labels[*row].clone()).collect();
        let dropped = match &self.dropped {
            Dropped::Some(all) => Dropped::from_rows(rows.iter().map(|row| all[*row]).collect()),
            uniform => uniform.clone(),
        };
        let mut cells = Vec::with_capacity(rows.len() * self.steps);
        rows.iter().for_each(|row| cells.extend_from_slice(self.row(*row)));
        let histograms = self.histograms.as_ref().map(|all| {
            rows.iter().flat_map(|row| all[row * self.steps..(row + 1) * self.steps].iter().cloned()).collect()
        });
        Self { labels: Arc::new(labels), dropped, steps: self.steps, cells, histograms }
    }

    /// The block without rows that have no sample at any step.
    pub(crate) fn without_empty_rows(self) -> Self {
        let full: Vec<usize> = (0..self.rows()).filter(|row| self.has_any(*row)).collect();
        if full.len() == self.rows() { self } else { self.pick(&full) }
    }

    /// How many samples there are.
    pub(crate) fn samples(&self) -> usize {
        let floats = self.cells.iter().filter(|cell| !is_absent(**cell)).count();
        let histograms = self.histograms.as_ref().map_or(0, |cells| cells.iter().flatten().count());
        floats + histograms
    }

    /// The same series at earlier steps, and at those of `later` behind them. Both drop the same names.
    pub(crate) fn beside(self, later: Self) -> Self {
        let steps = self.steps + later.steps;
        let mut labels: Vec<Labels> = self.labels.iter().chain(later.labels.iter()).cloned().collect();
        let dropped = if self.rows() == 0 { later.dropped.clone() } else { self.dropped.clone() };
        labels.sort_unstable();
        labels.dedup();
        let mut whole = Self::holes(Arc::new(labels), dropped, steps);
        for (part, from) in [(&self, 0), (&later, self.steps)] {
            for (row, labels) in part.labels.iter().enumerate() {
                let Ok(place) = whole.labels.binary_search(labels) else { continue };
                let at = place * steps + from;
                whole.cells[at..at + part.steps].copy_from_slice(part.row(row));
                for step in 0..part.steps {
                    if let Some(histogram) = part.histogram(row, step) {
                        whole.set_histogram(place, from + step, Arc::clone(histogram));
                    }
                }
            }
        }
        whole
    }

    /// The one column of a one-step block, repeated `steps` times.
    pub(crate) fn repeat(&self, steps: usize) -> Self {
        let cells = self.cells.iter().flat_map(|cell| std::iter::repeat_n(*cell, steps)).collect();
        let histograms = self
            .histograms
            .as_ref()
            .map(|all| all.iter().flat_map(|cell| std::iter::repeat_n(cell.clone(), steps)).collect());
        Self { labels: Arc::clone(&self.labels), dropped: self.dropped.clone(), steps, cells, histograms }
    }
}

/// The block itself when nobody else holds it, else a copy.
pub(crate) fn unshare(block: Arc<Block>) -> Block {
    Arc::try_unwrap(block).unwrap_or_else(|shared| (*shared).clone())
}
