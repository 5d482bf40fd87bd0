//! The GPU collector: readings become `gpu_*` series.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;

use super::poller::{Answer, Poller};
use super::reading::{CLOCKS, GpuError, GpuProcess, GpuReading, GpuSource, THROTTLE_REASONS};
use crate::collect::catalogue::{counter, gauge, info};
use crate::collect::emit::{Emit, Row, Slot, Table};
use crate::collect::worker::WorkersHandle;
use crate::collect::{CollectError, Collector, Reading};
use crate::model::{Batch, FamilyDesc, Intern, Timestamp};

/// How long a tick waits for the driver. Reading eight GPUs takes a few milliseconds; a fifth of a second is a fault.
const DEADLINE: Duration = Duration::from_millis(200);
/// A thread that ended is started again after this time.
const RESTART_MS: i64 = 30_000;
/// GPUs that are watched at most.
const MAX_GPUS: usize = 64;
/// Series of process groups on one machine.
const MAX_GROUP_ROWS: usize = 1024;

const GPU: &[&str] = &["gpu", "uuid"];
const MAX: u32 = MAX_GPUS as u32;

/// Families with one value a GPU, in the order of [`values`].
static PLAIN: [FamilyDesc; 18] = [
    gauge("gpu_utilization_ratio", "ratio", "Share of the driver's sample period in which a kernel ran.", GPU, MAX),
    gauge(
        "gpu_memory_utilization_ratio",
        "ratio",
        "Share of the driver's sample period in which memory was read or written.",
        GPU,
        MAX,
    ),
    gauge("gpu_encoder_utilization_ratio", "ratio", "Use of the video encoder.", GPU, MAX),
    gauge("gpu_decoder_utilization_ratio", "ratio", "Use of the video decoder.", GPU, MAX),
    gauge("gpu_memory_total_bytes", "bytes", "Memory of the GPU; absent where it shares the machine's.", GPU, MAX),
    gauge("gpu_memory_used_bytes", "bytes", "Memory of the GPU that is in use.", GPU, MAX),
    gauge("gpu_memory_free_bytes", "bytes", "Memory of the GPU that is free.", GPU, MAX),
    gauge("gpu_temperature_celsius", "celsius", "Temperature of the chip.", GPU, MAX),
    gauge("gpu_memory_temperature_celsius", "celsius", "Temperature of the memory.", GPU, MAX),
    gauge("gpu_power_watts", "watts", "Power draw.", GPU, MAX),
    gauge("gpu_power_limit_watts", "watts", "Power limit that is enforced.", GPU, MAX),
    counter("gpu_energy_joules_total", "joules", "Energy since the driver was loaded.", GPU, MAX),
    gauge("gpu_fan_ratio", "ratio", "Speed of the first fan as a share of its maximum.", GPU, MAX),
    gauge("gpu_pcie_link_generation", "", "Generation of the PCIe link as it runs now.", GPU, MAX),
    gauge("gpu_pcie_link_width", "", "Lanes of the PCIe link as it runs now.", GPU, MAX),
    counter("gpu_pcie_replays_total", "", "PCIe packets that had to be sent again.", GPU, MAX),
    gauge("gpu_performance_state", "", "Performance state from 0, the fastest, to 15.", GPU, MAX),
    gauge("gpu_processes", "", "Processes that use the GPU.", GPU, MAX),
];

/// Families with more labels.
static LABELLED: [FamilyDesc; 5] = [
    gauge("gpu_clock_hertz", "hertz", "Clocks as they run now.", &["gpu", "uuid", "clock"], MAX * 4),
    gauge(
        "gpu_throttle_active",
        "",
        "Whether the clocks are held down for this reason now.",
        &["gpu", "uuid", "reason"],
        MAX * 9,
    ),
    counter(
        "gpu_ecc_errors_total",
        "",
        "Memory errors since the driver was loaded.",
        &["gpu", "uuid", "type"],
        MAX * 2,
    ),
    gauge(
        "gpu_process_memory_bytes",
        "bytes",
        "GPU memory that the processes of a worker group hold; group \"other\" is everybody else.",
        &["gpu", "uuid", "group"],
        MAX_GROUP_ROWS as u32,
    ),
    info(
        "gpu_info",
        "Facts about the GPU.",
        &["gpu", "uuid", "name", "driver_version", "cuda_version", "pci_bus_id"],
        MAX,
    ),
];

pub(in crate::collect) static FAMILIES: &[&[FamilyDesc]] = &[&PLAIN, &LABELLED];

