//! ZFS: its caches, pools and datasets, from `/proc/spl/kstat/zfs`.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::bytes::{label, lines, number, signed, words};
use super::devices::{identifier, untyped_family};
use super::report::{Trouble, unread};
use super::roots::Roots;
use super::source::{Source, is_missing};
use crate::collect::catalogue::gauge;
use crate::collect::emit::{Emit, Slot, Table};
use crate::collect::{CollectError, Collector, Reading};
use crate::model::{Batch, Family, FamilyDesc, Intern, Timestamp};

/// Fields of one file; `arcstats` has 130.
const MAX_FIELDS: usize = 512;
/// Pools and datasets that are watched at most.
const MAX_POOLS: usize = 64;
const MAX_DATASETS: usize = 1024;
/// Time between two looks for pools and datasets.
const RESCAN_MS: i64 = 30_000;

/// Files of the module and what their families start with behind `node_zfs_`; the fields are OpenZFS' own.
const FILES: [(&str, &str); 12] = [
    ("abdstats", "abd"),
    ("arcstats", "arc"),
    ("dbufstats", "dbuf"),
    ("dbuf_stats", "dbuf"),
    ("dmu_tx", "dmu_tx"),
    ("dnodestats", "dnode"),
    ("fm", "fm"),
    ("vdev_cache_stats", "vdev_cache"),
    ("vdev_mirror_stats", "vdev_mirror"),
    ("xuio_stats", "xuio"),
    ("zfetchstats", "zfetch"),
    ("zil", "zil"),
];
const STATES: [&str; 7] = ["degraded", "faulted", "offline", "online", "removed", "unavail", "suspended"];

pub(super) static FAMILIES: [FamilyDesc; 1] = [gauge(
    "node_zfs_zpool_state",
    "",
    "1 for the state that a pool is in, 0 for others.",
    &["zpool", "state"],
    (MAX_POOLS * STATES.len()) as u32,
)];

/// One file of names and numbers, and the labels of its series.
struct Kstat {
    source: Source,
    prefix: String,
    labels: Vec<(&'static str, String)>,
    fields: Table<Option<Arc<Family>>>,
}

struct Pool {
    name: String,
    state: Source,
    states: [Slot; 7],
    io: Source,
    io_fields: Table<Arc<Family>>,
    datasets: Vec<Kstat>,
}

/// The collector.
pub(super) struct Zfs {
    root: PathBuf,
    module: Vec<Kstat>,
    pools: Vec<Pool>,
    scanned_at: Option<Timestamp>,
}

impl Zfs {
    pub(super) fn new(roots: &Roots) -> Self {
        let root = roots.proc.join("spl/kstat/zfs");
        let module = FILES.map(|(file, part)| Kstat::new(root.join(file), format!("node_zfs_{part}"), Vec::new()));
        Self { root, module: module.into(), pools: Vec::new(), scanned_at: None }
    }

    fn rescan(&mut self, now: Timestamp, emit: &Emit<'_>, trouble: &mut Trouble) -> std::io::Result<()> {
        let due = |last: Timestamp| !(0..RESCAN_MS).contains(&now.saturating_sub(last));
        if !self.scanned_at.is_none_or(due) {
            return Ok(());
        }
        let mut names = folders(&self.root)?;
        if names.len() > MAX_POOLS {
            trouble.note(|| format!("{}: more than {MAX_POOLS} pools", self.root.display()));
            names.truncate(MAX_POOLS);
        }
        self.pools.retain(|pool| {
            let stays = names.contains(&pool.name);
            if !stays {
                pool.release(emit);
            }
            stays
        });
        for name in names {
            if !self.pools.iter().any(|pool| pool.name == name) {
                self.pools.push(Pool::new(&self.root, name));
            }
        }
        let mut room = MAX_DATASETS;
        for pool in &mut self.pools {
            pool.find_datasets(&self.root.join(&pool.name), &mut room, emit);
        }
        if room == 0 {
            trouble.note(|| format!("{}: more than {MAX_DATASETS} datasets", self.root.display()));
        }
        self.scanned_at = Some(now);
        Ok(())
    }
}

impl Collector for Zfs {
    fn name(&self) -> &'static str {
        "zfs"
    }

    fn collect(&mut self, now: Timestamp, intern: &dyn Intern, out: &mut Batch) -> Result<Reading, CollectError> {
        let mut emit = Emit::new("node", intern, out);
        let mut trouble = Trouble::default();
        if let Err(error) = self.rescan(now, &emit, &mut trouble) {
            self.pools.drain(..).for_each(|pool| pool.release(&emit));
            self.module.iter_mut().for_each(|kstat| kstat.fields.end_tick(&emit));
            return unread("zfs", &self.root, &error);
        }
        for kstat in &mut self.module {
            kstat.read(&mut emit, &mut trouble);
        }
        for pool in &mut self.pools {
            pool.read(&mut emit, &mut trouble);
        }
        Ok(trouble.reading())
    }
}

