//! From SIGKILL to ready: files of three sizes, the ring alone and the whole binary, warm and cold.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use watchfire::clock::{Clock, Stopwatch};
use watchfire::model::Labels;
use watchfire::registry::SeriesTable;
use watchfire::storage::{Config, Ring};

use super::setup::{Random, Setup, cpu_clock, empty_tick, process_cpu_time};

/// Series that fill a file quickly: values that nothing compresses.
const SERIES: usize = 2000;

pub(crate) fn bench() {
    let binary = std::env::var("WATCHFIRE").unwrap_or_else(|_| "target/release/watchfire".into());
    for mb in [64u64, 256, 1024] {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let path = dir.path().to_str().expect("a path of letters");
        run_killed(&["fill", path, &mb.to_string()]);
        let file = dir.path().join("ring.redb");
        let blocks = std::fs::metadata(&file).map_or(0, |m| m.len());
        let ring = |cold: bool| opened(path, &file, mb, cold);
        println!(
            "start after SIGKILL, {mb} MB ring ({:.0} MB file): the ring alone {} warm, {} cold",
            blocks as f64 / 1e6,
            best(5, || ring(false)),
            best(3, || ring(true))
        );
        if !Path::new(&binary).exists() {
            println!("SKIPPED: no {binary} (cargo build --release, or WATCHFIRE=BINARY)");
            continue;
        }
        let config = dir.path().join("watchfire.yml");
        let text = format!("storage: {{retention: {{size: {mb}MB, time: 15d}}}}\n");
        std::fs::write(&config, text).expect("writes");
        let cpu = std::cell::Cell::new(Duration::MAX);
        let daemon = |cold: bool| {
            let port = free_port();
            let arguments = [
                format!("--config.file={}", config.display()),
                format!("--storage.path={path}"),
                format!("--web.listen-address=127.0.0.1:{port}"),
            ];
            if cold {
                forget(&file);
                forget(Path::new(&binary));
            }
            let mut command = Command::new(&binary);
            command.args(arguments).stdout(Stdio::null()).stderr(Stdio::null());
            let (took, mut child) = until_ready(command, port, "/-/ready");
            cpu.set(cpu.get().min(cpu_of(&child)));
            kill(&mut child);
            took
        };
        println!(
            "start after SIGKILL, {mb} MB ring: exec to /-/ready {} warm, {} cold; CPU of the process till then {:.1} ms",
            best(5, || daemon(false)),
            best(3, || daemon(true)),
            cpu.get().as_secs_f64() * 1e3
        );
    }
}

/// The quickest and the slowest of some rounds.
fn best(rounds: usize, one: impl Fn() -> Duration) -> String {
    let mut took: Vec<Duration> = (0..rounds).map(|_| one()).collect();
    took.sort_unstable();
    format!("{:.1} to {:.1} ms", took[0].as_secs_f64() * 1e3, took[rounds - 1].as_secs_f64() * 1e3)
}

/// Opens the ring in a process that is killed at once.
fn opened(path: &str, file: &Path, mb: u64, cold: bool) -> Duration {
    if cold {
        forget(file);
    }
    let text = run_killed(&["open", path, &mb.to_string()]);
    Duration::from_nanos(text.trim().parse().expect("nanoseconds"))
}

/// Runs this bench with these arguments until it has printed a line, and kills it.
fn run_killed(arguments: &[&str]) -> String {
    let mut command = Command::new(std::env::current_exe().expect("has a path"));
    let mut child = command.args(arguments).stdout(Stdio::piped()).spawn().expect("starts");
    let mut line = Vec::new();
    let mut output = child.stdout.take().expect("piped");
    let mut byte = [0];
    while output.read(&mut byte).expect("reads") == 1 && byte[0] != b'\n' {
        line.push(byte[0]);
    }
    kill(&mut child);
    String::from_utf8(line).expect("text")
}

fn kill(child: &mut Child) {
    child.kill().expect("SIGKILL");
    child.wait().expect("ends");
}

