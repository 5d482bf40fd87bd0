//! Rows that wait for the next commit.

use crate::model::Timestamp;

/// A stretch of rows of one window, cut where it would outgrow a database value.
#[derive(Debug, Default, Clone)]
pub(crate) struct Record {
    /// Start of the window.
    pub(crate) window: Timestamp,
    /// The rows, back to back.
    pub(crate) rows: Vec<u8>,
    /// How many they are.
    pub(crate) count: usize,
}

/// All records since the last commit.
#[derive(Debug, Default)]
pub(crate) struct Log {
    records: Vec<Record>,
    bytes: usize,
    rows: usize,
    /// The first records, which the tail has; they take no more rows.
    spilled: usize,
}

/// A record that has grown to this many bytes takes no more rows.
const RECORD_BYTES: usize = 32 << 10;

impl Log {
    /// Adds a row that `write` appends.
    pub(crate) fn add(&mut self, window: Timestamp, write: impl FnOnce(&mut Vec<u8>)) {
        let open = self.records.get(self.spilled..).and_then(<[Record]>::last);
        let fits = open.is_some_and(|r| r.window == window && r.rows.len() < RECORD_BYTES);
        if !fits {
            self.records.push(Record { window, rows: Vec::new(), count: 0 });
        }
        if let Some(record) = self.records.last_mut() {
            let before = record.rows.len();
            write(&mut record.rows);
            record.count += 1;
            self.rows += 1;
            self.bytes += record.rows.len() - before;
        }
    }

    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(crate) fn rows(&self) -> usize {
        self.rows
    }

    /// Takes everything that waits.
    pub(crate) fn take(&mut self) -> Vec<Record> {
        (self.bytes, self.rows, self.spilled) = (0, 0, 0);
        std::mem::take(&mut self.records)
    }

    /// A copy of what neither the file nor the tail has, for the tail; and what [`Log::unspill`] wants when that fails.
    pub(crate) fn spill(&mut self) -> (Vec<Record>, usize) {
        let before = std::mem::replace(&mut self.spilled, self.records.len());
        (self.records.get(before..).unwrap_or_default().to_vec(), before)
    }

    /// The tail did not take what [`Log::spill`] gave.
    pub(crate) fn unspill(&mut self, before: usize) {
        self.spilled = before.min(self.records.len());
    }

    /// Puts records back in front, after a commit failed.
    pub(crate) fn give_back(&mut self, mut records: Vec<Record>) {
        self.bytes += records.iter().map(|r| r.rows.len()).sum::<usize>();
        self.rows += records.iter().map(|r| r.count).sum::<usize>();
        records.append(&mut self.records);
        self.records = records;
    }

    /// Forgets rows of windows that a segment covers.
    pub(crate) fn forget_before(&mut self, sealed: Timestamp) {
        let kept = self.records.iter().take(self.spilled).filter(|r| r.window >= sealed).count();
        self.records.retain(|r| r.window >= sealed);
        self.spilled = kept;
        self.bytes = self.records.iter().map(|r| r.rows.len()).sum();
        self.rows = self.records.iter().map(|r| r.count).sum();
    }
}
