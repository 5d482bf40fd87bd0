//! What an export says about itself; `schemas/export-manifest.json` describes it.

use serde::Serialize;

/// The content of `export-manifest.json`.
#[derive(Debug, Clone, Serialize)]
pub struct Manifest {
    /// Version of this description: 1.
    pub version: u32,
    /// Program and version that wrote it.
    pub generator: String,
    /// When, RFC 3339.
    pub created: String,
    /// `openmetrics`, `csv` or `jsonl`.
    pub format: String,
    /// Selectors that were asked for; values of redacted labels are left out.
    pub selectors: Vec<String>,
    /// First time that was asked for, in milliseconds; `null` means from the beginning.
    pub from_ms: Option<i64>,
    /// Last time that was asked for, in milliseconds; `null` means to the end.
    pub to_ms: Option<i64>,
    /// First sample, in milliseconds.
    pub min_time_ms: Option<i64>,
    /// Last sample, in milliseconds.
    pub max_time_ms: Option<i64>,
    /// Series that were written.
    pub series: u64,
    /// Samples that were written.
    pub samples: u64,
    /// Exemplars that were written.
    pub exemplars: u64,
    /// The files.
    pub files: Vec<ManifestFile>,
    /// What was hidden.
    pub redactions: Redactions,
    /// What the format or damage kept out.
    pub left_out: LeftOut,
}

/// A file of an export.
#[derive(Debug, Clone, Default, Serialize)]
pub struct ManifestFile {
    /// Name beside the manifest, or `-` for standard output.
    pub name: String,
    /// Bytes.
    pub bytes: u64,
    /// SHA-256 of the content, in hexadecimal digits.
    pub sha256: String,
}

/// What privacy settings changed.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Redactions {
    /// Expressions that name labels, as set.
    pub patterns: Vec<String>,
    /// Labels that were found and replaced.
    pub labels: Vec<String>,
    /// Members that a group needs to be shown.
    pub min_group: u64,
    /// Different label values that were replaced, those of exemplars included.
    pub values_replaced: u64,
    /// Groups that were folded into `other`.
    pub groups_folded: u64,
    /// Series that they had.
    pub series_folded: u64,
}

/// Samples that are in the ring and not in the export.
#[derive(Debug, Clone, Copy, Default, Serialize, PartialEq, Eq)]
pub struct LeftOut {
    /// Native histograms: OpenMetrics and CSV have no place for them, and a folded group has none.
    pub histograms: u64,
    /// Exemplars: CSV has no place for them, OpenMetrics only on counters and buckets with enough lines, and a folded group has none.
    pub exemplars: u64,
    /// Start timestamps that OpenMetrics has no place for: those of series that are no `_total`.
    pub start_timestamps: u64,
    /// Series without a metric name, which OpenMetrics does not know.
    pub nameless_series: u64,
    /// Damaged records that were met while reading.
    pub damaged_records: u64,
}
