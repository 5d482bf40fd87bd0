//! Heartbeats from their bodies to samples, on a made-up machine and a hand-moved clock.

mod bodies;
mod house;
mod samples;
mod tokens;
mod work;

use std::collections::BTreeMap;
use std::sync::Arc;

use parking_lot::Mutex;

use super::{AgentRoom, Agents, AgentsConfig, ProcessReading, Processes, RunRecord, RunStore};
use crate::model::{Batch, GroupId, Intern, SeriesRef, Timestamp};
use crate::registry::{RegistryConfig, SeriesTable};

const T0: Timestamp = 1_700_000_000_000;

/// Processes by number.
#[derive(Default)]
struct Machine(Mutex<BTreeMap<i32, Result<ProcessReading, String>>>);

impl Machine {
    fn set(&self, pid: i32, start: u64, state: char, cpu_seconds: f64) {
        let started_at = Some(T0 - 10_000 + start as i64);
        let reading = ProcessReading { start_ticks: start, started_at, state, cpu_seconds, rss_bytes: 4096.0 };
        self.0.lock().insert(pid, Ok(reading));
    }
}

impl Processes for Machine {
    fn read(&self, pid: i32) -> Result<ProcessReading, String> {
        self.0.lock().get(&pid).cloned().unwrap_or_else(|| Err(format!("no process {pid}")))
    }
}

/// A small table in memory.
#[derive(Default)]
struct Table(Mutex<BTreeMap<Vec<u8>, Vec<u8>>>);

impl RunStore for Table {
    fn load(&self) -> Result<Vec<RunRecord>, String> {
        Ok(self.0.lock().clone().into_iter().collect())
    }

    fn put(&self, key: &[u8], value: &[u8]) {
        self.0.lock().insert(key.to_vec(), value.to_vec());
    }

    fn delete(&self, key: &[u8]) {
        self.0.lock().remove(key);
    }
}

struct World {
    agents: Agents,
    machine: Arc<Machine>,
    table: Arc<SeriesTable>,
    runs: Arc<Table>,
}

impl World {
    fn new(config: AgentsConfig) -> Self {
        Self::on(config, Arc::default())
    }

    fn on(config: AgentsConfig, runs: Arc<Table>) -> Self {
        let machine = Arc::<Machine>::default();
        let table = Arc::new(SeriesTable::new(RegistryConfig::default()));
        let room = AgentRoom {
            intern: Arc::clone(&table) as _,
            processes: Arc::clone(&machine) as _,
            runs: Arc::clone(&runs) as _,
        };
        Self { agents: Agents::new(config, room), machine, table, runs }
    }

    fn beat(&self, id: &str, body: &str, second: f64) -> Arc<super::AgentView> {
        self.agents.beat(id, body.as_bytes(), at(second)).unwrap_or_else(|error| panic!("{body}: {error}"))
    }

    /// The samples of a tick as `name{labels} value`, without the names' common beginning and the labels' project and worker.
    fn tick(&self, second: f64) -> Vec<String> {
        let mut batch = Batch::new(GroupId(0), at(second));
        self.agents.tick(at(second), &mut batch);
        self.lines(&batch.floats)
    }

    fn lines(&self, floats: &[(SeriesRef, f64)]) -> Vec<String> {
        let mut lines: Vec<String> = floats
            .iter()
            .map(|(series, value)| {
                let labels = self.table.labels(*series).expect("held");
                let name = labels.metric_name().trim_start_matches("worker_agent_").to_owned();
                let rest: Vec<String> = labels
                    .iter()
                    .filter(|(name, _)| !["__name__", "job", "instance", "project", "worker"].contains(name))
                    .map(|(name, value)| format!("{}={value}", name.trim_start_matches("worker_agent_")))
                    .collect();
                format!("{name}{{{}}} {value}", rest.join(","))
            })
            .collect();
        lines.sort();
        lines
    }

    fn value(&self, second: f64, name: &str) -> Option<f64> {
        let lines = self.tick(second);
        let line = lines.iter().find_map(|line| line.strip_prefix(&format!("{name}{{}} ")))?;
        Some(line.parse().expect("a number"))
    }
}

fn at(second: f64) -> Timestamp {
    T0 + (second * 1000.0) as i64
}
