//! History as files: exports with a manifest, imports, dumps. Samples stream; memory holds a bounded part of them.
//!
//! An export goes series by series, sorted by metric and labels. Privacy settings are applied on the way: values of the labels that
//! they name become pseudonyms, and groups that are too small to hide anybody are folded into `other`.

mod export;
mod format;
mod import;
mod manifest;
mod privacy;
#[cfg(test)]
mod rich_tests;
mod scan;
mod sorter;
#[cfg(test)]
mod tests;

pub use export::{ExportError, ExportRequest, export};
pub use format::ExportFormat;
pub use import::{ImportError, ImportProgress, ImportReport, ImportRequest, import};
pub use manifest::{LeftOut, Manifest, ManifestFile, Redactions};
pub use privacy::{MIN_GROUP, Privacy};
pub use scan::{Each, Sample, for_each_series};
