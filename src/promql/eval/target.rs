//! Where computed rows go: into a block, or into the groups of an aggregation without ever being a block.

use crate::promql::result::QueryError;

use super::fold::Fold;
use super::split::{Fill, Rows};

/// What becomes of rows.
pub(super) enum Target<'a, 'g> {
    /// All cells, row after row.
    Cells(&'a mut Vec<f64>),
    Fold(&'a mut Fold<'g>),
}

impl Target<'_, '_> {
    /// Computes all rows; gives what the threads kept.
    ///
    /// # Errors
    /// One of those that the rows have.
    pub(super) fn take<W: Send>(
        self,
        rows: Rows,
        make: impl Fn() -> W + Sync,
        fill: impl Fill<W>,
    ) -> Result<Vec<W>, QueryError> {
        match self {
            Self::Cells(cells) => {
                let (all, kept) = rows.collect(make, fill)?;
                *cells = all;
                Ok(kept)
            }
            Self::Fold(fold) => rows.stream(make, fill, |rows, cells| fold.take(rows.start, cells)),
        }
    }
}
