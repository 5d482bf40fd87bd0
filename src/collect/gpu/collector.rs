//! The GPU collector: readings become `gpu_*` series.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;

use super::aliases::{AliasLabels, AliasSet, Aliases};
use super::amd::AmdSource;
use super::config::GpuConfig;
use super::families::{
    GROUPS, INFO, LABELLED, LABELLED_SLOTS, MAX_GPUS, MAX_GROUP_ROWS, MAX_LINK_ROWS, MAX_MIG_ROWS, MIG, NVLINK, PLAIN,
    flag,
};
use super::fast::{FastLane, FastReading};
use super::lane::{Lane, MakeSource};
use super::nvml::NvmlSource;
use super::reading::{
    CLOCKS, ECC, GpuError, GpuIdentity, GpuProcess, GpuReading, GpuReadings, GpuSource, MigReading, NVLINK_ERRORS,
    NvLinkReading, RETIREMENT_CAUSES, TEMPERATURE_LIMITS, THROTTLE_REASONS,
};
use crate::collect::emit::{Emit, Row, Slot, Table};
use crate::collect::worker::WorkersHandle;
use crate::collect::{CollectError, Collector, Reading};
use crate::model::{Batch, FamilyDesc, Intern, Timestamp};

/// How long a tick waits for the driver. Reading eight GPUs takes a few milliseconds; a fifth of a second is a fault.
const DEADLINE: Duration = Duration::from_millis(200);

/// Slots of a GPU before those of aliases.
const SLOTS: usize = PLAIN.len() + LABELLED_SLOTS + INFO.len();

/// The group of processes that no matcher took.
const OTHER: &str = "other";

/// The collector.
pub struct Gpus {
    lanes: Vec<Lane>,
    workers: Option<WorkersHandle>,
    handle: GpuHandle,
    aliases: AliasSet,
    gpus: Table<GpuRow>,
    groups: Table,
    mig: Table<MigRow>,
    links: Table<String>,
    key: Vec<u8>,
    deadline: Duration,
}

/// What is remembered of a GPU: its label as text, and the facts behind `gpu_info`.
struct GpuRow {
    number: String,
    facts: [String; 7],
    aliases: AliasLabels,
}

impl GpuRow {
    fn new(identity: &GpuIdentity) -> Self {
        Self {
            number: identity.label(),
            facts: Default::default(),
            aliases: AliasLabels::new(identity.index, &identity.uuid),
        }
    }

    fn is_at(&self, identity: &GpuIdentity) -> bool {
        let number = self.number.strip_prefix("card").unwrap_or(&self.number);
        number.parse() == Ok(identity.index)
    }
}

/// Labels of a MIG device.
struct MigRow {
    gpu_instance: String,
    compute_instance: String,
}

/// The GPUs as the last tick saw them, and a way to ask for fast values between ticks; empty while there is none.
#[derive(Clone, Default)]
pub struct GpuHandle {
    last: Arc<Mutex<Arc<Vec<GpuReading>>>>,
    lanes: Arc<[Arc<FastLane>]>,
}

impl GpuHandle {
    /// The readings of the last tick.
    pub fn last(&self) -> Arc<Vec<GpuReading>> {
        Arc::clone(&self.last.lock())
    }

    /// The newest fast values, and a question for the next ones: never waits. Each reading says when it was asked, so
    /// values of a driver that hangs are told by their age. Ten times a second is fine.
    pub fn sample(&self, now: Timestamp) -> Vec<FastReading> {
        let mut readings = Vec::new();
        self.lanes.iter().for_each(|lane| lane.sample(now, &mut readings));
        readings
    }
}

impl Gpus {
    /// A collector over NVIDIA's library and AMD's files. `workers` maps GPU memory of processes to their groups.
    pub fn new(workers: Option<WorkersHandle>, config: &GpuConfig) -> Self {
        Self::with_lanes(workers, sources(config), &config.aliases)
    }

    /// A collector over another source.
    pub fn with_source(workers: Option<WorkersHandle>, make: impl Fn() -> Box<dyn GpuSource> + Send + 'static) -> Self {
        Self::with_lanes(workers, vec![Box::new(make)], &[])
    }

    pub(super) fn with_lanes(workers: Option<WorkersHandle>, lanes: Vec<MakeSource>, aliases: &[Aliases]) -> Self {
        let lanes: Vec<Lane> = lanes.into_iter().map(Lane::new).collect();
        let handle = GpuHandle { last: Arc::default(), lanes: lanes.iter().map(Lane::fast).collect() };
        let aliases = AliasSet::new(aliases);
        Self {
            lanes,
            workers,
            handle,
            gpus: Table::new(SLOTS + aliases.len(), MAX_GPUS),
            aliases,
            groups: Table::new(GROUPS.len(), MAX_GROUP_ROWS),
            mig: Table::new(MIG.len(), MAX_MIG_ROWS),
            links: Table::new(NVLINK.len() - 1 + NVLINK_ERRORS.len(), MAX_LINK_ROWS),
            key: Vec::new(),
            deadline: DEADLINE,
        }
    }

