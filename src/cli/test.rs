//! `watchfire test`: PromQL scripts in the language of Prometheus' promqltest, rule tests in promtool's format.

use std::path::PathBuf;

use crate::promql::testlang::{Options, run_script};
use crate::promql::{Engine, EngineConfig};
use crate::rules::unit::run_file;

use super::args::TestCommand;
use super::{Outcome, failed};

pub(super) fn run(command: TestCommand) -> Outcome {
    match command {
        TestCommand::Promql { skip_native_histograms, files } => scripts(&files, skip_native_histograms),
        TestCommand::Rules { run, files } => rules(&files, &run),
    }
}

fn scripts(files: &[PathBuf], skip_native_histograms: bool) -> Outcome {
    let options = Options { skip_native_histograms, ..Options::default() };
    let engine = Engine::new(EngineConfig::for_scripts());
    let mut outcome = Outcome::Ok;
    for file in files {
        let text = match std::fs::read_to_string(file) {
            Ok(text) => text,
            Err(error) => {
                outcome = failed(format!("cannot read {}: {error}", file.display()));
                continue;
            }
        };
        let report = run_script(&file.display().to_string(), &text, &engine, options);
        println!("{report}");
        if report.passed < report.total {
            outcome = Outcome::Failed;
        }
    }
    outcome
}

/// `names`: only tests with one of these names; none means all.
fn rules(files: &[PathBuf], names: &[String]) -> Outcome {
    let mut outcome = Outcome::Ok;
    for file in files {
        let report = run_file(file, |name| names.is_empty() || names.iter().any(|wanted| wanted == name));
        println!("{report}");
        if report.failed() {
            outcome = Outcome::Failed;
        }
    }
    outcome
}
