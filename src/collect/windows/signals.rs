//! Which series make which signal.

use crate::model::Labels;

/// How the series of a signal become one value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fold {
    /// Share of what is not idle in what the counters gained.
    Busy,
    /// What the counters gained, all together, by seconds.
    Rate,
    /// The sum of the gauges, those of [`Part::Minus`] taken away; nothing unless both are there where both belong.
    Difference,
    /// The sum of the gauges.
    Sum,
    /// The mean of the gauges.
    Mean,
    /// Times of frames, which pages report.
    Frames,
}

/// What a series is to its signal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    /// It counts for the signal.
    Plus,
    /// It is idle time, or what is taken away.
    Minus,
}

pub(super) const CPU: usize = 0;
const MEMORY: usize = 1;
const GPU: usize = 2;
const GPU_MEMORY: usize = 3;
const GPU_POWER: usize = 4;
const RECEIVE: usize = 5;
const TRANSMIT: usize = 6;
const LOOPBACK: usize = 7;
const DISK_READ: usize = 8;
const DISK_WRITTEN: usize = 9;
const GENERATED: usize = 10;
const PROMPT: usize = 11;
const WORKERS: usize = 12;
pub(super) const FRAMES: usize = 13;

/// The signals: values of the label `signal`, each ending in its unit.
pub const SIGNALS: [&str; 14] = [
    "cpu_ratio",
    "memory_used_bytes",
    "gpu_utilization_ratio",
    "gpu_memory_used_bytes",
    "gpu_power_watts",
    "network_receive_bytes_per_second",
    "network_transmit_bytes_per_second",
    "loopback_bytes_per_second",
    "disk_read_bytes_per_second",
    "disk_written_bytes_per_second",
    "generated_tokens_per_second",
    "prompt_tokens_per_second",
    "worker_tokens_per_second",
    "frame_seconds",
];

pub(super) const FOLDS: [Fold; SIGNALS.len()] = [
    Fold::Busy,
    Fold::Difference,
    Fold::Mean,
    Fold::Sum,
    Fold::Sum,
    Fold::Rate,
    Fold::Rate,
    Fold::Rate,
    Fold::Rate,
    Fold::Rate,
    Fold::Rate,
    Fold::Rate,
    Fold::Rate,
    Fold::Frames,
];

/// Devices whose bytes others count again, or that are no disk: as the page's disk panel leaves them out.
const STACKED: [&str; 7] = ["dm-", "md", "loop", "ram", "zram", "sr", "fd"];

/// The signal that a series is a part of, by its labels.
pub(super) fn role(labels: &Labels) -> Option<(usize, Part)> {
    use Part::{Minus, Plus};
    let device = || labels.get("device");
    let net = |signal: usize| (device() != "lo").then_some((signal, Plus));
    let disk = |signal: usize| (!STACKED.iter().any(|prefix| device().starts_with(prefix))).then_some((signal, Plus));
    match labels.metric_name() {
        "node_cpu_seconds_total" if labels.get("mode") == "idle" => Some((CPU, Minus)),
        "node_cpu_seconds_total" => Some((CPU, Plus)),
        "node_memory_MemTotal_bytes" => Some((MEMORY, Plus)),
        "node_memory_MemAvailable_bytes" => Some((MEMORY, Minus)),
        "gpu_utilization_ratio" => Some((GPU, Plus)),
        "gpu_memory_used_bytes" => Some((GPU_MEMORY, Plus)),
        "gpu_power_watts" => Some((GPU_POWER, Plus)),
        "node_network_receive_bytes_total" if device() == "lo" => Some((LOOPBACK, Plus)),
        "node_network_receive_bytes_total" => net(RECEIVE),
        "node_network_transmit_bytes_total" => net(TRANSMIT),
        "node_disk_read_bytes_total" => disk(DISK_READ),
        "node_disk_written_bytes_total" => disk(DISK_WRITTEN),
        "llm_generation_tokens_total" => Some((GENERATED, Plus)),
        "llm_prompt_tokens_total" => Some((PROMPT, Plus)),
        "worker_agent_tokens_total" => Some((WORKERS, Plus)),
        _ => None,
    }
}
