//! Agents of the demo, which tell about themselves as real ones do: one works, one is held now and then, one is mostly idle.
//! Their ids begin with `demo-`, and they carry the label `demo="true"`.

use super::story::{GIB, Story};
use super::wave::Wave;
use crate::model::Timestamp;

/// Id; process; length of a round in seconds, of which it works `busy`, then is held for `held`, then idle; tokens a second;
/// limit of the session.
struct Agent {
    id: &'static str,
    pid: i32,
    round: f64,
    busy: f64,
    held: f64,
    speed: f64,
    limit: Option<u64>,
}

const AGENTS: [Agent; 3] = [
    Agent { id: "demo-coder", pid: 4400, round: 180.0, busy: 170.0, held: 0.0, speed: 60.0, limit: Some(2_000_000) },
    Agent { id: "demo-reviewer", pid: 4401, round: 90.0, busy: 50.0, held: 30.0, speed: 25.0, limit: Some(500_000) },
    Agent { id: "demo-planner", pid: 4402, round: 240.0, busy: 40.0, held: 0.0, speed: 15.0, limit: None },
];
/// How long before the demo's start they began, in seconds.
const BEFORE: f64 = 7200.0;
/// Idle for so long they may be ended, in seconds.
const TTL: f64 = 90.0;

/// Makes heartbeats, and readings of the processes that they name.
#[derive(Debug, Clone, Copy)]
pub struct DemoAgents(Story);

/// What the system would say of an agent's process.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct DemoProcess {
    /// When it started, milliseconds since 1970.
    pub started_at: Timestamp,
    /// CPU time since then.
    pub cpu_seconds: f64,
    /// Resident memory.
    pub rss_bytes: f64,
}

impl DemoAgents {
    /// Agents of a demo whose story begins at `start`.
    pub fn new(seed: u64, start: Timestamp) -> Self {
        Self(Story { seed, start_ms: start })
    }

    /// The heartbeats of `now`: worker's id, body.
    pub fn beats(&self, now: Timestamp) -> Vec<(&'static str, serde_json::Value)> {
        let t = self.0.seconds(now);
        (0u64..).zip(&AGENTS).map(|(number, agent)| (agent.id, self.body(number, agent, t))).collect()
    }

    /// A process at `now`; `None` for a number that is none of theirs.
    pub fn process(&self, pid: i32, now: Timestamp) -> Option<DemoProcess> {
        let (number, agent) = (0u64..).zip(&AGENTS).find(|(_, agent)| agent.pid == pid)?;
        let t = self.0.seconds(now);
        let cpu = self.0.wave(400 + number, 0.3, 0.2);
        let memory = self.0.wave(420 + number, 1.1 * GIB, 0.05 * GIB);
        Some(DemoProcess {
            started_at: self.0.start_ms - (BEFORE * 1e3) as i64,
            cpu_seconds: BEFORE * 0.3 + cpu.sum(self.worked(agent, t)),
            rss_bytes: memory.at(t),
        })
    }

    /// Seconds that it has worked in `t` since the start.
    fn worked(&self, agent: &Agent, t: f64) -> f64 {
        (t / agent.round).floor() * agent.busy + (t % agent.round).min(agent.busy)
    }

    fn body(&self, number: u64, agent: &Agent, t: f64) -> serde_json::Value {
        let (round, phase) = ((t / agent.round).floor(), t % agent.round);
        let tokens: Wave = self.0.wave(440 + number, agent.speed, agent.speed * 0.9);
        let used = |t: f64| tokens.sum(self.worked(agent, t)).max(0.0) as u64;
        let (before, all) = (used(round * agent.round), used(t));
        let is_busy = phase < agent.busy;
        let status = match phase - agent.busy {
            _ if is_busy => "running",
            after if after < agent.held => "paused",
            _ => "idle",
        };
        let queue = self.0.wave(460 + number, 3.0, 3.0).at(t).round().max(0.0);
        serde_json::json!({
            "pid": agent.pid,
            "project": "demo",
            "run_id": format!("demo-run-{}", round + 1.0),
            "status": status,
            "tokens": {"current_run": all.saturating_sub(before), "total_session": all, "limit": agent.limit},
            "queue": queue,
            "in_flight": u8::from(is_busy),
            "labels": {"demo": "true"},
            "ttl_seconds": TTL,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::{AGENTS, DemoAgents};

    #[test]
    fn they_work_rest_and_are_clearly_of_the_demo() {
        let demo = DemoAgents::new(7, 1_700_000_000_000);
        let mut seen = std::collections::BTreeSet::new();
        let mut last = vec![0u64; AGENTS.len()];
        for second in 0..600 {
            let now = 1_700_000_000_000 + second * 1000;
            let beats = demo.beats(now);
            assert_eq!(beats, demo.beats(now), "the same on every run");
            for ((id, body), last) in beats.iter().zip(&mut last) {
                assert!(id.starts_with("demo-") && body["labels"]["demo"] == "true" && body["project"] == "demo");
                let total = body["tokens"]["total_session"].as_u64().expect("a count");
                assert!(total >= *last, "{id} takes tokens back");
                *last = total;
                seen.insert((*id, body["status"].as_str().expect("a word").to_owned()));
                let pid = body["pid"].as_i64().and_then(|pid| i32::try_from(pid).ok()).expect("a number");
                let process = demo.process(pid, now).expect("it is there");
                assert!(process.cpu_seconds > 0.0 && process.rss_bytes > 0.0 && process.started_at < now);
            }
        }
        assert!(last.iter().all(|tokens| *tokens > 0));
        for state in ["running", "paused", "idle"] {
            assert!(seen.iter().any(|(_, word)| word == state), "nobody is {state}");
        }
        assert_eq!(demo.process(1, 0), None);
    }
}
