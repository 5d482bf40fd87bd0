//! CPU time by core and mode, from `/proc/stat`.

use std::sync::Arc;

use super::bytes::{label, lines, number, words};
use super::class::{Devices, Look};
use super::proc_stat::{ProcStat, user_hz};
use super::report::{Trouble, garbage, unread};
use super::usage::{CpuTimes, Usage};
use crate::collect::catalogue::counter;
use crate::collect::emit::{Emit, Table};
use crate::collect::{CollectError, Collector, Reading};
use crate::model::{Batch, FamilyDesc, Intern, Timestamp};

const SECONDS: &FamilyDesc = &FAMILIES[0];
const GUEST: &FamilyDesc = &FAMILIES[1];
pub(super) static FAMILIES: [FamilyDesc; 2] = [
    counter("node_cpu_seconds_total", "seconds", "Seconds the CPUs spent in each mode.", &["cpu", "mode"], 16_384),
    counter(
        "node_cpu_guest_seconds_total",
        "seconds",
        "Seconds the CPUs spent in guests (VMs) for each mode.",
        &["cpu", "mode"],
        4_096,
    ),
];

/// Modes in the order of the columns of `/proc/stat`; the last two are time that user and nice contain already.
const MODES: [&str; 8] = ["user", "nice", "system", "idle", "iowait", "irq", "softirq", "steal"];
const GUEST_MODES: [&str; 2] = ["user", "nice"];
const COLUMNS: usize = MODES.len() + GUEST_MODES.len();
const IDLE: usize = 3;

/// Cores of the largest machine that is watched.
const MAX_CPUS: usize = 2048;

/// A fall of the idle counter by more than this means that the core was off line; less is the kernel's own jitter.
const OFFLINE_SECONDS: f64 = 3.0;

/// What the kernel said about one core, in ticks; a column that an old kernel lacks is `None`.
type Columns = [Option<u64>; COLUMNS];

/// The collector.
pub(super) struct Cpu {
    stat: ProcStat,
    hz: f64,
    /// Columns that are shown: with or without the time of guests.
    shown: usize,
    cores: Table<[f64; COLUMNS]>,
    usage: Arc<Usage>,
    look: Look,
    facts: Devices,
}

impl Cpu {
    pub(super) fn new(stat: ProcStat, usage: Arc<Usage>, look: Look, guests: bool) -> Self {
        let cores = Table::new(COLUMNS, MAX_CPUS);
        let shown = if guests { COLUMNS } else { MODES.len() };
        Self { stat, hz: user_hz(), shown, cores, usage, look, facts: Devices::default() }
    }
}

impl Collector for Cpu {
    fn name(&self) -> &'static str {
        "cpu"
    }

    fn collect(&mut self, now: Timestamp, intern: &dyn Intern, out: &mut Batch) -> Result<Reading, CollectError> {
        let mut emit = Emit::new("node", intern, out);
        let (cores, usage, hz, path) = (&mut self.cores, &self.usage, self.hz, self.stat.path());
        let shown = self.shown;
        let parsed = self.stat.with(now, |bytes| {
            let mut trouble = Trouble::default();
            let mut found = false;
            for line in lines(bytes).take_while(|line| line.starts_with(b"cpu")) {
                let mut fields = words(line);
                let core = fields.next().unwrap_or_default().get(3..).unwrap_or_default();
                let Some(columns) = columns(fields) else {
                    trouble.bad_line(path, line, "counters of a core");
                    continue;
                };
                if core.is_empty() {
                    usage.cpu(now, times(&columns));
                    continue;
                }
                found = true;
                match cores.row(core, || [0.0; COLUMNS]) {
                    Some(row) => {
                        settle(&mut row.state, &columns, hz);
                        put(&mut emit, row, core, columns.get(..shown).unwrap_or_default());
                    }
                    None => trouble.note(|| format!("more than {MAX_CPUS} cores")),
                }
            }
            found.then_some(trouble)
        });
        self.cores.end_tick(&emit);
        match parsed {
            Err(error) => unread("cpu", path, &error),
            Ok(None) => Err(garbage("cpu", path, "a line `cpu0 …`")),
            Ok(Some(mut trouble)) => {
                // What sysfs lacks, it lacks.
                let _ = self.facts.tick(now, &self.look, &mut emit, &mut trouble);
                Ok(trouble.reading())
            }
        }
    }
}

fn columns<'a>(fields: impl Iterator<Item = &'a [u8]>) -> Option<Columns> {
    let mut columns = [None; COLUMNS];
    for (column, field) in columns.iter_mut().zip(fields) {
        *column = Some(number(field)?);
    }
    columns[IDLE].map(|_| columns)
}

