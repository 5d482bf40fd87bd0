//! Encoding `/metrics` and parsing pages: ns a series, MB/s of the thread's CPU time.
//!
//! `cargo bench --bench exposition`; pages of real servers come from `$WATCHFIRE_SHARED/captures`, if it is there. `benches/exposition-count.sh` counts the
//! instructions of reading instead, which a busy machine does not change.

use std::hint::black_box;
use std::sync::Arc;
use std::time::Duration;

use watchfire::clock::Stopwatch;
use watchfire::exposition::{
    Format, Meta, Page, PageFamily, PageSeries, SampleLine, Sink, gzip, parse, parse_series, push_bound, push_series_of,
};
use watchfire::model::{Batch, Family, GroupId, Histogram, Intern, MetricKind, Origin, SeriesKey};
use watchfire::registry::{Latest, Layout, RegistryConfig, SeriesTable};
use watchfire::wire::{FamilyHead, FamilySink, Histograms, Point, Sampled, read_families};

/// How long each figure is measured.
const MEASURE: Duration = Duration::from_millis(500);

struct Setup {
    latest: Latest,
    batch: Batch,
    layout: Layout,
}

/// Series like a node's: 20 a family, two labels, a third counters, whole and broken numbers.
fn setup(count: usize) -> Setup {
    let table = Arc::new(SeriesTable::new(RegistryConfig::default()));
    let mut batch = Batch::new(GroupId(0), 1_763_000_000_000);
    for index in 0..count {
        let (family, member) = (index / 20, (index % 20).to_string());
        let counter = family % 3 == 0;
        let base = format!("node_bench_{family}_seconds");
        let name = if counter { format!("{base}_total") } else { base.clone() };
        let kind = if counter { MetricKind::Counter } else { MetricKind::Gauge };
        let help = "Seconds that the CPUs spent in each mode.".into();
        let family = Family { name: base.into(), kind, unit: "seconds".into(), help };
        let labels = [("cpu", member.as_str()), ("mode", "iowait")];
        let key = SeriesKey { family: &family, name: &name, labels: &labels, origin: Origin::Own { job: "node" } };
        let series = table.intern(key).expect("room");
        batch.floats.push((series, if index % 2 == 0 { index as f64 } else { index as f64 * 1.337 }));
    }
    let latest = Latest::new(table);
    latest.update(&batch);
    let layout = latest.layout();
    Setup { latest, batch, layout }
}

fn page(format: Format, layout: &Layout) -> Page {
    let families: Vec<PageFamily<'_>> = layout
        .families
        .iter()
        .map(|family| PageFamily {
            family: &family.family,
            series: family
                .series
                .iter()
                .map(|one| PageSeries { name: &one.name, labels: &one.labels, slot: one.slot })
                .collect(),
        })
        .collect();
    let mut page = Page::new(format);
    page.rebuild(layout.generation, &families);
    page
}

/// Mean CPU time of one call: what else runs on the machine does not count.
fn time(mut work: impl FnMut()) -> Duration {
    work();
    let (timer, start, mut rounds) = (Stopwatch::start(), cpu_time(), 0u32);
    while timer.elapsed() < MEASURE {
        work();
        rounds += 1;
    }
    (cpu_time() - start) / rounds.max(1)
}

/// What this thread has used so far.
fn cpu_time() -> Duration {
    let mut now = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the clock exists on every Linux, and `now` is ours to be written.
    unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &raw mut now) };
    Duration::new(now.tv_sec.unsigned_abs(), now.tv_nsec as u32)
}

#[expect(clippy::print_stdout, reason = "a benchmark prints its figures")]
fn per_series(what: &str, count: usize, took: Duration) {
    println!(
        "{what:<44} {count:>7} series {:>9.1} ns/series {:>9.1} us",
        took.as_nanos() as f64 / count as f64,
        took.as_nanos() as f64 / 1e3
    );
}

/// What a scraper does with a page whose series it knows: compares each line with the one before.
#[derive(Default)]
struct Known {
    series: Vec<Box<str>>,
    at: usize,
    sum: f64,
}

impl<'a> Sink<'a> for Known {
    fn sample(&mut self, sample: SampleLine<'a>) -> Result<(), String> {
        match self.series.get(self.at) {
            Some(known) if **known == *sample.series => {}
            _ => {
                parse_series(sample.series)?;
                self.series.push(sample.series.into());
            }
        }
        self.at += 1;
        self.sum += sample.value;
        Ok(())
    }

