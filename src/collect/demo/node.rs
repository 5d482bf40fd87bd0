//! The machine of the demo: CPU, memory, disk, network, pressure and temperatures.

use std::sync::Arc;

use super::sheet::{Page, Sheet};
use super::story::{CORES, GIB, MEMORY_BYTES, Story};
use crate::collect::emit::Emit;
use crate::collect::system::{Snapshot, Usage};
use crate::collect::{CollectError, Collector, Reading};
use crate::model::{Batch, Intern, Timestamp};

const CORE_NAMES: [&str; CORES] = ["0", "1", "2", "3", "4", "5", "6", "7"];
/// How long the machine had run before the demo began.
const UPTIME: f64 = 90_000.0;

/// The collector.
pub(super) struct DemoNode {
    pub(super) story: Story,
    pub(super) usage: Arc<Usage>,
    pub(super) sheet: Sheet,
}

impl Collector for DemoNode {
    fn name(&self) -> &'static str {
        "demo_node"
    }

    fn collect(&mut self, now: Timestamp, intern: &dyn Intern, out: &mut Batch) -> Result<Reading, CollectError> {
        let (story, t) = (self.story, self.story.seconds(now));
        let page = &mut self.sheet.page(Emit::new("node", intern, out));
        let busy = cpu(page, story, t);
        let (available, swap_free) = memory(page, story, t);
        disk(page, story, t);
        network(page, story, t);
        kernel(page, story, t);
        facts(page, story, now);
        self.usage.set(Snapshot {
            cpu_ratio: Some(busy),
            memory_total_bytes: Some(MEMORY_BYTES),
            memory_available_bytes: Some(available),
            swap_total_bytes: Some(8.0 * GIB),
            swap_free_bytes: Some(swap_free),
            load1: Some(story.wave(30, 5.0, 2.5).at(t)),
        });
        Ok(Reading::Complete)
    }
}

/// Writes the cores; returns the busy share of all.
fn cpu(page: &mut Page<'_, '_>, story: Story, t: f64) -> f64 {
    let mut all = 0.0;
    for (number, core) in (0u64..).zip(CORE_NAMES) {
        let user = story.wave(100 + number, 0.42, 0.3);
        let system = story.wave(120 + number, 0.08, 0.05);
        let waiting = story.wave(140 + number, 0.015, 0.012);
        all += user.at(t) + system.at(t);
        let (user, system, waiting) = (user.sum(t), system.sum(t), waiting.sum(t));
        let before = UPTIME / 10.0;
        for (mode, value) in [
            ("user", before + user),
            ("nice", 0.0),
            ("system", before / 4.0 + system),
            ("idle", UPTIME - before * 1.3 + t - user - system - waiting),
            ("iowait", before / 20.0 + waiting),
            ("irq", 0.0),
            ("softirq", before / 50.0),
            ("steal", 0.0),
        ] {
            page.put("node_cpu_seconds_total", &[core, mode], value);
        }
    }
    for (name, which, swing) in [("node_load1", 30, 2.5), ("node_load5", 31, 1.5), ("node_load15", 32, 0.8)] {
        page.put(name, &[], story.wave(which, 5.0, swing).at(t));
    }
    all / CORES as f64
}

/// Writes memory; returns what is available and free swap.
fn memory(page: &mut Page<'_, '_>, story: Story, t: f64) -> (f64, f64) {
    let cached = story.wave(40, 9.0 * GIB, 2.0 * GIB).at(t);
    let others = story.wave(41, 14.0 * GIB, 1.0 * GIB).at(t);
    let free = MEMORY_BYTES - cached - others - story.leaked_bytes(t);
    let available = free + 0.9 * cached;
    let swap_free = story.wave(42, 7.5 * GIB, 0.2 * GIB).at(t);
    for (name, value) in [
        ("node_memory_MemTotal_bytes", MEMORY_BYTES),
        ("node_memory_MemFree_bytes", free),
        ("node_memory_MemAvailable_bytes", available),
        ("node_memory_Buffers_bytes", 0.4 * GIB),
        ("node_memory_Cached_bytes", cached),
        ("node_memory_SReclaimable_bytes", 0.6 * GIB),
        ("node_memory_Slab_bytes", 0.9 * GIB),
        ("node_memory_AnonPages_bytes", others + story.leaked_bytes(t) - 1.5 * GIB),
        ("node_memory_SwapTotal_bytes", 8.0 * GIB),
        ("node_memory_SwapFree_bytes", swap_free),
    ] {
        page.put(name, &[], value);
    }
    (available, swap_free)
}

