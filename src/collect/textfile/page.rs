//! One textfile: its lines, and the series that they hold.

use std::borrow::Cow;
use std::sync::LazyLock;

use rustc_hash::{FxHashMap, FxHashSet};

use crate::collect::catalogue;
use crate::exposition::{Format, Meta, SampleLine, Sink, parse, parse_series, unescape_help};
use crate::model::{Family, Intern, METRIC_NAME, MetricKind, Origin, SeriesKey, SeriesRef};

struct Line {
    raw: Box<str>,
    value: f64,
    series: Option<SeriesRef>,
}

/// What the metadata lines of a family say.
#[derive(Debug, Clone, PartialEq, Default)]
struct Declared {
    kind: MetricKind,
    help: String,
}

/// A file that could be read.
pub(super) struct Page {
    lines: Vec<Line>,
    families: FxHashMap<Box<str>, Declared>,
}

/// How holding series went.
#[derive(Default)]
pub(super) struct Held {
    /// The first thing that is not shown, and why.
    pub(super) left_out: Option<String>,
    /// Series that a limit refused.
    pub(super) refused: usize,
}

#[derive(Default)]
struct Reader(Vec<Line>, FxHashMap<Box<str>, Declared>);

impl<'a> Sink<'a> for Reader {
    fn sample(&mut self, sample: SampleLine<'a>) -> Result<(), String> {
        if sample.ts.is_some() {
            return Err("expected no timestamp: textfiles are as of now".to_owned());
        }
        let series = parse_series(sample.series)?;
        if series.labels.iter().any(|(name, _)| name == METRIC_NAME) {
            return Err("expected no label __name__ on a sample".to_owned());
        }
        self.0.push(Line { raw: sample.series.into(), value: sample.value, series: None });
        Ok(())
    }

    fn meta(&mut self, name: &'a str, meta: Meta<'a>) {
        let declared = self.1.entry(name.into()).or_default();
        match meta {
            Meta::Help(help) => declared.help = unescape_help(help),
            Meta::Kind(kind) => declared.kind = kind,
            Meta::Unit(_) => {}
        }
    }
}

impl Page {
    /// Reads a file's text.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let mut reader = Reader::default();
        parse(text, Format::Text, &mut reader).map_err(|error| error.to_string())?;
        if !text.is_empty() && !text.ends_with('\n') {
            // A number may be cut: as node_exporter does it, nothing of the file counts.
            return Err("expected a line end after the last line, as if it were still being written".to_owned());
        }
        Ok(Self { lines: reader.0, families: reader.1 })
    }

    /// Takes the references of the version before, when it has the same lines; says whether it has.
    pub(super) fn take_series_of(&mut self, old: &Self) -> bool {
        let same = self.lines.len() == old.lines.len()
            && self.families == old.families
            && self.lines.iter().zip(&old.lines).all(|(new, old)| new.raw == old.raw);
        if same {
            for (new, old) in self.lines.iter_mut().zip(&old.lines) {
                new.series = old.series;
            }
        }
        same
    }

    /// Asks for all series anew, past those that `seen` has from files before.
    pub(super) fn hold(&mut self, job: &str, intern: &dyn Intern, seen: &mut FxHashSet<SeriesRef>) -> Held {
        let mut held = Held::default();
        for line in &mut self.lines {
            line.series = None;
            let Ok(parsed) = parse_series(&line.raw) else { continue };
            let name = parsed.name.as_ref();
            let family = family(&self.families, name);
            if is_ours(name) || is_ours(&family.name) {
                held.left_out
                    .get_or_insert_with(|| format!("{name} is a metric of watchfire itself: expected another name"));
                continue;
            }
            let labels: Vec<(&str, &str)> =
                parsed.labels.iter().map(|(name, value)| (name.as_ref(), value.as_ref())).collect();
            match intern.intern(SeriesKey { family: &family, name, labels: &labels, origin: Origin::Own { job } }) {
                Some(series) if seen.insert(series) => line.series = Some(series),
                Some(series) => {
                    intern.release(&[series]);
                    held.left_out.get_or_insert_with(|| format!("{} is there twice: the first counts", line.raw));
                }
                None => held.refused += 1,
            }
        }
        held
    }

    /// The references that it holds.
    pub(super) fn references(&self) -> impl Iterator<Item = SeriesRef> {
        self.lines.iter().filter_map(|line| line.series)
    }

    pub(super) fn samples(&self) -> impl Iterator<Item = (SeriesRef, f64)> {
        self.lines.iter().filter_map(|line| line.series.map(|series| (series, line.value)))
    }
}

/// Whether a sample or a family of that name would stand in, or beside, a family that watchfire shows: OpenMetrics names families of counters
/// and of information without their suffix, so a gauge `x` cannot stand beside our `x_total`.
fn is_ours(name: &str) -> bool {
    static STEMS: LazyLock<FxHashSet<&str>> = LazyLock::new(|| catalogue::all().map(|desc| stem(desc.name)).collect());
    let prefixes = ["watchfire_", "scrape_"];
    name == "up" || prefixes.iter().any(|prefix| name.starts_with(prefix)) || STEMS.contains(stem(name))
}

fn stem(name: &str) -> &str {
    ["_total", "_info"].iter().find_map(|suffix| name.strip_suffix(suffix)).unwrap_or(name)
}

/// The family of a sample: a suffix counts when what stands before it is a histogram or a summary.
fn family(declared: &FxHashMap<Box<str>, Declared>, name: &str) -> Family {
    let of_parts = || {
        let base = ["_bucket", "_sum", "_count"].iter().find_map(|suffix| name.strip_suffix(suffix))?;
        let found = declared.get(base)?;
        let typed = matches!(found.kind, MetricKind::Histogram | MetricKind::Summary | MetricKind::GaugeHistogram);
        typed.then_some((base, found))
    };
    let (base, found) = match declared.get(name) {
        Some(found) => (name, found.clone()),
        None => of_parts().map_or((name, Declared::default()), |(base, found)| (base, found.clone())),
    };
    // OpenMetrics names a counter's family without the suffix.
    let base = if found.kind == MetricKind::Counter { base.strip_suffix("_total").unwrap_or(base) } else { base };
    let help = if found.help.is_empty() { "Metric read from a textfile.".to_owned() } else { found.help };
    Family { name: Cow::Owned(base.to_owned()), kind: found.kind, unit: Cow::Borrowed(""), help: Cow::Owned(help) }
}
