//! `*.prom` files that others leave in a directory, as node_exporter's textfile collector reads them: backup jobs, package managers, batch runs.
//!
//! A file is read when its time, size or inode has changed. Its series are shown on `/metrics` like watchfire's own, and end when the file goes. A file
//! with a bad line or with timestamps is left out as a whole and `node_textfile_scrape_error` says 1.

mod config;
mod files;
mod page;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};

use rustc_hash::FxHashSet;

use super::catalogue::gauge;
use super::emit::{Emit, Slot};
use super::{CollectError, Collector, Reading};
use crate::model::{Batch, FamilyDesc, Intern, SeriesRef, Timestamp};

pub use config::TextfileConfig;
use files::{Stamp, list};
use page::Page;

/// Files that the collector saw last; a process has one.
static WATCHED: AtomicUsize = AtomicUsize::new(0);

/// How many `*.prom` files the last tick found.
pub fn watched_files() -> usize {
    WATCHED.load(Ordering::Relaxed)
}

/// The group of its series in the ring.
const JOB: &str = "node";
/// Ticks until a series that a limit refused is tried again.
const RETRY_TICKS: u32 = 60;

pub(super) static FAMILIES: [FamilyDesc; 2] = [ERROR, MTIME];
const ERROR: FamilyDesc = gauge(
    "node_textfile_scrape_error",
    "",
    "1 if a textfile or its directory could not be read, or has something that was left out; 0 otherwise.",
    &[],
    1,
);
const MTIME: FamilyDesc = gauge(
    "node_textfile_mtime_seconds",
    "seconds",
    "When each textfile that was read had last been written.",
    &["file"],
    files::MAX_FILES as u32,
);

/// One file, read or found bad.
struct File {
    stamp: Stamp,
    page: Result<Page, String>,
    mtime: Slot,
}

/// The collector.
pub struct Textfile {
    config: TextfileConfig,
    files: BTreeMap<PathBuf, File>,
    error: Slot,
    /// What is wrong beside the files themselves: series that are there twice or have a name of ours.
    left_out: Option<String>,
    refused: bool,
    ticks: u32,
}

impl Textfile {
    /// Reads nothing yet.
    pub fn new(config: TextfileConfig) -> Self {
        Self { config, files: BTreeMap::new(), error: Slot::New, left_out: None, refused: false, ticks: 0 }
    }

    /// Reads what has changed. Says whether series came or went, and what could not be listed.
    fn refresh(&mut self, gone: &mut Vec<File>) -> (bool, Option<String>) {
        let (found, problem) = list(&self.config.directories);
        WATCHED.store(found.len(), Ordering::Relaxed);
        let mut settled = true;
        let listed: FxHashSet<&PathBuf> = found.iter().map(|(path, _)| path).collect();
        for (_, file) in self.files.extract_if(.., |path, _| !listed.contains(path)) {
            settled = false;
            gone.push(file);
        }
        for (path, stamp) in &found {
            if self.files.get(path).is_some_and(|known| known.stamp == *stamp) {
                continue;
            }
            let mut page = files::read(path).and_then(|text| Page::parse(&text));
            let known = self.files.remove(path);
            let mtime = known.as_ref().map_or(Slot::New, |known| known.mtime);
            let same = match (&mut page, &known) {
                (Ok(page), Some(File { page: Ok(old), .. })) => page.take_series_of(old),
                _ => false,
            };
            if !same {
                settled = false;
                // The series of an old version are given back when those of the new one are held.
                gone.extend(known.map(|known| File { mtime: Slot::New, ..known }));
            }
            self.files.insert(path.clone(), File { stamp: *stamp, page, mtime });
        }
        (!settled, problem)
    }

    /// Holds the series of all files; of two that are the same the first counts.
    fn hold(&mut self, intern: &dyn Intern) {
        let mut old: Vec<SeriesRef> = Vec::new();
        let mut seen = FxHashSet::default();
        (self.left_out, self.refused) = (None, false);
        for (path, file) in &mut self.files {
            let Ok(page) = &mut file.page else { continue };
            let before = page.references().collect::<Vec<_>>();
            let outcome = page.hold(JOB, intern, &mut seen);
            old.extend(before);
            self.refused |= outcome.refused > 0;
            if let Some(problem) = outcome.left_out {
                self.left_out.get_or_insert_with(|| format!("{}: {problem}", path.display()));
            }
        }
        if !old.is_empty() {
            intern.release(&old);
        }
    }
}

impl Collector for Textfile {
    fn name(&self) -> &'static str {
        "textfile"
    }

    fn collect(&mut self, _: Timestamp, intern: &dyn Intern, out: &mut Batch) -> Result<Reading, CollectError> {
        let mut gone = Vec::new();
        let (changed, mut problem) = self.refresh(&mut gone);
        self.ticks += 1;
        if changed || (self.refused && self.ticks.is_multiple_of(RETRY_TICKS)) {
            self.hold(intern);
        }
        let mut emit = Emit::new(JOB, intern, out);
        for file in gone {
            emit.release(&[file.mtime]);
            let held: Vec<SeriesRef> = file.page.iter().flat_map(Page::references).collect();
            if !held.is_empty() {
                intern.release(&held);
            }
        }
        for (path, file) in &mut self.files {
            match &file.page {
                Ok(_) => {
                    let shown = path.to_string_lossy();
                    emit.put(&mut file.mtime, &MTIME, &[shown.as_ref()], file.stamp.mtime_seconds());
                }
                Err(reason) => problem = problem.or_else(|| Some(format!("{}: {reason}", path.display()))),
            }
        }
        problem = problem.or_else(|| self.left_out.clone());
        emit.put(&mut self.error, &ERROR, &[], f64::from(u8::from(problem.is_some())));
        for file in self.files.values() {
            if let Ok(page) = &file.page {
                out.floats.extend(page.samples());
            }
        }
        Ok(problem.map_or(Reading::Complete, Reading::Degraded))
    }
}

#[cfg(test)]
mod tests;
