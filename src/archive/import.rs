//! An import: files into the ring, past head and rows. All files are read before anything is written.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use crate::exposition::{ExemplarText, Format, Meta, SampleLine, TextLine, parse_line, parse_series};
use crate::model::{Exemplar, Labels, METRIC_NAME, MetricKind, Timestamp, Value, is_absent, parse_float, stale_marker};
use crate::storage::{Ring, StorageError};

use super::format::{ExportFormat, Header, Parsed, STALE_FAMILY, fields, read_json_line};
use super::sorter::Sorter;

/// Bytes of one line.
const MAX_LINE: u64 = 16 << 20;

/// What is imported, and under which bounds.
#[derive(Debug, Clone)]
pub struct ImportRequest {
    /// The files.
    pub files: Vec<PathBuf>,
    /// Their form; by their names without.
    pub format: Option<ExportFormat>,
    /// Samples older than this are left out: retention would take them at once.
    pub oldest: Timestamp,
    /// Samples later than this are left out: they would stand in the way of what is measured then.
    pub newest: Timestamp,
    /// Where the temporary file goes.
    pub temp_dir: PathBuf,
    /// Bytes that segments may take in the ring: `retention.size`.
    pub size_bytes: u64,
    /// Length of the ring's windows in milliseconds.
    pub window_ms: i64,
}

/// What an import did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ImportReport {
    /// Series in the files.
    pub series: u64,
    /// Samples that are in the ring now and were not before.
    pub samples: u64,
    /// Samples whose time was taken, in the files or in the ring.
    pub duplicates: u64,
    /// Samples that are older than the ring's retention.
    pub too_old: u64,
    /// Samples too far ahead of the clock.
    pub too_far_ahead: u64,
    /// Exemplars that are in the ring now and were not before.
    pub exemplars: u64,
    /// Exemplars that are too old, too far ahead, or have labels of more than 128 characters.
    pub exemplars_refused: u64,
    /// Samples that retention took at the end, imported ones or others.
    pub retired: u64,
}

/// Why an import failed.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// A line is not of the format. Nothing was imported.
    #[error("{path}:{line}: {problem}; nothing was imported: repair the line or remove it", path = path.display())]
    Line {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: u64,
        /// What was expected.
        problem: String,
    },
    /// A file cannot be read.
    #[error("cannot read {path}: {source}", path = path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// A file's form is not known.
    #[error("{path}: expected a name that ends in .om, .prom, .txt, .csv or .jsonl: say --format", path = path.display())]
    Format {
        /// The file.
        path: PathBuf,
    },
    /// The temporary file failed.
    #[error("cannot keep samples in a temporary file: {0}")]
    Spill(#[from] io::Error),
    /// The ring failed.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// The ring would outgrow its bounds.
    #[error(
        "the ring is full after {samples} samples ({used} of {size} bytes): raise storage.retention.size, or import less"
    )]
    Full {
        /// Samples that were imported.
        samples: u64,
        /// Bytes that segments take.
        used: u64,
        /// Bytes that they may take.
        size: u64,
    },
}

/// How far an import is.
#[derive(Debug, Clone, Copy)]
pub enum ImportProgress {
    /// So many bytes of so many are read.
    Reading(u64, u64),
    /// So many samples of so many are written.
    Writing(u64, u64),
}

/// Imports files into a ring.
///
/// # Errors
/// See [`ImportError`]: at a bad line nothing is imported; when the disk fails, whole windows are.
pub fn import(
    ring: &Ring,
    request: &ImportRequest,
    progress: &mut dyn FnMut(ImportProgress),
) -> Result<ImportReport, ImportError> {
    let mut intake = Intake {
        sorter: Sorter::new(&request.temp_dir, request.window_ms)?,
        bounds: (request.oldest, request.newest),
        report: ImportReport::default(),
    };
    let failed = |path: &PathBuf, source| ImportError::Read { path: path.clone(), source };
    let mut total = 0;
    for path in &request.files {
        total += std::fs::metadata(path).map_err(|source| failed(path, source))?.len();
    }
    let mut done = 0;
    for path in &request.files {
        let format = request.format.or_else(|| format_of(path)).ok_or(ImportError::Format { path: path.clone() })?;
        let file = File::open(path).map_err(|source| failed(path, source))?;
        let mut reader = reader_of(format);
        let told = &mut |bytes| progress(ImportProgress::Reading(done + bytes, total));
        done += lines(path, BufReader::with_capacity(1 << 16, file), &mut *reader, &mut intake, told)?;
    }
    let Intake { sorter, mut report, .. } = intake;
    report.series = sorter.series();
    let (all, mut written) = (sorter.samples(), 0);
    sorter.finish(&mut |part| {
        let taken = part.taken;
        let used = ring.segment_page_bytes();
        if used >= request.size_bytes {
            return Err(ImportError::Full { samples: report.samples, used, size: request.size_bytes });
        }
        let inserted = ring.insert_history_with(part.samples, part.exemplars)?;
        report.samples += inserted.samples;
        report.exemplars += inserted.exemplars;
        report.duplicates += inserted.duplicates + taken;
        written += inserted.samples + inserted.duplicates + taken;
        progress(ImportProgress::Writing(written, all));
        Ok(())
    })?;
    report.retired = ring.apply_retention(request.size_bytes, request.oldest)?;
    Ok(report)
}

