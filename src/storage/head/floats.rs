//! The floats of a full block: first as the ticks wrote them, later packed by whoever has the time.

use std::ops::Range;
use std::sync::Arc;

use rustc_hash::FxHashMap;

use crate::model::{absent, is_absent};

use super::BLOCK;

/// A packed column; `None` where the series was never there.
type Column = Option<Arc<[f64]>>;

/// Column after column.
#[derive(Debug)]
pub(crate) enum Floats {
    /// As ticks wrote them: [`BLOCK`] places a column, of which so many were written.
    Wide(Vec<f64>, usize),
    Packed(Vec<Column>),
}

/// Columns on their way from wide to packed.
#[derive(Debug, Default)]
pub(crate) struct Packer {
    columns: Vec<Column>,
    /// Columns that stand still at the same value share one allocation.
    constants: FxHashMap<u64, Arc<[f64]>>,
}

impl Floats {
    /// The ticks of a column, holes included; `None` when the series was never there, or the column is younger.
    pub(crate) fn column(&self, col: u32) -> Option<&[f64]> {
        let col = col as usize;
        match self {
            Self::Wide(places, ticks) => places.get(col * BLOCK..col * BLOCK + ticks),
            Self::Packed(columns) => columns.get(col)?.as_deref(),
        }
    }

    /// Whether a column has any float.
    pub(crate) fn has(&self, col: u32) -> bool {
        match self {
            Self::Wide(..) => self.column(col).is_some_and(|column| column.iter().any(|v| !is_absent(*v))),
            Self::Packed(columns) => columns.get(col as usize).is_some_and(Option::is_some),
        }
    }

    /// The places of wide columns.
    pub(super) fn into_places(self) -> Vec<f64> {
        match self {
            Self::Wide(places, _) => places,
            Self::Packed(_) => Vec::new(),
        }
    }

    pub(super) fn is_wide(&self) -> bool {
        matches!(self, Self::Wide(..))
    }

    /// Columns, those without floats included.
    pub(super) fn columns(&self) -> usize {
        match self {
            Self::Wide(places, _) => places.len() / BLOCK,
            Self::Packed(columns) => columns.len(),
        }
    }

    /// Approximate bytes.
    pub(super) fn bytes(&self) -> usize {
        match self {
            Self::Wide(places, _) => places.len() * 8,
            Self::Packed(columns) => columns.iter().flatten().map(|column| column.len() * 8).sum(),
        }
    }
}

impl Packer {
    /// Packs the next columns, so many at most. Says whether there are more.
    pub(crate) fn step(&mut self, floats: &Floats, most: usize) -> bool {
        let from = self.columns.len();
        let to = floats.columns().min(from + most);
        self.pack(floats, from..to);
        to < floats.columns()
    }

    fn pack(&mut self, floats: &Floats, range: Range<usize>) {
        for col in range {
            let column = floats.column(col as u32).and_then(|column| self.column(column));
            self.columns.push(column);
        }
    }

    fn column(&mut self, column: &[f64]) -> Column {
        let bits = column.first()?.to_bits();
        if column.iter().any(|v| v.to_bits() != bits) {
            return Some(Arc::from(column));
        }
        if bits == absent().to_bits() {
            return None;
        }
        Some(Arc::clone(self.constants.entry(bits).or_insert_with(|| Arc::from(column))))
    }

    pub(crate) fn finish(self) -> Floats {
        Floats::Packed(self.columns)
    }
}
