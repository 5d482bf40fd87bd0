//! What can be chosen about the system collectors.

use std::collections::BTreeMap;
use std::time::Duration;

use regex::bytes::Regex;

use super::Roots;
use super::cgroup::CgroupConfig;
use crate::collect::{Collector, Job};

/// Collectors whose facts change rarely or cost many files: they run every [`SLOW`] unless told otherwise.
const SLOW_COLLECTORS: [&str; 4] = ["netclass", "os", "uname", "filesystem"];
const SLOW: Duration = Duration::from_secs(5);

/// Configuration of the system collectors. The patterns are node_exporter's defaults.
#[derive(Debug, Clone)]
pub struct SystemConfig {
    /// Where the kernel's files are.
    pub roots: Roots,
    /// How often a collector runs; netclass, os, uname and filesystem run every five seconds at most.
    pub interval: Duration,
    /// Intervals of single collectors by name.
    pub intervals: BTreeMap<String, Duration>,
    /// Names of collectors that do not run.
    pub disabled: Vec<String>,
    /// Disks that are left out.
    pub disk_exclude: Regex,
    /// Network interfaces that are left out; none by default.
    pub net_exclude: Option<Regex>,
    /// Mount points that are left out.
    pub mount_exclude: Regex,
    /// File system types that are left out.
    pub fstype_exclude: Regex,
    /// Which cgroups are watched.
    pub cgroups: CgroupConfig,
}

impl Default for SystemConfig {
    fn default() -> Self {
        let pattern = |text: &str| Regex::new(text).expect("a constant pattern, compiled by every test");
        Self {
            roots: Roots::default(),
            interval: Duration::from_secs(1),
            intervals: BTreeMap::new(),
            disabled: Vec::new(),
            disk_exclude: pattern(r"^(z?ram|loop|fd|(h|s|v|xv)d[a-z]|nvme\d+n\d+p)\d+$"),
            net_exclude: None,
            mount_exclude: pattern(
                r"^/(dev|proc|run/credentials/.+|sys|var/lib/docker/.+|var/lib/containers/storage/.+)($|/)",
            ),
            fstype_exclude: pattern(
                r"^(autofs|binfmt_misc|bpf|cgroup2?|configfs|debugfs|devpts|devtmpfs|fusectl|fuse\.lxcfs|hugetlbfs|iso9660|mqueue|nsfs|overlay|proc|procfs|pstore|rpc_pipefs|securityfs|selinuxfs|squashfs|erofs|sysfs|tracefs)$",
            ),
            cgroups: CgroupConfig::default(),
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
