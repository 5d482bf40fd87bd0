//! The collectors of a running daemon. A reload puts others in the place of those whose settings changed, between two ticks.

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};

use arc_swap::ArcSwapOption;
use parking_lot::Mutex;

use crate::clock::Clock;
use crate::collect::demo::{DemoAgents, demo};
use crate::collect::gpu::{FastGpus, GpuConfig, GpuHandle, Gpus};
use crate::collect::system::{SystemConfig, Usage, collectors};
use crate::collect::textfile::Textfile;
use crate::collect::windows::{Windows, WindowsCollector};
use crate::collect::worker::{WorkerCounters, WorkerExit, Workers, WorkersHandle};
use crate::collect::{Collector, FastHandle, FastJob, Job, SamplingCounters, Scheduler, SchedulerHandle};
use crate::config::{CollectorFamily, Config};
use crate::http::EventLog;
use crate::ingest::{Agents, Events};
use crate::live::Hub;
use crate::model::{GroupId, Intern, Output};
use crate::telemetry::{OwnMetrics, RingFeed};

use super::Settings;
use super::agents::{AgentFeed, DemoBeats};
use super::live::{self, EventTail};
use super::processes::exit_json;
use super::tracked::Tracked;
use super::up::{EventFeed, OwnFeed, Up, Views};

/// Groups of collectors that a reload replaces as a whole.
const MACHINE: &str = "node";
const WORKERS: &str = "worker";
const GPU: &str = "gpu";
/// What the daemon says of itself, and what it is told.
const OWN: [&str; 4] = ["watchfire", "events", "agents", "windows"];

/// What collectors stand on.
pub(super) struct CollectingRooms {
    pub(super) settings: Arc<Settings>,
    pub(super) clock: Clock,
    pub(super) intern: Arc<dyn Intern>,
    pub(super) output: Arc<dyn Output>,
    /// The group of samples between ticks.
    pub(super) group: GroupId,
    pub(super) hub: Arc<Hub>,
    pub(super) windows: Arc<Windows>,
    pub(super) own: Arc<OwnMetrics>,
    pub(super) views: Views,
    pub(super) events: Arc<Events>,
    pub(super) agents: Arc<Agents>,
    pub(super) log: Arc<EventLog>,
    pub(super) instance: String,
    pub(super) demo: Option<DemoAgents>,
    /// What the worker collector that runs counts.
    pub(super) worker_counters: Arc<ArcSwapOption<WorkerCounters>>,
}

/// All collectors with their threads.
pub(super) struct Collecting {
    rooms: CollectingRooms,
    sampling: Arc<SamplingCounters>,
    state: Mutex<State>,
}

/// What a reload changes.
struct State {
    scheduler: Option<SchedulerHandle>,
    fast: Option<FastHandle>,
    made: Made,
    wishes: Wishes,
}

/// What others ask of collectors that run.
#[derive(Clone, Default)]
struct Made {
    workers: Option<WorkersHandle>,
    gpus: Option<GpuHandle>,
}

/// What is configured of each group, as text: not all settings can be compared.
#[derive(Clone, PartialEq, Eq)]
struct Wishes {
    machine: String,
    workers: String,
    gpu: String,
    own: String,
}

impl Wishes {
    fn of(config: &Config) -> Self {
        let c = &config.collectors;
        let (has, every) = (|family| c.has(family), |name: &str| c.intervals.get(name).copied().unwrap_or(c.interval));
        let machine = (has(CollectorFamily::System), &c.disabled, &c.intervals, c.interval);
        Self {
            machine: format!("{:?}", (machine, &c.options, &c.cgroups, &c.textfile)),
            workers: format!("{:?}", (has(CollectorFamily::Workers), every(WORKERS), &config.workers)),
            gpu: format!("{:?}", (has(CollectorFamily::Gpu), every(GPU), &c.gpu)),
            own: format!("{:?}", c.interval),
        }
    }
}

