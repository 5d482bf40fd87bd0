//! GPUs: utilisation, memory, temperature, power, clocks and who holds the memory, in base units.
//!
//! The driver's library is loaded at run time and called on a thread of its own: without a GPU everything else works
//! and the reason is told; a call that hangs costs the GPU's samples of that tick and nothing else. Each reading is an
//! `Option`: what a GPU does not support is absent.

mod collector;
mod nvml;
mod poller;
mod reading;

#[cfg(test)]
mod tests;

pub(super) use collector::FAMILIES;

pub use collector::{GpuHandle, Gpus};
pub use nvml::NvmlSource;
pub use reading::{CLOCKS, GpuError, GpuIdentity, GpuProcess, GpuReading, GpuSource, THROTTLE_REASONS};

use super::system::Found;

/// Looks for GPUs once, for the start banner and `doctor`. Loads the driver's library and may take a second.
pub fn detect(now: crate::model::Timestamp) -> Found {
    match NvmlSource::default().read(now) {
        Ok(gpus) => Found::yes("gpu", gpus.iter().map(|gpu| gpu.identity.name.as_str()).collect::<Vec<_>>().join(", ")),
        Err(error) => Found::no("gpu", error.to_string()),
    }
}
