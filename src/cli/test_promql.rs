//! `watchfire test promql`: runs scripts in the language of Prometheus' promqltest.

use crate::promql::testlang::{Options, run_script};
use crate::promql::{Engine, EngineConfig};

use super::Outcome;
use super::args::TestCommand;

pub(super) fn run(command: TestCommand) -> Outcome {
    let TestCommand::Promql { skip_native_histograms, files } = command;
    let options = Options { skip_native_histograms, ..Options::default() };
    // Limits and defaults of the reference suite: 10,000 samples, one-minute subqueries, five minutes of lookback.
    let engine = Engine::new(EngineConfig { max_samples: 10_000, ..EngineConfig::default() });
    let mut outcome = Outcome::Ok;
    for file in files {
        let text = match std::fs::read_to_string(&file) {
            Ok(text) => text,
            Err(error) => {
                outcome = super::failed(format!("cannot read {}: {error}", file.display()));
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
