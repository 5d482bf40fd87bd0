//! Context switches, interrupts, forks and runnable processes, from `/proc/stat`.

use super::bytes::{lines, number, words};
use super::proc_stat::ProcStat;
use super::report::{Trouble, garbage, unread};
use crate::collect::catalogue::{counter, gauge};
use crate::collect::emit::{Emit, Slot};
use crate::collect::{CollectError, Collector, Reading};
use crate::model::{Batch, FamilyDesc, Intern, Timestamp};

pub(super) static FAMILIES: [FamilyDesc; 6] = [
    counter("node_intr_total", "", "Total number of interrupts serviced.", &[], 1),
    counter("node_context_switches_total", "", "Total number of context switches.", &[], 1),
    gauge("node_boot_time_seconds", "seconds", "Node boot time, in unixtime.", &[], 1),
    counter("node_forks_total", "", "Total number of forks.", &[], 1),
    gauge("node_procs_running", "", "Number of processes in runnable state.", &[], 1),
    gauge("node_procs_blocked", "", "Number of processes blocked waiting for I/O to complete.", &[], 1),
];

/// First words of the lines, in the order of the families.
const KEYS: [&[u8]; 6] = [b"intr", b"ctxt", b"btime", b"processes", b"procs_running", b"procs_blocked"];

/// The collector.
pub(super) struct Stat {
    stat: ProcStat,
    slots: [Slot; 6],
}

impl Stat {
    pub(super) fn new(stat: ProcStat) -> Self {
        Self { stat, slots: [Slot::New; 6] }
    }
}

impl Collector for Stat {
    fn name(&self) -> &'static str {
        "stat"
    }

    fn collect(&mut self, now: Timestamp, intern: &dyn Intern, out: &mut Batch) -> Result<Reading, CollectError> {
        let mut emit = Emit::new("node", intern, out);
        let (slots, path) = (&mut self.slots, self.stat.path());
        let parsed = self.stat.with(now, |bytes| {
            let mut trouble = Trouble::default();
            let mut found = false;
            for line in lines(bytes) {
                let mut fields = words(line);
                let key = fields.next().unwrap_or_default();
                let Some(index) = KEYS.iter().position(|known| *known == key) else { continue };
                let (Some(slot), Some(desc)) = (slots.get_mut(index), FAMILIES.get(index)) else { continue };
                match fields.next().and_then(number) {
                    Some(value) => {
                        found = true;
                        emit.put(slot, desc, &[], value as f64);
                    }
                    None => trouble.bad_line(path, line, "a number"),
                }
            }
            found.then_some(trouble)
        });
        match parsed {
            Err(error) => unread("stat", path, &error),
            Ok(None) => Err(garbage("stat", path, "a line `ctxt …`")),
            Ok(Some(trouble)) => Ok(trouble.reading()),
        }
    }
}
