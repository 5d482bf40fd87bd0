//! Label and annotation texts: plain, or templates.

use std::sync::Arc;

use crate::template::{QueryFunc, Template, TemplateData, TemplateError};

/// A text that is expanded for each alert.
#[derive(Debug, Clone)]
pub struct Text {
    source: String,
    /// `None` when there is nothing to expand.
    template: Option<Arc<Template>>,
}

impl Text {
    /// Reads a text.
    ///
    /// # Errors
    /// The place of the first mistake in the template.
    pub fn parse(text: &str) -> Result<Self, TemplateError> {
        let template = text.contains("{{").then(|| Template::parse(text)).transpose()?;
        Ok(Self { source: text.to_owned(), template: template.map(Arc::new) })
    }

    /// The text as written.
    pub fn source(&self) -> &str {
        &self.source
    }

    /// Whether expanding it may run a query.
    pub fn may_query(&self) -> bool {
        self.template.is_some() && self.source.contains("query")
    }

    /// The finished text; a template that fails says so in its place, as Prometheus does.
    pub fn expand(&self, data: &TemplateData, queries: &dyn QueryFunc) -> String {
        let Some(template) = &self.template else { return self.source.clone() };
        template.expand(data, queries).unwrap_or_else(|error| format!("<error expanding template: {error}>"))
    }
}

impl PartialEq for Text {
    fn eq(&self, other: &Self) -> bool {
        self.source == other.source
    }
}
