//! Encoding `/metrics` and parsing pages: ns a series, MB/s of the thread's CPU time.
//!
//! `cargo bench --bench exposition`; pages of real servers come from `$WATCHFIRE_SHARED/captures`, if it is there.

use std::hint::black_box;
use std::sync::Arc;
use std::time::Duration;

use watchfire::clock::Stopwatch;
use watchfire::exposition::{Format, Meta, Page, PageFamily, PageSeries, SampleLine, Sink, gzip, parse, parse_series};
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

/// Counts what a protobuf page has.
#[derive(Default)]
struct Counted(f64);

impl FamilySink for Counted {
    fn family(&mut self, _: &FamilyHead<'_>) {}

    fn float(&mut self, _: &Point<'_>, value: f64, _: &Sampled<'_>) -> Result<(), String> {
        self.0 += value;
        Ok(())
    }

    fn histogram(&mut self, _: &Point<'_>, value: Histogram, _: &Sampled<'_>) -> Result<(), String> {
        self.0 += value.count;
        Ok(())
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
    let mut counted = Counted::default();
    let samples = read_families(page, Histograms::Native, &mut counted).expect("a good page");
    let took = time(|| drop(black_box(read_families(black_box(page), Histograms::Native, &mut counted))));
    let speed = page.len() as f64 / took.as_secs_f64() / 1e6;
    per_series(&format!("read protobuf (Go client), {speed:.0} MB/s"), samples, took);
}

fn main() {
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
        per_series(
            "layout and format anew",
            count,
            time(|| drop(black_box(page(Format::OpenMetrics, &setup.latest.layout())))),
        );
    }
    captures();
}
