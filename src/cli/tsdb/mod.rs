//! `watchfire tsdb`: looks at a ring, copies it, takes samples out and in.

mod copy;
mod look;
mod transfer;

use std::path::PathBuf;

use crate::app::Settings;
use crate::clock::Clock;
use crate::config::Config;
use crate::model::{Matcher, Timestamp};
use crate::promql::parser::parse_selector;
use crate::storage::{Ring, StorageError};

use super::tsdb_args::{Place, TsdbCommand};
use super::{Outcome, failed};

pub(super) fn run(command: TsdbCommand) -> Outcome {
    quiet_on_damage();
    let done = match command {
        TsdbCommand::Analyze { place, matches, limit, format } => look::analyze(&place, &matches, limit, format),
        TsdbCommand::Verify { place } => look::verify(&place),
        TsdbCommand::List { place, human_readable } => look::list(&place, human_readable),
        TsdbCommand::Dump { place, matches, min_time, max_time } => {
            let bounds = (min_time.unwrap_or(Timestamp::MIN), max_time.unwrap_or(Timestamp::MAX));
            transfer::dump(&place, &matches, bounds)
        }
        TsdbCommand::Export { place, format, matches, from, to, out } => {
            transfer::export(&place, format, &matches, (from, to), out)
        }
        TsdbCommand::Import { place, format, files } => transfer::import(&place, format, files),
        TsdbCommand::Snapshot { place, dir, url, token_file } => {
            copy::snapshot(&place, &dir, &url, token_file.as_deref())
        }
    };
    done.unwrap_or_else(failed)
}

/// redb panics at damaged pages, which the ring turns into errors: its report of a bug would only mislead.
fn quiet_on_damage() {
    let report = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        if !info.location().is_some_and(|at| at.file().contains("/redb-")) {
            report(info);
        }
    }));
}

/// The configuration and the directory that it and the flags name.
struct Setup {
    config: Config,
    dir: PathBuf,
}

fn setup(place: &Place) -> Result<Setup, String> {
    let config = Settings::read_config(place.config_file.as_deref()).map_err(|errors| errors.to_string())?;
    let dir = Settings::storage_dir_of(place.storage_path.as_ref(), &config);
    Ok(Setup { config, dir })
}

/// Opens the ring to look at it.
fn look(setup: &Setup) -> Result<Ring, String> {
    Ring::look(&setup.dir, Clock::System).map_err(explained)
}

/// What to do when the daemon runs.
fn explained(error: StorageError) -> String {
    match error {
        StorageError::Locked { .. } => format!(
            "{error}; or look at a copy: watchfire tsdb snapshot DIR asks the daemon for one, and --storage.path DIR reads it"
        ),
        other => other.to_string(),
    }
}

fn selectors(matches: &[String]) -> Result<Vec<Vec<Matcher>>, String> {
    matches
        .iter()
        .map(|text| {
            parse_selector(text)
                .map_err(|error| format!("--match {text}: {error}: expected a selector such as up{{job=\"node\"}}"))
        })
        .collect()
}
