//! Writes declared families by name; which family a value belongs to is looked up in the first tick only.

use crate::collect::catalogue;
use crate::collect::emit::{Emit, Slot};
use crate::model::FamilyDesc;

type Row = (&'static FamilyDesc, Slot);

/// The series of one part of the demo, always written in the same order.
#[derive(Debug, Default)]
pub(super) struct Sheet {
    rows: Vec<Row>,
}

/// One tick of a sheet.
pub(super) struct Page<'s, 'e> {
    sheet: &'s mut Sheet,
    emit: Emit<'e>,
    next: usize,
}

impl Sheet {
    pub(super) fn page<'s, 'e>(&'s mut self, emit: Emit<'e>) -> Page<'s, 'e> {
        Page { sheet: self, emit, next: 0 }
    }
}

impl Page<'_, '_> {
    /// Writes a value. `labels` in the order of the declaration.
    pub(super) fn put(&mut self, name: &'static str, labels: &[&str], value: f64) {
        if let Some((desc, slot)) = row(&mut self.sheet.rows, self.next, name) {
            self.emit.put(slot, desc, labels, value);
        }
        self.next += 1;
    }

    /// Writes a bucket, sum or count of a classic histogram.
    pub(super) fn put_part(&mut self, name: &'static str, suffix: &str, labels: &[(&str, &str)], value: f64) {
        if let Some((desc, slot)) = row(&mut self.sheet.rows, self.next, name) {
            self.emit.put_part(slot, desc, suffix, labels, value);
        }
        self.next += 1;
    }
}

/// The row at `next`, made in the first tick. A name that is not declared is a mistake that the demo's test finds.
fn row<'r>(rows: &'r mut Vec<Row>, next: usize, name: &str) -> Option<&'r mut Row> {
    if next == rows.len() {
        rows.push((catalogue::find(name)?, Slot::New));
    }
    rows.get_mut(next)
}