const ECC: [&str; 2] = ["corrected", "uncorrected"];
const SLOTS: usize = PLAIN.len() + CLOCKS.len() + THROTTLE_REASONS.len() + ECC.len() + 1;

/// The group of processes that no matcher took.
const OTHER: &str = "other";

/// Makes a source; called again when the thread that held the last one has ended.
type MakeSource = Box<dyn Fn() -> Box<dyn GpuSource> + Send>;

/// The collector.
pub struct Gpus {
    make: MakeSource,
    poller: Option<Poller>,
    ended_at: Option<Timestamp>,
    workers: Option<WorkersHandle>,
    last: GpuHandle,
    gpus: Table<GpuRow>,
    groups: Table,
    deadline: Duration,
}

/// What is remembered of a GPU: its number as text, and the facts behind `gpu_info`.
struct GpuRow {
    number: String,
    facts: [String; 4],
}

/// The GPUs as the last tick saw them; empty while there is none.
#[derive(Clone, Default)]
pub struct GpuHandle(Arc<Mutex<Arc<Vec<GpuReading>>>>);

impl GpuHandle {
    /// The last readings.
    pub fn last(&self) -> Arc<Vec<GpuReading>> {
        Arc::clone(&self.0.lock())
    }
}

impl Gpus {
    /// A collector over NVIDIA's library. `workers` maps GPU memory of processes to their groups.
    pub fn new(workers: Option<WorkersHandle>) -> Self {
        Self::with_source(workers, || Box::new(super::NvmlSource::default()))
    }

    /// A collector over another source.
    pub fn with_source(workers: Option<WorkersHandle>, make: impl Fn() -> Box<dyn GpuSource> + Send + 'static) -> Self {
        Self {
            make: Box::new(make),
            poller: None,
            ended_at: None,
            workers,
            last: GpuHandle::default(),
            gpus: Table::new(SLOTS, MAX_GPUS),
            groups: Table::new(1, MAX_GROUP_ROWS),
            deadline: DEADLINE,
        }
    }

    /// A handle for snapshots.
    pub fn handle(&self) -> GpuHandle {
        self.last.clone()
    }

    #[cfg(test)]
    pub(super) fn set_deadline(&mut self, deadline: Duration) {
        self.deadline = deadline;
    }

    fn ask(&mut self, now: Timestamp) -> Result<Arc<Vec<GpuReading>>, GpuError> {
        let wait = self.ended_at.is_some_and(|ended| (0..RESTART_MS).contains(&(now - ended)));
        if self.poller.is_none() && !wait {
            let poller = Poller::spawn((self.make)());
            self.poller = Some(poller.map_err(|error| GpuError::Failed(format!("no thread: {error}")))?);
        }
        let Some(poller) = &mut self.poller else {
            return Err(GpuError::Failed("the thread that reads the driver has ended".into()));
        };
        match poller.ask(now, self.deadline) {
            Answer::Read(answer) => answer,
            Answer::Late(since) => {
                Err(GpuError::Failed(format!("the driver has not answered for {:.1} s", since.as_secs_f64())))
            }
            Answer::Gone => {
                (self.poller, self.ended_at) = (None, Some(now));
                Err(GpuError::Failed("the thread that reads the driver has ended".into()))
            }
        }
    }

    fn emit(&mut self, emit: &mut Emit<'_>, gpu: &GpuReading) {
        let identity = &gpu.identity;
        let new_row = || GpuRow { number: identity.index.to_string(), facts: Default::default() };
        let Some(row) = self.gpus.row(identity.uuid.as_bytes(), new_row) else { return };
        // A GPU that came back at another place has another `gpu` label: its series start anew.
        if row.state.number.parse() != Ok(identity.index) {
            emit.release(&row.slots);
            row.slots.fill(Slot::New);
            row.state.number = identity.index.to_string();
        }
        emit_gpu(emit, row, gpu);
        let number = row.state.number.as_str();
        if let Some(processes) = &gpu.processes {
            for (group, bytes) in memory_by_group(processes, self.workers.as_ref()) {
                let key = format!("{}\0{group}", identity.uuid);
                let Some(row) = self.groups.row(key.as_bytes(), || ()) else { continue };
                let [.., memory, _] = &LABELLED;
                for slot in &mut row.slots {
                    emit.put(slot, memory, &[number, &identity.uuid, &group], bytes);
                }
            }
        }
    }
}

