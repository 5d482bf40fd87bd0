//! Finding real peers. A test without its peer says so loudly; CI installs them all, and then none may be missing.

use std::net::TcpListener;
use std::path::PathBuf;
use std::process::Command;

/// Says what was skipped. With `WATCHFIRE_REQUIRE_PEERS` set (as CI does) a missing peer is a failure.
pub(crate) fn skip(test: &str, missing: &str) {
    assert!(
        std::env::var_os("WATCHFIRE_REQUIRE_PEERS").is_none(),
        "{test} needs {missing}, and WATCHFIRE_REQUIRE_PEERS forbids to skip"
    );
    eprintln!("SKIPPED {test}: {missing} is missing (.ci/run installs it)");
}

/// The first of these programs that is installed.
pub(crate) fn find_program(names: &[&str]) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    let places: Vec<PathBuf> = std::env::split_paths(&path).chain([PathBuf::from("/usr/local/go/bin")]).collect();
    names.iter().flat_map(|name| places.iter().map(move |dir| dir.join(name))).find(|file| file.is_file())
}

/// A Python that has `module` (found, not imported): that of the test environment first.
pub(crate) fn python_with(module: &str) -> Option<PathBuf> {
    let venv = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("target/peers/bin/python");
    [Some(venv), find_program(&["python3"])].into_iter().flatten().find(|python| {
        let script = format!("import importlib.util as u, sys; sys.exit(u.find_spec('{module}') is None)");
        Command::new(python).args(["-c", &script]).output().is_ok_and(|out| out.status.success())
    })
}

/// The folder with shared conformance data, if it is there.
pub(crate) fn shared() -> Option<PathBuf> {
    let dir = std::env::var_os("WATCHFIRE_SHARED")
        .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../shared"), PathBuf::from);
    dir.join("promqltest").is_dir().then_some(dir)
}

/// A port that was free a moment ago.
pub(crate) fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").and_then(|l| l.local_addr()).expect("loopback has a free port").port()
}
