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

use std::time::Duration;

use super::system::Found;
use crate::model::Timestamp;

use poller::{Answer, Poller};

/// How long a start waits for a driver: waking one up takes a second, and more than that is a fault worth telling.
const DETECT_DEADLINE: Duration = Duration::from_secs(2);

/// Looks for GPUs once, for the start banner and `doctor`. Takes as long as the driver's library, two seconds at most.
pub fn detect(now: Timestamp) -> Found {
    let answer = match Poller::spawn(Box::new(NvmlSource::default())) {
        Ok(mut poller) => poller.ask(now, DETECT_DEADLINE),
        Err(error) => return Found::no("gpu", format!("no thread to ask the driver: {error}")),
    };
    match answer {
        Answer::Read(Ok(gpus)) => {
            Found::yes("gpu", gpus.iter().map(|gpu| gpu.identity.name.as_str()).collect::<Vec<_>>().join(", "))
        }
        Answer::Read(Err(error)) => Found::no("gpu", error.to_string()),
        Answer::Late(since) => {
            Found::no("gpu", format!("the driver has not answered for {:.1} s", since.as_secs_f64()))
        }
        Answer::Gone => Found::no("gpu", "the driver's library panicked"),
    }
}