impl Kstat {
    fn new(path: PathBuf, prefix: String, labels: Vec<(&'static str, String)>) -> Self {
        Self { source: Source::new(path), prefix, labels, fields: Table::new(1, MAX_FIELDS) }
    }

    /// Two lines of heads, then `name type data`: 4 is unsigned, 3 signed, others are no numbers.
    fn read(&mut self, emit: &mut Emit<'_>, trouble: &mut Trouble) {
        match self.source.read() {
            Ok(_) => {}
            // Which files there are depends on the version.
            Err(error) if is_missing(&error) => return self.fields.end_tick(emit),
            Err(error) => return trouble.note(|| format!("{}: {error}", self.source.path().display())),
        }
        let (path, bytes) = self.source.last();
        for line in lines(bytes).skip(2) {
            let mut parts = words(line);
            let (Some(name), Some(kind), Some(data)) = (parts.next(), parts.next(), parts.next()) else {
                trouble.bad_line(path, line, "`name type data`");
                continue;
            };
            let value = match kind {
                b"4" => number(data).map(|value| value as f64),
                b"3" => signed(data).map(|value| value as f64),
                _ => continue,
            };
            let Some(value) = value else {
                trouble.bad_line(path, line, "a number");
                continue;
            };
            let prefix = &self.prefix;
            let Some(row) = self.fields.row(name, || Some(family(prefix, name))) else {
                trouble.note(|| format!("{}: more than {MAX_FIELDS} fields", path.display()));
                continue;
            };
            let (Some(family), [slot]) = (&row.state, row.slots.as_mut_slice()) else { continue };
            let mut labels = [("", ""); 2];
            labels.iter_mut().zip(&self.labels).for_each(|(to, (name, value))| *to = (name, value));
            emit.put_named(slot, family, labels.get(..self.labels.len()).unwrap_or_default(), value);
        }
        self.fields.end_tick(emit);
    }
}

impl Pool {
    fn new(root: &Path, name: String) -> Self {
        let folder = root.join(&name);
        Self {
            state: Source::new(folder.join("state")),
            states: [Slot::New; 7],
            io: Source::new(folder.join("io")),
            io_fields: Table::new(1, MAX_FIELDS),
            datasets: Vec::new(),
            name,
        }
    }

    fn release(&self, emit: &Emit<'_>) {
        emit.release(&self.states);
        emit.release(&self.io_fields.slots());
        self.datasets.iter().for_each(|dataset| emit.release(&dataset.fields.slots()));
    }

    fn find_datasets(&mut self, folder: &Path, room: &mut usize, emit: &Emit<'_>) {
        let listed = std::fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
        let is_dataset = |path: &PathBuf| path.file_name().is_some_and(|n| n.to_string_lossy().starts_with("objset-"));
        let mut files: Vec<PathBuf> = listed.filter(is_dataset).take(*room).collect();
        files.sort_unstable();
        *room = room.saturating_sub(files.len());
        self.datasets.retain(|dataset| {
            // A dataset that is renamed keeps its file.
            let path = dataset.source.path();
            let stays = files.iter().any(|file| file == path)
                && dataset_name(path)
                    .is_none_or(|name| dataset.labels.first().is_some_and(|(_, known)| *known == name));
            if !stays {
                emit.release(&dataset.fields.slots());
            }
            stays
        });
        for file in files {
            if self.datasets.iter().any(|dataset| dataset.source.path() == file) {
                continue;
            }
            let Some(name) = dataset_name(&file) else { continue };
            let labels = vec![("dataset", name), ("zpool", self.name.clone())];
            self.datasets.push(Kstat::new(file, "node_zfs_zpool_dataset".to_owned(), labels));
        }
    }

    fn read(&mut self, emit: &mut Emit<'_>, trouble: &mut Trouble) {
        let [desc] = &FAMILIES;
        match self.state.read() {
            Ok(bytes) => {
                let state = bytes.trim_ascii();
                if state.is_empty() {
                    trouble.note(|| format!("{}: expected a state", self.name));
                }
                for (slot, name) in self.states.iter_mut().zip(STATES).filter(|_| !state.is_empty()) {
                    let is = state.eq_ignore_ascii_case(name.as_bytes());
                    emit.put(slot, desc, &[&self.name, name], if is { 1.0 } else { 0.0 });
                }
            }
            // Since OpenZFS 0.8.
            Err(error) if is_missing(&error) => emit.release(&std::mem::take(&mut self.states)),
            Err(error) => trouble.note(|| format!("{}: {error}", self.state.path().display())),
        }
        match self.io.read() {
            Ok(_) => self.read_io(emit, trouble),
            // Until OpenZFS 2.0.
            Err(error) if is_missing(&error) => self.io_fields.end_tick(emit),
            Err(error) => trouble.note(|| format!("{}: {error}", self.io.path().display())),
        }
        for dataset in &mut self.datasets {
            dataset.read(emit, trouble);
        }
    }