fn format_of(path: &Path) -> Option<ExportFormat> {
    match path.extension()?.to_str()? {
        "om" | "prom" | "txt" | "openmetrics" => Some(ExportFormat::OpenMetrics),
        "csv" => Some(ExportFormat::Csv),
        "jsonl" | "ndjson" => Some(ExportFormat::JsonLines),
        _ => None,
    }
}

fn reader_of(format: ExportFormat) -> Box<dyn LineReader> {
    match format {
        ExportFormat::OpenMetrics => Box::new(OpenMetrics::default()),
        ExportFormat::Csv => Box::new(Csv::default()),
        ExportFormat::JsonLines => Box::new(JsonLines),
    }
}

/// Where samples go.
struct Intake {
    sorter: Sorter,
    bounds: (Timestamp, Timestamp),
    report: ImportReport,
}

impl Intake {
    fn push(&mut self, series: u32, ts: Timestamp, start_ts: Timestamp, value: f64) -> Result<(), Bad> {
        // The bits of a hole mean nothing outside of a column.
        let value = if is_absent(value) { f64::NAN } else { value };
        self.push_value(series, ts, start_ts, &Value::Float(value))
    }

    fn push_value(&mut self, series: u32, ts: Timestamp, start_ts: Timestamp, value: &Value) -> Result<(), Bad> {
        if ts < self.bounds.0 {
            self.report.too_old += 1;
        } else if ts > self.bounds.1 {
            self.report.too_far_ahead += 1;
        } else {
            self.sorter.push(series, ts, start_ts, value).map_err(Bad::Spill)?;
        }
        Ok(())
    }

    fn push_exemplar(&mut self, series: u32, ts: Timestamp, mut exemplar: Exemplar) -> Result<(), Bad> {
        if ts < self.bounds.0 || ts > self.bounds.1 || exemplar.is_too_long() {
            self.report.exemplars_refused += 1;
            return Ok(());
        }
        if is_absent(exemplar.value) {
            exemplar.value = f64::NAN;
        }
        self.sorter.push_exemplar(series, ts, &exemplar).map_err(Bad::Spill)
    }
}

/// What is wrong with a line.
enum Bad {
    Text(String),
    Spill(io::Error),
}

impl From<String> for Bad {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

/// Reads one of the formats line by line.
trait LineReader {
    fn line(&mut self, line: &str, intake: &mut Intake) -> Result<(), Bad>;

