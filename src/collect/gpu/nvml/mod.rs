//! NVIDIA's management library, loaded at run time: without it everything else works, and the reason is told.
//!
//! What changes from second to second is read each time ([`device`]); what rarely changes, and what takes long, is read
//! when nobody waits and kept ([`slow`]).

mod device;
mod links;
mod mig;
mod raw;
mod slow;
mod xid;

use std::collections::HashMap;
use std::ffi::{OsStr, OsString};
use std::path::PathBuf;

use nvml_wrapper::error::NvmlError;
use nvml_wrapper::{Device, Nvml, cuda_driver_version_major, cuda_driver_version_minor};

use super::fast::FastReading;
use super::reading::{GpuError, GpuIdentity, GpuReading, GpuReadings, GpuSource, Vendor};
use crate::model::Timestamp;

use raw::Raw;
use xid::XidWatch;

/// Time until a missing driver is looked for again.
const RETRY_MS: i64 = 30_000;

/// Time until what rarely changes is read again.
const SLOW_MS: i64 = 10_000;

/// GPUs of the largest machine that is watched.
const MAX_GPUS: u32 = 64;

/// The library, or when and why it could not be used.
pub struct NvmlSource {
    libraries: Vec<OsString>,
    meminfo: PathBuf,
    state: State,
    /// What is kept of each GPU, by UUID.
    known: HashMap<String, Known>,
    /// Numbers and UUIDs of the last reading.
    order: Vec<(u32, String)>,
    /// Whose turn it is to have slow values read.
    turn: usize,
    xid: XidWatch,
}

enum State {
    New,
    Ready(Box<Ready>),
    Missing { since: Timestamp, reason: GpuError },
}

struct Ready {
    nvml: Nvml,
    raw: Option<Raw>,
    driver_version: String,
    nvml_version: String,
    cuda_version: String,
}

/// What is kept of a GPU between readings.
struct Known {
    /// A reading in which only what rarely changes is filled.
    template: GpuReading,
    read_at: Timestamp,
    /// Until when the driver's samples of process utilisation have been seen, in its microseconds.
    samples_seen: u64,
}

impl NvmlSource {
    /// Tries these files. Memory of GPUs that share the machine's is read from `/proc/meminfo`.
    pub fn new(libraries: Vec<OsString>) -> Self {
        Self {
            xid: XidWatch::default(),
            libraries,
            meminfo: "/proc/meminfo".into(),
            state: State::New,
            known: HashMap::new(),
            order: Vec::new(),
            turn: 0,
        }
    }

    /// Reads the machine's memory from another file.
    pub fn with_meminfo(mut self, path: PathBuf) -> Self {
        self.meminfo = path;
        self
    }

    fn open(&mut self) -> State {
        let mut reason = String::from("no library to load");
        for library in &self.libraries {
            match Nvml::builder().lib_path(OsStr::new(library)).init() {
                Ok(nvml) => {
                    self.xid.start(library);
                    return State::Ready(Box::new(Ready::new(nvml, Raw::open(library))));
                }
                // The first name tells best: the second is only there with a toolkit.
                Err(error) if reason.starts_with("no library to load") || !is_load_error(&error) => {
                    reason = format!("{}: {error}", library.display());
                }
                Err(_) => {}
            }
        }
        State::Missing { since: 0, reason: GpuError::Unavailable(format!("no NVIDIA driver: {reason}")) }
    }

    fn lost(&mut self, now: Timestamp, reason: GpuError) -> GpuError {
        self.xid.stop();
        self.known.clear();
        self.order.clear();
        self.state = State::Missing { since: now, reason: reason.clone() };
        reason
    }

