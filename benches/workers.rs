//! What watching processes costs: a tick of the worker collector with a thousand real processes, 50 of them matched.
//!
//! `cargo bench --bench workers [-- PROCESSES [MATCHED]]`: CPU of the thread, after the processes have grown old, while nobody
//! looks at them and while somebody does. They are `sleep`s that end with the bench.

use std::process::{Child, Command};
use std::sync::Arc;

use regex::Regex;
use watchfire::collect::Collector;
use watchfire::collect::system::Roots;
use watchfire::collect::worker::{WorkerConfig, WorkerMatcher, Workers};
use watchfire::model::{Batch, GroupId};
use watchfire::registry::{RegistryConfig, SeriesTable};

/// Ticks before the figures: 17 listings, after which a process is read in every sixteenth one, and its last matching.
const WARM_UP: i64 = 140;
/// Ticks of a figure.
const TICKS: i64 = 120;

/// Processes that end with us.
struct Processes(Vec<Child>);

impl Drop for Processes {
    fn drop(&mut self) {
        self.0.iter_mut().for_each(|child| drop(child.kill()));
        self.0.iter_mut().for_each(|child| drop(child.wait()));
    }
}

#[expect(clippy::print_stdout, reason = "a benchmark prints its figures")]
fn main() {
    let mut numbers = std::env::args().skip(1).filter_map(|word| word.parse::<usize>().ok());
    let (all, matched) = (numbers.next().unwrap_or(1000), numbers.next().unwrap_or(50));
    let marks = [format!("8697.{}", std::process::id()), format!("8797.{}", std::process::id())];
    let mut processes = Processes(Vec::new());
    for number in 0..all {
        let child = Command::new("sleep").arg(&marks[usize::from(number >= matched)]).spawn().expect("a process");
        processes.0.push(child);
    }
    let cmdline = vec![Regex::new(&format!("^sleep {}$", marks[0])).expect("a pattern")];
    let matcher = WorkerMatcher { name: "bench".into(), cmdline, declared: true, ..WorkerMatcher::default() };
    let mut workers = Workers::new(&Roots::default(), &WorkerConfig::of(vec![matcher]));
    let handle = workers.handle();
    let table = Arc::new(SeriesTable::new(RegistryConfig::default()));
    let mut now = 0;
    let mut ticks = |count: i64, watched: bool| {
        let mut spent = 0.0;
        for _ in 0..count {
            now += 1000;
            if watched && now % 5000 == 0 {
                handle.processes();
            }
            let mut batch = Batch::new(GroupId(0), now);
            let before = thread_cpu();
            workers.collect(now, &*table, &mut batch).expect("a tick");
            spent += thread_cpu() - before;
        }
        spent / count as f64 * 1e3
    };
    let young = ticks(16, false);
    ticks(WARM_UP - 16, false);
    let alone = ticks(TICKS, false);
    let seen = ticks(TICKS, true);
    println!("| {all} processes, {matched} matched | ms of CPU a tick |");
    println!("|---|---|");
    println!("| the first 16 s of all of them | {young:.2} |");
    println!("| afterwards | {alone:.2} |");
    println!("| while somebody looks at the table of processes | {seen:.2} |");
    assert!(handle.remembered() >= all, "the processes were not all there");
}

/// CPU time of this thread in seconds.
fn thread_cpu() -> f64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the structure is what the call writes to.
    unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &raw mut time) };
    time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
}