    fn expected(&self) -> Option<&str> {
        self.series.get(self.at).map(|known| &**known)
    }

    fn meta(&mut self, _: &'a str, _: Meta<'a>) {}
}

/// What a scraper does with the first page of a target: reads every label.
#[derive(Default)]
struct Cold(f64, usize);

impl<'a> Sink<'a> for Cold {
    fn sample(&mut self, sample: SampleLine<'a>) -> Result<(), String> {
        self.0 += sample.value;
        self.1 += parse_series(sample.series)?.labels.len();
        Ok(())
    }

    fn meta(&mut self, _: &'a str, _: Meta<'a>) {}
}

fn parse_both(what: &str, text: &str, format: Format) {
    let mut known = Known::default();
    let mut samples = 0;
    let took = time(|| {
        known.at = 0;
        samples = parse(black_box(text), format, &mut known).expect("a good page");
    });
    let speed = |took: Duration| text.len() as f64 / took.as_secs_f64() / 1e6;
    per_series(&format!("parse {what}, known series, {:.0} MB/s", speed(took)), samples, took);
    let took = time(|| {
        let mut cold = Cold::default();
        parse(black_box(text), format, &mut cold).expect("a good page");
        black_box(cold.0 + cold.1 as f64);
    });
    per_series(&format!("parse {what}, every label, {:.0} MB/s", speed(took)), samples, took);
}

/// What a scraper does with a protobuf page: each series is written as its line in text would begin, and compared or read.
#[derive(Default)]
struct Lines {
    known: Vec<Box<[u8]>>,
    at: usize,
    cold: bool,
    name: String,
    bound: Vec<u8>,
    line: Vec<u8>,
    sum: f64,
}

impl Lines {
    fn take(&mut self, point: &Point<'_>, value: f64) -> Result<(), String> {
        self.name.clear();
        self.name.push_str(point.family);
        self.name.push_str(point.suffix);
        self.bound.clear();
        if let Some((_, bound)) = point.bound {
            push_bound(&mut self.bound, bound);
        }
        let text = |bytes| std::str::from_utf8(bytes).unwrap_or_default();
        let bound = point.bound.map(|(label, _)| (label, text(&self.bound)));
        self.line.clear();
        push_series_of(&mut self.line, &self.name, point.labels.iter().copied().chain(bound));
        match self.known.get(self.at) {
            Some(known) if !self.cold && **known == *self.line => {}
            _ => {
                self.sum += parse_series(text(&self.line))?.labels.len() as f64;
                if !self.cold {
                    self.known.push(self.line.as_slice().into());
                }
            }
        }
        self.at += 1;
        self.sum += value;
        Ok(())
    }
}

