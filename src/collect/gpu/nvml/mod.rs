//! NVIDIA's management library, loaded at run time: without it everything else works, and the reason is told.
//!
//! The C interface is in [`abi`], what may be asked of a device in [`handle`]. What changes from second to second is read
//! each time ([`device`]); what rarely changes, and what takes long, is read when nobody waits and kept ([`slow`]).

mod abi;
mod device;
mod handle;
mod library;
mod links;
mod mig;
mod processes;
mod slow;
mod units;
mod xid;

use std::collections::HashMap;
use std::ffi::OsString;
use std::path::PathBuf;

use super::fast::FastReading;
use super::reading::{GpuError, GpuIdentity, GpuReading, GpuReadings, GpuSource, Vendor};
use crate::model::Timestamp;

use handle::Device;
use library::{Library, NvmlError};
use xid::XidWatch;

/// Time until a missing driver is looked for again.
const RETRY_MS: i64 = 30_000;

/// Time until a driver that worked before is looked for again: first soon, then after [`RETRY_MS`]. Not at once, because
/// initializing the library loads a driver that somebody just unloads.
const REOPEN_MS: i64 = 5_000;

/// Ticks without any answer after which the library is loaded anew; a single one may be a hiccup.
const MAX_FAILURES: u32 = 3;

/// Time until what rarely changes is read again.
const SLOW_MS: i64 = 10_000;

/// Time between two looks at which GPUs the kernel has: the library knows those of its start only.
const LIST_MS: i64 = 10_000;

/// How long the XID of a GPU that is gone is told.
const LAST_WORDS_MS: i64 = 300_000;

/// GPUs of the largest machine that is watched.
const MAX_GPUS: u32 = 64;

/// GPUs that are remembered, those that are gone too: to be known by their XID or when they come back.
const MAX_KNOWN: usize = 2 * MAX_GPUS as usize;

/// The library, or when and why it could not be used.
pub struct NvmlSource {
    libraries: Vec<OsString>,
    meminfo: PathBuf,
    /// Where the kernel's driver lists its GPUs.
    listing: PathBuf,
    state: State,
    /// What is kept of each GPU, by UUID.
    known: HashMap<String, Known>,
    /// Numbers and UUIDs of the last reading.
    order: Vec<(u32, String)>,
    /// Whose turn it is to have slow values read.
    turn: usize,
    /// Readings without any GPU since the last one with one.
    failures: u32,
    /// Whether a GPU was read since the library was loaded.
    was_read: bool,
    xid: XidWatch,
}

enum State {
    New,
    Ready(Box<Ready>),
    Missing { since: Timestamp, wait_ms: i64, reason: GpuError },
}

struct Ready {
    library: Library,
    driver_version: String,
    nvml_version: String,
    cuda_version: String,
    /// The kernel's GPUs when the library was loaded, and when they were looked at last.
    listed: Vec<OsString>,
    listed_at: Timestamp,
}

/// What is kept of a GPU between readings.
struct Known {
    /// A reading in which only what rarely changes is filled.
    template: GpuReading,
    read_at: Timestamp,
    seen_at: Timestamp,
    /// How many critical errors were seen, and when their number changed.
    xid_count: u64,
    xid_at: Option<Timestamp>,
    /// Until when the driver's samples of process utilisation have been seen, in its microseconds.
    samples_seen: u64,
}

/// Why all GPUs failed, and whether the driver said that it is gone.
struct Failure {
    reason: GpuError,
    is_final: bool,
}

impl NvmlSource {
    /// Tries these files. Memory of GPUs that share the machine's is read from `/proc/meminfo`.
    pub fn new(libraries: Vec<OsString>) -> Self {
        Self {
            xid: XidWatch::default(),
            libraries,
            meminfo: "/proc/meminfo".into(),
            listing: "/proc/driver/nvidia/gpus".into(),
            state: State::New,
            known: HashMap::new(),
            order: Vec::new(),
            turn: 0,
            failures: 0,
            was_read: false,
        }
    }

