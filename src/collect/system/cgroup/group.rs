//! One cgroup: its files, what they said last, and its series.

use std::io;
use std::path::{Path, PathBuf};

use super::devices::DeviceNames;
use super::families::{DEVICES, LABELLED, PLAIN};
use super::layout::Layout;
use super::name::{Kind, Name};
use super::values::{EVENTS, FAULTS, READERS, Reader, Values};
use crate::collect::emit::{Emit, Slot};
use crate::collect::system::report::Trouble;
use crate::collect::system::source::{Source, is_missing, read_once};

/// Ticks between two readings of a cgroup's slower files.
pub(super) const SLOW_TICKS: u64 = 5;
/// Slow readings that a missing file is left alone for: a controller may be switched on later.
const MISSING_ROUNDS: u8 = 12;

/// A watched cgroup.
pub(super) struct Group {
    /// Its path, `/system.slice/ssh.service`.
    pub(super) id: String,
    name: Name,
    files: Vec<File>,
    values: Values,
    slots: Vec<Slot>,
    devices: Vec<DeviceRow>,
    is_new: bool,
}

struct File {
    reader: &'static Reader,
    source: FileSource,
    /// Slow readings until a file that was missing is tried again.
    missing: u8,
}

/// How a file is read: with a handle that stays, or opened each time.
enum FileSource {
    Kept(Source),
    Opened(PathBuf),
}

struct DeviceRow {
    device: (u32, u32),
    name: String,
    slots: [Slot; 4],
}

/// What became of a cgroup in a tick.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fate {
    Read,
    Vanished,
}

impl Group {
    /// The cgroup at `id`. Its files of every tick stay open when there is `room` for all of them.
    pub(super) fn new(id: String, name: Name, layout: &Layout, room: usize) -> Self {
        let is_read =
            |reader: &&Reader| layout.of(reader.controller).is_some_and(|(_, version)| version == reader.version);
        let keeps = READERS.iter().filter(is_read).filter(|reader| reader.fast).count() <= room;
        let below = id.trim_start_matches('/').to_owned();
        let files = READERS.iter().filter_map(|reader| {
            let (mount, version) = layout.of(reader.controller)?;
            if version != reader.version {
                return None;
            }
            let path = mount.point.join(&below).join(reader.file);
            let source =
                if keeps && reader.fast { FileSource::Kept(Source::new(path)) } else { FileSource::Opened(path) };
            Some(File { reader, source, missing: 0 })
        });
        let slots = PLAIN.len() + EVENTS.len() + FAULTS.len() + 1;
        Self {
            files: files.collect(),
            id,
            name,
            values: Values::default(),
            slots: vec![Slot::New; slots],
            devices: Vec::new(),
            is_new: true,
        }
    }

    /// Whether it has this name: one that lost its name to another has other labels.
    pub(super) fn is(&self, name: &Name) -> bool {
        self.name == *name
    }

    /// Files that stay open.
    pub(super) fn kept_files(&self) -> usize {
        self.files.iter().filter(|file| matches!(file.source, FileSource::Kept(_))).count()
    }

    /// Whether nothing was read yet.
    pub(super) fn is_new(&self) -> bool {
        self.is_new
    }

    /// Reads the files whose turn it is.
    pub(super) fn read(&mut self, slow: bool, buffer: &mut Vec<u8>, trouble: &mut Trouble) -> Fate {
        let mut has_gone = false;
        for file in self.files.iter_mut().filter(|file| slow || file.reader.fast) {
            if file.missing > 0 {
                file.missing -= u8::from(slow);
                continue;
            }
            let reader = file.reader;
            match file.bytes(buffer) {
                Ok(bytes) => {
                    if !(reader.parse)(bytes, &mut self.values) {
                        trouble.note(|| format!("{}/{}: not what the kernel writes", self.id, reader.file));
                    }
                }
                Err(error) if is_missing(&error) || error.raw_os_error() == Some(libc::ENODEV) => {
                    file.missing = MISSING_ROUNDS;
                    has_gone = true;
                    // What it said before is not true any more.
                    (reader.parse)(b"", &mut self.values);
                }
                Err(error) => {
                    (reader.parse)(b"", &mut self.values);
                    trouble.note(|| format!("{}/{}: {error}", self.id, reader.file));
                }
            }
        }
        self.values.derive();
        self.is_new = false;
        // A file may be missing because nobody switched its controller on; a folder that is missing says more.
        if has_gone && !self.exists() { Fate::Vanished } else { Fate::Read }
    }

    fn exists(&self) -> bool {
        self.files.iter().any(|file| file.path().parent().is_some_and(Path::is_dir))
    }

    /// Writes what is known.
    pub(super) fn emit(&mut self, emit: &mut Emit<'_>, names: &mut DeviceNames) {
        let (id, kind, name) = (self.id.as_str(), self.name.kind.as_str(), self.name.name.as_str());
        let mut slots = self.slots.iter_mut();
        for ((desc, value), slot) in PLAIN.iter().zip(self.values.all()).zip(&mut slots) {
            emit.put_opt(slot, desc, &[id, kind, name], *value);
        }
        let [events, faults, facts] = &LABELLED;
        for ((event, value), slot) in EVENTS.iter().zip(self.values.events).zip(&mut slots) {
            emit.put_opt(slot, events, &[id, kind, name, event], value);
        }
        for ((fault, value), slot) in FAULTS.iter().zip(self.values.faults).zip(&mut slots) {
            emit.put_opt(slot, faults, &[id, kind, name, fault, "hierarchy"], value);
        }
        if let Some(slot) = slots.next().filter(|_| self.name.kind == Kind::Container) {
            emit.put(slot, facts, &[id, kind, name, self.name.runtime, &self.name.container, &self.name.pod], 1.0);
        }
        // A device that is not listed any more has no reads to tell.
        let io = &self.values.io;
        self.devices.retain(|row| {
            let keep = io.iter().any(|io| io.device == row.device);
            if !keep {
                emit.release(&row.slots);
            }
            keep
        });
        for io in io {
            let place = self.devices.iter().position(|row| row.device == io.device).unwrap_or_else(|| {
                let name = names.name(io.device);
                self.devices.push(DeviceRow { device: io.device, name, slots: [Slot::New; 4] });
                self.devices.len() - 1
            });
            let Some(row) = self.devices.get_mut(place) else { continue };
            for ((slot, desc), value) in row.slots.iter_mut().zip(&DEVICES).zip(io.counts) {
                emit.put_opt(slot, desc, &[id, kind, name, &row.name], value);
            }
        }
    }

    /// Gives the series back: nothing will be written again.
    pub(super) fn release(&self, emit: &Emit<'_>) {
        emit.release(&self.slots);
        self.devices.iter().for_each(|row| emit.release(&row.slots));
    }
}

impl File {
    fn path(&self) -> &Path {
        match &self.source {
            FileSource::Kept(source) => source.path(),
            FileSource::Opened(path) => path,
        }
    }

    fn bytes<'b>(&'b mut self, buffer: &'b mut Vec<u8>) -> io::Result<&'b [u8]> {
        match &mut self.source {
            FileSource::Kept(source) => source.read(),
            FileSource::Opened(path) => read_once(path, buffer),
        }
    }
}
