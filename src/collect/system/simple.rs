//! Collectors of files that hold a fixed list of numbers: load average, file handles, entropy.

use std::sync::Arc;

use super::bytes::{float, number, words};
use super::report::{Trouble, unread};
use super::roots::Roots;
use super::source::Source;
use super::usage::Usage;
use crate::collect::catalogue::gauge;
use crate::collect::emit::{Emit, Slot};
use crate::collect::{CollectError, Collector, Reading};
use crate::model::{Batch, FamilyDesc, Intern, Timestamp};

/// A file and the families that its bytes fill; `values` finds them, in order, absent where it cannot.
type Values<const N: usize> = fn(&[u8]) -> [Option<f64>; N];

/// One file with a fixed set of numbers.
struct File<const N: usize> {
    source: Source,
    families: &'static [FamilyDesc; N],
    values: Values<N>,
    slots: [Slot; N],
}

impl<const N: usize> File<N> {
    fn new(path: std::path::PathBuf, families: &'static [FamilyDesc; N], values: Values<N>) -> Self {
        Self { source: Source::new(path), families, values, slots: [Slot::New; N] }
    }

    /// Reads the file; a number that is not there is a trouble.
    fn read(&mut self, emit: &mut Emit<'_>, trouble: &mut Trouble) -> std::io::Result<[Option<f64>; N]> {
        let values = (self.values)(self.source.read()?);
        for ((slot, desc), value) in self.slots.iter_mut().zip(self.families).zip(values) {
            emit.put_opt(slot, desc, &[], value);
            if value.is_none() {
                trouble.note(|| format!("{}: no number for {}", self.source.path().display(), desc.name));
            }
        }
        Ok(values)
    }
}

pub(super) static LOADAVG: [FamilyDesc; 3] = [
    gauge("node_load1", "", "1m load average.", &[], 1),
    gauge("node_load5", "", "5m load average.", &[], 1),
    gauge("node_load15", "", "15m load average.", &[], 1),
];

/// Load averages, from `/proc/loadavg`.
pub(super) struct LoadAvg {
    file: File<3>,
    usage: Arc<Usage>,
}

impl LoadAvg {
    pub(super) fn new(roots: &Roots, usage: Arc<Usage>) -> Self {
        let first_three = |bytes: &[u8]| {
            let mut fields = words(bytes).map(float);
            std::array::from_fn(|_| fields.next().flatten())
        };
        Self { file: File::new(roots.proc.join("loadavg"), &LOADAVG, first_three), usage }
    }
}

impl Collector for LoadAvg {
    fn name(&self) -> &'static str {
        "loadavg"
    }

    fn collect(&mut self, _now: Timestamp, intern: &dyn Intern, out: &mut Batch) -> Result<Reading, CollectError> {
        let mut trouble = Trouble::default();
        match self.file.read(&mut Emit::new("node", intern, out), &mut trouble) {
            Ok([load1, ..]) => {
                self.usage.update(|snapshot| snapshot.load1 = load1);
                Ok(trouble.reading())
            }
            Err(error) => unread("loadavg", self.file.source.path(), &error),
        }
    }
}

pub(super) static FILEFD: [FamilyDesc; 2] = [
    gauge("node_filefd_allocated", "", "File descriptor statistics: allocated.", &[], 1),
    gauge("node_filefd_maximum", "", "File descriptor statistics: maximum.", &[], 1),
];

pub(super) static ENTROPY: [FamilyDesc; 2] = [
    gauge("node_entropy_available_bits", "", "Bits of available entropy.", &[], 1),
    gauge("node_entropy_pool_size_bits", "", "Bits of entropy pool.", &[], 1),
];

/// Some files of fixed numbers without further meaning.
pub(super) struct Numbers<const N: usize> {
    name: &'static str,
    file: File<N>,
}

/// Open file handles of the machine, from `/proc/sys/fs/file-nr`.
pub(super) fn filefd(roots: &Roots) -> Numbers<2> {
    let outer = |bytes: &[u8]| {
        let mut fields = words(bytes).map(|word| number(word).map(|value| value as f64));
        [fields.next().flatten(), fields.nth(1).flatten()]
    };
    Numbers { name: "filefd", file: File::new(roots.proc.join("sys/fs/file-nr"), &FILEFD, outer) }
}

impl<const N: usize> Collector for Numbers<N> {
    fn name(&self) -> &'static str {
        self.name
    }

    fn collect(&mut self, _now: Timestamp, intern: &dyn Intern, out: &mut Batch) -> Result<Reading, CollectError> {
        let mut trouble = Trouble::default();
        match self.file.read(&mut Emit::new("node", intern, out), &mut trouble) {
            Ok(_) => Ok(trouble.reading()),
            Err(error) => unread(self.name, self.file.source.path(), &error),
        }
    }
}

/// The kernel's entropy pool, from `/proc/sys/kernel/random`.
pub(super) struct Entropy {
    available: Source,
    pool: Source,
    slots: [Slot; 2],
}

impl Entropy {
    pub(super) fn new(roots: &Roots) -> Self {
        let folder = roots.proc.join("sys/kernel/random");
        let (available, pool) = (Source::new(folder.join("entropy_avail")), Source::new(folder.join("poolsize")));
        Self { available, pool, slots: [Slot::New; 2] }
    }
}

impl Collector for Entropy {
    fn name(&self) -> &'static str {
        "entropy"
    }

    fn collect(&mut self, _now: Timestamp, intern: &dyn Intern, out: &mut Batch) -> Result<Reading, CollectError> {
        let mut emit = Emit::new("node", intern, out);
        let mut trouble = Trouble::default();
        for ((source, slot), desc) in
            [&mut self.available, &mut self.pool].into_iter().zip(&mut self.slots).zip(&ENTROPY)
        {
            match source.read().map(|bytes| words(bytes).next().and_then(number)) {
                Ok(Some(bits)) => emit.put(slot, desc, &[], bits as f64),
                Ok(None) => trouble.note(|| format!("{}: expected a number", source.path().display())),
                Err(error) => return unread("entropy", source.path(), &error),
            }
        }
        Ok(trouble.reading())
    }
}
