//! A class of devices in sysfs: folders of small files, each with one number or one word.
//!
//! What is there is found by a scan now and then; in between, each tick reads the files that were found. A series keeps
//! its labels and its open file for as long as scans find it.

use std::collections::{HashMap, HashSet};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::bytes::label;
use super::report::{Trouble, unread};
use super::source::{Source, is_gone, is_missing, read_once};
use crate::collect::emit::{Emit, Slot};
use crate::collect::{CollectError, Collector, Reading};
use crate::model::{Batch, Family, FamilyDesc, Intern, MetricKind, Timestamp};

/// Time between two looks for devices that came; one that went is noticed by its files.
const RESCAN_MS: i64 = 30_000;
/// Series of one class: eight adapters of two ports with sixty counters each are a thousand.
const MAX_SERIES: usize = 8192;
/// Entries of one folder that are looked at.
const MAX_ENTRIES: usize = 4096;
/// Files of one class that stay open.
const MAX_OPEN: usize = 64;
/// Labels of one series, as many as a family can have.
const MAX_LABELS: usize = 24;

/// Finds the number in a file's bytes.
pub(super) type Parse = fn(&[u8]) -> Option<f64>;

/// The family of a series: declared, or named by the device.
#[derive(Clone)]
pub(super) enum Named {
    Declared(&'static FamilyDesc),
    Found(Arc<Family>, &'static [&'static str]),
}

impl Named {
    fn name(&self) -> &str {
        match self {
            Self::Declared(desc) => desc.name,
            Self::Found(family, _) => &family.name,
        }
    }

    fn is_counter(&self) -> bool {
        let kind = match self {
            Self::Declared(desc) => desc.kind,
            Self::Found(family, _) => family.kind,
        };
        kind == MetricKind::Counter
    }

    fn put(&self, emit: &mut Emit<'_>, slot: &mut Slot, labels: &[String], value: f64) {
        let mut values = [""; MAX_LABELS];
        values.iter_mut().zip(labels).for_each(|(to, from)| *to = from);
        match self {
            Self::Declared(desc) => {
                emit.put(slot, desc, values.get(..desc.labels.len()).unwrap_or_default(), value);
            }
            Self::Found(family, names) => {
                let mut pairs = [("", ""); MAX_LABELS];
                let filled = pairs.iter_mut().zip(*names).zip(values);
                filled.for_each(|((pair, name), value)| *pair = (name, value));
                emit.put_named(slot, family, pairs.get(..names.len()).unwrap_or_default(), value);
            }
        }
    }
}

/// A file that stays open, or one that is opened for each reading.
pub(super) enum File {
    Open(Source),
    Closed(PathBuf),
}

impl File {
    /// A file; the first of many stay open, so that many devices do not use up all handles.
    pub(super) fn new(path: PathBuf, before: usize) -> Self {
        if before < MAX_OPEN { Self::Open(Source::new(path)) } else { Self::Closed(path) }
    }

    fn path(&self) -> &Path {
        match self {
            Self::Open(source) => source.path(),
            Self::Closed(path) => path,
        }
    }

    /// Has the file opened again by the next read.
    pub(super) fn close(&mut self) {
        if let Self::Open(source) = self {
            source.close();
        }
    }

    /// Whether the last read had to open a file that was open already.
    fn is_another(&self) -> bool {
        matches!(self, Self::Open(source) if source.is_another())
    }

    pub(super) fn read<'b>(&'b mut self, buffer: &'b mut Vec<u8>) -> io::Result<&'b [u8]> {
        match self {
            Self::Open(source) => source.read(),
            Self::Closed(path) => read_once(path, buffer),
        }
    }
}

/// What the value of a series is read from.
enum Content {
    /// A constant, set by the scan.
    Constant(f64),
    /// A file with a number; `optional` ones may hold something else (`N/A`).
    Number { file: File, parse: Parse, factor: f64, optional: bool },
    /// Always 1; the labels behind the first `fixed` are what the files say, without `prefix`.
    Facts { files: Vec<File>, fixed: usize, prefix: &'static str },
}

struct Series {
    named: Named,
    labels: Vec<String>,
    slot: Slot,
    content: Content,
}

/// What a scan has found so far.
pub(super) struct Scan<'a> {
    found: Vec<Series>,
    open: usize,
    trouble: &'a mut Trouble,
}

