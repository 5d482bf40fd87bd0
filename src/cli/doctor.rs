//! `watchfire doctor`: what was detected, what was not, and why.

use std::path::Path;

use crate::app::detected;
use crate::http;

use super::args::ServeArgs;
use super::serve::settings;
use super::{Outcome, failed};

pub(super) fn run(args: ServeArgs) -> Outcome {
    let settings = match settings(&args) {
        Ok(settings) => settings,
        Err(error) => return failed(error),
    };
    for item in detected(&settings) {
        println!("{:<4} {:<10} {}", if item.present { "yes" } else { "no" }, item.what, item.detail);
    }
    let dir = settings.storage_dir();
    let (writable, why) = writable(&dir);
    println!("{:<4} {:<10} {} {why}", if writable { "yes" } else { "no" }, "history", dir.display());
    match http::bind(&settings.http) {
        Ok(bound) => {
            let addrs: Vec<String> = bound.addrs().iter().map(ToString::to_string).collect();
            println!("yes  {:<10} {} is free", "port", addrs.join(", "));
        }
        Err(error) => println!("no   {:<10} {error}", "port"),
    }
    if writable { Outcome::Ok } else { Outcome::Failed }
}

/// Whether the history can be written there: into the directory, or into the nearest parent that exists.
fn writable(dir: &Path) -> (bool, String) {
    let existing = dir.ancestors().find(|path| path.exists()).unwrap_or(Path::new("/"));
    match tempfile::Builder::new().prefix(".watchfire-doctor").tempfile_in(existing) {
        Ok(_) if existing == dir => (true, "is writable".to_owned()),
        Ok(_) => (true, format!("will be made in {}", existing.display())),
        Err(error) => (false, format!("cannot be written: {error}; choose another --storage.path")),
    }
}