    /// Reads the kernel's files below another folder than `/proc`.
    pub fn with_proc(mut self, proc: PathBuf) -> Self {
        self.meminfo = proc.join("meminfo");
        self.listing = proc.join("driver/nvidia/gpus");
        self
    }

    fn open(&mut self, now: Timestamp) -> State {
        let mut reason: Option<String> = None;
        for name in &self.libraries {
            match Library::open(name) {
                Ok(Ok(library)) => {
                    self.xid.start(name);
                    self.failures = 0;
                    return State::Ready(Box::new(Ready::new(library, self.listed(), now)));
                }
                // A library that is there tells more than one that is not; of those the first.
                Ok(Err(error)) => reason = Some(format!("{}: {error}", name.display())),
                Err(error) => {
                    reason.get_or_insert_with(|| error.to_string());
                }
            }
        }
        let reason = reason.unwrap_or_else(|| "no library to load".into());
        let reason = GpuError::Unavailable(format!("no NVIDIA driver: {reason}"));
        State::Missing { since: now, wait_ms: RETRY_MS, reason }
    }

    /// The kernel's GPUs; empty where it does not list any.
    fn listed(&self) -> Vec<OsString> {
        let entries = std::fs::read_dir(&self.listing).into_iter().flatten().take(2 * MAX_GPUS as usize).flatten();
        let mut names: Vec<OsString> = entries.map(|entry| entry.file_name()).collect();
        names.sort();
        names
    }

    fn lose(&mut self, now: Timestamp, reason: GpuError) {
        self.xid.stop();
        // Another driver may tell other facts.
        self.known.values_mut().for_each(|known| known.read_at = i64::MIN);
        self.order.clear();
        // A library that was of no use is not loaded again and again: each time the driver tries to wake a dead GPU.
        let wait_ms = if std::mem::take(&mut self.was_read) { REOPEN_MS } else { RETRY_MS };
        self.state = State::Missing { since: now, wait_ms, reason };
    }

    /// Whether a GPU was plugged in or taken away since the library was loaded.
    fn has_other_gpus(&mut self, now: Timestamp) -> bool {
        let State::Ready(ready) = &self.state else { return false };
        if (0..LIST_MS).contains(&now.saturating_sub(ready.listed_at)) {
            return false;
        }
        let listed = self.listed();
        let State::Ready(ready) = &mut self.state else { return false };
        ready.listed_at = now;
        // A list that is empty is one that cannot be read, or a driver that says so itself.
        !listed.is_empty() && !ready.listed.is_empty() && listed != ready.listed
    }

    fn read_all(&mut self, now: Timestamp) -> Result<GpuReadings, Failure> {
        let State::Ready(ready) = &self.state else {
            return Err(Failure { reason: GpuError::Unavailable("not opened".into()), is_final: false });
        };
        self.order.clear();
        let count = ready.library.device_count().map_err(|error| Failure {
            reason: GpuError::Failed(format!("count of GPUs: {error}")),
            is_final: error.is_end_of_driver(),
        })?;
        if count == 0 {
            let reason = GpuError::Unavailable("the NVIDIA driver knows no GPU".into());
            return Err(Failure { reason, is_final: false });
        }
        self.xid.keep_running(now);
        let mut readings = GpuReadings::default();
        let mut first_error = None;
        for index in 0..count.min(MAX_GPUS) {
            match read_one(ready, &mut self.known, &mut self.order, &self.meminfo, index, now) {
                Ok(Some(mut reading)) => {
                    reading.xid = self.xid.of(&reading.identity.uuid);
                    readings.gpus.push(reading);
                }
                Ok(None) => {
                    readings.trouble.get_or_insert_with(|| format!("GPU {index}: another one has the same UUID"));
                }
                // One GPU that fell off the bus does not hide the others.
                Err(error) => {
                    readings.trouble.get_or_insert_with(|| format!("GPU {index}: {error}"));
                    first_error.get_or_insert(error);
                }
            }
        }
        match (&readings.trouble, readings.gpus.is_empty()) {
            (Some(reason), true) => Err(Failure {
                reason: GpuError::Failed(reason.clone()),
                is_final: first_error.is_some_and(NvmlError::is_end_of_driver),
            }),
            _ => Ok(readings),
        }
    }

