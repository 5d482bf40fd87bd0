//! What can be chosen about the system collectors.

use std::collections::BTreeMap;
use std::time::Duration;

use regex::bytes::Regex;

use super::cgroup::CgroupConfig;
use super::{CpuInfo, Filter, Roots, ipvs};
use crate::collect::{Collector, Job};

/// Collectors whose facts change rarely or cost many files: they run every [`SLOW`] unless told otherwise. Reading the
/// frequency of a core takes an interrupt of that core, listing UDP sockets a walk over a table of up to 65,536 places.
pub(super) const SLOW_COLLECTORS: [&str; 25] = [
    "bcache",
    "bonding",
    "btrfs",
    "cpufreq",
    "dmi",
    "edac",
    "fibrechannel",
    "filesystem",
    "infiniband",
    "ipvs",
    "mdadm",
    "netclass",
    "nfs",
    "nfsd",
    "nvme",
    "os",
    "powersupplyclass",
    "rapl",
    "selinux",
    "tapestats",
    "udp_queues",
    "uname",
    "watchdog",
    "xfs",
    "zfs",
];
const SLOW: Duration = Duration::from_secs(5);

/// Collectors that node_exporter calls successful on a machine that has nothing for them.
pub(crate) const WELL_WITHOUT: [&str; 8] =
    ["bcache", "btrfs", "cpufreq", "edac", "powersupplyclass", "selinux", "thermal_zone", "xfs"];

/// Configuration of the system collectors. The patterns are node_exporter's defaults; none is anchored unless it says so.
#[derive(Debug, Clone)]
pub struct SystemConfig {
    /// Where the kernel's files are.
    pub roots: Roots,
    /// How often a collector runs; those that read what rarely changes run every five seconds at most.
    pub interval: Duration,
    /// Intervals of single collectors by name.
    pub intervals: BTreeMap<String, Duration>,
    /// Names of collectors that do not run.
    pub disabled: Vec<String>,
    /// What is shown of each source.
    pub options: SystemOptions,
    /// Which cgroups are watched.
    pub cgroups: CgroupConfig,
}

/// What is shown of each source.
#[derive(Debug, Clone)]
pub struct SystemOptions {
    /// Disks.
    pub disks: Filter,
    /// Network interfaces whose counters are shown.
    pub interfaces: Filter,
    /// Network interfaces whose properties are shown.
    pub interface_facts: Filter,
    /// Interfaces whose neighbours are counted.
    pub arp: Filter,
    /// Mount points that are left out.
    pub mount_exclude: Regex,
    /// File system types that are left out.
    pub fstype_exclude: Regex,
    /// Fields of `/proc/net/netstat`, `snmp` and `snmp6` as `Protocol_Field`.
    pub netstat_fields: Regex,
    /// Fields of `/proc/vmstat`.
    pub vmstat_fields: Regex,
    /// Chips of hardware sensors.
    pub chips: Filter,
    /// Power supplies that are left out.
    pub power_supplies_ignored: Regex,
    /// Tape drives that are left out.
    pub tapes_ignored: Regex,
    /// What is shown of `/proc/cpuinfo`.
    pub cpu_info: CpuInfo,
    /// Whether time in guests is shown.
    pub cpu_guest: bool,
    /// Labels of load-balanced backends, of node_exporter's six.
    pub ipvs_labels: Vec<String>,
}

impl Default for SystemConfig {
    fn default() -> Self {
        Self {
            roots: Roots::default(),
            interval: Duration::from_secs(1),
            intervals: BTreeMap::new(),
            disabled: Vec::new(),
            options: SystemOptions::default(),
            cgroups: CgroupConfig::default(),
        }
    }
}

impl Default for SystemOptions {
    fn default() -> Self {
        let pattern = |text: &str| Regex::new(text).expect("a constant pattern, compiled by every test");
        Self {
            disks: Filter::without(pattern(r"^(z?ram|loop|fd|(h|s|v|xv)d[a-z]|nvme\d+n\d+p)\d+$")),
            interfaces: Filter::default(),
            interface_facts: Filter::default(),
            arp: Filter::default(),
            mount_exclude: pattern(
                r"^/(dev|proc|run/credentials/.+|sys|var/lib/docker/.+|var/lib/containers/storage/.+)($|/)",
            ),
            fstype_exclude: pattern(
                r"^(autofs|binfmt_misc|bpf|cgroup2?|configfs|debugfs|devpts|devtmpfs|fusectl|fuse\.lxcfs|hugetlbfs|iso9660|mqueue|nsfs|overlay|proc|procfs|pstore|rpc_pipefs|securityfs|selinuxfs|squashfs|erofs|sysfs|tracefs)$",
            ),
            netstat_fields: pattern(
                r"^(.*_(InErrors|InErrs)|Ip_Forwarding|Ip(6|Ext)_(InOctets|OutOctets)|Icmp6?_(InMsgs|OutMsgs)|TcpExt_(Listen.*|Syncookies.*|TCPSynRetrans|TCPTimeouts|TCPOFOQueue|TCPRcvQDrop)|Tcp_(ActiveOpens|InSegs|OutSegs|OutRsts|PassiveOpens|RetransSegs|CurrEstab)|Udp6?_(InDatagrams|OutDatagrams|NoPorts|RcvbufErrors|SndbufErrors))$",
            ),
            vmstat_fields: pattern("^(oom_kill|pgpg|pswp|pg.*fault).*"),
            chips: Filter::default(),
            power_supplies_ignored: pattern("^$"),
            tapes_ignored: pattern("^$"),
            cpu_info: CpuInfo::default(),
            cpu_guest: true,
            ipvs_labels: ipvs::LABELS.map(str::to_owned).to_vec(),
        }
    }
}

impl SystemConfig {
    pub(super) fn enables(&self, name: &str) -> bool {
        !self.disabled.iter().any(|disabled| disabled == name)
    }

    pub(super) fn job(&self, group: &'static str, collector: Box<dyn Collector>) -> Job {
        let name = collector.name();
        let usual = if SLOW_COLLECTORS.contains(&name) { self.interval.max(SLOW) } else { self.interval };
        let interval = self.intervals.get(name).copied().unwrap_or(usual);
        Job { group, interval, collector }
    }
}
