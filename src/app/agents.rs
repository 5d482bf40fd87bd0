//! Workers that tell about themselves: what their room needs of the system and of the history, and their tick.

use std::sync::Arc;

use crate::clock::Clock;
use crate::collect::demo::DemoAgents;
use crate::collect::system::Roots;
use crate::collect::worker::PidReader;
use crate::collect::{CollectError, Collector, Reading};
use crate::ingest::{AgentRoom, Agents, AgentsConfig, BeatError, ProcessReading, Processes, RunRecord, RunStore};
use crate::model::{Batch, Intern, Timestamp};
use crate::storage::{Ring, StateTable};

/// The agents of a daemon on this ring; in the demo their processes are made up.
pub(super) fn agents(
    roots: &Roots,
    intern: Arc<dyn Intern>,
    ring: Arc<Ring>,
    demo: Option<(DemoAgents, Clock)>,
) -> Arc<Agents> {
    let processes: Arc<dyn Processes> = match demo {
        Some((demo, clock)) => Arc::new(MadeUp(demo, clock, ByPid(PidReader::new(roots)))),
        None => Arc::new(ByPid(PidReader::new(roots))),
    };
    Arc::new(Agents::new(AgentsConfig::default(), AgentRoom { intern, processes, runs: Arc::new(InRing(ring)) }))
}

/// Processes of the demo; whoever else tells about itself has a real one.
struct MadeUp(DemoAgents, Clock, ByPid);

impl Processes for MadeUp {
    fn read(&self, pid: i32) -> Result<ProcessReading, String> {
        let Some(process) = self.0.process(pid, self.1.now()) else { return self.2.read(pid) };
        Ok(ProcessReading {
            start_ticks: 0,
            started_at: Some(process.started_at),
            state: 'S',
            cpu_seconds: process.cpu_seconds,
            rss_bytes: process.rss_bytes,
        })
    }
}

/// Sends the heartbeats of the demo's agents.
pub(super) struct DemoBeats {
    pub(super) demo: DemoAgents,
    pub(super) agents: Arc<Agents>,
}

impl Collector for DemoBeats {
    fn name(&self) -> &'static str {
        "demo_agents"
    }

    fn collect(&mut self, now: Timestamp, _: &dyn Intern, _: &mut Batch) -> Result<Reading, CollectError> {
        for (id, body) in self.demo.beats(now) {
            let refused = |error: BeatError| CollectError { collector: "demo_agents", reason: error.to_string() };
            self.agents.beat(id, body.to_string().as_bytes(), now).map_err(refused)?;
        }
        Ok(Reading::Complete)
    }
}

/// Processes of this machine.
struct ByPid(PidReader);

impl Processes for ByPid {
    fn read(&self, pid: i32) -> Result<ProcessReading, String> {
        let reading = self.0.read(pid).map_err(|error| error.to_string())?;
        Ok(ProcessReading {
            start_ticks: reading.start_ticks,
            started_at: reading.start_time.map(|seconds| (seconds * 1000.0) as Timestamp),
            state: reading.state,
            cpu_seconds: reading.cpu_seconds,
            rss_bytes: reading.rss_bytes,
        })
    }
}

/// Records of runs are a small table of the ring.
struct InRing(Arc<Ring>);

impl RunStore for InRing {
    fn load(&self) -> Result<Vec<RunRecord>, String> {
        self.0.state_scan(StateTable::Runs).map_err(|error| error.to_string())
    }

    fn put(&self, key: &[u8], value: &[u8]) {
        self.0.state_put(StateTable::Runs, key, value);
    }

    fn delete(&self, key: &[u8]) {
        self.0.state_delete(StateTable::Runs, key);
    }
}

/// Brings what heartbeats say into a tick.
pub(super) struct AgentFeed(pub(super) Arc<Agents>);

impl Collector for AgentFeed {
    fn name(&self) -> &'static str {
        "agents"
    }

    fn collect(&mut self, now: Timestamp, _: &dyn Intern, out: &mut Batch) -> Result<Reading, CollectError> {
        self.0.tick(now, out);
        Ok(Reading::Complete)
    }
}