    /// Takes a failure as an accident at first; then, or when the driver says so itself, as its end.
    fn judge(&mut self, now: Timestamp, answer: Result<GpuReadings, Failure>) -> Result<GpuReadings, GpuError> {
        let failure = match answer {
            Ok(readings) => {
                self.failures = 0;
                self.was_read = true;
                return Ok(readings);
            }
            Err(failure) => failure,
        };
        self.failures += 1;
        if failure.is_final || self.failures >= MAX_FAILURES {
            self.lose(now, failure.reason.clone());
        }
        Err(failure.reason)
    }

    /// Adds GPUs that are gone but reported a critical error shortly before: it says why.
    fn with_last_words(
        &mut self,
        now: Timestamp,
        answer: Result<GpuReadings, GpuError>,
    ) -> Result<GpuReadings, GpuError> {
        let mut lost = Vec::new();
        while self.known.len() > MAX_KNOWN {
            let oldest = self.known.iter().min_by_key(|(_, known)| known.seen_at).map(|(uuid, _)| uuid.clone());
            oldest.and_then(|uuid| self.known.remove(&uuid));
        }
        for (uuid, known) in &mut self.known {
            let reading = self.xid.last_words(uuid).unwrap_or_default();
            if reading.count != known.xid_count {
                (known.xid_count, known.xid_at) = (reading.count, Some(now));
            }
            let is_here = known.seen_at == now;
            let was_lately = known.xid_at.is_some_and(|at| (0..LAST_WORDS_MS).contains(&(now.saturating_sub(at))));
            if !is_here && was_lately {
                let identity = known.template.identity.clone();
                lost.push(GpuReading { identity, xid: Some(reading), is_lost: true, ..GpuReading::default() });
            }
        }
        if lost.is_empty() {
            return answer;
        }
        let mut readings = answer.or_else(|error| match error {
            GpuError::Failed(reason) | GpuError::Unavailable(reason) => {
                Ok::<_, GpuError>(GpuReadings { gpus: Vec::new(), trouble: Some(reason) })
            }
        })?;
        readings.gpus.append(&mut lost);
        Ok(readings)
    }
}

/// One GPU; `None` when it calls itself as one before it.
fn read_one(
    ready: &Ready,
    known: &mut HashMap<String, Known>,
    order: &mut Vec<(u32, String)>,
    meminfo: &std::path::Path,
    index: u32,
    now: Timestamp,
) -> Result<Option<GpuReading>, NvmlError> {
    let device = ready.library.device(index)?;
    let uuid = uuid_of(&device, index)?;
    if order.iter().any(|(_, other)| *other == uuid) {
        return Ok(None);
    }
    let known = known.entry(uuid.clone()).or_insert_with(Known::new);
    if known.read_at == i64::MIN || known.template.identity.index != index {
        let identity = ready.identity(&device, index, uuid.clone());
        known.refresh(slow::read(&device, identity), now);
    }
    order.push((index, uuid));
    let reading = device::read(&device, known, meminfo, now)?;
    known.seen_at = now;
    Ok(Some(reading))
}

/// The name for ever; of libraries that tell none, its place.
fn uuid_of(device: &Device<'_>, index: u32) -> Result<String, NvmlError> {
    match device.text(device.library().functions.uuid) {
        Ok(uuid) if !uuid.is_empty() => return Ok(uuid),
        Ok(_) | Err(NvmlError::NO_FUNCTION | NvmlError::NOT_SUPPORTED) => {}
        Err(error) => return Err(error),
    }
    let place = device.pci_bus_id();
    Ok(if place.is_empty() { format!("GPU-{index}") } else { format!("GPU-{place}") })
}

