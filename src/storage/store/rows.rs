//! Records of rows in the database: written once a second, read once at the start.

use redb::{Durability, ReadableTable, WriteTransaction};

use crate::model::Timestamp;
use crate::storage::bytes::{check_crc, put_u32, seal_crc};
use crate::storage::head::Record;
use crate::storage::schema::RECORD_VERSION;
use crate::storage::segment::piece_ranges;

use super::tail::put_generation;
use super::{ROWS, Result, STATE, Store, Writer};

/// One record of rows, whole and checked.
pub(crate) struct StoredRecord {
    pub(crate) window: Timestamp,
    pub(crate) run: u32,
    pub(crate) rows: Vec<u8>,
}

/// A change of a small table: table, key, and the value or `None` to remove it.
pub(crate) type StateChange = (StateKey, Option<Vec<u8>>);

/// Table and key of a small table's value.
pub(crate) type StateKey = (u8, Vec<u8>);

impl Store {
    /// Writes rows and state in one transaction.
    pub(crate) fn commit(&self, writer: &mut Writer, records: &[Record], state: &[StateChange]) -> Result<()> {
        let first = writer.next_row;
        let run = writer.run;
        let mut tail = self.tail.lock();
        let generation = tail.next_generation();
        let next = self.write("writing rows", Durability::Immediate, |txn| {
            let mut numbers = Numbering(first);
            put_records(txn, &mut numbers, records.iter().map(|r| (r.window, run, r.rows.as_slice())))?;
            put_state(txn, state)?;
            if let Some(generation) = generation {
                put_generation(txn, generation)?;
            }
            Ok(numbers.0)
        })?;
        if generation.is_some() {
            tail.restart();
        }
        writer.next_row = next;
        Ok(())
    }

    /// All rows, window by window in the order in which they were written; `None` stands for a record that is damaged. Says how
    /// many of those there are.
    pub(crate) fn rows(&self, mut each: impl FnMut(Option<StoredRecord>)) -> Result<u64> {
        self.read("replaying rows", |txn| {
            let mut damaged = 0;
            let mut bytes = Vec::new();
            for entry in txn.open_table(ROWS)?.iter()? {
                let (key, value) = entry?;
                let Some((more, piece)) = value.value().split_first() else { continue };
                bytes.extend_from_slice(piece);
                if *more == 1 {
                    continue;
                }
                let record = decode_record(&bytes);
                damaged += u64::from(record.is_none());
                each(record.map(|(run, rows)| StoredRecord { window: key.value().0, run, rows: rows.to_vec() }));
                bytes.clear();
            }
            // The last record says that more pieces follow, and none does.
            if !bytes.is_empty() {
                damaged += 1;
                each(None);
            }
            Ok(damaged)
        })
    }

    /// One value of the small tables.
    pub(crate) fn state_get(&self, table: u8, key: &[u8]) -> Result<Option<Vec<u8>>> {
        self.read("reading state", |txn| {
            Ok(txn.open_table(STATE)?.get((table, key))?.map(|value| value.value().to_vec()))
        })
    }

    /// All pairs of a small table, ascending by key.
    pub(crate) fn state_scan(&self, table: u8) -> Result<Vec<(Vec<u8>, Vec<u8>)>> {
        self.read("reading state", |txn| {
            let state = txn.open_table(STATE)?;
            let mut pairs = Vec::new();
            for entry in state.range::<(u8, &[u8])>((table, &[][..])..)? {
                let (key, value) = entry?;
                let (found, key) = key.value();
                if found != table {
                    break;
                }
                pairs.push((key.to_vec(), value.value().to_vec()));
            }
            Ok(pairs)
        })
    }
}

/// The number of the next piece of rows.
pub(super) struct Numbering(pub(super) u64);

/// Writes records of rows: window, run and rows of each.
pub(super) fn put_records<'a>(
    txn: &WriteTransaction,
    numbers: &mut Numbering,
    records: impl Iterator<Item = (Timestamp, u32, &'a [u8])>,
) -> std::result::Result<(), redb::Error> {
    let mut table = txn.open_table(ROWS)?;
    for (window, run, rows) in records {
        let bytes = encode_record(rows, run);
        // In pieces, as segments are: a record just above a page's size would take two.
        for range in piece_ranges(bytes.len()) {
            let more = range.end < bytes.len();
            let piece = bytes.get(range).unwrap_or_default();
            let mut value = table.insert_reserve((window, numbers.0), piece.len() + 1)?;
            let value = value.as_mut();
            value[0] = u8::from(more);
            value[1..].copy_from_slice(piece);
            numbers.0 += 1;
        }
    }
    Ok(())
}

pub(super) fn put_state(txn: &WriteTransaction, changes: &[StateChange]) -> std::result::Result<(), redb::Error> {
    if changes.is_empty() {
        return Ok(());
    }
    let mut state = txn.open_table(STATE)?;
    for ((table, key), value) in changes {
        match value {
            Some(value) => state.insert((*table, key.as_slice()), value.as_slice())?,
            None => state.remove((*table, key.as_slice()))?,
        };
    }
    Ok(())
}

fn encode_record(rows: &[u8], run: u32) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(rows.len() + 9);
    bytes.push(RECORD_VERSION);
    put_u32(&mut bytes, run);
    bytes.extend_from_slice(rows);
    seal_crc(&mut bytes);
    bytes
}

fn decode_record(bytes: &[u8]) -> Option<(u32, &[u8])> {
    let (version, rest) = check_crc(bytes).ok()?.split_first()?;
    let (run, rows) = rest.split_first_chunk()?;
    (*version == RECORD_VERSION).then_some((u32::from_le_bytes(*run), rows))
}
