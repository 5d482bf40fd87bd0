//! The series of a group, declared once; labels are process-exporter's where it has such a reading.

use super::groups::MAX_GROUPS;
use crate::collect::catalogue::{counter, gauge};
use crate::model::FamilyDesc;

const GROUP: &[&str] = &["group"];
const GROUPNAME: &[&str] = &["groupname"];
const MAX: u32 = MAX_GROUPS as u32;

pub(super) const MODES: [&str; 2] = ["user", "system"];
pub(super) const STATES: [&str; 5] = ["running", "sleeping", "waiting", "zombie", "other"];
pub(super) const MEMORY: [&str; 4] = ["rss", "virtual", "swap", "pss"];
pub(super) const OPS: [&str; 2] = ["read", "write"];
pub(super) const FAULTS: [&str; 2] = ["minor", "major"];
pub(super) const SWITCHES: [&str; 2] = ["voluntary", "involuntary"];
pub(super) const GAPS: [&str; 5] = ["io", "smaps", "fd", "port", "pidfile"];

pub(in crate::collect) static FAMILIES: [FamilyDesc; 22] = [
    gauge(
        "worker_group_procs",
        "",
        "Processes of the group now, zombies included; 0 when it is declared and none runs.",
        GROUP,
        MAX,
    ),
    gauge("worker_group_expected_procs", "", "Processes that the configuration expects of the group.", GROUP, MAX),
    counter(
        "worker_group_restarts_total",
        "",
        "Processes that matched by themselves and took the place of one that had ended.",
        GROUP,
        MAX,
    ),
    counter(
        "worker_group_exits_total",
        "",
        "Processes that ended by how: completed (exit code 0), failed, signal, unknown.",
        &["group", "reason"],
        MAX * 4,
    ),
    counter(
        "worker_group_cpu_seconds_total",
        "seconds",
        "CPU time of the group's processes; that of ended ones stays in.",
        &["group", "mode"],
        MAX * 2,
    ),
    gauge(
        "worker_group_cpu_ratio",
        "ratio",
        "CPU time of the group per second between the last two ticks, 1 is one core.",
        GROUP,
        MAX,
    ),
    gauge(
        "worker_group_memory_bytes",
        "bytes",
        "Memory of the group's processes by type; rss counts shared pages once a process, pss (read once a minute) shares them out.",
        &["group", "type"],
        MAX * 4,
    ),
    counter(
        "worker_group_io_bytes_total",
        "bytes",
        "Bytes that the group's processes had read from and written to storage; what the page cache served is not in it.",
        &["group", "op"],
        MAX * 2,
    ),
    counter(
        "worker_group_page_faults_total",
        "",
        "Page faults of the group's processes; major ones waited for storage.",
        &["group", "kind"],
        MAX * 2,
    ),
    counter(
        "worker_group_context_switches_total",
        "",
        "Context switches of the main threads of the group's processes, read every five ticks.",
        &["group", "kind"],
        MAX * 2,
    ),
    gauge("worker_group_threads", "", "Threads of the group's processes.", GROUP, MAX),
    gauge(
        "worker_group_open_fds",
        "",
        "Open files of the group's processes; absent when one of them may not be looked into.",
        GROUP,
        MAX,
    ),
    gauge(
        "worker_group_max_fd_usage_ratio",
        "ratio",
        "Open files divided by their soft limit, of the group's process where that is largest.",
        GROUP,
        MAX,
    ),
    gauge(
        "worker_group_states",
        "",
        "Processes of the group by state of the kernel: R, S and I, D, Z, and all others.",
        &["group", "state"],
        MAX * 5,
    ),
    gauge(
        "worker_group_oldest_start_timestamp_seconds",
        "seconds",
        "When the group's oldest process started, in seconds since the epoch.",
        GROUP,
        MAX,
    ),
    gauge(
        "worker_group_zombies",
        "",
        "Ended processes that their parent, a process of the group, has not asked for; of a parent without group, those of the group itself.",
        GROUP,
        MAX,
    ),
    gauge(
        "worker_group_orphans",
        "",
        "Processes of the group whose parent ended while they were watched: init or a subreaper has them now.",
        GROUP,
        MAX,
    ),
    gauge(
        "worker_group_idle_seconds",
        "seconds",
        "How long no process of the group has used a clock tick (10 ms) of CPU; absent when none runs.",
        GROUP,
        MAX,
    ),
    gauge(
        "worker_group_rss_slope_bytes_per_second",
        "bytes_per_second",
        "Growth of resident memory: least-squares slopes over the last ten minutes of the processes that ran for two at least.",
        GROUP,
        MAX,
    ),
    gauge(
        "worker_group_open_fds_slope_per_second",
        "",
        "Growth of open files: least-squares slopes over the last ten minutes of the processes that ran for two at least.",
        GROUP,
        MAX,
    ),
    counter(
        "worker_group_uninterruptible_seconds_total",
        "seconds",
        "Time that processes of the group were in state D, as seen at ticks: an estimate of what they waited for disks and drivers.",
        GROUP,
        MAX,
    ),
    gauge(
        "worker_group_scrape_permission_denied",
        "",
        "Processes of the group of which this user may not read something: io, smaps (PSS), fd (open files); port and pidfile count selectors that name somebody this user may not see.",
        &["group", "kind"],
        MAX * 5,
    ),
];