impl Scan<'_> {
    /// Names in a folder, sorted. Nothing when it cannot be read.
    pub(super) fn entries(&mut self, folder: &Path) -> Vec<String> {
        self.try_entries(folder).unwrap_or_default()
    }

    /// As [`Scan::entries`], for the folder without which there is nothing to see.
    pub(super) fn try_entries(&mut self, folder: &Path) -> io::Result<Vec<String>> {
        let listed = std::fs::read_dir(folder)?.flatten().take(MAX_ENTRIES);
        let mut names: Vec<String> = listed.filter_map(|entry| entry.file_name().into_string().ok()).collect();
        names.sort_unstable();
        if names.len() == MAX_ENTRIES {
            self.trouble.note(|| format!("{}: only the first {MAX_ENTRIES} entries are read", folder.display()));
        }
        Ok(names)
    }

    /// A small file's text without blanks around it, for facts that scans need themselves; an empty file has none.
    pub(super) fn text(&mut self, path: &Path) -> Option<String> {
        let mut buffer = Vec::new();
        let bytes = read_once(path, &mut buffer).ok()?.trim_ascii();
        (!bytes.is_empty()).then(|| label(bytes).into_owned())
    }

    /// Notes something that could not be understood.
    pub(super) fn note(&mut self, text: impl FnOnce() -> String) {
        self.trouble.note(text);
    }

    /// A series that is always `value`.
    pub(super) fn constant(&mut self, named: Named, labels: Vec<String>, value: f64) {
        self.push(named, labels, Content::Constant(value));
    }

    /// A number in a file, times `factor`; nothing if there is no such file.
    pub(super) fn number(&mut self, desc: &'static FamilyDesc, labels: &[&str], path: PathBuf, factor: f64) {
        self.parsed(Named::Declared(desc), labels, path, (super::bytes::decimal, factor), false);
    }

    /// As [`Scan::number`], for a file that needs a parser of its own, and may say that it has no number.
    pub(super) fn parsed(
        &mut self,
        named: Named,
        labels: &[&str],
        path: PathBuf,
        (parse, factor): (Parse, f64),
        optional: bool,
    ) {
        if !path.is_file() {
            return;
        }
        let file = self.file(path);
        let labels = labels.iter().map(|&label| label.to_owned()).collect();
        self.push(named, labels, Content::Number { file, parse, factor, optional });
    }

    /// A series that is 1 and whose labels behind `fixed` are the texts of `files`; they are compared at each tick.
    pub(super) fn facts(&mut self, desc: &'static FamilyDesc, fixed: &[&str], files: impl Iterator<Item = PathBuf>) {
        self.facts_without("", desc, fixed, files);
    }

    /// As [`Scan::facts`]; what starts with `prefix` is shown without it.
    pub(super) fn facts_without(
        &mut self,
        prefix: &'static str,
        desc: &'static FamilyDesc,
        fixed: &[&str],
        files: impl Iterator<Item = PathBuf>,
    ) {
        let files: Vec<File> = files.map(|path| self.file(path)).collect();
        let labels = fixed.iter().map(|&label| label.to_owned()).collect();
        self.push(Named::Declared(desc), labels, Content::Facts { files, fixed: fixed.len(), prefix });
    }

    fn file(&mut self, path: PathBuf) -> File {
        self.open += 1;
        File::new(path, self.open - 1)
    }

    fn push(&mut self, named: Named, labels: Vec<String>, content: Content) {
        if self.found.len() >= MAX_SERIES {
            self.trouble.note(|| format!("more than {MAX_SERIES} series"));
            return;
        }
        self.found.push(Series { named, labels, slot: Slot::New, content });
    }
}

