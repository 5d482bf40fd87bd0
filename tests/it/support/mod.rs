//! What the tests share: the real binary on a free port, real peers, an HTTP client, waiting with a limit.

mod http;
mod json_schema;
mod peer;
mod process;
pub(crate) mod tree;

pub(crate) use http::{get, post, request};
pub(crate) use json_schema::Schema;
pub(crate) use peer::{find_program, free_port, python_with, shared, skip};
pub(crate) use process::{Daemon, Spawned, encode, temp_dir, write};

use std::time::{Duration, Instant};

/// Asks again and again until `probe` gives something; fails loudly after `limit`.
pub(crate) fn wait_for<T>(what: &str, limit: Duration, mut probe: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + limit;
    loop {
        if let Some(found) = probe() {
            return found;
        }
        assert!(Instant::now() < deadline, "waited {limit:?} for {what}, in vain");
        std::thread::park_timeout(Duration::from_millis(50));
    }
}