    fn read_all(&mut self, now: Timestamp) -> Result<GpuReadings, GpuError> {
        let State::Ready(ready) = &self.state else { return Err(GpuError::Unavailable("not opened".into())) };
        let count = ready.nvml.device_count().map_err(|error| GpuError::Failed(format!("count of GPUs: {error}")))?;
        if count == 0 {
            return Err(GpuError::Unavailable("the NVIDIA driver knows no GPU".into()));
        }
        self.xid.keep_running(now);
        self.order.clear();
        let mut readings = GpuReadings::default();
        for index in 0..count.min(MAX_GPUS) {
            let device = ready.nvml.device_by_index(index).and_then(|device| Ok((device.uuid()?, device)));
            let read = device.and_then(|(uuid, device)| {
                let known = self.known.entry(uuid.clone()).or_insert_with(|| Known {
                    template: GpuReading::default(),
                    read_at: i64::MIN,
                    samples_seen: 0,
                });
                if known.read_at == i64::MIN || known.template.identity.index != index {
                    let identity = ready.identity(&device, index, uuid.clone());
                    known.refresh(slow::read(&device, identity, ready.raw.as_ref()), now);
                }
                self.order.push((index, uuid));
                device::read(&device, known, ready.raw.as_ref(), &self.meminfo)
            });
            match read {
                Ok(mut reading) => {
                    reading.xid = self.xid.of(&reading.identity.uuid);
                    readings.gpus.push(reading);
                }
                // One GPU that fell off the bus does not hide the others.
                Err(error) => {
                    readings.trouble.get_or_insert_with(|| format!("GPU {index}: {error}"));
                }
            }
        }
        let order = &self.order;
        self.known.retain(|uuid, _| order.iter().any(|(_, known)| known == uuid));
        match (&readings.trouble, readings.gpus.is_empty()) {
            (Some(reason), true) => Err(GpuError::Failed(reason.clone())),
            _ => Ok(readings),
        }
    }
}

impl Ready {
    fn new(nvml: Nvml, raw: Option<Raw>) -> Self {
        let cuda = nvml.sys_cuda_driver_version().ok();
        let cuda_version = cuda.map_or(String::new(), |version| {
            format!("{}.{}", cuda_driver_version_major(version), cuda_driver_version_minor(version))
        });
        Self {
            driver_version: nvml.sys_driver_version().unwrap_or_default(),
            nvml_version: nvml.sys_nvml_version().unwrap_or_default(),
            cuda_version,
            nvml,
            raw,
        }
    }

    fn identity(&self, device: &Device<'_>, index: u32, uuid: String) -> GpuIdentity {
        GpuIdentity {
            vendor: Vendor::Nvidia,
            index,
            uuid,
            name: device.name().unwrap_or_default(),
            driver_version: self.driver_version.clone(),
            nvml_version: self.nvml_version.clone(),
            cuda_version: self.cuda_version.clone(),
            pci_bus_id: device.pci_info().map(|pci| pci.bus_id).unwrap_or_default(),
            vbios_version: device.vbios_version().unwrap_or_default(),
        }
    }
}

impl Known {
    fn refresh(&mut self, template: GpuReading, now: Timestamp) {
        let rates = (self.template.pcie_transmit_rate, self.template.pcie_receive_rate);
        self.template = template;
        (self.template.pcie_transmit_rate, self.template.pcie_receive_rate) = rates;
        self.read_at = now;
    }
}

impl GpuSource for NvmlSource {
    fn read(&mut self, now: Timestamp) -> Result<GpuReadings, GpuError> {
        let again = match &self.state {
            State::New => true,
            State::Missing { since, .. } => now.saturating_sub(*since) >= RETRY_MS || now < *since,
            State::Ready(_) => false,
        };
        if again {
            self.state = self.open();
        }
        if let State::Missing { since, reason } = &mut self.state {
            if again {
                *since = now;
            }
            return Err(reason.clone());
        }
        // A driver that was unloaded answers nothing ever again: it is opened anew, later.
        self.read_all(now).map_err(|reason| self.lost(now, reason))
    }

    fn read_fast(&mut self, now: Timestamp) -> Vec<FastReading> {
        let State::Ready(ready) = &self.state else { return Vec::new() };
        let device = |(index, uuid): &(u32, String)| {
            let device = ready.nvml.device_by_index(*index).ok()?;
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
        let (Ok(device), Some(known)) = (ready.nvml.device_by_index(*index), self.known.get_mut(uuid)) else { return };
        if !(0..SLOW_MS).contains(&now.saturating_sub(known.read_at)) {
            let identity = known.template.identity.clone();
            known.refresh(slow::read(&device, identity, ready.raw.as_ref()), now);
        }
        if known.template.pcie_transmitted_bytes.is_none() {
            (known.template.pcie_transmit_rate, known.template.pcie_receive_rate) = slow::pcie_rates(&device);
        }
    }
}

fn is_load_error(error: &NvmlError) -> bool {
    matches!(error, NvmlError::LibloadingError(_) | NvmlError::LibraryNotFound)
}