fn times(columns: &Columns) -> CpuTimes {
    let at = |index: usize| columns.get(index).copied().flatten();
    let idle = at(IDLE).unwrap_or(0).saturating_add(at(IDLE + 1).unwrap_or(0));
    let total = (0..MODES.len()).filter_map(at).fold(0u64, u64::saturating_add);
    CpuTimes { busy: total.saturating_sub(idle), total }
}

/// Takes new counters over, but lets none run backwards: iowait and idle do so by a few ticks on real kernels.
fn settle(known: &mut [f64; COLUMNS], columns: &Columns, hz: f64) {
    let seconds = |ticks: Option<u64>| ticks.map_or(0.0, |ticks| ticks as f64 / hz);
    let restarted = seconds(columns[IDLE]) < known[IDLE] - OFFLINE_SECONDS;
    for (known, column) in known.iter_mut().zip(columns) {
        let fresh = seconds(*column);
        if restarted || fresh > *known {
            *known = fresh;
        }
    }
}

fn put(emit: &mut Emit<'_>, row: &mut crate::collect::emit::Row<[f64; COLUMNS]>, core: &[u8], columns: &[Option<u64>]) {
    let core = label(core);
    let modes = MODES.iter().map(|mode| (SECONDS, mode)).chain(GUEST_MODES.iter().map(|mode| (GUEST, mode)));
    for ((((desc, mode), slot), value), column) in modes.zip(&mut row.slots).zip(&row.state).zip(columns) {
        if column.is_some() {
            emit.put(slot, desc, &[&core, mode], *value);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::Cpu;
    use crate::collect::Reading;
    use crate::collect::system::proc_stat::ProcStat;
    use crate::collect::system::usage::Usage;
    use crate::collect::testing::{Interner, collect, put};

    fn cpu(proc: &std::path::Path, usage: Arc<Usage>) -> Cpu {
        Cpu::new(ProcStat::new(proc), usage, Box::new(|_| Ok(())), true)
    }

    const FIRST: &str = "cpu  400 0 200 9000 100 0 10 5 7 0\ncpu0 200 0 100 4500 50 0 5 5 7 0\ncpu1 200 0 100 4500 50 0 5 0 0 0\nintr 5\n";

    #[test]
    fn modes_by_core_and_usage_from_the_difference() {
        let root = tempfile::tempdir().unwrap();
        let usage = Arc::new(Usage::default());
        let mut cpu = cpu(root.path(), usage.clone());
        let intern = Interner::default();
        put(root.path(), "stat", FIRST);
        let (page, result) = collect(&mut cpu, &intern, 1000);
        assert_eq!(result.unwrap(), Reading::Complete);
        assert_eq!(page.len(), 20);
        assert_eq!(page[r#"node_cpu_seconds_total{cpu="0", mode="idle"}"#], 45.0);
        assert_eq!(page[r#"node_cpu_guest_seconds_total{cpu="0", mode="user"}"#], 0.07);
        assert_eq!(usage.snapshot().cpu_ratio, None, "a first reading has no difference");
        put(
            root.path(),
            "stat",
            &FIRST.replace("cpu  400", "cpu  450").replace("9000", "9050").replace("4500 50 0 5 5", "4499 49 0 5 5"),
        );
        let (page, _) = collect(&mut cpu, &intern, 2000);
        assert_eq!(usage.snapshot().cpu_ratio, Some(0.5));
        assert_eq!(page[r#"node_cpu_seconds_total{cpu="0", mode="idle"}"#], 45.0, "no small step back");
        let (_, _) = collect(&mut cpu, &intern, 2000);
        assert_eq!(usage.snapshot().cpu_ratio, None, "a zero-length interval has none");
        assert_eq!(intern.count(), 20, "a steady tick interns nothing");
    }

    #[test]
    fn bad_input_is_told() {
        for (text, expected) in [
            ("", "expected a line `cpu0 …`"),
            ("cpu  1 2 3 4\ncpu0 1 2 x 4\ncpu1 1 2 3 4\n", "expected counters of a core"),
            ("cpu0 99999999999999999999999 2 3 4\ncpu1 1 2 3 4\n", "found \"cpu0 9999"),
            ("cpu0 1 2\ncpu1 1 2 3 4\n", "found \"cpu0 1 2\""),
        ] {
            let root = tempfile::tempdir().unwrap();
            put(root.path(), "stat", text);
            let mut cpu = cpu(root.path(), Arc::default());
            let (page, result) = collect(&mut cpu, &Interner::default(), 0);
            assert!(format!("{result:?}").contains(&format!("{expected:?}")[1..expected.len()]), "{result:?}");
            assert_eq!(page.len(), if text.is_empty() { 0 } else { 4 }, "a column that is not there is absent");
        }
        let mut cpu = cpu(std::path::Path::new("/nowhere"), Arc::default());
        assert!(matches!(collect(&mut cpu, &Interner::default(), 0).1, Ok(Reading::Unavailable(_))));
    }
}
