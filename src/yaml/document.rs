//! A parsed file: its tree, its text for places inside scalars, its warnings.

use std::path::Path;
use std::sync::Arc;

use super::errors::{Mark, YamlError, YamlErrors};
use super::load;
use super::node::Node;
use super::tree::{Style, Tree};

/// Larger files are refused before they are parsed.
const MAX_FILE_BYTES: u64 = 32 << 20;

/// The first document of a YAML file.
#[derive(Debug)]
pub struct Document {
    file: Arc<str>,
    text: String,
    root: Arc<Tree>,
    warnings: Vec<YamlError>,
}

impl Document {
    /// Parses `text`; `file` is the name that errors carry.
    ///
    /// # Errors
    /// When the text is no YAML, or exceeds a bound: one error with its place.
    pub fn parse(file: &str, text: &str) -> Result<Self, YamlErrors> {
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let at = |mark, what| YamlError { mark: Some(mark), ..YamlError::of_file(file, what) };
        let loaded = load::load(text).map_err(|error| at(error.mark, error.what))?;
        let root = loaded.root.unwrap_or_else(|| Arc::new(Tree::scalar(Mark::START, "", Style::Plain)));
        let second = "a second document begins here; only the first one is read".to_owned();
        let warnings = loaded.second.map(|mark| at(mark, second)).into_iter().collect();
        Ok(Self { file: file.into(), text: text.to_owned(), root, warnings })
    }

    /// Parses bytes that should be UTF-8.
    ///
    /// # Errors
    /// As [`Document::parse`]; a byte that is no UTF-8 is reported with its place.
    pub fn parse_bytes(file: &str, bytes: &[u8]) -> Result<Self, YamlErrors> {
        match std::str::from_utf8(bytes) {
            Ok(text) => Self::parse(file, text),
            Err(error) => {
                let before = &bytes[..error.valid_up_to()];
                let line = before.iter().filter(|byte| **byte == b'\n').count() + 1;
                let last = before.rsplit(|byte| *byte == b'\n').next().unwrap_or_default();
                let col = String::from_utf8_lossy(last).chars().count() + 1;
                let mark = Mark { line: line as u32, col: col as u32 };
                let what = "not UTF-8 text; save the file as UTF-8";
                Err(YamlError { mark: Some(mark), ..YamlError::of_file(file, what) }.into())
            }
        }
    }

    /// Reads and parses a file of at most 32 MiB.
    ///
    /// # Errors
    /// As [`Document::parse_bytes`], and when the file cannot be read.
    pub fn load(path: &Path) -> Result<Self, YamlErrors> {
        let name = path.display().to_string();
        let cannot = |error: std::io::Error| YamlError::of_file(&name, format!("cannot read: {error}"));
        let size = std::fs::metadata(path).map_err(cannot)?.len();
        if size > MAX_FILE_BYTES {
            let what = format!("{size} bytes are too many; expected at most {MAX_FILE_BYTES}");
            return Err(YamlError::of_file(&name, what).into());
        }
        Self::parse_bytes(&name, &std::fs::read(path).map_err(cannot)?)
    }

    /// The top of the document; an empty document reads as an empty mapping.
    pub fn root(&self) -> Node<'_> {
        Node::new(self, &self.root, String::new())
    }

    /// The name that errors carry.
    pub fn file(&self) -> &str {
        &self.file
    }

    /// The whole text, without a byte order mark.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// What is odd but no error: a second document that nobody reads.
    pub fn warnings(&self) -> &[YamlError] {
        &self.warnings
    }

    pub(super) fn file_name(&self) -> Arc<str> {
        Arc::clone(&self.file)
    }
}
