//! The history is there at the next start: after SIGTERM, after SIGKILL.

use std::time::Duration;

use crate::support::{Daemon, free_port, temp_dir, wait_for};

const PROBE: &str = "count_over_time(node_memory_MemTotal_bytes[10m])";

fn samples(daemon: &Daemon) -> f64 {
    daemon.value(PROBE).unwrap_or(0.0)
}

#[test]
fn history_survives_term_and_kill() {
    let dir = temp_dir();
    // A fixed port: it is part of the series' `instance` label.
    let listen = [format!("--web.listen-address=127.0.0.1:{}", free_port())];
    let mut before = 0.0;
    for signal in ["TERM", "KILL", "KILL", "TERM"] {
        let mut daemon = Daemon::start_in(dir.path(), &listen);
        assert!(samples(&daemon) >= before, "{} samples after a restart, {before} before", samples(&daemon));
        let wanted = before + 4.0;
        wait_for("four more samples", Duration::from_secs(30), || (samples(&daemon) >= wanted).then_some(()));
        let seen = samples(&daemon);
        // A row is committed within a second: what was seen two samples ago is on disk.
        wait_for("two more samples", Duration::from_secs(30), || (samples(&daemon) >= seen + 2.0).then_some(()));
        daemon.process.signal(signal);
        let code = daemon.process.wait(Duration::from_secs(10));
        assert_eq!(code, (signal == "TERM").then_some(0), "{signal}: {}", daemon.process.log());
        before = seen;
    }
    let daemon = Daemon::start_in(dir.path(), &listen);
    assert!(samples(&daemon) >= before);
    assert_eq!(daemon.value("count(node_memory_MemTotal_bytes)"), Some(1.0), "one series, not one a start");
}

#[test]
fn the_demo_never_touches_real_data() {
    let dir = temp_dir();
    let daemon = Daemon::start_in(dir.path(), &["--demo"]);
    wait_for("demo data", Duration::from_secs(20), || daemon.value("watchfire_demo").filter(|v| *v == 1.0));
    drop(daemon);
    let left: Vec<_> = std::fs::read_dir(dir.path()).expect("readable").collect();
    assert!(left.is_empty(), "the demo wrote into the data directory: {left:?}");
}
