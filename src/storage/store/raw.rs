//! Records as they lie in the file, for `verify` and for snapshots. Each call is one short read transaction.

use redb::ReadableTable;

use super::{DIRECTORY, META, ROWS, Result, SEGMENTS, SERIES, STATE, Store, failed};

/// Number and bytes of a record.
pub(crate) type Numbered<K> = (K, Vec<u8>);

/// Everything small, as of one commit.
#[derive(Debug, Default)]
pub(crate) struct SmallTables {
    pub(crate) meta: Vec<(String, Vec<u8>)>,
    pub(crate) directory: Vec<Numbered<u64>>,
    pub(crate) rows: Vec<Numbered<(i64, u64)>>,
    pub(crate) state: Vec<Numbered<(u8, Vec<u8>)>>,
}

impl Store {
    /// The directory's records, ascending by number, not decoded.
    pub(crate) fn raw_directory(&self) -> Result<Vec<Numbered<u64>>> {
        self.read("reading the directory", directory)
    }

    /// The numbers of the segments that have pieces, ascending.
    pub(crate) fn segment_ids(&self) -> Result<Vec<u64>> {
        self.read("looking for segments", |txn| {
            let table = txn.open_table(SEGMENTS)?;
            let mut ids = Vec::new();
            let mut from = 0;
            while let Some(entry) = table.range((from, 0)..)?.next() {
                let id = entry?.0.value().0;
                ids.push(id);
                match id.checked_add(1) {
                    Some(above) => from = above,
                    None => break,
                }
            }
            Ok(ids)
        })
    }

    /// The pieces of one segment with their checksums, ascending.
    pub(crate) fn raw_pieces(&self, id: u64) -> Result<Vec<Numbered<u32>>> {
        self.read("reading a segment", |txn| {
            let mut pieces = Vec::new();
            for entry in txn.open_table(SEGMENTS)?.range((id, 0)..=(id, u32::MAX))? {
                let (key, value) = entry?;
                pieces.push((key.value().1, value.value().to_vec()));
            }
            Ok(pieces)
        })
    }

    /// The blocks of one series table, ascending by the number of their first series.
    pub(crate) fn raw_series(&self, epoch: u32) -> Result<Vec<Numbered<u32>>> {
        self.read("reading a series table", |txn| {
            let mut blocks = Vec::new();
            for entry in txn.open_table(SERIES)?.range((epoch, 0)..=(epoch, u32::MAX))? {
                let (key, value) = entry?;
                blocks.push((key.value().1, value.value().to_vec()));
            }
            Ok(blocks)
        })
    }

    /// Everything but segments and series tables.
    pub(crate) fn small_tables(&self) -> Result<SmallTables> {
        self.read("reading the small tables", |txn| {
            let mut all = SmallTables { directory: directory(txn)?, ..SmallTables::default() };
            for entry in txn.open_table(META)?.iter()? {
                let (key, value) = entry?;
                all.meta.push((key.value().to_owned(), value.value().to_vec()));
            }
            for entry in txn.open_table(ROWS)?.iter()? {
                let (key, value) = entry?;
                all.rows.push((key.value(), value.value().to_vec()));
            }
            for entry in txn.open_table(STATE)?.iter()? {
                let (key, value) = entry?;
                let (table, key) = key.value();
                all.state.push(((table, key.to_vec()), value.value().to_vec()));
            }
            Ok(all)
        })
    }

    /// Whether every page of the file matches its checksum; nothing else may use the store meanwhile.
    pub(crate) fn check_pages(&self) -> Result<bool> {
        let doing = "checking the file's pages";
        let mut slot = self.db.write();
        let handle = slot.as_mut().and_then(|handle| handle.0.as_mut());
        let db = handle.ok_or_else(|| failed(doing, "the database is closed"))?;
        self.guard(doing, || match db.check_integrity() {
            Ok(clean) => Ok(clean),
            Err(redb::DatabaseError::Storage(redb::StorageError::Corrupted(_))) => Ok(false),
            Err(error) => Err(failed(doing, error)),
        })
    }
}

fn directory(txn: &redb::ReadTransaction) -> std::result::Result<Vec<Numbered<u64>>, redb::Error> {
    let mut records = Vec::new();
    for entry in txn.open_table(DIRECTORY)?.iter()? {
        let (id, record) = entry?;
        records.push((id.value(), record.value().to_vec()));
    }
    Ok(records)
}
