//! Pressure stall information: how long tasks waited for CPU, memory and I/O, from `/proc/pressure`.

use std::path::Path;

use super::bytes::{lines, number, words};
use super::report::{Trouble, unread};
use super::roots::Roots;
use super::source::Source;
use crate::collect::catalogue::counter;
use crate::collect::emit::{Emit, Slot};
use crate::collect::{CollectError, Collector, Reading};
use crate::model::{Batch, FamilyDesc, Intern, Timestamp};

pub(super) static FAMILIES: [FamilyDesc; 6] = [
    counter(
        "node_pressure_cpu_waiting_seconds_total",
        "seconds",
        "Total time in seconds that processes have waited for CPU time",
        &[],
        1,
    ),
    counter(
        "node_pressure_io_waiting_seconds_total",
        "seconds",
        "Total time in seconds that processes have waited due to IO congestion",
        &[],
        1,
    ),
    counter(
        "node_pressure_io_stalled_seconds_total",
        "seconds",
        "Total time in seconds no process could make progress due to IO congestion",
        &[],
        1,
    ),
    counter(
        "node_pressure_memory_waiting_seconds_total",
        "seconds",
        "Total time in seconds that processes have waited for memory",
        &[],
        1,
    ),
    counter(
        "node_pressure_memory_stalled_seconds_total",
        "seconds",
        "Total time in seconds no process could make progress due to memory congestion",
        &[],
        1,
    ),
    counter(
        "node_pressure_irq_stalled_seconds_total",
        "seconds",
        "Total time in seconds no process could make progress due to IRQ congestion",
        &[],
        1,
    ),
];

/// Which line of which file fills each family; `full` of the CPU is always 0 for a whole machine and left out.
const LINES: [(usize, &[u8]); 6] =
    [(0, b"some "), (1, b"some "), (1, b"full "), (2, b"some "), (2, b"full "), (3, b"full ")];
const FILES: [&str; 4] = ["cpu", "io", "memory", "irq"];

/// Pressure stall information, from `/proc/pressure`.
pub(super) struct Pressure {
    files: [Source; 4],
    slots: [Slot; 6],
}

impl Pressure {
    pub(super) fn new(roots: &Roots) -> Self {
        let files = FILES.map(|name| Source::new(roots.proc.join("pressure").join(name)));
        Self { files, slots: [Slot::New; 6] }
    }
}

impl Collector for Pressure {
    fn name(&self) -> &'static str {
        "pressure"
    }

    fn collect(&mut self, _now: Timestamp, intern: &dyn Intern, out: &mut Batch) -> Result<Reading, CollectError> {
        let mut emit = Emit::new("node", intern, out);
        let mut trouble = Trouble::default();
        for (index, (file, name)) in self.files.iter_mut().zip(FILES).enumerate() {
            let bytes = match file.read() {
                Ok(bytes) => bytes,
                // Kernels before 6.1, or without CONFIG_IRQ_TIME_ACCOUNTING, have no irq file.
                Err(_) if name == "irq" => continue,
                Err(error) if index == 0 => return unread("pressure", Path::new("pressure/cpu"), &error),
                Err(error) => {
                    trouble.note(|| format!("pressure/{name}: {error}"));
                    continue;
                }
            };
            let wanted = LINES.iter().zip(&mut self.slots).zip(&FAMILIES).filter(|((line, _), _)| line.0 == index);
            for (((_, start), slot), desc) in wanted {
                match stalled_microseconds(bytes, start) {
                    Some(us) => emit.put(slot, desc, &[], us as f64 / 1e6),
                    None => trouble.note(|| format!("pressure/{name}: no line `some … total=` for {}", desc.name)),
                }
            }
        }
        Ok(trouble.reading())
    }
}

fn stalled_microseconds(bytes: &[u8], start: &[u8]) -> Option<u64> {
    let line = lines(bytes).find_map(|line| line.strip_prefix(start))?;
    words(line).find_map(|word| word.strip_prefix(b"total=")).and_then(number)
}
