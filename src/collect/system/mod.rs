//! The machine: CPU, memory, disks, file systems, networks, pressure, sensors, and watchfire's own process.
//!
//! Names, labels and types are node_exporter's on Linux, so that its dashboards and alert rules work unchanged. Every
//! collector takes the roots of `/proc`, `/sys` and `/` from [`Roots`], keeps its files open and interns a series once.
//! On systems without `/proc`, sysinfo fills what it can.
//!
//! ```no_run
//! use std::sync::Arc;
//! use watchfire::collect::system::{SystemConfig, Usage, collectors};
//! let usage = Arc::new(Usage::default());
//! for job in collectors(&SystemConfig::default(), &usage) {
//!     println!("{} every {:?}", job.collector.name(), job.interval);
//! }
//! ```

mod bcache;
mod bonding;
mod boot_time;
mod btrfs;
pub(crate) mod bytes;
pub mod cgroup;
mod class;
mod config;
mod cpu;
mod cpu_facts;
mod detect;
mod devices;
mod diskstats;
mod edac;
mod fallback;
mod filesystem;
mod filter;
mod host;
mod hwmon;
mod infiniband;
mod ipvs;
mod link_watch;
mod mdadm;
mod meminfo;
mod net_tables;
mod netclass;
mod netdev;
mod netstat;
mod nfs;
mod own_process;
mod per_cpu;
mod power_supply;
mod pressure;
pub(crate) mod proc_stat;
pub(crate) mod report;
mod roots;
mod sensors;
mod side_mounts;
mod simple;
mod sockstat;
pub(crate) mod source;
mod stat;
mod time;
mod usage;
mod vmstat;
mod xfs;
mod zfs;

#[cfg(test)]
mod hostile;
#[cfg(test)]
mod parity;

use std::sync::Arc;

use crate::model::FamilyDesc;

use super::{Collector, Job};

pub(crate) use boot_time::BootTime;
pub(crate) use config::WELL_WITHOUT;
pub use config::{SystemConfig, SystemOptions};
pub use cpu_facts::CpuInfo;
pub use detect::{Found, detect};
pub use filter::Filter;
pub(crate) use own_process::{count_entries, count_of};
pub use roots::Roots;
pub use usage::{CpuTimes, Snapshot, Usage};

/// Everything that this room publishes.
pub(super) static FAMILIES: &[&[FamilyDesc]] = &[
    &cpu::FAMILIES,
    &cpu_facts::FAMILIES,
    &devices::CPUFREQ,
    &stat::FAMILIES,
    &simple::LOADAVG,
    &meminfo::FAMILIES,
    &vmstat::FAMILIES,
    &diskstats::FAMILIES,
    &filesystem::FAMILIES,
    &netdev::FAMILIES,
    &netclass::FAMILIES,
    &pressure::FAMILIES,
    &hwmon::FAMILIES,
    &hwmon::FACTS,
    &sensors::THERMAL,
    &simple::FILEFD,
    &simple::ENTROPY,
    &host::UNAME,
    &host::OS,
    &time::TIME,
    &time::TIMEX,
    &netstat::FAMILIES,
    &sockstat::FAMILIES,
    &per_cpu::SOFTNET,
    &per_cpu::SCHEDSTAT,
    &net_tables::CONNTRACK,
    &net_tables::ARP,
    &net_tables::UDP_QUEUES,
    &bonding::FAMILIES,
    &ipvs::TOTALS,
    &ipvs::BACKENDS,
    &nfs::CLIENT,
    &nfs::SERVER,
    &mdadm::FAMILIES,
    &bcache::SETS,
    &bcache::BACKED,
    &bcache::CACHES,
    &btrfs::FAMILIES,
    &xfs::FAMILIES,
    &zfs::FAMILIES,
    &edac::FAMILIES,
    &infiniband::STATES,
    &infiniband::COUNTERS,
    &infiniband::LEGACY,
    &devices::NVME,
    &devices::DMI,
    &devices::RAPL,
    &devices::FC_INFO,
    &devices::FC,
    &devices::TAPE,
    &devices::WATCHDOG,
    &devices::SELINUX,
    &power_supply::FAMILIES,
    &power_supply::INFO,
    &own_process::FAMILIES,
    &cgroup::PLAIN,
    &cgroup::DEVICES,
    &cgroup::LABELLED,
    &cgroup::TOTALS,
    &cgroup::OWN,
];

/// The jobs of the machine: what `config` enables, each on its interval. `usage` is kept up to date by them.
pub fn collectors(config: &SystemConfig, usage: &Arc<Usage>) -> Vec<Job> {
    // Never by what is in the roots: with a file missing, the others still count, and figures of this machine are wrong
    // where the roots lead to another.
    let mut all: Vec<Box<dyn Collector>> = if cfg!(target_os = "linux") {
        linux(config, usage)
    } else {
        vec![Box::new(fallback::SysInfo::new(Arc::clone(usage)))]
    };
    all.retain(|collector| config.enables(collector.name()));
    let mut jobs: Vec<Job> = all.into_iter().map(|collector| config.job("node", collector)).collect();
    jobs.push(config.job("watchfire", own_process()));
    jobs
}

/// Those that are cheap enough to be asked ten times a second (some 0.1 ms both), as far as `config` enables them.
pub(crate) fn quick_collectors(config: &SystemConfig, usage: &Arc<Usage>) -> Vec<Job> {
    let roots = &config.roots;
    if !roots.proc.join("stat").exists() {
        return Vec::new();
    }
    let facts = cpu_facts::look(roots, config.options.cpu_info.clone());
    let stat = proc_stat::ProcStat::new(&roots.proc);
    let all: [Box<dyn Collector>; 2] = [
        Box::new(cpu::Cpu::new(stat, Arc::clone(usage), facts, config.options.cpu_guest)),
        Box::new(meminfo::MemInfo::new(roots, Arc::clone(usage))),
    ];
    all.into_iter().filter(|one| config.enables(one.name())).map(|one| config.job("node", one)).collect()
}