/// CPU time that a process has taken, all of its threads.
fn cpu_of(child: &Child) -> Duration {
    // The clock of a process by its number (clock_getcpuclockid(3)).
    cpu_clock((!(child.id() as i32) << 3) | 2)
}

/// Makes the kernel read a file anew.
fn forget(file: &Path) {
    let Ok(file) = std::fs::File::open(file) else { return };
    let _ = file.sync_all();
    // SAFETY: the descriptor is open for as long as the call takes.
    unsafe { libc::posix_fadvise(file.as_raw_fd(), 0, 0, libc::POSIX_FADV_DONTNEED) };
}

pub(crate) fn free_port() -> u16 {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("binds");
    listener.local_addr().expect("bound").port()
}

/// Starts a server; how long it took until `path` answered 200.
pub(crate) fn until_ready(mut command: Command, port: u16, path: &str) -> (Duration, Child) {
    let watch = Stopwatch::start();
    let child = command.spawn().expect("starts");
    while !answers(port, path) {
        assert!(watch.elapsed() < Duration::from_secs(60), "{command:?} is not ready after a minute");
        std::thread::park_timeout(Duration::from_millis(1));
    }
    (watch.elapsed(), child)
}

fn answers(port: u16, path: &str) -> bool {
    let Ok(mut stream) = TcpStream::connect(("127.0.0.1", port)) else { return false };
    let request = format!("GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nConnection: close\r\n\r\n");
    let mut answer = Vec::new();
    let read = stream.write_all(request.as_bytes()).and_then(|()| stream.read_to_end(&mut answer));
    read.is_ok() && answer.starts_with(b"HTTP/1.1 200")
}

/// `fill DIR MB`: fills a ring, leaves a window's rows behind the last segment, and waits for its end.
pub(crate) fn fill(dir: &str, mb: u64) {
    let names: Vec<Labels> = (0..SERIES)
        .map(|i| {
            let instance = format!("host-{}:9100", i / 50);
            Labels::from_pairs(&[("__name__", &format!("metric_{}", i % 50)), ("instance", &instance), ("job", "fill")])
        })
        .collect();
    // The last window is about to close: its rows are as many as they get.
    let now = Clock::System.now() / 600_000 * 600_000;
    // Some seven bytes a sample: the oldest must go in the end.
    let ticks = ((mb << 20) / (SERIES as u64 * 6)) as i64 / 600 * 600;
    let setup = Setup::at(&PathBuf::from(dir), mb << 20, &names, now - ticks * 1000);
    let mut random = Random::new(7);
    let mut batch = empty_tick(SERIES);
    for tick in 0..ticks {
        batch.ts = now - (ticks - tick) * 1000 + 14_000;
        batch.floats.iter_mut().for_each(|sample| sample.1 = random.unit());
        setup.append(&batch);
        // The last window as it is written in fact: a commit a second.
        if tick % 60 == 0 || tick > ticks - 600 {
            setup.ring.commit().expect("commits");
        }
        if tick % 60 == 0 {
            setup.maintain();
        }
    }
    let stats = setup.ring.stats();
    assert!(stats.segment_page_bytes > (mb << 20) * 6 / 10, "{} bytes of segments", stats.segment_page_bytes);
    println!("{} segments", stats.segments);
    std::thread::park();
}

/// `open DIR MB`: prints how long it took to open a ring.
pub(crate) fn open(dir: &str, mb: u64) {
    let config = Config { path: PathBuf::from(dir), retention_size_bytes: mb << 20, ..Config::default() };
    let (watch, cpu) = (Stopwatch::start(), process_cpu_time());
    let ring = Ring::open(config, Clock::System, Arc::<SeriesTable>::default()).expect("opens");
    let (took, cpu) = (watch.elapsed(), process_cpu_time() - cpu);
    eprintln!("{took:?}, {cpu:?} of CPU, {} rows, {} segments", ring.stats().replayed_rows, ring.stats().segments);
    println!("{}", took.as_nanos());
    std::thread::park();
}