/// Looks for devices. An error means that there is nothing of the kind on this machine.
pub(super) type Look = Box<dyn Fn(&mut Scan<'_>) -> io::Result<()> + Send>;

/// The collector of one class.
pub(super) struct Class {
    name: &'static str,
    place: PathBuf,
    look: Look,
    devices: Devices,
}

impl Class {
    /// `place` is what the reason names when there is nothing.
    pub(super) fn new(
        name: &'static str,
        place: PathBuf,
        look: impl Fn(&mut Scan<'_>) -> io::Result<()> + Send + 'static,
    ) -> Self {
        Self { name, place, look: Box::new(look), devices: Devices::default() }
    }
}

impl Collector for Class {
    fn name(&self) -> &'static str {
        self.name
    }

    fn collect(&mut self, now: Timestamp, intern: &dyn Intern, out: &mut Batch) -> Result<Reading, CollectError> {
        let mut emit = Emit::new("node", intern, out);
        let mut trouble = Trouble::default();
        match self.devices.tick(now, &self.look, &mut emit, &mut trouble) {
            Ok(()) => Ok(trouble.reading()),
            Err(error) => unread(self.name, &self.place, &error),
        }
    }
}

/// The series of a class, for collectors that have others beside them.
#[derive(Default)]
pub(super) struct Devices {
    series: Vec<Series>,
    scanned_at: Option<Timestamp>,
    buffer: Vec<u8>,
}

impl Devices {
    /// Scans when it is time to, then reads and emits everything.
    pub(super) fn tick(
        &mut self,
        now: Timestamp,
        look: &Look,
        emit: &mut Emit<'_>,
        trouble: &mut Trouble,
    ) -> io::Result<()> {
        let due = |last: Timestamp| !(0..RESCAN_MS).contains(&now.saturating_sub(last));
        if self.scanned_at.is_none_or(due) {
            let mut scan = Scan { found: Vec::new(), open: 0, trouble };
            let looked = look(&mut scan);
            let found = scan.found;
            self.scanned_at = looked.is_ok().then_some(now);
            self.adopt(found, emit);
            looked?;
        }
        let mut gone = false;
        for series in &mut self.series {
            gone |= !series.emit(emit, &mut self.buffer, trouble);
        }
        if gone {
            self.scanned_at = None;
        }
        Ok(())
    }

    /// Takes a new list over; series that stay keep their references and their open files.
    fn adopt(&mut self, found: Vec<Series>, emit: &Emit<'_>) {
        let key = |series: &Series| (series.named.name().to_owned(), series.fixed().to_vec());
        let mut old: HashMap<_, _> = self.series.drain(..).map(|series| (key(&series), series)).collect();
        let mut taken = HashSet::with_capacity(found.len());
        for mut series in found {
            let key = key(&series);
            let known = old.remove(&key);
            if !taken.insert(key) {
                continue; // Two files for one series: the first counts.
            }
            match known {
                Some(known) if known.same_file(&series) => series = known,
                Some(known) if known.is_constant() && series.is_constant() => series.slot = known.slot,
                Some(known) => emit.release(&[known.slot]),
                None => {}
            }
            self.series.push(series);
        }
        let gone: Vec<Slot> = old.into_values().map(|series| series.slot).collect();
        emit.release(&gone);
    }
}

impl Series {
    fn fixed(&self) -> &[String] {
        let count = match &self.content {
            Content::Facts { fixed, .. } => *fixed,
            _ => self.labels.len(),
        };
        self.labels.get(..count).unwrap_or_default()
    }

    fn is_constant(&self) -> bool {
        matches!(self.content, Content::Constant(_))
    }

    fn same_file(&self, other: &Self) -> bool {
        match (&self.content, &other.content) {
            (Content::Number { file, .. }, Content::Number { file: fresh, .. }) => file.path() == fresh.path(),
            (Content::Facts { files, .. }, Content::Facts { files: fresh, .. }) => {
                files.iter().map(File::path).eq(fresh.iter().map(File::path))
            }
            _ => false,
        }
    }

    /// Reads and emits; false when a file has gone.
    fn emit(&mut self, emit: &mut Emit<'_>, buffer: &mut Vec<u8>, trouble: &mut Trouble) -> bool {
        let value = match &mut self.content {
            Content::Constant(value) => *value,
            Content::Number { file, parse, factor, optional } => match file.read(buffer).map(*parse) {
                // Its number is another device's now, perhaps: a look tells.
                Ok(_) if file.is_another() => return false,
                // Nothing counts below zero.
                Ok(Some(value)) if value >= 0.0 || !self.named.is_counter() => value * *factor,
                Ok(_) => {
                    if !*optional {
                        trouble.note(|| format!("{}: expected a number", file.path().display()));
                    }
                    return true;
                }
                Err(error) => {
                    if !*optional && !is_missing(&error) {
                        trouble.note(|| format!("{}: {error}", file.path().display()));
                    }
                    return !is_gone(&error);
                }
            },
            Content::Facts { files, fixed, prefix } => {
                match learn(files, (*fixed, prefix), &mut self.labels, buffer) {
                    Learnt::Same => {}
                    Learnt::Changed => emit.release(&[std::mem::take(&mut self.slot)]),
                    Learnt::Gone => return false,
                }
                1.0
            }
        };
        self.named.put(emit, &mut self.slot, &self.labels, value);
        true
    }
}

/// What a look at the facts of a device found.
enum Learnt {
    Same,
    Changed,
    Gone,
}

/// Reads facts into the labels behind the first `fixed`. A file that is not there says nothing; when none is there, nor
/// their folder, the device has gone.
fn learn(files: &mut [File], (fixed, prefix): (usize, &str), labels: &mut Vec<String>, buffer: &mut Vec<u8>) -> Learnt {
    let (mut changed, mut gone) = (false, 0);
    labels.resize(fixed + files.len(), String::new());
    for (known, file) in labels.iter_mut().skip(fixed).zip(files.iter_mut()) {
        let read = file.read(buffer);
        gone += usize::from(matches!(&read, Err(error) if is_gone(error)));
        let fresh = read.unwrap_or_default().trim_ascii();
        let fresh = fresh.strip_prefix(prefix.as_bytes()).unwrap_or(fresh);
        if known.as_bytes() != fresh && *known != label(fresh) {
            *known = label(fresh).into_owned();
            changed = true;
        }
    }
    let folder = files.first().and_then(|file| file.path().parent());
    match folder {
        Some(folder) if gone == files.len() && !folder.exists() => Learnt::Gone,
        _ if changed => Learnt::Changed,
        _ => Learnt::Same,
    }
}

#[cfg(test)]
mod tests {
    use std::path::{Path, PathBuf};

    use super::{Class, Named};
    use crate::collect::Reading;
    use crate::collect::catalogue::{counter, gauge};
    use crate::collect::testing::{Interner, collect, put};
    use crate::model::FamilyDesc;

    static INFO: FamilyDesc = gauge("x_info", "", "Facts.", &["device", "model"], 9);
    static VALUE: FamilyDesc = gauge("x_value", "", "A number.", &["device"], 9);

    static COUNT: FamilyDesc = counter("x_total", "", "A count.", &[], 1);

    /// Devices `d/*` with a model each; `f/a` and `f/b` are two files of one series.
    fn class(root: &Path) -> Class {
        let place = root.to_owned();
        Class::new("x", root.to_owned(), move |scan| {
            for device in scan.try_entries(&place.join("d"))? {
                scan.facts(&INFO, &[&device], std::iter::once(place.join("d").join(&device).join("model")));
            }
            for file in ["f/a", "f/b"] {
                scan.parsed(Named::Declared(&VALUE), &["f"], place.join(file), (parse, 1.0), true);
            }
            scan.number(&COUNT, &[], place.join("f/a"), 1.0);
            Ok(())
        })
    }

    fn parse(bytes: &[u8]) -> Option<f64> {
        super::super::bytes::decimal(bytes)
    }

    #[test]
    fn the_info_of_a_device_that_has_gone_ends() {
        let root = tempfile::tempdir().unwrap();
        let (mut class, intern) = (class(root.path()), Interner::default());
        put(root.path(), "d/one/model", "Fast\n");
        std::fs::create_dir_all(root.path().join("d/two")).unwrap();
        let names = |page: crate::collect::testing::Page| -> Vec<String> { page.into_keys().collect() };
        let two = r#"x_info{device="two"}"#;
        assert_eq!(names(collect(&mut class, &intern, 0).0), [r#"x_info{device="one", model="Fast"}"#, two]);
        std::fs::remove_dir_all(root.path().join("d/one")).unwrap();
        assert_eq!(names(collect(&mut class, &intern, 1_000).0), [two]);
        assert_eq!(names(collect(&mut class, &intern, 2_000).0), [two]);
        assert_eq!(intern.released(), 1);
        put(root.path(), "d/one/model", "New\n");
        assert_eq!(names(collect(&mut class, &intern, 40_000).0), [r#"x_info{device="one", model="New"}"#, two]);
    }

    #[test]
    fn two_files_of_one_series_are_one() {
        let root = tempfile::tempdir().unwrap();
        let (mut class, intern) = (class(root.path()), Interner::default());
        std::fs::create_dir_all(root.path().join("d")).unwrap();
        put(root.path(), "f/a", "1");
        put(root.path(), "f/b", "2");
        for now in [0, 40_000, 80_000] {
            let (page, result) = collect(&mut class, &intern, now);
            assert_eq!((page.len(), page[r#"x_value{device="f"}"#], result.unwrap()), (2, 1.0, Reading::Complete));
        }
        assert_eq!((intern.count(), intern.released()), (2, 0));
        put(root.path(), "f/a", "-1");
        let (page, result) = collect(&mut class, &intern, 81_000);
        assert_eq!((page.len(), page[r#"x_value{device="f"}"#]), (1, -1.0), "a counter is never negative");
        assert!(matches!(result, Ok(Reading::Degraded(text)) if text.contains("expected a number")));
    }

    #[test]
    fn a_file_that_cannot_be_read_is_no_reason_to_look_again() {
        let root = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(root.path().join("d")).unwrap();
        let looks = std::sync::Arc::new(std::sync::atomic::AtomicUsize::new(0));
        let (count, path) = (std::sync::Arc::clone(&looks), PathBuf::from("/proc/self/mem"));
        // Reading the first page of a process' memory is an error, and the file is there.
        let mut class = Class::new("x", root.path().to_owned(), move |scan| {
            count.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            scan.parsed(Named::Declared(&VALUE), &["f"], path.clone(), (parse, 1.0), true);
            Ok(())
        });
        let intern = Interner::default();
        for now in 0..3 {
            let (page, result) = collect(&mut class, &intern, now);
            assert!(page.is_empty() && matches!(result, Ok(Reading::Complete)), "{result:?}");
        }
        assert_eq!(looks.load(std::sync::atomic::Ordering::Relaxed), 1);
    }
}
