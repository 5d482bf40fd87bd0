//! Against a listener that answers as it is told.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, sync_channel};
use std::time::Duration;

use serde_json::Value;

use super::{Worker, WorkerError};
use crate::clock::Stopwatch;

/// Longer than anything here takes.
const PATIENCE: Duration = Duration::from_secs(20);

struct Daemon {
    url: String,
    requests: Receiver<(String, Value)>,
    /// What it answers; 0 means that it never does.
    status: Arc<AtomicUsize>,
    stop: Arc<AtomicBool>,
}

impl Daemon {
    fn start(status: usize) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let (sender, requests) = sync_channel(1000);
        let (status, stop) = (Arc::new(AtomicUsize::new(status)), Arc::new(AtomicBool::new(false)));
        let (its_status, its_stop) = (Arc::clone(&status), Arc::clone(&stop));
        std::thread::spawn(move || {
            let mut held = Vec::new();
            for mut stream in listener.incoming().map_while(Result::ok) {
                if its_stop.load(Ordering::SeqCst) {
                    return;
                }
                let status = its_status.load(Ordering::SeqCst);
                if status == 0 {
                    held.push(stream);
                    continue;
                }
                let mut bytes = Vec::new();
                let mut chunk = [0; 4096];
                let body = loop {
                    let read = stream.read(&mut chunk).unwrap_or(0);
                    bytes.extend_from_slice(&chunk[..read]);
                    let text = String::from_utf8_lossy(&bytes).into_owned();
                    if let Some((head, body)) = text.split_once("\r\n\r\n")
                        && let Ok(json) = serde_json::from_str(body)
                    {
                        break Some((head.to_owned(), json));
                    }
                    if read == 0 {
                        break None;
                    }
                };
                let _ = write!(
                    stream,
                    "HTTP/1.1 {status} X\r\nconnection: close\r\ncontent-length: 14\r\n\r\n{{\"error\":\"no\"}}"
                );
                if let Some(request) = body {
                    let _ = sender.try_send(request);
                }
            }
        });
        Self { url, requests, status, stop }
    }

    fn next(&self) -> (String, Value) {
        self.requests.recv_timeout(PATIENCE).expect("a heartbeat in time")
    }

    /// The next heartbeat that fits.
    fn wait(&self, fits: impl Fn(&Value) -> bool) -> Value {
        loop {
            let (_, body) = self.next();
            if fits(&body) {
                return body;
            }
        }
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
        let _ = std::net::TcpStream::connect(self.url.trim_start_matches("http://"));
    }
}

#[test]
fn says_what_it_does_and_its_last_words() {
    let daemon = Daemon::start(200);
    let worker = Worker::builder(&format!("{}/", daemon.url), "w-1")
        .project("p")
        .token("secret-token")
        .label("team", "x")
        .ttl(Duration::from_millis(1500))
        .token_limit(100)
        .interval(Duration::from_millis(100))
        .start()
        .unwrap();
    let (head, first) = daemon.next();
    assert!(head.starts_with("POST /api/watchfire/v1/workers/w-1 HTTP/1.1"), "{head}");
    assert!(head.to_lowercase().contains("authorization: bearer secret-token"), "{head}");
    assert_eq!(
        (&first["status"], &first["project"], &first["labels"]["team"]),
        (&"idle".into(), &"p".into(), &"x".into())
    );
    assert_eq!((&first["pid"], &first["ttl_seconds"]), (&std::process::id().into(), &1.5.into()));
    assert_eq!((&first["tokens"]["current_run"], &first["tokens"]["limit"]), (&Value::Null, &100.into()));
    worker.start_run("r1");
    worker.add_tokens(5);
    worker.add_tokens(7);
    worker.set_queue(3);
    worker.set_in_flight(1);
    let body = daemon.wait(|body| body["tokens"]["current_run"] == 12);
    assert_eq!(
        (&body["run_id"], &body["status"], &body["queue"], &body["in_flight"]),
        (&"r1".into(), &"running".into(), &3.into(), &1.into())
    );
    worker.paused();
    daemon.wait(|body| body["status"] == "paused");
    worker.start_run("r2");
    worker.add_tokens(1);
    let body = daemon.wait(|body| body["run_id"] == "r2" && body["tokens"]["current_run"] == 1);
    assert_eq!(body["tokens"]["total_session"], 13);
    assert!(worker.stats().sent >= 3 && worker.stats().last_error.is_none());
    drop(worker);
    daemon.wait(|body| body["status"] == "idle" && body["run_id"] == "r2");
}

