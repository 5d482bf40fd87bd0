//! `tsdb export`, `import` and `dump`.

use std::io::{BufWriter, Write};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::archive::{self, ExportFormat, ExportRequest, ImportProgress, ImportRequest, Sample};
use crate::clock::Clock;
use crate::model::{NoSeries, Timestamp, Value, format_float};
use crate::storage::{self, Ring, StorageError};
use crate::telemetry::BUILD;

use super::super::progress::Bar;
use super::super::query::read_time;
use super::super::tsdb_args::{FileFormat, Place};
use super::{Outcome, look, selectors, setup};

impl From<FileFormat> for ExportFormat {
    fn from(format: FileFormat) -> Self {
        match format {
            FileFormat::Openmetrics => Self::OpenMetrics,
            FileFormat::Csv => Self::Csv,
            FileFormat::Jsonl => Self::JsonLines,
        }
    }
}

pub(super) fn export(
    place: &Place,
    format: FileFormat,
    matches: &[String],
    (from, to): (Option<String>, Option<String>),
    out: Option<PathBuf>,
) -> Result<Outcome, String> {
    let time = |flag: &str, text: Option<String>| text.map(|text| read_time(flag, &text)).transpose();
    let (from, to) = (time("--from", from)?, time("--to", to)?);
    if from.zip(to).is_some_and(|(from, to)| from > to) {
        return Err("--from: expected a time before --to".to_owned());
    }
    let selectors = selectors(matches)?;
    let setup = setup(place)?;
    let ring = look(&setup)?;
    let request = ExportRequest {
        format: format.into(),
        selectors,
        from,
        to,
        privacy: setup.config.privacy.clone(),
        out,
        now: Clock::System.now(),
        generator: format!("watchfire {}", BUILD.version),
    };
    let mut bar = Bar::new("exporting");
    let mut stdout = BufWriter::with_capacity(1 << 16, std::io::stdout().lock());
    let manifest = archive::export(&ring, &request, &mut stdout, &mut |done, all| bar.show(done, all, "series"));
    bar.clear();
    let manifest = manifest.map_err(|error| error.to_string())?;
    drop(stdout);
    let text = serde_json::to_string_pretty(&manifest).map_err(|error| error.to_string())?;
    if request.out.is_some() {
        let file = manifest.files.first().map_or("", |file| file.name.as_str());
        let exemplars = match manifest.exemplars {
            0 => String::new(),
            count => format!(", {count} exemplars"),
        };
        println!("{file}: {} samples of {} series{exemplars}", manifest.samples, manifest.series);
    } else {
        eprintln!("{text}");
    }
    let left = manifest.left_out;
    for (count, what) in [
        (left.histograms, "native histograms, which only jsonl holds, and no folded group"),
        (
            left.exemplars,
            "exemplars: jsonl holds all but those of folded groups, openmetrics those of counters and buckets, csv none",
        ),
        (left.start_timestamps, "start timestamps, which OpenMetrics has for _total only: csv and jsonl keep them"),
        (left.nameless_series, "series without a name, which OpenMetrics does not know: csv and jsonl keep them"),
        (left.damaged_records, "damaged records: watchfire tsdb verify names them"),
    ] {
        if count > 0 {
            eprintln!("watchfire: left out: {count} {what}");
        }
    }
    Ok(if left.damaged_records == 0 { Outcome::Ok } else { Outcome::Failed })
}

pub(super) fn import(place: &Place, format: Option<FileFormat>, files: Vec<PathBuf>) -> Result<Outcome, String> {
    let setup = setup(place)?;
    let settings = &setup.config.storage.ring;
    // What is imported is measured against retention when all of it is there.
    let config = storage::Config {
        path: setup.dir.clone(),
        retention_size_bytes: u64::MAX,
        retention_time: Duration::MAX,
        ..settings.clone()
    };
    let locked = |error: StorageError| match error {
        StorageError::Locked { .. } => format!("{error}: stop the daemon, import, and start it again"),
        other => other.to_string(),
    };
    let ring = Ring::open(config, Clock::System, Arc::new(NoSeries)).map_err(locked)?;
    let now = Clock::System.now();
    let millis = |duration: Duration| i64::try_from(duration.as_millis()).unwrap_or(i64::MAX);
    let request = ImportRequest {
        files,
        format: format.map(ExportFormat::from),
        oldest: now.saturating_sub(millis(settings.retention_time)),
        newest: now.saturating_add(settings.max_ahead.map_or(i64::MAX, millis)),
        temp_dir: setup.dir.clone(),
        size_bytes: settings.retention_size_bytes,
        window_ms: millis(settings.window),
    };
    let mut bar = Bar::new("importing");
    let done = archive::import(&ring, &request, &mut |step| match step {
        ImportProgress::Reading(done, all) => bar.show(done, all, "bytes read"),
        ImportProgress::Writing(done, all) => bar.show(done, all, "samples written"),
    });
    bar.clear();
    let report = done.map_err(|error| error.to_string())?;
    ring.shutdown().map_err(|error| error.to_string())?;
    let exemplars = match report.exemplars {
        0 => String::new(),
        count => format!(" and {count} exemplars"),
    };
    println!("{} samples{exemplars} imported, {} series in the files", report.samples, report.series);
    for (count, what) in [
        (report.duplicates, "have a time that was taken already; what was there stays"),
        (report.too_old, "are older than storage.retention.time (--config.file FILE can raise it)"),
        (report.too_far_ahead, "are too far in the future"),
        (report.retired, "went by storage.retention, the oldest first"),
    ] {
        if count > 0 {
            eprintln!("watchfire: {count} samples {what}");
        }
    }
    if report.exemplars_refused > 0 {
        eprintln!(
            "watchfire: {} exemplars are too old, too far in the future, or have labels of more than 128 characters",
            report.exemplars_refused
        );
    }
    let nothing = report.samples == 0 && report.duplicates == 0 && report.too_old + report.too_far_ahead > 0;
    Ok(if nothing { Outcome::Failed } else { Outcome::Ok })
}

pub(super) fn dump(place: &Place, matches: &[String], bounds: (Timestamp, Timestamp)) -> Result<Outcome, String> {
    let selectors = selectors(matches)?;
    let ring = look(&setup(place)?)?;
    let mut out = BufWriter::with_capacity(1 << 16, std::io::stdout().lock());
    let dumped = archive::for_each_series(&ring, &selectors, bounds, &mut |labels, samples| {
        let labels = labels.braced();
        for sample in samples {
            writeln!(out, "{labels} {} {}", value(sample), sample.ts)?;
        }
        Ok::<_, DumpError>(())
    });
    dumped.and_then(|()| Ok(out.flush()?)).map_err(|error| error.to_string())?;
    Ok(Outcome::Ok)
}

#[derive(Debug, thiserror::Error)]
enum DumpError {
    #[error(transparent)]
    Storage(#[from] StorageError),
    #[error("cannot write: {0}")]
    Write(#[from] std::io::Error),
}

fn value(sample: &Sample) -> String {
    match &sample.value {
        Value::Float(value) => format_float(*value),
        Value::Histogram(histogram) => format!("{{count:{}, sum:{}}}", histogram.count, histogram.sum),
    }
}
