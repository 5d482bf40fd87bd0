//! Writes declared families by name; which family a value belongs to is looked up in the first tick only.

use crate::collect::catalogue;
use crate::collect::emit::{Emit, Slot};
use crate::model::FamilyDesc;

/// The series of one part of the demo, always written in the same order.
#[derive(Debug, Default)]
pub(super) struct Sheet {
    rows: Vec<(&'static FamilyDesc, Slot)>,
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
        self.put_with(|| catalogue::find(name), labels, value);
    }

    /// As [`Page::put`], for a family that the catalogue does not hold.
    pub(super) fn put_desc(&mut self, desc: &'static FamilyDesc, labels: &[&str], value: f64) {
        self.put_with(|| Some(desc), labels, value);
    }

    /// Writes a bucket, sum or count of a classic histogram.
    pub(super) fn put_part(&mut self, desc: &'static FamilyDesc, suffix: &str, labels: &[(&str, &str)], value: f64) {
        if self.next == self.sheet.rows.len() {
            self.sheet.rows.push((desc, Slot::New));
        }
        if let Some((desc, slot)) = self.sheet.rows.get_mut(self.next) {
            self.emit.put_part(slot, desc, suffix, labels, value);
        }
        self.next += 1;
    }

    fn put_with(&mut self, desc: impl FnOnce() -> Option<&'static FamilyDesc>, labels: &[&str], value: f64) {
        if self.next == self.sheet.rows.len() {
            // A name that is not declared is left out; the demo's test would see it missing.
            let Some(desc) = desc() else { return };
            self.sheet.rows.push((desc, Slot::New));
        }
        if let Some((desc, slot)) = self.sheet.rows.get_mut(self.next) {
            self.emit.put(slot, desc, labels, value);
        }
        self.next += 1;
    }
}