#[test]
fn a_burst_is_one_heartbeat() {
    let daemon = Daemon::start(200);
    let worker = Worker::builder(&daemon.url, "w").interval(Duration::from_secs(3600)).start().unwrap();
    daemon.next();
    for _ in 0..10_000 {
        worker.add_tokens(1);
    }
    worker.running();
    let body = daemon.wait(|body| body["status"] == "running");
    assert_eq!(body["tokens"]["current_run"], 10_000);
    assert_eq!(worker.stats().superseded, 10_000);
}

#[test]
fn who_does_not_answer_slows_nobody() {
    // Nobody listens; somebody listens and never answers; somebody refuses.
    let (silent, refusing) = (Daemon::start(0), Daemon::start(429));
    for url in ["http://127.0.0.1:1", silent.url.as_str(), refusing.url.as_str()] {
        let worker = Worker::builder(url, "w")
            .interval(Duration::from_millis(100))
            .timeout(Duration::from_millis(200))
            .start()
            .unwrap();
        let since = Stopwatch::start();
        for n in 0..20_000 {
            worker.add_tokens(1);
            if n % 1000 == 0 {
                worker.running();
            }
        }
        assert!(since.elapsed() < Duration::from_secs(2), "{url}: {:?}", since.elapsed());
        while worker.stats().last_error.is_none() {
            std::thread::yield_now();
        }
        let since = Stopwatch::start();
        drop(worker);
        assert!(since.elapsed() < Duration::from_secs(5), "{url}: the end took {:?}", since.elapsed());
    }
    let worker = Worker::builder(&refusing.url, "w").interval(Duration::from_millis(100)).start().unwrap();
    while worker.stats().refused == 0 {
        std::thread::yield_now();
    }
    assert_eq!(worker.stats().last_error.as_deref(), Some("429 Too Many Requests: no"));
    // It is heard as soon as it may be.
    refusing.status.store(200, Ordering::SeqCst);
    while worker.stats().sent == 0 {
        std::thread::yield_now();
    }
    assert_eq!(worker.stats().last_error, None);
}

#[test]
fn mistakes_are_told_before_anything_starts() {
    for (url, id, token, expected) in [
        ("127.0.0.1:9480", "w", "", "http://"),
        ("http://127.0.0.1:9480", "a b", "", "worker id"),
        ("http://127.0.0.1:9480", "", "", "worker id"),
        ("http://127.0.0.1:9480", "w", "a\nb", "token"),
    ] {
        let error: WorkerError = Worker::builder(url, id).token(token).start().expect_err(url);
        assert!(error.to_string().contains(expected), "{url} {id}: {error}");
    }
}

#[test]
fn nobody_says_too_little() {
    for (asked, taken) in [(0, 100), (100, 100), (1000, 1000), (10_000, 10_000), (60_000, 10_000)] {
        let builder = Worker::builder("http://127.0.0.1:1", "w").interval(Duration::from_millis(asked));
        assert_eq!(builder.interval, Duration::from_millis(taken), "{asked}");
    }
}

/// What the daemon would refuse is cut, so that one overflow does not silence the worker.
#[test]
fn counts_are_cut_to_what_is_taken() {
    let daemon = Daemon::start(200);
    let worker = Worker::builder(&daemon.url, "w").interval(Duration::from_millis(100)).token_limit(u64::MAX).start();
    let worker = worker.expect("a good URL");
    for _ in 0..2 {
        worker.add_tokens(u64::MAX);
    }
    worker.set_queue(u64::MAX);
    worker.running();
    let body = daemon.wait(|body| body["status"] == "running");
    for at in ["/tokens/current_run", "/tokens/total_session", "/tokens/limit", "/queue"] {
        assert_eq!(body.pointer(at).and_then(Value::as_u64), Some(1 << 53), "{at}: {body}");
    }
}
