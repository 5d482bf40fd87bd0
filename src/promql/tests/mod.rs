//! The engine against Prometheus' own scripts, where they are present.

mod random;
mod sharing;

use std::path::PathBuf;

use super::testlang::{Options, run_script};
use super::{Engine, EngineConfig};

fn suite() -> Engine {
    Engine::new(EngineConfig::for_scripts())
}

fn scripts() -> Option<Vec<PathBuf>> {
    let root = std::env::var_os("WATCHFIRE_SHARED").map_or_else(|| PathBuf::from("../shared"), PathBuf::from);
    let entries = std::fs::read_dir(root.join("promqltest")).ok()?;
    let mut files: Vec<PathBuf> = entries
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| path.extension().is_some_and(|e| e == "test"))
        .collect();
    files.sort();
    (!files.is_empty()).then_some(files)
}

/// Every evaluation without native histograms passes, second looks included.
#[test]
fn the_shared_scripts_pass() {
    let Some(files) = scripts() else {
        println!("SKIPPED: no promqltest scripts under WATCHFIRE_SHARED or ../shared");
        return;
    };
    let mut failures = String::new();
    for file in files {
        let text = std::fs::read_to_string(&file).expect("readable");
        let name = file.file_stem().expect("named").to_string_lossy().into_owned();
        let options = Options { skip_native_histograms: true, ..Options::default() };
        let report = run_script(&name, &text, &suite(), options);
        println!("{}: {}/{} ({} skipped)", report.name, report.passed, report.total, report.skipped);
        if !report.failures.is_empty() {
            failures.push_str(&format!("{report}\n"));
        }
    }
    assert!(failures.is_empty(), "{failures}");
}
