//! Workers that tell about themselves: what their room needs of the system and of the history, and their tick.

use std::sync::Arc;

use crate::collect::system::Roots;
use crate::collect::worker::PidReader;
use crate::collect::{CollectError, Collector, Reading};
use crate::ingest::{AgentRoom, Agents, AgentsConfig, ProcessReading, Processes, RunRecord, RunStore};
use crate::model::{Batch, Intern, Timestamp};
use crate::storage::{Ring, StateTable};

/// The agents of a daemon on this ring.
pub(super) fn agents(roots: &Roots, intern: Arc<dyn Intern>, ring: Arc<Ring>) -> Arc<Agents> {
    let (processes, runs) = (Arc::new(ByPid(PidReader::new(roots))), Arc::new(InRing(ring)));
    Arc::new(Agents::new(AgentsConfig::default(), AgentRoom { intern, processes, runs }))
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
