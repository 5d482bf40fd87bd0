//! The families of cgroups. Names and meanings are cAdvisor's where it has them, so that dashboards of containers work.

use super::config::MAX_CGROUPS;
use super::values::MEASURES;
use crate::collect::catalogue::{counter, gauge, info};
use crate::model::{FamilyDesc, MetricKind};

const GROUP: &[&str] = &["id", "kind", "name"];
const MAX: u32 = MAX_CGROUPS as u32;

const fn count(name: &'static str, unit: &'static str, help: &'static str) -> FamilyDesc {
    counter(name, unit, help, GROUP, MAX)
}

const fn value(name: &'static str, unit: &'static str, help: &'static str) -> FamilyDesc {
    gauge(name, unit, help, GROUP, MAX)
}

/// A count whose name, which is cAdvisor's, has no `_total`.
const fn bare_count(name: &'static str, help: &'static str) -> FamilyDesc {
    FamilyDesc { name, kind: MetricKind::Unknown, unit: "", help, labels: GROUP, max_series: MAX }
}

/// Families with one series a cgroup, in the order of [`Measure`](super::values::Measure).
pub(in crate::collect::system) static PLAIN: [FamilyDesc; MEASURES] = [
    count("container_cpu_usage_seconds_total", "seconds", "CPU time."),
    count("container_cpu_user_seconds_total", "seconds", "CPU time in programs."),
    count("container_cpu_system_seconds_total", "seconds", "CPU time in the kernel."),
    count("container_cpu_cfs_periods_total", "", "Periods in which CPU time was handed out."),
    count("container_cpu_cfs_throttled_periods_total", "", "Periods in which the CPU quota was used up."),
    count("container_cpu_cfs_throttled_seconds_total", "seconds", "Time without CPU because the quota was used up."),
    value("container_spec_cpu_quota", "", "CPU time a period, in microseconds; absent without a limit."),
    value("container_spec_cpu_period", "", "Length of a period, in microseconds."),
    value("container_spec_cpu_limit_cores", "", "CPU quota in cores; absent without a limit."),
    value("container_spec_cpu_shares", "", "Share of the CPU under contention; a weight of v2 as shares of v1."),
    value("container_spec_cpu_weight", "", "Weight of v2 under contention, 1 to 10,000."),
    value("container_memory_usage_bytes", "bytes", "Memory, page cache included."),
    value(
        "container_memory_working_set_bytes",
        "bytes",
        "Memory less page cache that is not in use: what a limit has to leave room for.",
    ),
    value("container_memory_rss", "", "Anonymous memory in bytes."),
    value("container_memory_cache", "", "Page cache in bytes."),
    value("container_memory_mapped_file", "", "Mapped files in bytes."),
    value("container_memory_kernel_usage", "", "Memory of the kernel in bytes."),
    value("container_memory_swap", "", "Swap in bytes."),
    value("container_memory_max_usage_bytes", "bytes", "Highest memory so far."),
    bare_count("container_memory_failcnt", "How often memory ran into its limit."),
    value("container_spec_memory_limit_bytes", "bytes", "Limit of memory; absent without one."),
    value("container_spec_memory_high_bytes", "bytes", "Memory above which processes are slowed down; v2."),
    value(
        "container_spec_memory_reservation_limit_bytes",
        "bytes",
        "Memory that is left alone under pressure: memory.low of v2, the soft limit of v1.",
    ),
    value(
        "container_spec_memory_swap_limit_bytes",
        "bytes",
        "Limit of swap in v2, of memory and swap in v1; absent without one.",
    ),
    count("container_oom_events_total", "", "Processes that were killed for want of memory."),
    count("container_pressure_cpu_waiting_seconds_total", "seconds", "Time in which a task waited for the CPU."),
    count("container_pressure_cpu_stalled_seconds_total", "seconds", "Time in which all tasks waited for the CPU."),
    count("container_pressure_memory_waiting_seconds_total", "seconds", "Time in which a task waited for memory."),
    count("container_pressure_memory_stalled_seconds_total", "seconds", "Time in which all tasks waited for memory."),
    count("container_pressure_io_waiting_seconds_total", "seconds", "Time in which a task waited for I/O."),
    count("container_pressure_io_stalled_seconds_total", "seconds", "Time in which all tasks waited for I/O."),
    value("container_threads", "", "Threads and processes."),
    value("container_threads_max", "", "Most threads and processes; absent without a limit."),
];

const DEVICE: &[&str] = &["id", "kind", "name", "device"];

/// Block devices, in the order of [`Io::counts`](super::values::Io::counts).
pub(in crate::collect::system) static DEVICES: [FamilyDesc; 4] = [
    counter("container_fs_reads_bytes_total", "bytes", "Bytes read from the device.", DEVICE, MAX * 4),
    counter("container_fs_writes_bytes_total", "bytes", "Bytes written to the device.", DEVICE, MAX * 4),
    counter("container_fs_reads_total", "", "Reads from the device.", DEVICE, MAX * 4),
    counter("container_fs_writes_total", "", "Writes to the device.", DEVICE, MAX * 4),
];

/// Events of memory, page faults, and facts.
pub(in crate::collect::system) static LABELLED: [FamilyDesc; 3] = [
    counter(
        "container_memory_events_total",
        "",
        "Events of memory.events: below its protection (low), slowed down (high), at its limit (max), without a way out \
         (oom), killed (oom_kill).",
        &["id", "kind", "name", "event"],
        MAX * 5,
    ),
    counter(
        "container_memory_failures_total",
        "",
        "Page faults, descendants included.",
        &["id", "kind", "name", "failure_type", "scope"],
        MAX * 2,
    ),
    info(
        "container_info",
        "Facts about a container.",
        &["id", "kind", "name", "runtime", "container_id", "pod_uid"],
        MAX,
    ),
];

/// The collector's own bounds.
pub(in crate::collect::system) static TOTALS: [FamilyDesc; 2] = [
    gauge("container_cgroups_watched", "", "Cgroups that have series.", &["version"], 3),
    gauge("container_cgroups_left_out", "", "Cgroups beyond the configured number or depth.", &["version"], 3),
];

const fn own(name: &'static str, unit: &'static str, help: &'static str) -> FamilyDesc {
    gauge(name, unit, help, &[], 1)
}

/// What applies to watchfire itself, and to whoever is in the same container.
pub(in crate::collect::system) static OWN: [FamilyDesc; 5] = [
    own("container_self_cpu_limit_cores", "", "Least CPU quota of the own cgroup and those above, in cores."),
    own("container_self_cpuset_cpus", "", "CPUs that the own cgroup may use."),
    own("container_self_memory_limit_bytes", "bytes", "Least memory limit of the own cgroup and those above."),
    own("container_self_memory_high_bytes", "bytes", "Least memory.high of the own cgroup and those above."),
    own("container_self_threads_max", "", "Least limit of threads of the own cgroup and those above."),
];
