//! Label and annotation texts: plain, or templates.

use std::sync::Arc;

use crate::template::{QueryFunc, Template, TemplateData, TemplateError};

/// What the finished text depends on: how long it may be kept, and when it may be worked out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Inputs {
    /// Nothing: it is the text as written.
    Nothing,
    /// The result's labels alone: as long as they stay, so does the text.
    Labels,
    /// What is known of one evaluation, the value and the time: it can be worked out later just as well.
    Evaluation,
    /// Queries: it must be worked out in its evaluation.
    Queries,
}

/// Functions of templates whose result depends on their arguments alone.
const PURE: [&str; 15] = [
    "title",
    "toUpper",
    "toLower",
    "match",
    "reReplaceAll",
    "stripPort",
    "stripDomain",
    "printf",
    "print",
    "if",
    "else",
    "end",
    "eq",
    "ne",
    "len",
];

/// A text that is expanded for each alert.
#[derive(Debug, Clone)]
pub struct Text {
    source: String,
    /// `None` when there is nothing to expand.
    template: Option<Arc<Template>>,
    inputs: Inputs,
}

impl Text {
    /// Reads a text.
    ///
    /// # Errors
    /// The place of the first mistake in the template.
    pub fn parse(text: &str) -> Result<Self, TemplateError> {
        let template = text.contains("{{").then(|| Template::parse(text)).transpose()?;
        let inputs = if template.is_some() { inputs_of(text) } else { Inputs::Nothing };
        Ok(Self { source: text.to_owned(), template: template.map(Arc::new), inputs })
    }

    /// The text as written.
    pub fn source(&self) -> &str {
        &self.source
    }

    /// Whether expanding it may run a query.
    pub fn may_query(&self) -> bool {
        self.inputs == Inputs::Queries
    }

    pub(super) fn inputs(&self) -> Inputs {
        self.inputs
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

/// The least that a template can be said to depend on. Only what is plainly a label or a pure function counts as such:
/// a dot, a variable or a name that is not known here may be anything.
fn inputs_of(source: &str) -> Inputs {
    if source.contains("query") {
        return Inputs::Queries;
    }
    let actions = source.split("{{").skip(1).map(|rest| rest.split("}}").next().unwrap_or_default());
    if actions.clone().all(reads_labels_only) { Inputs::Labels } else { Inputs::Evaluation }
}

fn reads_labels_only(action: &str) -> bool {
    let mut rest = action;
    while let Some(start) = rest.find(|c: char| c.is_ascii_alphabetic() || matches!(c, '$' | '.' | '`')) {
        rest = &rest[start..];
        let end =
            rest.find(|c: char| !c.is_ascii_alphanumeric() && !matches!(c, '$' | '.' | '_')).unwrap_or(rest.len());
        let (word, after) = rest.split_at(end);
        let label = word.strip_prefix("$labels.").or_else(|| word.strip_prefix(".Labels."));
        let known = match label {
            Some(name) => !name.is_empty() && !name.contains(['.', '$']),
            None => PURE.contains(&word),
        };
        if !known {
            return false;
        }
        rest = after;
    }
    true
}

#[cfg(test)]
mod tests {
    use super::{Inputs, Text};

    #[test]
    fn knows_what_a_text_depends_on() {
        let cases = [
            ("all is well", Inputs::Nothing),
            ("{{ $labels.job }} on {{.Labels.instance}}", Inputs::Labels),
            ("{{- $labels.job | toUpper -}}", Inputs::Labels),
            ("{{ if eq $labels.job 1 }}a{{ else }}b{{ end }}", Inputs::Labels),
            // Words in strings are not told from names: they are taken for the worst.
            ("{{ if eq $labels.job \"x\" }}a{{ end }}", Inputs::Evaluation),
            ("{{ $value }}", Inputs::Evaluation),
            ("{{ .Value | humanize }}", Inputs::Evaluation),
            ("{{ . }}", Inputs::Evaluation),
            ("{{ $labels }}", Inputs::Evaluation),
            ("{{ $labels.job }} {{ now }}", Inputs::Evaluation),
            ("{{ $externalLabels.zone }}{{ externalURL }}", Inputs::Evaluation),
            ("{{ range query \"up\" }}x{{ end }}", Inputs::Queries),
        ];
        for (text, expected) in cases {
            assert_eq!(Text::parse(text).expect(text).inputs(), expected, "{text}");
        }
    }
}