fn disk(page: &mut Page<'_, '_>, story: Story, t: f64) {
    let reads = story.wave(50, 120.0, 90.0).sum(t);
    let writes = story.wave(51, 60.0, 40.0).sum(t);
    let busy = story.wave(52, 0.25, 0.2).sum(t);
    let device = &["nvme0n1"];
    for (name, value) in [
        ("node_disk_reads_completed_total", 1e6 + reads.floor()),
        ("node_disk_read_bytes_total", 64e9 + reads * 96e3),
        ("node_disk_read_time_seconds_total", 900.0 + busy * 0.4),
        ("node_disk_writes_completed_total", 2e6 + writes.floor()),
        ("node_disk_written_bytes_total", 128e9 + writes * 160e3),
        ("node_disk_write_time_seconds_total", 700.0 + busy * 0.7),
        ("node_disk_io_time_seconds_total", 1200.0 + busy),
        ("node_disk_io_time_weighted_seconds_total", 1600.0 + busy * 1.1),
        ("node_disk_io_now", story.wave(53, 2.0, 1.9).at(t).floor()),
    ] {
        page.put(name, device, value);
    }
    for (device, point, size, used) in
        [("/dev/nvme0n1p2", "/", 200.0 * GIB, 81.0), ("/dev/nvme0n1p3", "/models", 1600.0 * GIB, 900.0)]
    {
        let labels = &[device, point, "ext4"];
        let free = size - used * GIB - story.wave(54, 2.0 * GIB, 1.0 * GIB).at(t);
        for (name, value) in [
            ("node_filesystem_device_error", 0.0),
            ("node_filesystem_readonly", 0.0),
            ("node_filesystem_size_bytes", size),
            ("node_filesystem_free_bytes", free),
            ("node_filesystem_avail_bytes", free * 0.95),
            ("node_filesystem_files", 1e8),
            ("node_filesystem_files_free", 9.7e7),
        ] {
            page.put(name, labels, value);
        }
    }
}

fn network(page: &mut Page<'_, '_>, story: Story, t: f64) {
    let received = story.wave(60, 2.4e6, 2.0e6).sum(t);
    let sent = story.wave(61, 0.9e6, 0.7e6).sum(t);
    for (device, share) in [("eth0", 1.0), ("lo", 0.2)] {
        let device = &[device];
        for (name, value) in [
            ("node_network_receive_bytes_total", 9e9 + received * share),
            ("node_network_receive_packets_total", 9e6 + (received * share / 900.0).floor()),
            ("node_network_receive_errs_total", 0.0),
            ("node_network_receive_drop_total", 0.0),
            ("node_network_transmit_bytes_total", 4e9 + sent * share),
            ("node_network_transmit_packets_total", 5e6 + (sent * share / 800.0).floor()),
            ("node_network_transmit_errs_total", 0.0),
            ("node_network_transmit_drop_total", 0.0),
            ("node_network_up", 1.0),
        ] {
            page.put(name, device, value);
        }
    }
}

fn kernel(page: &mut Page<'_, '_>, story: Story, t: f64) {
    let pressure = |which: u64, level: f64| 400.0 + story.wave(which, level, level).sum(t);
    for (name, value) in [
        ("node_pressure_cpu_waiting_seconds_total", pressure(70, 0.08)),
        ("node_pressure_io_waiting_seconds_total", pressure(71, 0.04)),
        ("node_pressure_io_stalled_seconds_total", pressure(72, 0.02)),
        ("node_pressure_memory_waiting_seconds_total", pressure(73, 0.01)),
        ("node_pressure_memory_stalled_seconds_total", pressure(74, 0.005)),
        ("node_vmstat_oom_kill", 2.0 + story.kills(t)),
        ("node_vmstat_pgfault", 5e9 + story.wave(75, 4000.0, 3000.0).sum(t).floor()),
        ("node_vmstat_pgmajfault", 9e4 + story.wave(76, 0.5, 0.5).sum(t).floor()),
        ("node_context_switches_total", 7e8 + story.wave(77, 9000.0, 5000.0).sum(t).floor()),
        ("node_intr_total", 5e8 + story.wave(78, 5000.0, 2000.0).sum(t).floor()),
        ("node_forks_total", 4e5 + story.wave(79, 3.0, 2.0).sum(t).floor()),
        ("node_procs_running", story.wave(80, 4.0, 3.0).at(t).floor()),
        ("node_procs_blocked", 0.0),
        ("node_filefd_allocated", story.wave(81, 5200.0, 400.0).at(t).floor()),
        ("node_filefd_maximum", 1e6),
        ("node_entropy_available_bits", 256.0),
    ] {
        page.put(name, &[], value);
    }
    for (which, sensor) in [(90, "temp1"), (91, "temp2")] {
        let sensor = &["platform_coretemp_0", sensor];
        page.put("node_hwmon_temp_celsius", sensor, story.wave(which, 61.0, 8.0).at(t));
        page.put("node_hwmon_temp_crit_celsius", sensor, 100.0);
    }
}

fn facts(page: &mut Page<'_, '_>, story: Story, now: Timestamp) {
    page.put("node_boot_time_seconds", &[], story.start_seconds() - UPTIME);
    page.put("node_time_seconds", &[], now as f64 / 1e3);
    let uname = ["Linux", "6.18.0-demo", "#1 SMP", "x86_64", "demo", "(none)"];
    page.put("node_uname_info", &uname, 1.0);
}
