//! Files with a line or a block a core: packets of `/proc/net/softnet_stat`, run times of `/proc/schedstat`.

use super::bytes::{bare_hex, label, lines, number, words};
use super::report::{Trouble, unread};
use super::roots::Roots;
use super::source::Source;
use crate::collect::catalogue::{counter, gauge};
use crate::collect::emit::{Emit, Table};
use crate::collect::{CollectError, Collector, Reading};
use crate::model::{Batch, FamilyDesc, Intern, Timestamp};

/// Cores of the largest machine that is watched.
const MAX_CPUS: usize = 2048;
const MAX: u32 = MAX_CPUS as u32;
const CPU: &[&str] = &["cpu"];

pub(super) static SOFTNET: [FamilyDesc; 7] = [
    counter("node_softnet_processed_total", "", "Packets that a core took from its interfaces.", CPU, MAX),
    counter("node_softnet_dropped_total", "", "Packets that a core dropped, its backlog being full.", CPU, MAX),
    counter("node_softnet_times_squeezed_total", "", "Times that a core's budget ended before its work.", CPU, MAX),
    counter("node_softnet_cpu_collision_total", "", "Times that two cores wanted to send at once.", CPU, MAX),
    counter("node_softnet_received_rps_total", "", "Times that another core woke this one for packets.", CPU, MAX),
    counter("node_softnet_flow_limit_count_total", "", "Times that the limit of a flow was reached.", CPU, MAX),
    gauge("node_softnet_backlog_len", "", "Packets that wait in the backlog.", CPU, MAX),
];
/// Columns of those families, and of the core's number (since Linux 5.10; before it, lines are counted).
const SOFTNET_COLUMNS: [usize; 7] = [0, 1, 2, 8, 9, 10, 11];
const SOFTNET_CPU: usize = 12;

/// Packets by core.
pub(super) struct SoftNet {
    source: Source,
    cores: Table,
}

impl SoftNet {
    pub(super) fn new(roots: &Roots) -> Self {
        let source = Source::new(roots.proc.join("net/softnet_stat"));
        Self { source, cores: Table::new(SOFTNET.len(), MAX_CPUS) }
    }
}

impl Collector for SoftNet {
    fn name(&self) -> &'static str {
        "softnet"
    }

    fn collect(&mut self, _now: Timestamp, intern: &dyn Intern, out: &mut Batch) -> Result<Reading, CollectError> {
        let mut emit = Emit::new("node", intern, out);
        let mut trouble = Trouble::default();
        if let Err(error) = self.source.read() {
            self.cores.end_tick(&emit);
            return unread("softnet", self.source.path(), &error);
        }
        let (path, bytes) = self.source.last();
        for (index, line) in lines(bytes).enumerate() {
            let mut columns = [None; SOFTNET_CPU + 1];
            for (column, word) in columns.iter_mut().zip(words(line)) {
                *column = bare_hex(word);
            }
            if columns.iter().take(3).any(Option::is_none) {
                trouble.bad_line(path, line, "at least three counters to base 16");
                continue;
            }
            let cpu = columns.last().copied().flatten().unwrap_or(index as u64);
            let Some(row) = self.cores.row(&cpu.to_le_bytes(), || ()) else {
                trouble.note(|| format!("{}: more than {MAX_CPUS} cores", path.display()));
                continue;
            };
            let name = if row.slots.iter().any(|slot| slot.is_due()) { cpu.to_string() } else { String::new() };
            for ((slot, desc), column) in row.slots.iter_mut().zip(&SOFTNET).zip(SOFTNET_COLUMNS) {
                let value = columns.get(column).copied().flatten().map(|value| value as f64);
                emit.put_opt(slot, desc, &[&name], value);
            }
        }
        self.cores.end_tick(&emit);
        Ok(trouble.reading())
    }
}

pub(super) static SCHEDSTAT: [FamilyDesc; 3] = [
    counter("node_schedstat_running_seconds_total", "seconds", "Time that a core ran tasks.", CPU, MAX),
    counter("node_schedstat_waiting_seconds_total", "seconds", "Time that tasks waited for a core.", CPU, MAX),
    counter("node_schedstat_timeslices_total", "", "Time slices that a core ran.", CPU, MAX),
];
/// The fields before the three that are shown.
const SCHEDSTAT_BEFORE: usize = 6;
/// The kernel counts nanoseconds.
const SCHEDSTAT_FACTORS: [f64; 3] = [1e-9, 1e-9, 1.0];