impl Collecting {
    /// Starts what the configuration wants.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub(super) fn start(rooms: CollectingRooms) -> std::io::Result<Self> {
        let config = &rooms.settings.config;
        let interval = config.collectors.interval;
        let (mut jobs, fast, made) = match rooms.settings.demo {
            Some(seed) => {
                let demo = demo(seed, rooms.clock.now(), interval);
                (demo.jobs, demo.fast, Made { workers: Some(demo.workers), gpus: Some(demo.gpus) })
            }
            None => {
                let (mut jobs, mut made) = (rooms.machine_jobs(config), Made::default());
                jobs.extend(rooms.worker_jobs(config, &mut made));
                jobs.extend(rooms.gpu_jobs(config, &mut made));
                (jobs, rooms.fast_jobs(config, &made), made)
            }
        };
        jobs.extend(rooms.own_jobs(config));
        let jobs = jobs.into_iter().map(|job| rooms.tracked(job)).collect();
        let scheduler = Scheduler::new(jobs, Arc::clone(&rooms.intern), Arc::clone(&rooms.output));
        let sampling = scheduler.counters();
        let scheduler = scheduler.spawn(rooms.clock.clone())?;
        // Set once, here; a second start has views of its own.
        let _ = OnceLock::set(&rooms.views, Box::new(scheduler.viewer()));
        let fast = Some(rooms.start_fast(config, fast, &sampling)?);
        let state = State { scheduler: Some(scheduler), fast, made, wishes: Wishes::of(config) };
        Ok(Self { state: Mutex::new(state), sampling, rooms })
    }

    /// Puts in force what differs from what runs. Says whether something did; the demo's collectors stay as they are.
    ///
    /// # Errors
    /// When the system gives no thread for samples between ticks; there are none then, and everything else is in force.
    pub(super) fn reload(&self, config: &Config) -> std::io::Result<bool> {
        let (state, wishes) = (&mut *self.state.lock(), Wishes::of(config));
        // The end of the daemon has begun: what is started now nobody would stop.
        if self.rooms.settings.demo.is_some() || state.scheduler.is_none() {
            return Ok(false);
        }
        // Samples between ticks that could not be started last time are tried again.
        if state.wishes == wishes && state.fast.is_some() {
            return Ok(false);
        }
        let (rooms, mut groups, mut jobs) = (&self.rooms, Vec::new(), Vec::new());
        let differs = |part: fn(&Wishes) -> &String| part(&state.wishes) != part(&wishes);
        if differs(|wishes| &wishes.machine) {
            groups.push(MACHINE);
            jobs.extend(rooms.machine_jobs(config));
        }
        let new_workers = differs(|wishes| &wishes.workers);
        if new_workers {
            groups.push(WORKERS);
            jobs.extend(rooms.worker_jobs(config, &mut state.made));
        }
        // GPU memory is shown by worker group: other workers need other GPUs.
        if new_workers || state.wishes.gpu != wishes.gpu {
            groups.push(GPU);
            jobs.extend(rooms.gpu_jobs(config, &mut state.made));
        }
        if state.wishes.own != wishes.own {
            groups.extend(OWN);
            jobs.extend(rooms.own_jobs(config));
        }
        tracing::info!(groups = groups.join(", "), collectors = jobs.len(), "collectors were made anew");
        let jobs = jobs.into_iter().map(|job| rooms.tracked(job)).collect();
        if let Some(scheduler) = &state.scheduler {
            scheduler.replace(groups, jobs);
        }
        state.wishes = wishes;
        // The old one ends first: two would sample twice.
        state.fast = None;
        state.fast = Some(rooms.start_fast(config, rooms.fast_jobs(config, &state.made), &self.sampling)?);
        Ok(true)
    }

    /// The processes that the worker collector sees, if it runs.
    pub(super) fn workers(&self) -> Option<WorkersHandle> {
        self.state.lock().made.workers.clone()
    }

    /// What the worker collector counts.
    pub(super) fn worker_counters(&self) -> Arc<ArcSwapOption<WorkerCounters>> {
        Arc::clone(&self.rooms.worker_counters)
    }

    /// What is counted of slots.
    pub(super) fn sampling(&self) -> Arc<SamplingCounters> {
        Arc::clone(&self.sampling)
    }

    /// Ends the threads after the ticks that run.
    pub(super) fn stop(&self) {
        let (fast, scheduler) = {
            let mut state = self.state.lock();
            (state.fast.take(), state.scheduler.take())
        };
        // Their threads are waited for without the lock: a tick may ask for what it guards.
        drop((fast, scheduler));
    }
}

impl CollectingRooms {
    /// What a collector holds in the table of series is given back when it goes.
    fn tracked(&self, job: Job) -> Job {
        Job { collector: self.track(job.collector), ..job }
    }

    fn track(&self, collector: Box<dyn Collector>) -> Box<dyn Collector> {
        Box::new(Tracked::new(collector, Arc::clone(&self.intern)))
    }

    fn system(&self, config: &Config) -> SystemConfig {
        let section = &config.collectors;
        let all = || crate::collect::collector_names().into_iter().map(str::to_owned).collect();
        SystemConfig {
            roots: self.settings.roots.clone(),
            interval: section.interval,
            intervals: BTreeMap::clone(&section.intervals),
            disabled: if section.has(CollectorFamily::System) { section.disabled.clone() } else { all() },
            cgroups: section.cgroups.clone(),
            options: section.options.clone(),
        }
    }

