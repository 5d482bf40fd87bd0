//! The machine: CPU, memory, disks, file systems, networks, pressure, sensors, and watchfire's own process.
//!
//! Names, labels and types are node_exporter's on Linux, so that its dashboards and alert rules work unchanged. Every
//! collector takes the roots of `/proc`, `/sys` and `/` from [`Roots`], keeps its files open and interns a series once.
//! Where there is no `/proc`, sysinfo fills what it can.
//!
//! ```no_run
//! use std::sync::Arc;
//! use watchfire::collect::system::{SystemConfig, Usage, collectors};
//! let usage = Arc::new(Usage::default());
//! for job in collectors(&SystemConfig::default(), &usage) {
//!     println!("{} every {:?}", job.collector.name(), job.interval);
//! }
//! ```

pub(crate) mod bytes;
pub mod cgroup;
mod config;
mod cpu;
mod detect;
mod diskstats;
mod fallback;
mod filesystem;
mod host;
mod meminfo;
mod netclass;
mod netdev;
mod own_process;
mod pressure;
pub(crate) mod proc_stat;
mod remote_mounts;
pub(crate) mod report;
mod roots;
mod sensors;
mod simple;
pub(crate) mod source;
mod stat;
mod usage;

#[cfg(test)]
mod parity;

use std::sync::Arc;

use crate::model::FamilyDesc;

use super::{Collector, Job};

pub use config::SystemConfig;
pub use detect::{Found, detect};
pub(crate) use own_process::{boot_seconds, count_entries};
pub use roots::Roots;
pub use usage::{CpuTimes, Snapshot, Usage};

/// Everything that this room publishes.
pub(super) static FAMILIES: &[&[FamilyDesc]] = &[
    &cpu::FAMILIES,
    &stat::FAMILIES,
    &simple::LOADAVG,
    &meminfo::FAMILIES,
    &simple::VMSTAT,
    &diskstats::FAMILIES,
    &filesystem::FAMILIES,
    &netdev::FAMILIES,
    &netclass::FAMILIES,
    &pressure::FAMILIES,
    &sensors::HWMON,
    &sensors::THERMAL,
    &simple::FILEFD,
    &simple::ENTROPY,
    &host::UNAME,
    &host::OS,
    &simple::TIME,
    &own_process::FAMILIES,
    &cgroup::PLAIN,
    &cgroup::DEVICES,
    &cgroup::LABELLED,
    &cgroup::TOTALS,
    &cgroup::OWN,
];

/// The jobs of the machine: what `config` enables, each on its interval. `usage` is kept up to date by them.
pub fn collectors(config: &SystemConfig, usage: &Arc<Usage>) -> Vec<Job> {
    let roots = &config.roots;
    let mut all: Vec<Box<dyn Collector>> = if roots.proc.join("stat").exists() {
        linux(config, usage)
    } else {
        vec![Box::new(fallback::SysInfo::new(Arc::clone(usage)))]
    };
    all.retain(|collector| config.enables(collector.name()));
    let mut jobs: Vec<Job> = all.into_iter().map(|collector| config.job("node", collector)).collect();
    jobs.push(config.job("watchfire", own_process()));
    jobs
}

/// The collector of `process_*`: watchfire itself, wherever the roots of the others point to.
pub(crate) fn own_process() -> Box<dyn Collector> {
    Box::new(own_process::OwnProcess::new(&Roots::default()))
}

fn linux(config: &SystemConfig, usage: &Arc<Usage>) -> Vec<Box<dyn Collector>> {
    let roots = &config.roots;
    let stat = proc_stat::ProcStat::new(&roots.proc);
    let net_exclude = config.net_exclude.clone();
    vec![
        Box::new(cpu::Cpu::new(stat.clone(), Arc::clone(usage))),
        Box::new(stat::Stat::new(stat)),
        Box::new(simple::LoadAvg::new(roots, Arc::clone(usage))),
        Box::new(meminfo::MemInfo::new(roots, Arc::clone(usage))),
        Box::new(simple::vmstat(roots)),
        Box::new(diskstats::DiskStats::new(roots, config.disk_exclude.clone())),
        Box::new(filesystem::Filesystem::new(roots, config.mount_exclude.clone(), config.fstype_exclude.clone())),
        Box::new(netdev::NetDev::new(roots, net_exclude.clone())),
        Box::new(netclass::NetClass::new(roots, net_exclude)),
        Box::new(pressure::Pressure::new(roots)),
        Box::new(sensors::HwMon::new(roots)),
        Box::new(sensors::ThermalZone::new(roots)),
        Box::new(simple::filefd(roots)),
        Box::new(simple::Entropy::new(roots)),
        Box::new(host::Uname::new(roots)),
        Box::new(host::Os::new(roots)),
        Box::new(simple::Time::default()),
        Box::new(cgroup::Cgroups::new(roots, &config.cgroups)),
    ]
}
