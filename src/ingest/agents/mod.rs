//! Agents: programs that tell about themselves by heartbeats, and the runs that they work on.
//!
//! A heartbeat states everything that a worker knows of itself now; what it leaves out is unknown. Readers never wait: each
//! worker's newest view lies in a cell of its own that a heartbeat or a tick replaces as a whole.

mod body;
mod config;
mod families;
mod follow;
mod item;
mod members;
mod process;
mod runs;
mod series;
mod store;
mod view;
mod worker;

pub use body::{Heartbeat, Status, Tokens, check_worker_id};
pub use config::{AgentCounters, AgentsConfig, MAX_HEARTBEAT_BYTES, MAX_WORKERS};
pub use families::FAMILIES as AGENT_FAMILIES;
pub use process::{NoProcesses, ProcessReading, Processes};
pub use runs::{NoRunStore, RunRecord, RunStatus, RunStore, RunView};
pub use store::{AgentRoom, Agents, BeatError};
pub use view::{AgentView, ProcessView};

#[cfg(test)]
mod tests;