    /// A handle for snapshots and for fast values.
    pub fn handle(&self) -> GpuHandle {
        self.handle.clone()
    }

    #[cfg(test)]
    pub(super) fn set_deadline(&mut self, deadline: Duration) {
        self.deadline = deadline;
    }

    /// What each driver says. A driver that fails takes nothing from the others.
    fn ask(&mut self, now: Timestamp) -> (Vec<Arc<GpuReadings>>, Result<Reading, CollectError>) {
        let (mut found, mut missing, mut failed) = (Vec::new(), Vec::new(), Vec::new());
        let mut answered = false;
        for lane in &mut self.lanes {
            match lane.ask(now, self.deadline) {
                Ok(readings) => {
                    failed.extend(readings.trouble.clone());
                    answered |= readings.gpus.iter().any(|gpu| !gpu.is_lost);
                    found.push(readings);
                }
                Err(GpuError::Unavailable(reason)) => missing.push(reason),
                Err(GpuError::Failed(reason)) => failed.push(reason),
            }
        }
        let result = match (!answered, failed.is_empty()) {
            (true, true) => Ok(Reading::Unavailable(missing.join("; "))),
            (true, false) => Err(CollectError { collector: "gpu", reason: failed.join("; ") }),
            (false, true) => Ok(Reading::Complete),
            (false, false) => Ok(Reading::Degraded(failed.join("; "))),
        };
        (found, result)
    }

    fn emit(&mut self, emit: &mut Emit<'_>, gpu: &GpuReading) {
        let identity = &gpu.identity;
        let Some(row) = self.gpus.row(identity.uuid.as_bytes(), || GpuRow::new(identity)) else { return };
        // A GPU that came back at another place has another `gpu` label: its series start anew.
        if !row.state.is_at(identity) {
            emit.release(&row.slots);
            row.slots.fill(Slot::New);
            row.state = GpuRow::new(identity);
        }
        emit_gpu(emit, row, gpu, &self.aliases);
        let device = [row.state.number.as_str(), identity.uuid.as_str()];
        if let Some(processes) = &gpu.processes {
            let group_of = |pid| self.workers.as_ref()?.group_of(pid);
            for (group, sums) in by_group(processes, group_of) {
                set_key(&mut self.key, &device, &group);
                let Some(row) = self.groups.row(&self.key, || ()) else { continue };
                let [memory, utilization, of_worker] = &GROUPS;
                let labels = [device[0], device[1], &group];
                let mut slots = row.slots.iter_mut();
                put_next(emit, &mut slots, memory, &labels, sums[0]);
                put_next(emit, &mut slots, utilization, &labels, sums[1]);
                let own = sums[0].filter(|_| group != OTHER);
                put_next(emit, &mut slots, of_worker, &[&group, device[0], device[1]], own);
            }
        }
        for part in &gpu.mig {
            set_key(&mut self.key, &device, &part.uuid);
            let Some(row) = self.mig.row(&self.key, || MigRow::new(part)) else { continue };
            emit_mig(emit, row, device, part);
        }
        for link in &gpu.nvlinks {
            // Only so many links: their numbers are written without a text.
            set_key(&mut self.key, &device, "");
            self.key.extend_from_slice(&link.link.to_le_bytes());
            let Some(row) = self.links.row(&self.key, || link.link.to_string()) else { continue };
            emit_link(emit, row, device, link);
        }
    }
}

/// The drivers of this machine, each with a thread of its own: none can hold up another.
pub(super) fn sources(config: &GpuConfig) -> Vec<MakeSource> {
    let (libraries, proc) = (config.nvml_libraries.clone(), config.roots.proc.clone());
    let roots = config.roots.clone();
    vec![
        Box::new(move || Box::new(NvmlSource::new(libraries.clone()).with_proc(proc.clone()))),
        Box::new(move || Box::new(AmdSource::new(&roots))),
    ]
}

impl Collector for Gpus {
    fn name(&self) -> &'static str {
        "gpu"
    }

    fn collect(&mut self, now: Timestamp, intern: &dyn Intern, out: &mut Batch) -> Result<Reading, CollectError> {
        let mut emit = Emit::new("gpu", intern, out);
        let (found, result) = self.ask(now);
        found.iter().flat_map(|readings| &readings.gpus).for_each(|gpu| self.emit(&mut emit, gpu));
        self.gpus.end_tick(&emit);
        self.groups.end_tick(&emit);
        self.mig.end_tick(&emit);
        self.links.end_tick(&emit);
        let gpus = found.iter().flat_map(|readings| &readings.gpus);
        let all = gpus.filter(|gpu| !gpu.is_lost).cloned().collect();
        *self.handle.last.lock() = Arc::new(all);
        result
    }
}

impl MigRow {
    fn new(part: &MigReading) -> Self {
        let text = |number: Option<u32>| number.map(|number| number.to_string()).unwrap_or_default();
        Self { gpu_instance: text(part.gpu_instance), compute_instance: text(part.compute_instance) }
    }
}

/// What tells a row apart: where it is, and its own name.
fn set_key(key: &mut Vec<u8>, device: &[&str; 2], name: &str) {
    key.clear();
    for part in [device[0], device[1], name] {
        key.extend_from_slice(part.as_bytes());
        key.push(0);
    }
}