    fn machine_jobs(&self, config: &Config) -> Vec<Job> {
        let system = self.system(config);
        let mut jobs = collectors(&system, &Arc::<Usage>::default());
        // The daemon's own process is no part of the machine's settings.
        jobs.retain(|job| job.group == MACHINE);
        if !system.disabled.iter().any(|name| name == "textfile") {
            let textfiles = Textfile::new(config.collectors.textfile.clone());
            jobs.push(Job { group: MACHINE, interval: every(config, "textfile"), collector: Box::new(textfiles) });
        }
        jobs
    }

    fn worker_jobs(&self, config: &Config, made: &mut Made) -> Option<Job> {
        made.workers = None;
        self.worker_counters.store(None);
        if !config.collectors.has(CollectorFamily::Workers) {
            return None;
        }
        let log = Arc::clone(&self.log);
        let on_exit = move |exit: WorkerExit| log.add("worker_exit", exit.at, exit.inherited, exit_json(&exit));
        let workers = Workers::new(&self.settings.roots, &config.workers).on_exit(Box::new(on_exit));
        self.worker_counters.store(Some(workers.counters()));
        made.workers = Some(workers.handle());
        Some(Job { group: WORKERS, interval: every(config, WORKERS), collector: Box::new(workers) })
    }

    fn gpu_jobs(&self, config: &Config, made: &mut Made) -> Option<Job> {
        made.gpus = None;
        if !config.collectors.has(CollectorFamily::Gpu) {
            return None;
        }
        let gpu = GpuConfig { roots: self.settings.roots.clone(), ..config.collectors.gpu.clone() };
        let gpus = Gpus::new(made.workers.clone(), &gpu);
        made.gpus = Some(gpus.handle());
        Some(Job { group: GPU, interval: every(config, GPU), collector: Box::new(gpus) })
    }

    /// Collectors that are asked between ticks, too.
    fn fast_jobs(&self, config: &Config, made: &Made) -> Vec<FastJob> {
        let mut jobs = live::machine_jobs(&self.system(config));
        jobs.extend(
            made.gpus
                .clone()
                .map(|gpus| FastJob { every: every(config, GPU), collector: Box::new(FastGpus::new(gpus)) }),
        );
        jobs
    }

    fn start_fast(
        &self,
        config: &Config,
        mut jobs: Vec<FastJob>,
        sampling: &Arc<SamplingCounters>,
    ) -> std::io::Result<FastHandle> {
        jobs.push(EventTail::job(&self.events, &self.agents, config.collectors.interval));
        let jobs = jobs.into_iter().map(|job| FastJob { collector: self.track(job.collector), ..job }).collect();
        let rooms = (&self.hub, &self.windows);
        live::start_fast(jobs, Arc::clone(&self.intern), rooms, self.group, Arc::clone(sampling), self.clock.clone())
    }

    /// What the daemon says of itself, and what it is told.
    fn own_jobs(&self, config: &Config) -> Vec<Job> {
        let interval = config.collectors.interval;
        let [own_group, events_group, agents_group, windows_group] = OWN;
        let own = OwnFeed { own: Arc::clone(&self.own), feed: RingFeed::new(&self.instance) };
        let up = Up::new(&self.instance, Arc::clone(&self.views));
        // Last, because it is about what the others read.
        let windows = WindowsCollector::new(Arc::clone(&self.windows));
        let job = |group, collector: Box<dyn Collector>| Job { group, interval, collector };
        let demo = self.demo.map(|demo| DemoBeats { demo, agents: Arc::clone(&self.agents) });
        let mut jobs = vec![job(own_group, Box::new(own)), job(own_group, Box::new(up))];
        // The demo's is among the demo's jobs.
        if self.demo.is_none() {
            jobs.insert(0, job(own_group, crate::collect::system::own_process()));
        }
        jobs.push(job(events_group, Box::new(EventFeed(Arc::clone(&self.events)))));
        jobs.extend(demo.map(|demo| job(agents_group, Box::new(demo))));
        jobs.push(job(agents_group, Box::new(AgentFeed(Arc::clone(&self.agents)))));
        jobs.push(job(windows_group, Box::new(windows)));
        jobs
    }
}

/// The interval of a collector.
fn every(config: &Config, name: &str) -> std::time::Duration {
    let section = &config.collectors;
    section.intervals.get(name).copied().unwrap_or(section.interval)
}