    /// A head, a line of names, a line of numbers.
    fn read_io(&mut self, emit: &mut Emit<'_>, trouble: &mut Trouble) {
        let (path, bytes) = self.io.last();
        let mut all = lines(bytes).skip(1);
        let (Some(names), Some(values)) = (all.next(), all.next()) else {
            return trouble.note(|| format!("{}: expected a line of names and one of numbers", path.display()));
        };
        for (name, value) in words(names).zip(words(values)) {
            let Some(value) = number(value) else {
                trouble.bad_line(path, values, "numbers");
                continue;
            };
            let Some(row) = self.io_fields.row(name, || family("node_zfs_zpool", name)) else { continue };
            if let [slot] = row.slots.as_mut_slice() {
                emit.put_named(slot, &row.state, &[("zpool", &self.name)], value as f64);
            }
        }
        self.io_fields.end_tick(emit);
    }
}

/// The name inside of a dataset's file: the line `dataset_name 7 pool/name`.
fn dataset_name(file: &Path) -> Option<String> {
    let mut source = Source::new(file.to_owned());
    let line = lines(source.read().ok()?).find(|line| line.starts_with(b"dataset_name"))?.to_vec();
    let rest = line.strip_prefix(b"dataset_name")?.trim_ascii_start();
    Some(label(rest.strip_prefix(b"7")?.trim_ascii()).into_owned())
}

fn folders(root: &Path) -> std::io::Result<Vec<String>> {
    let listed = std::fs::read_dir(root)?.flatten().filter(|entry| entry.path().is_dir());
    let mut names: Vec<String> = listed.filter_map(|entry| entry.file_name().into_string().ok()).collect();
    names.sort_unstable();
    Ok(names)
}

fn family(prefix: &str, field: &[u8]) -> Arc<Family> {
    let name = format!("{prefix}_{}", identifier(&label(field)));
    let help = format!("What OpenZFS counts as {}.", label(field).escape_debug());
    Arc::new(untyped_family(name, help))
}

#[cfg(test)]
mod tests {
    use super::Zfs;
    use crate::collect::Reading;
    use crate::collect::system::Roots;
    use crate::collect::testing::{Interner, collect, put};

    #[test]
    fn module_pools_and_datasets_come_and_go() {
        let root = tempfile::tempdir().unwrap();
        let mut zfs = Zfs::new(&Roots::under(root.path()));
        let intern = Interner::default();
        assert!(matches!(collect(&mut zfs, &intern, 0).1, Ok(Reading::Unavailable(_))));
        let base = "proc/spl/kstat/zfs";
        put(
            root.path(),
            &format!("{base}/arcstats"),
            "6 1\nname type data\nhits 4 7\nneed 3 -5\nx 7 text\nbad 4 y\nz\n",
        );
        put(root.path(), &format!("{base}/tank/state"), "SUSPENDED\n");
        put(root.path(), &format!("{base}/tank/io"), "1\nnread reads\n18446744073709551615 x\n");
        let set = "1\nname type data\ndataset_name 7 tank/a b\nwrites 4 3\n";
        put(root.path(), &format!("{base}/tank/objset-1"), set);
        let (page, result) = collect(&mut zfs, &intern, 0);
        assert!(matches!(result, Ok(Reading::Degraded(text)) if text.ends_with("(and 2 more)")));
        assert_eq!(page.len(), 2 + 7 + 1 + 1);
        assert_eq!(page["node_zfs_arc_need"], -5.0);
        assert_eq!(page[r#"node_zfs_zpool_state{state="suspended", zpool="tank"}"#], 1.0);
        assert_eq!(page[r#"node_zfs_zpool_dataset_writes{dataset="tank/a b", zpool="tank"}"#], 3.0);
        std::fs::remove_dir_all(root.path().join(base).join("tank")).unwrap();
        assert_eq!(collect(&mut zfs, &intern, 40_000).0.len(), 2);
        assert_eq!(intern.released(), 9);
        std::fs::remove_file(root.path().join(base).join("arcstats")).unwrap();
        for now in 0..=60 {
            assert!(collect(&mut zfs, &intern, 40_000 + now).0.is_empty());
        }
        assert_eq!(intern.released(), 11, "a file that has gone gives its series back");
    }
}