impl Collector for Gpus {
    fn name(&self) -> &'static str {
        "gpu"
    }

    fn collect(&mut self, now: Timestamp, intern: &dyn Intern, out: &mut Batch) -> Result<Reading, CollectError> {
        let mut emit = Emit::new("gpu", intern, out);
        let answer = self.ask(now);
        let readings = answer.as_ref().map_or_else(|_| Arc::default(), Arc::clone);
        readings.iter().for_each(|gpu| self.emit(&mut emit, gpu));
        self.gpus.end_tick(&emit);
        self.groups.end_tick(&emit);
        *self.last.0.lock() = readings;
        match answer {
            Ok(_) => Ok(Reading::Complete),
            Err(GpuError::Unavailable(reason)) => Ok(Reading::Unavailable(reason)),
            Err(GpuError::Failed(reason)) => Err(CollectError { collector: "gpu", reason }),
        }
    }
}

fn emit_gpu(emit: &mut Emit<'_>, row: &mut Row<GpuRow>, gpu: &GpuReading) {
    let (number, uuid) = (row.state.number.as_str(), gpu.identity.uuid.as_str());
    let mut slots = row.slots.iter_mut();
    for (desc, value) in PLAIN.iter().zip(values(gpu)) {
        put_next(emit, &mut slots, desc, &[number, uuid], value);
    }
    let [clock, throttle, ecc, _, gpu_info] = &LABELLED;
    for (name, hertz) in CLOCKS.iter().zip(gpu.clocks_hertz) {
        put_next(emit, &mut slots, clock, &[number, uuid, name], hertz);
    }
    for (index, reason) in THROTTLE_REASONS.iter().enumerate() {
        let active = gpu.throttled.and_then(|active| active.get(index).copied());
        put_next(emit, &mut slots, throttle, &[number, uuid, reason], active.map(|active| f64::from(u8::from(active))));
    }
    for (kind, count) in ECC.iter().zip([gpu.ecc_corrected, gpu.ecc_uncorrected]) {
        put_next(emit, &mut slots, ecc, &[number, uuid, kind], count);
    }
    let identity = &gpu.identity;
    let facts = [&identity.name, &identity.driver_version, &identity.cuda_version, &identity.pci_bus_id];
    let Some(slot) = slots.next() else { return };
    if row.state.facts.iter().ne(facts) {
        emit.release(&[std::mem::take(slot)]);
        row.state.facts = facts.map(String::clone);
    }
    let [name, driver, cuda, bus] = row.state.facts.each_ref().map(String::as_str);
    emit.put(slot, gpu_info, &[number, uuid, name, driver, cuda, bus], 1.0);
}

fn put_next<'s>(
    emit: &mut Emit<'_>,
    slots: &mut impl Iterator<Item = &'s mut Slot>,
    desc: &FamilyDesc,
    labels: &[&str],
    value: Option<f64>,
) {
    if let Some(slot) = slots.next() {
        emit.put_opt(slot, desc, labels, value);
    }
}

/// The values of [`PLAIN`].
fn values(gpu: &GpuReading) -> [Option<f64>; 18] {
    [
        gpu.utilization_ratio,
        gpu.memory_utilization_ratio,
        gpu.encoder_utilization_ratio,
        gpu.decoder_utilization_ratio,
        gpu.memory_total_bytes,
        gpu.memory_used_bytes,
        gpu.memory_free_bytes,
        gpu.temperature_celsius,
        gpu.memory_temperature_celsius,
        gpu.power_watts,
        gpu.power_limit_watts,
        gpu.energy_joules,
        gpu.fan_ratio,
        gpu.pcie_link_generation,
        gpu.pcie_link_width,
        gpu.pcie_replays,
        gpu.performance_state,
        gpu.processes.as_ref().map(|processes| processes.len() as f64),
    ]
}

/// GPU memory by worker group. A group one of whose processes does not tell its memory is left out.
fn memory_by_group(processes: &[GpuProcess], workers: Option<&WorkersHandle>) -> BTreeMap<String, f64> {
    let mut sums: BTreeMap<String, Option<f64>> = BTreeMap::new();
    for process in processes {
        let pid = i32::try_from(process.pid).ok();
        let group = workers.zip(pid).and_then(|(workers, pid)| workers.group_of(pid));
        let sum = sums.entry(group.unwrap_or_else(|| OTHER.to_owned())).or_insert(Some(0.0));
        *sum = sum.zip(process.memory_bytes).map(|(sum, bytes)| sum + bytes);
    }
    sums.into_iter().filter_map(|(group, sum)| Some((group, sum?))).collect()
}