pub(super) const ALIAS_STATES: [&str; 5] = ["Running", "Sleeping", "Waiting", "Zombie", "Other"];
pub(super) const ALIAS_MEMORY: [&str; 5] =
    ["resident", "virtual", "swapped", "proportionalResident", "proportionalSwapped"];
pub(super) const ALIAS_SWITCHES: [&str; 2] = ["voluntary", "nonvoluntary"];

/// process-exporter's names, published when the configuration asks for them.
pub(in crate::collect) static ALIASES: [FamilyDesc; 13] = [
    gauge(
        "namedprocess_namegroup_num_procs",
        "",
        "process-exporter: number of processes in this group.",
        GROUPNAME,
        MAX,
    ),
    counter(
        "namedprocess_namegroup_cpu_seconds_total",
        "seconds",
        "process-exporter: CPU usage in seconds.",
        &["groupname", "mode"],
        MAX * 2,
    ),
    counter(
        "namedprocess_namegroup_read_bytes_total",
        "bytes",
        "process-exporter: bytes read from storage.",
        GROUPNAME,
        MAX,
    ),
    counter(
        "namedprocess_namegroup_write_bytes_total",
        "bytes",
        "process-exporter: bytes written to storage.",
        GROUPNAME,
        MAX,
    ),
    counter(
        "namedprocess_namegroup_major_page_faults_total",
        "",
        "process-exporter: major page faults.",
        GROUPNAME,
        MAX,
    ),
    counter(
        "namedprocess_namegroup_minor_page_faults_total",
        "",
        "process-exporter: minor page faults.",
        GROUPNAME,
        MAX,
    ),
    counter(
        "namedprocess_namegroup_context_switches_total",
        "",
        "process-exporter: context switches.",
        &["groupname", "ctxswitchtype"],
        MAX * 2,
    ),
    gauge(
        "namedprocess_namegroup_memory_bytes",
        "bytes",
        "process-exporter: memory in use.",
        &["groupname", "memtype"],
        MAX * 5,
    ),
    gauge("namedprocess_namegroup_open_filedesc", "", "process-exporter: open files.", GROUPNAME, MAX),
    gauge(
        "namedprocess_namegroup_worst_fd_ratio",
        "ratio",
        "process-exporter: the largest ratio of open files to their soft limit.",
        GROUPNAME,
        MAX,
    ),
    gauge(
        "namedprocess_namegroup_oldest_start_time_seconds",
        "seconds",
        "process-exporter: start of the oldest process in seconds since the epoch.",
        GROUPNAME,
        MAX,
    ),
    gauge("namedprocess_namegroup_num_threads", "", "process-exporter: number of threads.", GROUPNAME, MAX),
    gauge(
        "namedprocess_namegroup_states",
        "",
        "process-exporter: processes by state.",
        &["groupname", "state"],
        MAX * 5,
    ),
];
