//! Subcommands and exit codes: 0 ok, 1 failed, 2 usage, 3 lint findings. The only room that prints.
#![expect(clippy::print_stdout, reason = "this room talks to the person at the terminal")]

mod args;
mod check;
mod doctor;
mod once;
mod progress;
mod promql;
mod query;
mod serve;
mod test;
mod tsdb;
mod tsdb_args;

use std::process::ExitCode;

use clap::Parser;

use crate::telemetry::BUILD;

use args::{Cli, Command};

/// How a subcommand ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Outcome {
    Ok,
    Failed,
    Lint,
}

impl From<Outcome> for ExitCode {
    fn from(outcome: Outcome) -> Self {
        match outcome {
            Outcome::Ok => Self::SUCCESS,
            Outcome::Failed => Self::FAILURE,
            Outcome::Lint => Self::from(3),
        }
    }
}

/// Runs the command line of this process.
pub fn main() -> ExitCode {
    forget_empty_settings();
    let cli = Cli::parse();
    let outcome = match cli.command {
        None => serve::run(cli.serve),
        Some(Command::Serve(args)) => serve::run(*args),
        Some(command) => {
            end_quietly_on_closed_pipe();
            match command {
                Command::Serve(_) => Outcome::Ok,
                Command::Once(args) => once::run(&args),
                Command::Check(command) => check::run(command),
                Command::Test(command) => test::run(command),
                Command::Query(command) => query::run(command),
                Command::Promql(command) => promql::run(command),
                Command::Tsdb(command) => tsdb::run(command),
                Command::Doctor(args) => doctor::run(args.serve),
                Command::Version => version(),
            }
        }
    };
    outcome.into()
}

fn version() -> Outcome {
    let known = |text: &'static str| if text.is_empty() { "unknown" } else { text };
    println!(
        "watchfire {} (revision {}, built {}, {} {})",
        BUILD.version,
        known(BUILD.revision),
        known(BUILD.date),
        BUILD.os,
        BUILD.arch
    );
    Outcome::Ok
}

/// Says what failed, on stderr, and gives the exit code for it.
fn failed(error: impl std::fmt::Display) -> Outcome {
    eprintln!("watchfire: {error}");
    Outcome::Failed
}

/// An empty variable means that nothing was set, as unit files and container files have it.
fn forget_empty_settings() {
    for (name, value) in std::env::vars_os() {
        if value.is_empty() && name.to_string_lossy().starts_with("WATCHFIRE_") {
            // SAFETY: no other thread exists yet that could read the environment.
            unsafe { std::env::remove_var(name) }
        }
    }
}

/// Rust ignores SIGPIPE, so that `watchfire check … | head` would end in a panic; a command ends quietly instead.
fn end_quietly_on_closed_pipe() {
    // SAFETY: restores the default action of one signal before any thread exists.
    unsafe {
        libc::signal(libc::SIGPIPE, libc::SIG_DFL);
    }
}

#[cfg(test)]
mod tests {
    use super::Outcome;
    use std::process::ExitCode;

    #[test]
    fn exit_codes_are_promtools() {
        for (outcome, code) in [(Outcome::Ok, 0), (Outcome::Failed, 1), (Outcome::Lint, 3)] {
            assert_eq!(format!("{:?}", ExitCode::from(outcome)), format!("{:?}", ExitCode::from(code)));
        }
    }
}
