//! `tsdb snapshot`: a copy of the ring, made here or by the daemon that has it.

use std::path::Path;
use std::time::Duration;

use crate::clock::Clock;
use crate::net::{HttpClient, HttpRequest, Redirects};
use crate::storage::{Ring, StorageError};

use super::super::tsdb_args::Place;
use super::{Outcome, setup};

/// Copying a ring of many gigabytes takes its time.
const TIMEOUT: Duration = Duration::from_secs(3600);
const FILE: &str = "ring.redb";

pub(super) fn snapshot(place: &Place, dir: &Path, url: &str, token_file: Option<&Path>) -> Result<Outcome, String> {
    let setup = setup(place)?;
    match Ring::look(&setup.dir, Clock::System) {
        Ok(ring) => {
            let info = ring.snapshot(dir).map_err(|error| error.to_string())?;
            println!("{}: {} segments, {} sealed samples", dir.display(), info.segments, info.samples);
            Ok(Outcome::Ok)
        }
        Err(locked @ StorageError::Locked { .. }) => {
            if dir.join(FILE).exists() {
                return Err(format!("cannot write to {}: there is a ring already", dir.join(FILE).display()));
            }
            let name = ask(url, token_file)
                .map_err(|error| format!("{locked}; the daemon was asked for a snapshot, and: {error}"))?;
            let taken = setup.dir.join("snapshots").join(&name);
            take(&taken, dir).map_err(|error| {
                format!("the snapshot is {}, but it cannot be moved to {}: {error}", taken.display(), dir.display())
            })?;
            println!("{}: taken by the daemon ({name})", dir.display());
            Ok(Outcome::Ok)
        }
        Err(error) => Err(error.to_string()),
    }
}

/// Asks the daemon; returns the snapshot's name.
fn ask(url: &str, token_file: Option<&Path>) -> Result<String, String> {
    let url = format!("{}/api/v1/admin/tsdb/snapshot", url.trim_end_matches('/'));
    let (method, redirects) = (hyper::Method::POST, Redirects::Never);
    let mut request = HttpRequest { method, redirects, ..HttpRequest::get(&url) }.timeout(TIMEOUT);
    if let Some(path) = token_file {
        let token =
            std::fs::read_to_string(path).map_err(|error| format!("cannot read {}: {error}", path.display()))?;
        let value = format!("Bearer {}", token.trim()).parse();
        let value = value.map_err(|_| "the token has characters that a header cannot carry")?;
        request = request.header(hyper::header::AUTHORIZATION, value);
    }
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(|error| error.to_string())?;
    let answer = runtime.block_on(HttpClient::default().send(request));
    let answer = answer.map_err(|error| format!("{error}: where does it listen? (--url URL)"))?;
    let json: serde_json::Value =
        serde_json::from_slice(&answer.body).map_err(|_| format!("{url} answered {} and no JSON", answer.status))?;
    match json["data"]["name"].as_str() {
        // It becomes part of a path.
        Some(name) if name.chars().all(|c| c.is_ascii_alphanumeric() || c == '-') => Ok(name.to_owned()),
        _ => Err(json["error"].as_str().unwrap_or("an answer without a name").to_owned()),
    }
}

/// Moves the file; across file systems it is copied.
fn take(taken: &Path, dir: &Path) -> std::io::Result<()> {
    std::fs::create_dir_all(dir)?;
    let (from, to) = (taken.join(FILE), dir.join(FILE));
    if std::fs::rename(&from, &to).is_err() {
        let part = to.with_extension("part");
        std::fs::copy(&from, &part).and_then(|_| std::fs::File::open(&part)?.sync_all()).inspect_err(|_| {
            // The error that brought us here is the one to report.
            let _ = std::fs::remove_file(&part);
        })?;
        std::fs::rename(&part, &to)?;
        std::fs::remove_file(&from)?;
    }
    std::fs::remove_dir(taken)
}