/// Run and wait times by core.
pub(super) struct SchedStat {
    source: Source,
    cores: Table,
}

impl SchedStat {
    pub(super) fn new(roots: &Roots) -> Self {
        let source = Source::new(roots.proc.join("schedstat"));
        Self { source, cores: Table::new(SCHEDSTAT.len(), MAX_CPUS) }
    }
}

impl Collector for SchedStat {
    fn name(&self) -> &'static str {
        "schedstat"
    }

    fn collect(&mut self, _now: Timestamp, intern: &dyn Intern, out: &mut Batch) -> Result<Reading, CollectError> {
        let mut emit = Emit::new("node", intern, out);
        let mut trouble = Trouble::default();
        if let Err(error) = self.source.read() {
            self.cores.end_tick(&emit);
            return unread("schedstat", self.source.path(), &error);
        }
        let (path, bytes) = self.source.last();
        for line in lines(bytes) {
            let mut fields = words(line);
            let Some(cpu) = fields.next().and_then(|word| word.strip_prefix(b"cpu")) else { continue };
            let mut last = fields.skip(SCHEDSTAT_BEFORE).map(number);
            let values: [Option<u64>; 3] = std::array::from_fn(|_| last.next().flatten());
            if values.contains(&None) {
                trouble.bad_line(path, line, "nine counters of a core");
                continue;
            }
            let Some(row) = self.cores.row(cpu, || ()) else {
                trouble.note(|| format!("{}: more than {MAX_CPUS} cores", path.display()));
                continue;
            };
            let cpu = label(cpu);
            for (((slot, desc), value), factor) in
                row.slots.iter_mut().zip(&SCHEDSTAT).zip(values).zip(SCHEDSTAT_FACTORS)
            {
                emit.put_opt(slot, desc, &[&cpu], value.map(|value| value as f64 * factor));
            }
        }
        self.cores.end_tick(&emit);
        Ok(trouble.reading())
    }
}

#[cfg(test)]
mod tests {
    use super::{SchedStat, SoftNet};
    use crate::collect::Reading;
    use crate::collect::system::Roots;
    use crate::collect::testing::{Interner, collect, put};

    #[test]
    fn softnet_of_old_and_new_kernels() {
        let root = tempfile::tempdir().unwrap();
        let mut softnet = SoftNet::new(&Roots::under(root.path()));
        let intern = Interner::default();
        put(root.path(), "proc/net/softnet_stat", "ffffffff 1 2\nzz 1 2\n1 2\n");
        let (page, result) = collect(&mut softnet, &intern, 0);
        assert!(matches!(result, Ok(Reading::Degraded(text)) if text.ends_with("(and 1 more)")));
        assert_eq!((page.len(), page[r#"node_softnet_processed_total{cpu="0"}"#]), (3, f64::from(u32::MAX)));
        put(root.path(), "proc/net/softnet_stat", "1 2 3 0 0 0 0 0 4 5 6 7 0000000b\n");
        let (page, _) = collect(&mut softnet, &intern, 0);
        assert_eq!((page.len(), page[r#"node_softnet_backlog_len{cpu="11"}"#]), (7, 7.0));
    }

    #[test]
    fn schedstat_and_its_garbage() {
        let root = tempfile::tempdir().unwrap();
        let mut schedstat = SchedStat::new(&Roots::under(root.path()));
        let text = "version 15\ncpu0 1 2 3 4 5 6 7000000000 18446744073709551615 9\ndomain0 1\ncpu1 1 2\ncpu2 1 2 3 4 5 6 x 8 9\n";
        put(root.path(), "proc/schedstat", text);
        let (page, result) = collect(&mut schedstat, &Interner::default(), 0);
        assert!(matches!(result, Ok(Reading::Degraded(text)) if text.ends_with("(and 1 more)")));
        assert_eq!((page.len(), page[r#"node_schedstat_running_seconds_total{cpu="0"}"#]), (3, 7.0));
    }
}
