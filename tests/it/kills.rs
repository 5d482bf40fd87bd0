//! Fifty SIGKILLs under load: what was committed is there, and the file has no scratch.
//!
//! An event that was answered with 200 is in memory. It is in the next tick (a second), and that is in the next commit (another
//! second). So a sample that a query shows is committed once two more commits were counted after it was seen; what is
//! committed must survive every kill.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::support::{Daemon, encode, free_port, request, temp_dir, write};

/// Daemons that are killed side by side, and how often each is.
const LANES: usize = 5;
const KILLS: u64 = 10;
/// The fastest of fifty starts; the machine may be busy with other tests.
const READY: Duration = Duration::from_secs(2);

/// Times and values of a series.
type Samples = BTreeMap<String, String>;

/// Pushes a number that grows, and asks heavy queries, until it is dropped.
struct Load {
    stop: Arc<AtomicBool>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Load {
    fn on(url: &str, sequence: &Arc<AtomicU64>) -> Self {
        let (stop, url, sequence) = (Arc::<AtomicBool>::default(), url.to_owned(), Arc::clone(sequence));
        let stopped = Arc::clone(&stop);
        let thread = std::thread::spawn(move || {
            while !stopped.load(Ordering::Relaxed) {
                let n = sequence.fetch_add(1, Ordering::Relaxed);
                let event = format!("{{\"name\":\"load_sequence\",\"type\":\"gauge\",\"value\":{n}}}");
                // The daemon is killed in the middle of these.
                let _ = request("POST", &format!("{url}/api/watchfire/v1/events"), &[], event.as_bytes());
                if n.is_multiple_of(8) {
                    let _ = request("GET", &format!("{url}/api/v1/query?query=count({{__name__!=%22%22}})"), &[], b"");
                }
                std::thread::park_timeout(Duration::from_millis(5));
            }
        });
        Self { stop, thread: Some(thread) }
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        let ended = self.thread.take().map(std::thread::JoinHandle::join);
        assert!(ended.is_none_or(|ended| ended.is_ok()) || std::thread::panicking());
    }
}

/// All samples of the sequence in the last hour.
fn sequence(daemon: &Daemon) -> Samples {
    let query = encode("load_sequence[1h]");
    let Ok(reply) = request("GET", &format!("{}/api/v1/query?query={query}", daemon.url), &[], b"") else {
        return Samples::new();
    };
    let json = reply.json();
    let values = json["data"]["result"][0]["values"].as_array().cloned().unwrap_or_default();
    let text = |value: &serde_json::Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    values.iter().map(|pair| (text(&pair[0]), text(&pair[1]))).collect()
}

/// Commits that the daemon has counted.
fn commits(daemon: &Daemon) -> Option<f64> {
    let page = request("GET", &format!("{}/metrics", daemon.url), &[], b"").ok()?.text();
    let line =
        page.lines().find_map(|line| line.strip_prefix("watchfire_storage_commits_total ")?.split(' ').next())?;
    line.parse().ok()
}

/// One data directory: daemons begin, work and are killed, one after the other.
struct Lane {
    args: Vec<String>,
    sequence: Arc<AtomicU64>,
    committed: Samples,
    fastest: Duration,
}

impl Lane {
    fn round(&mut self, data: &Path, kill_after: Duration, context: &str) {
        let started = Instant::now();
        let mut daemon = Daemon::start_in(data, &self.args);
        self.fastest = self.fastest.min(started.elapsed());
        self.check(&daemon, context);
        let load = Load::on(&daemon.url, &self.sequence);
        let ready = Instant::now();
        // What was seen, and how many commits had been counted when it was.
        let mut seen: Vec<(Samples, f64)> = Vec::new();
        while ready.elapsed() < kill_after {
            let samples = sequence(&daemon);
            if let Some(commits) = commits(&daemon) {
                for (samples, _) in seen.extract_if(.., |(_, before)| commits >= *before + 2.0) {
                    self.committed.extend(samples);
                }
                seen.push((samples, commits));
            }
            std::thread::park_timeout(Duration::from_millis(30));
        }
        daemon.process.signal("KILL");
        assert_eq!(daemon.process.wait(Duration::from_secs(5)), None);
        drop(load);
    }

    /// Every sample that was committed is there, as it was.
    fn check(&self, daemon: &Daemon, context: &str) {
        let found = sequence(daemon);
        for (time, value) in &self.committed {
            assert_eq!(found.get(time), Some(value), "{context}: at {time}; {} were committed", self.committed.len());
        }
    }
}

#[test]
fn fifty_kills_under_load_lose_nothing_that_was_committed() {
    let lanes: Vec<_> = (0..LANES).map(|lane| std::thread::spawn(move || live(lane))).collect();
    let done: Vec<(usize, Duration)> = lanes.into_iter().map(|lane| lane.join().expect("all is well")).collect();
    eprintln!("committed samples and the fastest start of each lane: {done:?}");
    assert!(done.iter().all(|(committed, _)| *committed >= 2), "something was committed: {done:?}");
    assert!(done.iter().any(|(_, fastest)| *fastest < READY), "{done:?}");
}

/// The life of a lane. Every other commits in the relaxed way.
fn live(number: usize) -> (usize, Duration) {
    let dir = temp_dir();
    let durability = if number.is_multiple_of(2) { "immediate" } else { "relaxed" };
    let config = format!("storage: {{durability: {durability}, relaxed_interval: 1s}}\n");
    let config = write(dir.path(), "watchfire.yml", &config);
    // A fixed port: it is part of the series' `instance` label.
    let listen = format!("--web.listen-address=127.0.0.1:{}", free_port());
    let args = vec![listen, format!("--config.file={}", config.display())];
    let mut lane = Lane { args, sequence: Arc::default(), committed: Samples::new(), fastest: Duration::MAX };
    let data = dir.path().join("data");
    for kill in 0..KILLS {
        // Most are killed before their second commit; some live for several.
        let chance = (kill * 7919 + number as u64 * 104_729) % 351;
        let ms = if kill % 5 == 1 { 4_500 + chance } else { 50 + chance };
        lane.round(&data, Duration::from_millis(ms), &format!("{durability}, lane {number}, kill {kill}"));
    }
    let out = Daemon::command().args(["tsdb", "verify", "--storage.path"]).arg(&data).output().expect("runs");
    assert!(out.status.success(), "{}{}", String::from_utf8_lossy(&out.stdout), String::from_utf8_lossy(&out.stderr));
    let daemon = Daemon::start_in(&data, &lane.args);
    lane.check(&daemon, "at the end");
    (lane.committed.len(), lane.fastest)
}