impl Ready {
    fn new(library: Library, listed: Vec<OsString>, now: Timestamp) -> Self {
        Self {
            driver_version: library.driver_version(),
            nvml_version: library.nvml_version(),
            cuda_version: library.cuda_version(),
            library,
            listed,
            listed_at: now,
        }
    }

    fn identity(&self, device: &Device<'_>, index: u32, uuid: String) -> GpuIdentity {
        let functions = &self.library.functions;
        GpuIdentity {
            vendor: Vendor::Nvidia,
            index,
            uuid,
            name: device.text(functions.name).unwrap_or_default(),
            driver_version: self.driver_version.clone(),
            nvml_version: self.nvml_version.clone(),
            cuda_version: self.cuda_version.clone(),
            pci_bus_id: device.pci_bus_id(),
            vbios_version: device.text(functions.vbios_version).unwrap_or_default(),
        }
    }
}

impl Known {
    fn new() -> Self {
        Self {
            template: GpuReading::default(),
            read_at: i64::MIN,
            seen_at: i64::MIN,
            xid_count: 0,
            xid_at: None,
            samples_seen: 0,
        }
    }

    fn refresh(&mut self, template: GpuReading, now: Timestamp) {
        let old = std::mem::replace(&mut self.template, template);
        self.keep_pcie(&old);
        self.read_at = now;
    }

    /// Remembers which counters of PCIe there are, so that idle time measures the others only, and what it measured.
    fn keep_pcie(&mut self, reading: &GpuReading) {
        self.template.pcie_transmitted_bytes = reading.pcie_transmitted_bytes;
        self.template.pcie_received_bytes = reading.pcie_received_bytes;
        self.template.pcie_transmit_rate = reading.pcie_transmit_rate;
        self.template.pcie_receive_rate = reading.pcie_receive_rate;
    }
}

impl GpuSource for NvmlSource {
    fn read(&mut self, now: Timestamp) -> Result<GpuReadings, GpuError> {
        let is_due = match &self.state {
            State::New => true,
            State::Missing { since, wait_ms, .. } => !(0..*wait_ms).contains(&now.saturating_sub(*since)),
            State::Ready(_) => false,
        };
        if is_due {
            self.state = self.open(now);
        }
        if self.has_other_gpus(now) {
            self.lose(now, GpuError::Failed("GPUs came or went: the library is loaded anew".into()));
        }
        let answer = match &self.state {
            State::Missing { reason, .. } => Err(reason.clone()),
            _ => {
                let answer = self.read_all(now);
                self.judge(now, answer)
            }
        };
        self.with_last_words(now, answer)
    }

    fn read_fast(&mut self, now: Timestamp) -> Vec<FastReading> {
        let State::Ready(ready) = &self.state else { return Vec::new() };
        let device = |(index, uuid): &(u32, String)| {
            let device = ready.library.device(*index).ok()?;
            device::read_fast(&device, &self.known.get(uuid)?.template, &self.meminfo, now)
        };
        self.order.iter().filter_map(device).collect()
    }

    fn idle(&mut self, now: Timestamp) {
        let State::Ready(ready) = &self.state else { return };
        if self.order.is_empty() {
            return;
        }
        self.turn = (self.turn + 1) % self.order.len();
        let Some((index, uuid)) = self.order.get(self.turn) else { return };
        let (Ok(device), Some(known)) = (ready.library.device(*index), self.known.get_mut(uuid)) else { return };
        if !(0..SLOW_MS).contains(&now.saturating_sub(known.read_at)) {
            let identity = known.template.identity.clone();
            known.refresh(slow::read(&device, identity), now);
        }
        slow::pcie_rates(&device, &mut known.template);
    }
}
