//! `watchfire check`: validates files without starting anything.

use std::io::Read;
use std::path::{Path, PathBuf};

use crate::config::Config;
use crate::exposition::{Format, Meta, SampleLine, Sink, check_openmetrics, lint_text, parse};
use crate::rules;

use super::args::CheckCommand;
use super::{Outcome, failed};

pub(super) fn run(command: CheckCommand) -> Outcome {
    match command {
        CheckCommand::Config { files } => check_configs(&files),
        CheckCommand::Rules { files } => check_rules(&files),
        CheckCommand::Metrics { file } => check_metrics(file.as_deref()),
    }
}

fn check_configs(files: &[PathBuf]) -> Outcome {
    let mut outcome = Outcome::Ok;
    for file in files {
        match Config::load(file) {
            Ok(config) => {
                println!("{}: SUCCESS", file.display());
                for warning in &config.warnings {
                    println!("  warning: {warning}");
                }
                let found = rules::expand_patterns(&config.rules.files);
                if !found.is_empty() && check_rules(&found) != Outcome::Ok {
                    outcome = Outcome::Failed;
                }
            }
            Err(errors) => {
                eprintln!("{}: FAILED\n{errors}", file.display());
                outcome = Outcome::Failed;
            }
        }
    }
    outcome
}

fn check_rules(files: &[PathBuf]) -> Outcome {
    let report = if files.is_empty() { rules::check_shipped() } else { rules::check_files(files) };
    if report.failed() {
        eprintln!("{report}");
        return Outcome::Failed;
    }
    println!("{report}");
    if report.has_lint() { Outcome::Lint } else { Outcome::Ok }
}

fn check_metrics(file: Option<&Path>) -> Outcome {
    let mut text = String::new();
    let read = match file {
        Some(path) => std::fs::read_to_string(path).map(|found| text = found),
        None => std::io::stdin().read_to_string(&mut text).map(drop),
    };
    if let Err(error) = read {
        let name = file.map_or_else(|| "standard input".to_owned(), |path| path.display().to_string());
        return failed(format!("cannot read {name}: {error}"));
    }
    if text.trim().is_empty() {
        let name = file.map_or_else(|| "standard input".to_owned(), |path| path.display().to_string());
        return failed(format!("{name} is empty: expected a page of metrics"));
    }
    let is_openmetrics = text.trim_end().ends_with("# EOF");
    let problems = if is_openmetrics { check_openmetrics(&text) } else { lint_text(&text) };
    for problem in &problems {
        eprintln!(
            "{}:{}: {}",
            file.map_or("stdin".into(), |path| path.display().to_string()),
            problem.line,
            problem.text
        );
    }
    // What breaks OpenMetrics is an error; of text 0.0.4 it is what nobody can read, and the rest is promtool's advice.
    match problems.is_empty() {
        true => Outcome::Ok,
        false if is_openmetrics || parse(&text, Format::Text, &mut Unread).is_err() => Outcome::Failed,
        false => Outcome::Lint,
    }
}

/// Only whether a page can be read counts.
struct Unread;

impl<'a> Sink<'a> for Unread {
    fn sample(&mut self, _: SampleLine<'a>) -> Result<(), String> {
        Ok(())
    }

    fn meta(&mut self, _: &'a str, _: Meta<'a>) {}
}
