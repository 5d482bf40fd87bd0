//! The same samples for watchfire and for its peers: into a ring, and by remote write.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Command, Stdio};

use watchfire::clock::Clock;
use watchfire::model::{Labels, Timestamp};

use super::node::Node;
use super::page::{self, Page};
use super::setup::{Setup, print_bytes, process_cpu_time};
use super::start::until_ready;

/// Ticks of one request: a sender that batches as Prometheus' does (2,000 samples and more).
const TICKS: usize = 12;

/// What is written.
enum Data {
    Node(Node),
    Page,
}

impl Data {
    fn named(name: &str) -> Self {
        let node = || Node::read().expect("the node data is in the shared folder");
        match name {
            "node" => Self::Node(node()),
            "node-once" => {
                let mut once = node();
                once.rounds = 1;
                Self::Node(once)
            }
            "page" => Self::Page,
            other => panic!("no data is called {other:?}"),
        }
    }

    fn names(&self) -> Vec<Labels> {
        match self {
            Self::Node(node) => node.names.clone(),
            Self::Page => Page::new().names,
        }
    }

    /// So that it ended an hour ago, on a full hour.
    fn start(&self) -> Timestamp {
        let hour = 3_600_000;
        let span = if let Self::Node(node) = self { node.span_ms() } else { page::SPAN_MS };
        Clock::System.now() / hour * hour - hour - span
    }

    /// Calls `each` with the time and values (NaN: none) of every tick.
    fn scrapes(&self, each: impl FnMut(Timestamp, &[f64])) {
        match self {
            Self::Node(node) => node.scrapes(self.start(), each),
            Self::Page => page::scrapes(self.start(), each),
        }
    }
}

/// `ring DATA DIR`: writes a ring as the daemon would, and closes it.
pub(crate) fn ring(data: &str, dir: &str) {
    let data = Data::named(data);
    let setup = Setup::at(Path::new(dir), 1 << 30, &data.names(), data.start());
    // What it costs to make the samples is not the ring's.
    let before = process_cpu_time();
    let mut samples = 0u64;
    data.scrapes(|_, values| samples += values.iter().filter(|v| !v.is_nan()).count() as u64);
    let making = process_cpu_time() - before;
    let before = process_cpu_time();
    let mut work = match &data {
        Data::Node(node) => node.fill(&setup, data.start()),
        Data::Page => page::fill(&setup, data.start()),
    };
    setup.clock.set(Clock::System.now().max(setup.now() + 3_600_000));
    work.add(&setup.maintain());
    let cpu = (process_cpu_time() - before).saturating_sub(making);
    print_bytes("watchfire", &setup, &work);
    let stats = setup.ring.stats();
    println!(
        "samples {}\nsegment_page_bytes {}\nfile {}",
        stats.segment_samples, stats.segment_page_bytes, stats.disk_bytes
    );
    println!("cpu {:.0}", cpu.as_nanos() as f64 / samples as f64);
    setup.ring.shutdown().expect("closes");
}

/// `send DATA ADDRESS`: remote write (version 1) to `ADDRESS`'s `/api/v1/write`; prints the number of samples.
pub(crate) fn send(data: &str, address: &str) {
    let data = Data::named(data);
    let labels: Vec<Vec<u8>> = data.names().iter().map(labels_of).collect();
    let mut stream = TcpStream::connect(address).expect("connects");
    let mut series: Vec<Vec<u8>> = vec![Vec::new(); labels.len()];
    let (mut ticks, mut samples) = (0, 0u64);
    let mut flush = |series: &mut [Vec<u8>]| {
        let mut body = Vec::new();
        for (labels, samples) in labels.iter().zip(series) {
            if !samples.is_empty() {
                message(1, &[labels.as_slice(), samples].concat(), &mut body);
                samples.clear();
            }
        }
        if !body.is_empty() {
            post(&mut stream, &literal(&body));
        }
    };
    data.scrapes(|ts, values| {
        for (out, value) in series.iter_mut().zip(values).filter(|(_, value)| !value.is_nan()) {
            // Sample: value 1 (double), timestamp 2 (int64).
            let mut sample = vec![0x09];
            sample.extend_from_slice(&value.to_le_bytes());
            sample.push(0x10);
            varint(ts as u64, &mut sample);
            message(2, &sample, out);
            samples += 1;
        }
        ticks += 1;
        if ticks % TICKS == 0 {
            flush(&mut series);
        }
    });
    flush(&mut series);
    println!("{samples}");
}

/// TimeSeries' labels 1: name 1, value 2.
fn labels_of(labels: &Labels) -> Vec<u8> {
    let mut out = Vec::new();
    for (name, value) in labels.iter() {
        let mut label = Vec::new();
        message(1, name.as_bytes(), &mut label);
        message(2, value.as_bytes(), &mut label);
        message(1, &label, &mut out);
    }
    out
}

/// A protobuf field that has a length.
fn message(field: u8, bytes: &[u8], out: &mut Vec<u8>) {
    out.push(field << 3 | 2);
    varint(bytes.len() as u64, out);
    out.extend_from_slice(bytes);
}

fn varint(mut value: u64, out: &mut Vec<u8>) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// A snappy block that is all literals of up to 64 KiB.
fn literal(bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(bytes.len() + bytes.len() / 10_000 + 16);
    varint(bytes.len() as u64, &mut out);
    for chunk in bytes.chunks(1 << 16) {
        out.push(61 << 2);
        out.extend_from_slice(&((chunk.len() - 1) as u16).to_le_bytes());
        out.extend_from_slice(chunk);
    }
    out
}

fn post(stream: &mut TcpStream, body: &[u8]) {
    let head = format!(
        "POST /api/v1/write HTTP/1.1\r\nHost: bench\r\nContent-Encoding: snappy\r\nContent-Type: application/x-protobuf\r\n\
         X-Prometheus-Remote-Write-Version: 0.1.0\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(body)).expect("sends");
    // The answer has no body (204).
    let mut answer = Vec::new();
    let mut byte = [0];
    while !answer.ends_with(b"\r\n\r\n") && stream.read(&mut byte).expect("reads") == 1 {
        answer.push(byte[0]);
    }
    assert!(answer.starts_with(b"HTTP/1.1 204"), "{}", String::from_utf8_lossy(&answer));
}

/// `ready PORT PATH COMMAND…`: starts a server; prints the milliseconds until it is ready, and its process id, and leaves it.
pub(crate) fn ready(port: &str, path: &str, command: &[&str]) {
    let [program, arguments @ ..] = command else { panic!("no command") };
    let mut start = Command::new(program);
    start.args(arguments).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let (took, child) = until_ready(start, port.parse().expect("a port"), path);
    println!("{:.1} {}", took.as_secs_f64() * 1e3, child.id());
}