impl FamilySink for Lines {
    fn family(&mut self, _: &FamilyHead<'_>) {}

    fn float(&mut self, point: &Point<'_>, value: f64, _: &Sampled<'_>) -> Result<(), String> {
        self.take(point, value)
    }

    fn histogram(&mut self, point: &Point<'_>, value: Histogram, _: &Sampled<'_>) -> Result<(), String> {
        self.take(point, value.count)
    }
}

/// A field of protobuf with its length before it.
fn field(out: &mut Vec<u8>, number: u8, bytes: &[u8]) {
    out.extend([number << 3 | 2]);
    let mut length = bytes.len();
    while length >= 0x80 {
        out.push(length as u8 | 0x80);
        length >>= 7;
    }
    out.push(length as u8);
    out.extend_from_slice(bytes);
}

/// The families of a layout as protobuf, with the values of [`setup`].
fn protobuf(layout: &Layout) -> Vec<u8> {
    let mut page = Vec::new();
    let mut index = 0;
    for family in &layout.families {
        let mut message = Vec::new();
        let counter = family.family.kind == MetricKind::Counter;
        field(&mut message, 1, family.series[0].name.as_bytes());
        field(&mut message, 2, family.family.help.as_bytes());
        message.extend([3 << 3, u8::from(!counter)]);
        for series in &family.series {
            let mut metric = Vec::new();
            for (name, value) in series.labels.iter() {
                let mut label = Vec::new();
                field(&mut label, 1, name.as_bytes());
                field(&mut label, 2, value.as_bytes());
                field(&mut metric, 1, &label);
            }
            let value = if index % 2 == 0 { index as f64 } else { index as f64 * 1.337 };
            index += 1;
            let mut body = vec![1 << 3 | 1];
            body.extend(value.to_le_bytes());
            field(&mut metric, if counter { 3 } else { 2 }, &body);
            field(&mut message, 4, &metric);
        }
        let mut whole = Vec::new();
        field(&mut whole, 1, &message);
        page.extend_from_slice(&whole[1..]);
    }
    page
}

fn read_both(what: &str, page: &[u8]) {
    for (cold, how) in [(false, "known series"), (true, "every label")] {
        let mut lines = Lines { cold, ..Lines::default() };
        let mut samples = 0;
        let took = time(|| {
            lines.at = 0;
            samples = read_families(black_box(page), Histograms::NATIVE, &mut lines).expect("a good page");
        });
        let speed = page.len() as f64 / took.as_secs_f64() / 1e6;
        per_series(&format!("read {what}, {how}, {speed:.0} MB/s"), samples, took);
    }
}

/// Pages of real servers.
fn captures() {
    let shared = std::env::var("WATCHFIRE_SHARED").unwrap_or_else(|_| "../shared".to_owned());
    let Ok(folder) = std::fs::read_dir(format!("{shared}/captures")) else { return };
    for path in folder.flatten().map(|entry| entry.path()) {
        if path.extension().is_some_and(|extension| extension == "prom")
            && let Ok(text) = std::fs::read_to_string(&path)
        {
            let name = path.file_stem().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
            parse_both(&name, &text, Format::Text);
        }
    }
    let page = include_bytes!("../tests/fixtures/client_golang.pb");
    read_both("protobuf (Go client)", page);
}

/// Reads one page so many times, for instruction counts: `count text|openmetrics|protobuf known|new ROUNDS`.
#[expect(clippy::print_stdout, reason = "a benchmark prints its figures")]
fn count(words: &[String]) {
    let [format, how, rounds] = words else { panic!("expected: count FORMAT known|new ROUNDS") };
    let (setup, cold) = (setup(10_000), how == "new");
    let rounds: usize = rounds.parse().expect("a number");
    if format == "protobuf" {
        let page = protobuf(&setup.layout);
        println!("{} bytes", page.len());
        let mut lines = Lines { cold, ..Lines::default() };
        for _ in 0..rounds {
            lines.at = 0;
            read_families(black_box(&page), Histograms::NATIVE, &mut lines).expect("a good page");
        }
        return;
    }
    let format = if format == "text" { Format::Text } else { Format::OpenMetrics };
    let (mut values, mut out) = (Vec::new(), Vec::new());
    setup.latest.read(&mut values);
    page(format, &setup.layout).render(&values, "", &mut out);
    println!("{} bytes", out.len());
    let text = String::from_utf8(out).expect("text");
    let mut known = Known::default();
    for _ in 0..rounds {
        if cold {
            parse(black_box(&text), format, &mut Cold::default()).expect("a good page");
        } else {
            known.at = 0;
            parse(black_box(&text), format, &mut known).expect("a good page");
        }
    }
}

fn main() {
    let words: Vec<String> = std::env::args().skip(1).filter(|word| !word.starts_with('-')).collect();
    if let Some((first, rest)) = words.split_first()
        && first == "count"
    {
        return count(rest);
    }
    for count in [500, 10_000] {
        let setup = setup(count);
        per_series("registry: take a tick over", count, time(|| setup.latest.update(black_box(&setup.batch))));
        let mut values = Vec::new();
        for format in [Format::OpenMetrics, Format::Text] {
            let page = page(format, &setup.layout);
            let mut out = Vec::new();
            let took = time(|| {
                out.clear();
                setup.latest.read(&mut values);
                page.render(&values, "", &mut out);
                black_box(&out);
            });
            per_series(&format!("encode {format:?} ({} bytes)", out.len()), count, took);
            per_series("gzip of that", count, time(|| drop(black_box(gzip(&out)))));
            let text = String::from_utf8(out).expect("text");
            parse_both(&format!("{format:?}"), &text, format);
        }
        read_both("protobuf", &protobuf(&setup.layout));
        per_series(
            "layout and format anew",
            count,
            time(|| drop(black_box(page(Format::OpenMetrics, &setup.latest.layout())))),
        );
    }
    captures();
}