/// The collector of `process_*`: watchfire itself, wherever the roots of the others point to.
pub(crate) fn own_process() -> Box<dyn Collector> {
    Box::new(own_process::OwnProcess::new(&Roots::default()))
}

fn linux(config: &SystemConfig, usage: &Arc<Usage>) -> Vec<Box<dyn Collector>> {
    let mut all = machine(config, usage);
    all.extend(networks(config));
    all.extend(disks(config));
    all.extend(hardware(config));
    all
}

/// Processors, memory, time.
fn machine(config: &SystemConfig, usage: &Arc<Usage>) -> Vec<Box<dyn Collector>> {
    let (roots, options) = (&config.roots, &config.options);
    let stat = proc_stat::ProcStat::new(&roots.proc);
    let facts = cpu_facts::look(roots, options.cpu_info.clone());
    vec![
        Box::new(cpu::Cpu::new(stat.clone(), Arc::clone(usage), facts, options.cpu_guest)),
        Box::new(devices::cpufreq(roots)),
        Box::new(stat::Stat::new(stat)),
        Box::new(per_cpu::SchedStat::new(roots)),
        Box::new(simple::LoadAvg::new(roots, Arc::clone(usage))),
        Box::new(meminfo::MemInfo::new(roots, Arc::clone(usage))),
        Box::new(vmstat::VmStat::new(roots, options.vmstat_fields.clone())),
        Box::new(pressure::Pressure::new(roots)),
        Box::new(simple::filefd(roots)),
        Box::new(simple::Entropy::new(roots)),
        Box::new(host::Uname::new(roots)),
        Box::new(host::Os::new(roots)),
        Box::new(devices::dmi(roots)),
        Box::new(devices::selinux(roots)),
        Box::new(time::Time::new(roots)),
        Box::new(time::Timex::default()),
        Box::new(cgroup::Cgroups::new(roots, &config.cgroups)),
    ]
}

fn networks(config: &SystemConfig) -> Vec<Box<dyn Collector>> {
    let (roots, options) = (&config.roots, &config.options);
    vec![
        Box::new(netdev::NetDev::new(roots, options.interfaces.clone())),
        Box::new(netclass::NetClass::new(roots, options.interface_facts.clone())),
        Box::new(netstat::NetStat::new(roots, options.netstat_fields.clone())),
        Box::new(sockstat::SockStat::new(roots)),
        Box::new(per_cpu::SoftNet::new(roots)),
        Box::new(net_tables::Conntrack::new(roots)),
        Box::new(net_tables::Arp::new(roots, options.arp.clone())),
        Box::new(net_tables::UdpQueues::new(roots)),
        Box::new(bonding::Bonding::new(roots)),
        Box::new(ipvs::Ipvs::new(roots, &options.ipvs_labels)),
        Box::new(infiniband::infiniband(roots)),
        Box::new(devices::fibrechannel(roots)),
        Box::new(nfs::client(roots)),
        Box::new(nfs::server(roots)),
    ]
}

fn disks(config: &SystemConfig) -> Vec<Box<dyn Collector>> {
    let (roots, options) = (&config.roots, &config.options);
    let (mounts, types) = (options.mount_exclude.clone(), options.fstype_exclude.clone());
    vec![
        Box::new(diskstats::DiskStats::new(roots, options.disks.clone())),
        Box::new(filesystem::Filesystem::new(roots, mounts, types)),
        Box::new(devices::nvme(roots)),
        Box::new(mdadm::MdAdm::new(roots)),
        Box::new(bcache::bcache(roots)),
        Box::new(btrfs::btrfs(roots)),
        Box::new(xfs::xfs(roots)),
        Box::new(zfs::Zfs::new(roots)),
        Box::new(devices::tapestats(roots, options.tapes_ignored.clone())),
    ]
}

/// Sensors, power and what watches the machine.
fn hardware(config: &SystemConfig) -> Vec<Box<dyn Collector>> {
    let (roots, options) = (&config.roots, &config.options);
    vec![
        Box::new(hwmon::hwmon(roots, options.chips.clone())),
        Box::new(sensors::ThermalZone::new(roots)),
        Box::new(edac::edac(roots)),
        Box::new(devices::rapl(roots)),
        Box::new(power_supply::power_supply(roots, options.power_supplies_ignored.clone())),
        Box::new(devices::watchdog(roots)),
    ]
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::{Roots, SystemConfig, collectors};
    use crate::collect::Reading;
    use crate::collect::testing::{Interner, collect, put};

    #[cfg(target_os = "linux")]
    #[test]
    fn without_a_stat_file_the_others_go_on() {
        let root = tempfile::tempdir().unwrap();
        put(root.path(), "proc/loadavg", "1.5 2.5 3.5 1/2 3\n");
        let config = SystemConfig { roots: Roots::under(root.path()), ..SystemConfig::default() };
        let mut jobs = collectors(&config, &Arc::default());
        let intern = Interner::default();
        let mut of = |name: &str| {
            let job = jobs.iter_mut().find(|job| job.collector.name() == name).expect(name);
            collect(&mut *job.collector, &intern, 0)
        };
        for name in ["cpu", "stat"] {
            assert!(matches!(of(name), (page, Ok(Reading::Unavailable(_))) if page.is_empty()), "{name}");
        }
        assert_eq!(of("loadavg").0["node_load1"], 1.5);
    }
}