    fn end(&mut self, intake: &mut Intake) -> Result<(), Bad>;
}

/// Feeds a file's lines to a reader; returns its bytes.
fn lines(
    path: &Path,
    mut file: impl BufRead,
    reader: &mut dyn LineReader,
    intake: &mut Intake,
    told: &mut dyn FnMut(u64),
) -> Result<u64, ImportError> {
    let mut raw = Vec::new();
    let (mut number, mut bytes) = (0, 0);
    let fail = |line, bad| match bad {
        Bad::Text(problem) => ImportError::Line { path: path.to_path_buf(), line, problem },
        Bad::Spill(error) => ImportError::Spill(error),
    };
    loop {
        raw.clear();
        let read = file.by_ref().take(MAX_LINE).read_until(b'\n', &mut raw);
        let read = read.map_err(|source| ImportError::Read { path: path.to_path_buf(), source })?;
        if read == 0 {
            reader.end(intake).map_err(|bad| fail(number + 1, bad))?;
            return Ok(bytes);
        }
        number += 1;
        bytes += read as u64;
        if read as u64 == MAX_LINE && raw.last() != Some(&b'\n') {
            return Err(fail(number, format!("expected lines below {MAX_LINE} bytes").into()));
        }
        let text = std::str::from_utf8(&raw).map_err(|_| fail(number, "expected UTF-8".to_owned().into()))?;
        reader.line(text.trim_end_matches(['\n', '\r']), intake).map_err(|bad| fail(number, bad))?;
        if number % 1024 == 0 {
            told(bytes);
        }
    }
}

/// The series of the line before, so that its labels are read once.
#[derive(Default)]
struct Last {
    raw: String,
    number: u32,
    /// When its counter started, as the last `_created` line said.
    start: Timestamp,
}

/// A sample that waits for a `_created` line of its own time.
struct Held {
    ts: Timestamp,
    value: f64,
}

#[derive(Default)]
struct OpenMetrics {
    last: Option<Last>,
    held: Option<Held>,
    family: (String, Option<MetricKind>),
    nan_is_stale: bool,
    ended: bool,
}

impl OpenMetrics {
    fn release(&mut self, intake: &mut Intake) -> Result<(), Bad> {
        match (self.held.take(), &self.last) {
            (Some(held), Some(last)) => intake.push(last.number, held.ts, last.start, held.value),
            _ => Ok(()),
        }
    }

    fn sample(&mut self, line: &str, sample: SampleLine<'_>, intake: &mut Intake) -> Result<(), Bad> {
        let ts = sample.ts.ok_or_else(|| {
            "expected a timestamp in seconds after the value: samples without one have no place in history".to_owned()
        })?;
        if let Some(total) = self.total_of(sample.series)
            && let Some(last) = self.last.as_mut().filter(|last| last.raw == total)
        {
            last.start = (sample.value * 1000.0).round() as Timestamp;
            return Ok(());
        }
        self.release(intake)?;
        if self.last.as_ref().is_none_or(|last| last.raw != sample.series) {
            let labels = labels(sample.series)?;
            self.last = Some(Last { raw: sample.series.to_owned(), number: intake.sorter.number(&labels), start: 0 });
        }
        let stale = self.nan_is_stale && sample.value.is_nan() && value_word(line, sample.series) == "nan";
        self.held = Some(Held { ts, value: if stale { stale_marker() } else { sample.value } });
        if let (Some(text), Some(last)) = (sample.exemplar, &self.last) {
            let exemplar = exemplar(text)?;
            intake.push_exemplar(last.number, exemplar.ts.unwrap_or(ts), exemplar)?;
        }
        Ok(())
    }

    /// The series that a `_created` line of a counter speaks of.
    fn total_of(&self, series: &str) -> Option<String> {
        let (family, kind) = &self.family;
        if *kind != Some(MetricKind::Counter) {
            return None;
        }
        let created = format!("{family}_created");
        if let Some(rest) = series.strip_prefix(&created) {
            return (rest.is_empty() || rest.starts_with('{')).then(|| format!("{family}_total{rest}"));
        }
        let quoted = series.strip_prefix("{\"")?.strip_prefix(&created)?;
        quoted.starts_with('"').then(|| format!("{{\"{family}_total{quoted}"))
    }
}

impl LineReader for OpenMetrics {
    fn line(&mut self, line: &str, intake: &mut Intake) -> Result<(), Bad> {
        if self.ended {
            return Err("expected nothing after # EOF".to_owned().into());
        }
        match parse_line(line, Format::OpenMetrics)? {
            TextLine::Sample(sample) => self.sample(line, sample, intake),
            TextLine::Meta(name, meta) => {
                self.release(intake)?;
                if let Meta::Kind(kind) = meta {
                    self.nan_is_stale |= name == STALE_FAMILY;
                    self.family = (name.to_owned(), Some(kind));
                }
                Ok(())
            }
            TextLine::End => {
                self.ended = true;
                self.release(intake)
            }
            TextLine::Other => Ok(()),
        }
    }

    fn end(&mut self, _: &mut Intake) -> Result<(), Bad> {
        if self.ended { Ok(()) } else { Err("expected # EOF as the last line: the file is cut off".to_owned().into()) }
    }
}

/// The value as it stands on the line.
fn value_word<'a>(line: &'a str, series: &str) -> &'a str {
    line.trim_start().get(series.len()..).and_then(|rest| rest.split_whitespace().next()).unwrap_or("")
}

