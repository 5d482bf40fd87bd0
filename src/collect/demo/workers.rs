//! The workers of the demo: a model server, a swarm of agents, and a training run that leaks until it is killed.

use super::sheet::Sheet;
use super::story::{GIB, Story};
use crate::collect::emit::Emit;
use crate::collect::worker::{ProcessView, WorkersHandle};
use crate::collect::{CollectError, Collector, Reading};
use crate::model::{Batch, Intern, Timestamp};

/// A group: name, processes, share of cores, memory, first pid.
const GROUPS: [(&str, u32, f64, f64, i32); 4] = [
    ("llama-server", 1, 1.2, 6.5 * GIB, 4100),
    ("vllm", 4, 0.9, 5.0 * GIB, 4200),
    ("training", 2, 1.6, 0.0, 4300),
    ("agent", 3, 0.3, 1.1 * GIB, 4400),
];
const LEAKER: &str = "training";
const STATES: [&str; 5] = ["running", "sleeping", "waiting", "zombie", "other"];

/// The collector.
pub(super) struct DemoWorkers {
    pub(super) story: Story,
    pub(super) handle: WorkersHandle,
    pub(super) sheet: Sheet,
}

struct Group {
    name: &'static str,
    processes: u32,
    cores: f64,
    cpu_seconds: f64,
    memory: f64,
    started: f64,
    first_pid: i32,
}

fn groups(story: Story, t: f64) -> impl Iterator<Item = Group> {
    (0u64..).zip(GROUPS).map(move |(number, (name, processes, cores, memory, pid))| {
        let wave = story.wave(200 + number, cores, cores * 0.6);
        let leaks = name == LEAKER;
        let swing = story.wave(220 + number, memory, memory * 0.02).at(t);
        Group {
            name,
            processes,
            cores: wave.at(t),
            cpu_seconds: 3600.0 * cores + wave.sum(t),
            memory: if leaks { story.leaked_bytes(t) } else { swing },
            started: story.start_seconds() + if leaks { story.leaker_started(t) } else { -7200.0 },
            first_pid: if leaks { pid + story.kills(t) as i32 * 7 } else { pid },
        }
    })
}

impl Collector for DemoWorkers {
    fn name(&self) -> &'static str {
        "demo_worker"
    }

    fn collect(&mut self, now: Timestamp, intern: &dyn Intern, out: &mut Batch) -> Result<Reading, CollectError> {
        let (story, t) = (self.story, self.story.seconds(now));
        let mut page = self.sheet.page(Emit::new("worker", intern, out));
        let mut views = Vec::new();
        for group in groups(story, t) {
            let name = group.name;
            let count = f64::from(group.processes);
            page.put("worker_group_procs", &[name], count);
            page.put("worker_group_cpu_seconds_total", &[name, "user"], group.cpu_seconds * 0.9);
            page.put("worker_group_cpu_seconds_total", &[name, "system"], group.cpu_seconds * 0.1);
            page.put("worker_group_cpu_ratio", &[name], group.cores);
            page.put("worker_group_memory_bytes", &[name, "rss"], group.memory);
            page.put("worker_group_threads", &[name], count * 12.0);
            page.put("worker_group_open_fds", &[name], count * 40.0);
            page.put("worker_group_oldest_start_timestamp_seconds", &[name], group.started);
            for state in STATES {
                page.put("worker_group_states", &[name, state], if state == "sleeping" { count } else { 0.0 });
            }
            views.extend(processes(&group));
        }
        self.handle.set_fixed(views);
        Ok(Reading::Complete)
    }
}

fn processes(group: &Group) -> impl Iterator<Item = ProcessView> {
    let share = f64::from(group.processes);
    (0..group.processes as i32).map(move |number| ProcessView {
        pid: group.first_pid + number,
        parent: if number == 0 { 1 } else { group.first_pid },
        name: group.name.to_owned(),
        cpu_percent: Some(group.cores / share * 100.0),
        rss_bytes: group.memory / share,
        threads: 12,
        open_fds: Some(40),
        start_time: Some(group.started),
        state: 'S',
        group: Some(group.name.to_owned()),
        user: Some("ai".to_owned()),
        cmdline: Some(format!("/usr/bin/{}", group.name)),
        pss_bytes: Some(group.memory / share * 0.9),
        read_bytes_per_second: Some(group.cores * 64e3),
        write_bytes_per_second: Some(group.cores * 8e3),
    })
}
