//! An export: samples into a file or a stream, with a manifest beside it.

use std::collections::HashSet;
use std::fs::{self, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use crate::model::{Matcher, Timestamp};
use crate::storage::{Ring, StorageError};

use super::format::{ExportFormat, Part, Written, writer};
use super::manifest::{LeftOut, Manifest, ManifestFile};
use super::privacy::Privacy;
use super::scan::{Range, Unit, series_of, walk};

/// The manifest's name beside the exported file.
const MANIFEST: &str = "export-manifest.json";

/// What is exported, and where to.
#[derive(Debug, Clone)]
pub struct ExportRequest {
    /// The form.
    pub format: ExportFormat,
    /// Selections; none means everything.
    pub selectors: Vec<Vec<Matcher>>,
    /// First time that matters.
    pub from: Option<Timestamp>,
    /// Last time that matters.
    pub to: Option<Timestamp>,
    /// What must not be shown.
    pub privacy: Privacy,
    /// File or directory; standard output without.
    pub out: Option<PathBuf>,
    /// The time of the export.
    pub now: Timestamp,
    /// Program and version for the manifest.
    pub generator: String,
}

/// Why an export failed. What was written so far is taken away again.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    /// The ring cannot be read.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// There is a file already.
    #[error("{path} is there already: remove it or choose another --out", path = path.display())]
    Exists {
        /// The file.
        path: PathBuf,
    },
    /// The files cannot be written.
    #[error("cannot write {path}: {source}", path = path.display())]
    Write {
        /// The file, `-` for standard output.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
}

/// Counts and hashes what goes through.
struct Counted<W> {
    out: W,
    bytes: u64,
    hash: Sha256,
}

impl<W: Write> Write for Counted<W> {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        let done = self.out.write(data)?;
        self.bytes += done as u64;
        self.hash.update(&data[..done]);
        Ok(done)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

/// Writes what `request` says and returns the manifest. `stdout` takes the samples when no file is named; `progress` is told how
/// many of how many series are done.
///
/// # Errors
/// When the ring cannot be read or a file not written.
pub fn export(
    ring: &Ring,
    request: &ExportRequest,
    stdout: &mut dyn Write,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<Manifest, ExportError> {
    let Some(out) = &request.out else {
        return write(ring, request, "-", stdout, progress);
    };
    let (file, manifest_file) = places(out, request.format);
    for path in [&file, &manifest_file] {
        if path.exists() {
            return Err(ExportError::Exists { path: path.clone() });
        }
    }
    let failed = |path: &Path, source| ExportError::Write { path: path.to_path_buf(), source };
    if let Some(dir) = file.parent() {
        fs::create_dir_all(dir).map_err(|source| failed(dir, source))?;
    }
    // What is in it may concern people: others do not read it unless its owner lets them.
    let handle = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&file);
    let mut handle = BufWriter::new(handle.map_err(|source| failed(&file, source))?);
    let name = file.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned());
    let done = write(ring, request, &name, &mut handle, progress).and_then(|manifest| {
        let text = serde_json::to_string_pretty(&manifest).map_err(|e| failed(&manifest_file, e.into()))?;
        fs::write(&manifest_file, text + "\n").map_err(|source| failed(&manifest_file, source))?;
        Ok(manifest)
    });
    done.inspect_err(|_| {
        // The error that brought us here is the one to report.
        let _ = fs::remove_file(&file);
    })
}

/// The file and its manifest.
fn places(out: &Path, format: ExportFormat) -> (PathBuf, PathBuf) {
    let is_dir = out.is_dir() || out.as_os_str().to_string_lossy().ends_with('/');
    let file = if is_dir { out.join(format!("export.{}", format.extension())) } else { out.to_path_buf() };
    let manifest = file.with_file_name(MANIFEST);
    (file, manifest)
}

fn write(
    ring: &Ring,
    request: &ExportRequest,
    name: &str,
    out: &mut dyn Write,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<Manifest, ExportError> {
    let failed = |source| ExportError::Write { path: PathBuf::from(name), source };
    let (from, to) = (request.from.unwrap_or(Timestamp::MIN), request.to.unwrap_or(Timestamp::MAX));
    let range = Range { selectors: &request.selectors, from, to };
    let damage = || ring.counters().damaged.load(std::sync::atomic::Ordering::Relaxed);
    let damaged_before = damage();
    let (units, mut redactor) = request.privacy.apply(series_of(ring, &range)?).map_err(failed)?;
    let names: HashSet<String> = units.iter().map(|unit| unit.labels.metric_name().to_owned()).collect();
    let explained = ring.series_with_exemplars(&[], from, to)?;
    let explained = explained.iter().map(|labels| labels.metric_name().to_owned()).collect();
    let mut writer = writer(request.format, names, explained);
    let mut out = Counted { out, bytes: 0, hash: Sha256::new() };
    let (mut series, mut written, mut bounds, mut hidden) = (0, Written::default(), None, LeftOut::default());
    let mut last = None;
    writer.begin(&mut out).map_err(failed)?;
    walk(ring, &range, &units, &mut |Unit { labels, .. }, mut found| {
        hidden.histograms += found.hidden_histograms;
        hidden.exemplars += found.hidden_exemplars;
        if found.samples.is_empty() && found.exemplars.is_empty() {
            return Ok(());
        }
        for (_, exemplar) in &mut found.exemplars {
            exemplar.labels = redactor.exemplar(&exemplar.labels);
        }
        if last.as_ref() != Some(labels) {
            last = Some(labels.clone());
            series += 1;
            progress(series, units.len() as u64);
        }
        let part = Part { labels, samples: &found.samples, exemplars: &found.exemplars };
        let done = writer.series(&mut out, &part).map_err(failed)?;
        written.samples += done.samples;
        written.exemplars += done.exemplars;
        if let (Some(first), Some(newest)) = (found.samples.first(), found.samples.last()) {
            let (min, max) = bounds.get_or_insert((first.ts, newest.ts));
            (*min, *max) = ((*min).min(first.ts), (*max).max(newest.ts));
        }
        Ok::<_, ExportError>(())
    })?;
    writer.end(&mut out).and_then(|()| out.flush()).map_err(failed)?;
    let sha256 = out.hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
    let mut left_out = LeftOut { damaged_records: damage() - damaged_before, ..writer.left_out() };
    left_out.histograms += hidden.histograms;
    left_out.exemplars += hidden.exemplars;
    Ok(Manifest {
        version: 1,
        generator: request.generator.clone(),
        created: jiff::Timestamp::from_millisecond(request.now).unwrap_or_default().to_string(),
        format: request.format.name().to_owned(),
        selectors: request.selectors.iter().map(|matchers| shown(matchers, &request.privacy)).collect(),
        from_ms: request.from,
        to_ms: request.to,
        min_time_ms: bounds.map(|(min, _)| min),
        max_time_ms: bounds.map(|(_, max)| max),
        series,
        samples: written.samples,
        exemplars: written.exemplars,
        files: vec![ManifestFile { name: name.to_owned(), bytes: out.bytes, sha256 }],
        redactions: redactor.finish(),
        left_out,
    })
}

/// A selector as text; what it asks of redacted labels is not told.
fn shown(matchers: &[Matcher], privacy: &Privacy) -> String {
    let one = |matcher: &Matcher| {
        if privacy.hides(&matcher.name) {
            format!("{}{}\"<redacted>\"", matcher.name, matcher.op)
        } else {
            matcher.to_string()
        }
    };
    format!("{{{}}}", matchers.iter().map(one).collect::<Vec<_>>().join(","))
}