fn exemplar(text: ExemplarText<'_>) -> Result<Exemplar, String> {
    let named = format!("exemplar{}", text.labels);
    let parsed = parse_series(&named)?;
    let pairs: Vec<(&str, &str)> = parsed.labels.iter().map(|(name, value)| (name.as_ref(), value.as_ref())).collect();
    Ok(Exemplar { labels: Labels::from_pairs(&pairs), value: text.value, ts: text.ts })
}

fn labels(series: &str) -> Result<Labels, String> {
    let series = parse_series(series)?;
    let mut pairs: Vec<(&str, &str)> = vec![(METRIC_NAME, &series.name)];
    pairs.extend(series.labels.iter().map(|(name, value)| (name.as_ref(), value.as_ref())));
    Ok(Labels::from_pairs(&pairs))
}

#[derive(Default)]
struct Csv {
    header: Option<Header>,
    last: Option<(Vec<String>, u32)>,
}

impl LineReader for Csv {
    fn line(&mut self, line: &str, intake: &mut Intake) -> Result<(), Bad> {
        let Some(header) = &self.header else {
            self.header = Some(Header::read(line)?);
            return Ok(());
        };
        if line.is_empty() {
            return Ok(());
        }
        let found = fields(line)?;
        if found.len() != header.columns {
            return Err(format!("expected {} fields as in the header, found {}", header.columns, found.len()).into());
        }
        let field = |at: Option<usize>| at.and_then(|at| found.get(at)).map_or("", |field| field.as_ref());
        let ts = time(field(Some(header.timestamp)), "timestamp_ms")?;
        let start = match field(header.start) {
            "" => 0,
            text => time(text, "start_timestamp_ms")?,
        };
        let value = match field(Some(header.value)) {
            "stale" => stale_marker(),
            text => parse_float(text)
                .ok_or_else(|| format!("expected a number, NaN, +Inf, -Inf or stale as value, found {text:?}"))?,
        };
        let mut key = vec![field(header.metric).to_owned(), field(header.labels).to_owned()];
        key.extend(header.others.iter().map(|(at, _)| field(Some(*at)).to_owned()));
        let number = match &self.last {
            Some((known, number)) if *known == key => *number,
            _ => {
                let number = intake.sorter.number(&csv_labels(header, &key)?);
                self.last = Some((key, number));
                number
            }
        };
        intake.push(number, ts, start, value)
    }

    fn end(&mut self, _: &mut Intake) -> Result<(), Bad> {
        if self.header.is_some() { Ok(()) } else { Err(Header::read("").err().unwrap_or_default().into()) }
    }
}

fn time(text: &str, column: &str) -> Result<Timestamp, String> {
    text.parse().map_err(|_| format!("expected whole milliseconds as {column}, found {text:?}"))
}

/// Labels of a line: metric, JSON object, one column each.
fn csv_labels(header: &Header, key: &[String]) -> Result<Labels, String> {
    let object: std::collections::BTreeMap<String, String> = match key[1].as_str() {
        "" => Default::default(),
        text => serde_json::from_str(text)
            .map_err(|error| format!("expected a JSON object of texts as labels, found {text:?}: {error}"))?,
    };
    let mut pairs: Vec<(&str, &str)> = object.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
    pairs.extend(header.others.iter().zip(&key[2..]).map(|((_, name), value)| (name.as_str(), value.as_str())));
    if !key[0].is_empty() {
        pairs.push((METRIC_NAME, &key[0]));
    }
    let labels = Labels::from_pairs(&pairs);
    if labels.is_empty() { Err("expected a metric or a label, found none".to_owned()) } else { Ok(labels) }
}

struct JsonLines;

impl LineReader for JsonLines {
    fn line(&mut self, line: &str, intake: &mut Intake) -> Result<(), Bad> {
        if line.trim().is_empty() {
            return Ok(());
        }
        let Parsed { labels, samples, exemplars } = read_json_line(line)?;
        if labels.is_empty() {
            return Err("expected at least one label in metric".to_owned().into());
        }
        let number = intake.sorter.number(&labels);
        for sample in samples {
            match &sample.value {
                Value::Float(value) => intake.push(number, sample.ts, sample.start_ts, *value)?,
                histogram => intake.push_value(number, sample.ts, sample.start_ts, histogram)?,
            }
        }
        for (ts, exemplar) in exemplars {
            intake.push_exemplar(number, ts, exemplar)?;
        }
        Ok(())
    }

    fn end(&mut self, _: &mut Intake) -> Result<(), Bad> {
        Ok(())
    }
}
