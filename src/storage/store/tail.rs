//! The tail: rows that the kernel has and the ring's file does not yet, in a file of their own beside it.
//!
//! redb keeps what is committed without fsync in memory until the next commit with fsync, so a killed process would lose it. With relaxed
//! durability rows are therefore appended here first, which the kernel keeps when the process dies; a commit with fsync takes them
//! over now and then, and the tail begins anew. `schema.rs` has the layout.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

use redb::{Durability, WriteTransaction};

use crate::storage::bytes::{FormatError, Reader, check_crc, put_bytes, put_signed, put_u32, put_varint, seal_crc};
use crate::storage::head::Record;
use crate::storage::schema::TAIL_NAME;

use super::rows::{Numbering, put_records, put_state};
use super::{META, Result, StateChange, Store, StoredRecord, Writer};

/// Most bytes of a tail that is read: a daemon stops far earlier.
const MAX_BYTES: u64 = 256 << 20;
const ROWS: u8 = 0;
const STATE: u8 = 1;

/// The tail of a ring that is open.
#[derive(Debug, Default)]
pub(super) struct Tail {
    file: Option<File>,
    len: u64,
    /// What its records must say to count: each commit that takes the tail over begins another.
    generation: u64,
}

/// One record of the tail.
enum Entry {
    Rows(StoredRecord),
    State(StateChange),
}

impl Tail {
    fn append(&mut self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        let file = match self.file.take() {
            Some(file) => file,
            None => OpenOptions::new().write(true).create(true).truncate(true).open(path)?,
        };
        let done = file.write_all_at(bytes, self.len);
        match &done {
            Ok(()) => self.len += bytes.len() as u64,
            // Half a record is none; the first error is the one to report.
            Err(_) => drop(file.set_len(self.len)),
        }
        self.file = Some(file);
        done
    }

    /// Begins anew after a commit took everything over.
    pub(super) fn restart(&mut self) {
        self.generation += 1;
        self.len = 0;
        // What is left in it says another generation.
        let _ = self.file.as_ref().map(|file| file.set_len(0));
    }

    /// What a commit that takes the tail over must write down; `None` when there is nothing in it.
    pub(super) fn next_generation(&self) -> Option<u64> {
        (self.len > 0).then_some(self.generation + 1)
    }
}

impl Store {
    /// Bytes of the tail.
    pub(crate) fn tail_bytes(&self) -> u64 {
        self.tail.lock().len
    }

    /// Appends rows and state to the tail: from then on the death of the process costs none of it. Says whether there is a tail.
    ///
    /// # Errors
    /// When the disk is full or fails; the tail is as before.
    pub(crate) fn spill(&self, writer: &Writer, records: &[Record], state: &[StateChange]) -> io::Result<bool> {
        let Some(path) = self.file.as_ref().map(|file| file.with_file_name(TAIL_NAME)) else { return Ok(false) };
        let mut tail = self.tail.lock();
        let mut bytes = Vec::new();
        for record in records {
            put_entry(&mut bytes, tail.generation, |out| {
                out.push(ROWS);
                put_u32(out, writer.run);
                put_signed(out, record.window);
                out.extend_from_slice(&record.rows);
            });
        }
        for ((table, key), value) in state {
            put_entry(&mut bytes, tail.generation, |out| {
                out.extend_from_slice(&[STATE, *table, u8::from(value.is_some())]);
                put_bytes(out, key);
                out.extend_from_slice(value.as_deref().unwrap_or_default());
            });
        }
        tail.append(&path, &bytes)?;
        Ok(true)
    }

    /// Takes over what a process that died left in its tail. What this process has put there itself, it has in memory too.
    pub(super) fn adopt_tail(&self, writer: &mut Writer, is_first: bool) -> Result<()> {
        let generation = self.read("looking for a tail", |txn| {
            let meta = txn.open_table(META)?;
            Ok(meta.get("tail")?.and_then(|v| v.value().first_chunk().map(|b| u64::from_le_bytes(*b))).unwrap_or(0))
        })?;
        let entries = match &self.file {
            Some(file) if is_first => read(&file.with_file_name(TAIL_NAME), generation),
            _ => Vec::new(),
        };
        *self.tail.lock() = Tail { generation, ..Tail::default() };
        if entries.is_empty() {
            return Ok(());
        }
        let first = writer.next_row;
        writer.next_row = self.write("taking over a tail", Durability::Immediate, |txn| {
            let mut numbers = Numbering(first);
            let (mut rows, mut state) = (Vec::new(), Vec::new());
            for entry in entries {
                match entry {
                    Entry::Rows(record) => rows.push(record),
                    Entry::State(change) => state.push(change),
                }
            }
            put_records(txn, &mut numbers, rows.iter().map(|r| (r.window, r.run, r.rows.as_slice())))?;
            put_state(txn, &state)?;
            put_generation(txn, generation + 1)?;
            Ok(numbers.0)
        })?;
        self.tail.lock().generation = generation + 1;
        Ok(())
    }
}

/// Writes down that everything of earlier generations is in the ring's file.
pub(super) fn put_generation(txn: &WriteTransaction, generation: u64) -> std::result::Result<(), redb::Error> {
    txn.open_table(META)?.insert("tail", &generation.to_le_bytes()[..])?;
    Ok(())
}

fn put_entry(out: &mut Vec<u8>, generation: u64, body: impl FnOnce(&mut Vec<u8>)) {
    let mut entry = Vec::new();
    put_varint(&mut entry, generation);
    body(&mut entry);
    seal_crc(&mut entry);
    put_bytes(out, &entry);
}

/// The records of a generation up to the first that is not whole: there the machine or the process stopped.
fn read(path: &Path, generation: u64) -> Vec<Entry> {
    let mut entries = Vec::new();
    if !std::fs::metadata(path).is_ok_and(|found| (1..=MAX_BYTES).contains(&found.len())) {
        return entries;
    }
    let Ok(bytes) = std::fs::read(path) else { return entries };
    let mut reader = Reader::new(&bytes);
    while !reader.is_empty() {
        match read_entry(&mut reader, generation) {
            Ok(entry) => entries.push(entry),
            Err(_) => break,
        }
    }
    entries
}

fn read_entry(reader: &mut Reader<'_>, generation: u64) -> std::result::Result<Entry, FormatError> {
    let mut reader = Reader::new(check_crc(reader.bytes()?)?);
    if reader.varint()? != generation {
        return Err(FormatError("a record of an earlier tail"));
    }
    match reader.u8()? {
        ROWS => {
            let run = reader.u32()?;
            let window = reader.signed()?;
            Ok(Entry::Rows(StoredRecord { window, run, rows: reader.rest().to_vec() }))
        }
        STATE => {
            let (table, there) = (reader.u8()?, reader.u8()? == 1);
            let key = reader.bytes()?.to_vec();
            let value = reader.rest().to_vec();
            Ok(Entry::State(((table, key), there.then_some(value))))
        }
        _ => Err(FormatError("unknown kind of record")),
    }
}
