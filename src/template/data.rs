//! The door: templates, what they see, and how they ask.

use crate::model::{Labels, Timestamp, Value};

use super::error::TemplateError;
use super::exec::Executor;
use super::parser::parse;
use super::tree::Tree;

/// What `$labels`, `$value` and their like are.
#[derive(Debug, Clone)]
pub struct TemplateData {
    /// `$labels`, `.Labels`: labels of the sample.
    pub labels: Labels,
    /// `$externalLabels`, `.ExternalLabels`.
    pub external_labels: Labels,
    /// `$externalURL`, `.ExternalURL`: where this server is reached.
    pub external_url: String,
    /// `$value`, `.Value`.
    pub value: Value,
    /// The evaluation time in milliseconds: `now`, and when queries are evaluated.
    pub now: Timestamp,
}

impl Default for TemplateData {
    fn default() -> Self {
        Self {
            labels: Labels::empty(),
            external_labels: Labels::empty(),
            external_url: String::new(),
            value: Value::Float(0.0),
            now: 0,
        }
    }
}

/// One sample of a query's result.
#[derive(Debug, Clone, PartialEq)]
pub struct QueryRow {
    /// Its labels, name included.
    pub labels: Labels,
    /// Its value.
    pub value: f64,
}

/// How `query` asks.
pub trait QueryFunc {
    /// Evaluates an instant query.
    ///
    /// # Errors
    /// A sentence that says why it failed.
    fn query(&self, text: &str, ts: Timestamp) -> Result<Vec<QueryRow>, String>;
}

/// For templates that must not ask.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoQueries;

impl QueryFunc for NoQueries {
    fn query(&self, _text: &str, _ts: Timestamp) -> Result<Vec<QueryRow>, String> {
        Err("queries are not possible here".to_owned())
    }
}

/// A template that was read and can be expanded any number of times.
#[derive(Debug, Clone)]
pub struct Template {
    tree: Tree,
}

impl Template {
    /// Reads a template.
    ///
    /// # Errors
    /// The place of the first mistake, unknown functions and variables included.
    pub fn parse(text: &str) -> Result<Self, TemplateError> {
        Ok(Self { tree: parse(text)? })
    }

    /// Fills the template.
    ///
    /// # Errors
    /// The place of what failed: a function, a query, a bound.
    pub fn expand(&self, data: &TemplateData, queries: &dyn QueryFunc) -> Result<String, TemplateError> {
        Executor::new(&self.tree, data, queries).run()
    }
}

/// Whether a text is a valid template; nothing is expanded.
///
/// # Errors
/// The place of the first mistake.
pub fn check(text: &str) -> Result<(), TemplateError> {
    parse(text).map(|_| ())
}
