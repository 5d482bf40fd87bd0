//! What a sample costs in the ring: appending, sealing, selecting, decoding, and its bytes on disk.
//!
//! `cargo bench --bench storage` runs everything but `start`; `cargo bench --bench storage -- PART…` runs some of it:
//! `refresh`, `page`, `node`, `append`, `start`. The node data comes from `$WATCHFIRE_SHARED/data`; without it that part is
//! skipped. `benches/bytes.sh` uses `ring`, `send` and `ready`.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a benchmark prints its figures")]

mod append;
mod node;
mod own;
mod page;
mod peers;
mod refresh;
mod setup;
mod start;

use std::sync::atomic::{AtomicBool, Ordering};

fn main() {
    // cargo adds a flag of its own.
    let arguments: Vec<String> = std::env::args().skip(1).filter(|word| word != "--bench").collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let mb = |text: &str| text.parse::<u64>().expect("megabytes");
    match words.as_slice() {
        ["fill", dir, size] => start::fill(dir, mb(size)),
        ["open", dir, size] => start::open(dir, mb(size)),
        ["ring", data, dir] => peers::ring(data, dir),
        ["send", data, address] => peers::send(data, address),
        ["ready", port, path, command @ ..] => peers::ready(port, path, command),
        [] => {
            let done = AtomicBool::new(false);
            let recording = std::thread::scope(|scope| {
                let recorder = own::record(scope, &done);
                ["refresh", "page", "node", "append"].into_iter().for_each(part);
                done.store(true, Ordering::Relaxed);
                recorder.join().expect("no panic")
            });
            own::print(&recording);
        }
        parts => parts.iter().copied().for_each(part),
    }
}

fn part(name: &str) {
    match name {
        "refresh" => refresh::bench(4000),
        "page" => page::bench(),
        "node" => node::bench(),
        "append" => append::bench(10_000),
        "start" => start::bench(),
        other => panic!("no part is called {other:?}"),
    }
}
