//! GPUs: utilisation, memory, temperature, power, clocks and who holds the memory, in base units.
//!
//! Each driver is called on a thread of its own, NVIDIA's library loaded at run time, AMD's files read: without a GPU everything else works
//! and the reason is told; a call that hangs costs the GPU's samples of that tick and nothing else. Each reading is an
//! `Option`: what a GPU does not support is absent.

mod aliases;
mod amd;
mod collector;
mod config;
mod families;
mod fast;
mod fast_collector;
mod lane;
mod nvml;
mod poller;
mod reading;

#[cfg(test)]
mod amd_tests;
#[cfg(test)]
mod docs_tests;
#[cfg(test)]
mod nvml_tests;
#[cfg(test)]
mod tests;

pub(super) use families::FAMILIES;

pub use aliases::{Aliases, alias_table};
pub use amd::AmdSource;
pub use collector::{GpuHandle, Gpus};
pub use config::GpuConfig;
pub use fast::FastReading;
pub use fast_collector::FastGpus;
pub use nvml::NvmlSource;
pub use reading::{
    CLOCKS, ECC, GpuError, GpuIdentity, GpuProcess, GpuReading, GpuReadings, GpuSource, MigReading, NVLINK_ERRORS,
    NvLinkReading, RETIREMENT_CAUSES, TEMPERATURE_LIMITS, THROTTLE_REASONS, Vendor, XidReading,
};

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use super::system::Found;
use crate::model::Timestamp;

use lane::Lane;

/// How long a start waits for a driver: waking one up takes a second, and more than that is a fault worth telling.
const DETECT_DEADLINE: Duration = Duration::from_secs(2);

/// Looks for GPUs that go on at once: each is a thread, and one whose driver hangs stays until it answers.
const MAX_LOOKS: usize = 4;

/// Sources of looks that have not ended yet.
static LOOKS: AtomicUsize = AtomicUsize::new(0);

/// A source that is counted until its thread lets go of it.
struct Look(Box<dyn GpuSource>);

impl Look {
    fn new(source: Box<dyn GpuSource>) -> Self {
        LOOKS.fetch_add(1, Ordering::AcqRel);
        Self(source)
    }
}

impl GpuSource for Look {
    fn read(&mut self, now: Timestamp) -> Result<GpuReadings, GpuError> {
        self.0.read(now)
    }
}

impl Drop for Look {
    fn drop(&mut self) {
        LOOKS.fetch_sub(1, Ordering::AcqRel);
    }
}

/// Looks for GPUs once, for the start banner and `doctor`. Takes as long as the drivers, two seconds each at most.
pub fn detect(config: &GpuConfig, now: Timestamp) -> Found {
    look(collector::sources(config), now, DETECT_DEADLINE)
}

fn look(sources: Vec<lane::MakeSource>, now: Timestamp, deadline: Duration) -> Found {
    let (mut names, mut reasons) = (Vec::new(), Vec::new());
    if LOOKS.load(Ordering::Acquire) >= MAX_LOOKS {
        return Found::no("gpu", "earlier looks still wait for a driver that hangs");
    }
    for make in sources {
        match Lane::new(Box::new(move || -> Box<dyn GpuSource> { Box::new(Look::new(make())) })).ask(now, deadline) {
            Ok(readings) => names.extend(readings.gpus.iter().map(|gpu| gpu.identity.name.clone())),
            Err(error) => reasons.push(error.to_string()),
        }
    }
    if names.is_empty() { Found::no("gpu", reasons.join("; ")) } else { Found::yes("gpu", names.join(", ")) }
}
