//! Both profiles as `go tool pprof` reads them. The test binary runs on jemalloc, as the daemon does.

use std::hint::black_box;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::{CpuRequest, Kind, ProfileError, Profiler};
use crate::telemetry::SpanRecorder;

#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// jemalloc reads its options through this pointer before main.
#[unsafe(export_name = "_rjem_malloc_conf")]
static MALLOC_CONF: Option<&'static u8> = super::MALLOC_CONF.first();

/// What `go tool pprof -raw` says about a profile, or `None` (said aloud) where there is no Go.
fn pprof_raw(profile: &[u8]) -> Option<String> {
    let file = tempfile::NamedTempFile::new().expect("a temporary file");
    std::fs::write(file.path(), profile).expect("written");
    let output = match Command::new("go").args(["tool", "pprof", "-raw"]).arg(file.path()).output() {
        Ok(output) => output,
        Err(error) => {
            println!("SKIPPED: go tool pprof: {error}");
            return None;
        }
    };
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Some(String::from_utf8_lossy(&output.stdout).into_owned())
}

#[inline(never)]
fn watchfire_burns_cpu_here(stop: &AtomicBool) {
    let mut sum = 0u64;
    while !stop.load(Ordering::Relaxed) {
        for i in 0..10_000u64 {
            sum = black_box(sum.wrapping_mul(31).wrapping_add(i));
        }
    }
}

#[inline(never)]
fn watchfire_keeps_memory_here() -> Vec<Vec<u8>> {
    (0..64).map(|i| black_box(vec![i; 1 << 20])).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn profiles_are_read_by_pprof_and_exclude_each_other() {
    let profiler = Profiler::default();
    let stop = Arc::new(AtomicBool::new(false));
    let burner = std::thread::spawn({
        let stop = Arc::clone(&stop);
        move || watchfire_burns_cpu_here(&stop)
    });
    let request = CpuRequest::parse(Some("0.5"), Some("200")).expect("in bounds");
    let cpu = profiler.cpu(request).await.expect("a CPU profile");
    let svg = profiler.flamegraph(request).await.expect("a flame graph");
    stop.store(true, Ordering::Relaxed);
    burner.join().expect("the burner ends");
    assert!(String::from_utf8_lossy(&svg).contains("watchfire_burns_cpu_here"));

    let kept = watchfire_keeps_memory_here();
    let heap = profiler.heap().await.expect("a heap profile");
    let allocs = profiler.allocs().await.expect("an allocs profile");
    drop(kept);
    // The allocator's frames are part of the program in a CPU profile; in the others they are the sampler.
    let allocator: &[&str] = &["_rjem_", "prof_backtrace_impl"];
    for (profile, words, samplers) in [
        (&cpu, ["watchfire_burns_cpu_here", "samples/count cpu/nanoseconds"], &["perf_signal_handler"][..]),
        (&heap, ["watchfire_keeps_memory_here", "inuse_objects/count inuse_space/bytes"], allocator),
        (&allocs, ["watchfire_keeps_memory_here", "prof_accum:true"], allocator),
    ] {
        let Some(raw) = pprof_raw(profile) else { continue };
        for word in words {
            assert!(raw.contains(word), "{word} is missing in\n{raw}");
        }
        for sampler in samplers {
            // Locations are numbered lines behind this word; the sampler itself is no part of the program.
            let locations = raw.split_once("Locations").map_or("", |(_, rest)| rest);
            assert!(!locations.contains(*sampler), "{sampler} is in\n{locations}");
        }
    }
}

#[tokio::test]
async fn a_second_profile_is_refused_with_what_runs() {
    let profiler = Profiler::new(crate::clock::Clock::System, SpanRecorder::default());
    let turn = profiler.begin(Kind::Cpu).expect("nothing runs");
    let refused = profiler.heap().await.expect_err("one at a time");
    assert!(matches!(refused, ProfileError::Busy { running: Kind::Cpu, .. }), "{refused}");
    drop(turn);
    let trace = profiler.trace(Some("0.01")).await.expect("the turn was given back");
    assert!(trace.starts_with("{\"displayTimeUnit\""), "{trace}");
}
