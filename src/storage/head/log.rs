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
}

/// A record that has grown to this many bytes takes no more rows.
const RECORD_BYTES: usize = 32 << 10;

impl Log {
    /// Adds a row that `write` appends.
    pub(crate) fn add(&mut self, window: Timestamp, write: impl FnOnce(&mut Vec<u8>)) {
        let fits = self.records.last().is_some_and(|r| r.window == window && r.rows.len() < RECORD_BYTES);
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
        (self.bytes, self.rows) = (0, 0);
        std::mem::take(&mut self.records)
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
        self.records.retain(|r| r.window >= sealed);
        self.bytes = self.records.iter().map(|r| r.rows.len()).sum();
        self.rows = self.records.iter().map(|r| r.count).sum();
    }
}
