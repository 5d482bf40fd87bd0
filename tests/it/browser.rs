//! A headless browser opens the page: charts move, the console stays silent, nothing but the daemon is asked.
//!
//! Screenshots are kept in `target/screenshots/`.

use std::path::PathBuf;
use std::process::Command;

use crate::support::{Daemon, find_program, skip};

/// Runs a script on a daemon with these arguments, or gives it the binary to start daemons itself.
fn run(test: &str, script: &str, args: Option<&[&str]>) {
    let web = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("dashboards/web");
    let driver = web.join("node_modules/playwright-core");
    let (Some(node), Some(_), true) = (find_program(&["node"]), find_program(&["chromium"]), driver.is_dir()) else {
        return skip(test, "node, chromium or playwright-core (npm ci in dashboards/web)");
    };
    let shots = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("target/screenshots").join(test);
    std::fs::create_dir_all(&shots).expect("writable");
    let daemon = args.map(Daemon::start);
    let binary = || env!("CARGO_BIN_EXE_watchfire").to_owned();
    let subject = daemon.as_ref().map_or_else(binary, |daemon| format!("{}/", daemon.url));
    let out = Command::new(node).current_dir(&web).arg(script).arg(subject).arg(&shots).output().expect("node runs");
    let said = [out.stdout, out.stderr].concat();
    assert!(out.status.success(), "{script}: {}", String::from_utf8_lossy(&said));
}

#[test]
fn the_page_moves_on_real_data() {
    run("real", "test/page.mjs", Some(&[]));
}

#[test]
fn the_page_moves_in_the_demo() {
    run("demo", "test/page.mjs", Some(&["--demo"]));
}

#[test]
fn the_page_outlives_its_daemon() {
    run("daemon", "test/daemon.mjs", None);
}

/// Ten samples a second while the last minute is looked at; a hidden or closed tab asks for none.
#[test]
fn the_live_view_is_fast_and_says_so() {
    run("live", "test/live.mjs", Some(&[]));
}

#[test]
fn the_page_lives_from_metrics_alone() {
    run("metrics-only", "test/metrics-only.mjs", Some(&["--demo"]));
}

#[test]
fn processes_sort_by_every_column() {
    run("processes", "test/processes.mjs", Some(&[]));
}

#[test]
fn the_page_shows_agents() {
    run("agents", "test/agents.mjs", Some(&[]));
}

#[test]
fn the_page_shows_scrape_targets() {
    run("targets", "test/targets.mjs", None);
}