fn emit_gpu(emit: &mut Emit<'_>, row: &mut Row<GpuRow>, gpu: &GpuReading, aliases: &AliasSet) {
    let identity = &gpu.identity;
    let facts = [
        identity.vendor.as_str(),
        &identity.name,
        &identity.driver_version,
        &identity.nvml_version,
        &identity.cuda_version,
        &identity.pci_bus_id,
        &identity.vbios_version,
    ];
    // Another driver since: series that have facts as labels start anew, the others are found again.
    if row.state.facts.iter().map(String::as_str).ne(facts) {
        emit.release(&row.slots);
        row.slots.fill(Slot::New);
        row.state.facts = facts.map(str::to_owned);
    }
    let (number, uuid) = (row.state.number.as_str(), gpu.identity.uuid.as_str());
    let mut slots = row.slots.iter_mut();
    for plain in &PLAIN {
        put_next(emit, &mut slots, &plain.desc, &[number, uuid], (plain.value)(gpu));
    }
    let [clock, max_clock, application_clock, throttle, ecc, lifetime_ecc, retired, remapped, limits] = &LABELLED;
    let mut put_all = |desc: &FamilyDesc, names: &[&str], values: &[Option<f64>]| {
        for (name, value) in names.iter().zip(values) {
            put_next(emit, &mut slots, desc, &[number, uuid, name], *value);
        }
    };
    put_all(clock, &CLOCKS, &gpu.clocks_hertz);
    put_all(max_clock, &CLOCKS, &gpu.max_clocks_hertz);
    put_all(application_clock, &CLOCKS, &gpu.application_clocks_hertz);
    let active: [Option<f64>; THROTTLE_REASONS.len()] =
        gpu.throttled.map_or([None; THROTTLE_REASONS.len()], |active| active.map(|active| flag(Some(active))));
    put_all(throttle, &THROTTLE_REASONS, &active);
    put_all(ecc, &ECC, &gpu.ecc_volatile);
    put_all(lifetime_ecc, &ECC, &gpu.ecc_aggregate);
    put_all(retired, &RETIREMENT_CAUSES, &gpu.retired_pages);
    put_all(remapped, &ECC, &gpu.remapped_rows);
    put_all(limits, &TEMPERATURE_LIMITS, &gpu.temperature_limits_celsius);
    let Some(slot) = slots.next() else { return };
    let [vendor, name, driver, nvml, cuda, bus, vbios] = facts;
    let [gpu_info] = &INFO;
    emit.put(slot, gpu_info, &[number, uuid, vendor, name, driver, nvml, cuda, bus, vbios], 1.0);
    aliases.emit(emit, &mut slots, gpu, number, &row.state.aliases);
}

fn emit_mig(emit: &mut Emit<'_>, row: &mut Row<MigRow>, [gpu, uuid]: [&str; 2], part: &MigReading) {
    let values = [
        part.memory_total_bytes,
        part.memory_used_bytes,
        part.memory_free_bytes,
        part.multiprocessors,
        part.utilization_ratio,
    ];
    let labels =
        [gpu, uuid, row.state.gpu_instance.as_str(), row.state.compute_instance.as_str(), &part.uuid, &part.profile];
    for ((slot, desc), value) in row.slots.iter_mut().zip(&MIG).zip(values) {
        emit.put_opt(slot, desc, &labels, value);
    }
}

fn emit_link(emit: &mut Emit<'_>, row: &mut Row<String>, [gpu, uuid]: [&str; 2], link: &NvLinkReading) {
    let [up, transmitted, received, errors] = &NVLINK;
    let number = row.state.as_str();
    let mut slots = row.slots.iter_mut();
    let values = [(up, flag(link.up)), (transmitted, link.transmitted_bytes), (received, link.received_bytes)];
    for (desc, value) in values {
        put_next(emit, &mut slots, desc, &[gpu, uuid, number], value);
    }
    for (kind, count) in NVLINK_ERRORS.iter().zip(link.errors) {
        put_next(emit, &mut slots, errors, &[gpu, uuid, number, kind], count);
    }
}

/// Writes a value to the next slot.
pub(super) fn put_next<'s>(
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

/// Memory and utilisation by worker group. A group one of whose processes does not tell its memory has none; of the
/// utilisations, those that are known are added up: an idle process has none.
pub(super) fn by_group(
    processes: &[GpuProcess],
    group_of: impl Fn(i32) -> Option<String>,
) -> BTreeMap<String, [Option<f64>; 2]> {
    let mut sums: BTreeMap<String, [Option<f64>; 2]> = BTreeMap::new();
    for process in processes {
        let group = i32::try_from(process.pid).ok().and_then(&group_of);
        let [memory, utilization] = sums.entry(group.unwrap_or_else(|| OTHER.to_owned())).or_insert([Some(0.0), None]);
        *memory = memory.zip(process.memory_bytes).map(|(sum, bytes)| sum + bytes);
        if let Some(ratio) = process.utilization_ratio {
            *utilization = Some(utilization.unwrap_or(0.0) + ratio);
        }
    }
    sums
}
