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

use std::time::Duration;

use super::system::Found;
use crate::model::Timestamp;

use lane::Lane;

/// How long a start waits for a driver: waking one up takes a second, and more than that is a fault worth telling.
const DETECT_DEADLINE: Duration = Duration::from_secs(2);

/// Looks for GPUs once, for the start banner and `doctor`. Takes as long as the drivers, two seconds each at most.
pub fn detect(now: Timestamp) -> Found {
    let (mut names, mut reasons) = (Vec::new(), Vec::new());
    for make in collector::sources(&GpuConfig::default()) {
        match Lane::new(make).ask(now, DETECT_DEADLINE) {
            Ok(readings) => names.extend(readings.gpus.iter().map(|gpu| gpu.identity.name.clone())),
            Err(error) => reasons.push(error.to_string()),
        }
    }
    if names.is_empty() { Found::no("gpu", reasons.join("; ")) } else { Found::yes("gpu", names.join(", ")) }
}
