//! Go text/template as rules and notifications use it, with Prometheus' functions. Queries come in as a trait.
//!
//! Expansion is bounded in output, steps, nesting and time; each refusal names its bound.
//!
//! ```
//! use watchfire::model::Labels;
//! use watchfire::template::{NoQueries, Template, TemplateData};
//! let template = Template::parse("{{ $labels.job | toUpper }} is at {{ $value | humanizePercentage }}").unwrap();
//! let data = TemplateData { labels: Labels::from_pairs(&[("job", "api")]), value: 0.25.into(), ..Default::default() };
//! assert_eq!(template.expand(&data, &NoQueries).unwrap(), "API is at 25%");
//! ```

mod data;
mod error;
mod exec;
mod format;
mod functions;
mod lexer;
mod parser;
mod printf;
mod time;
mod tree;
mod value;

#[cfg(test)]
mod tests;

pub use data::{NoQueries, QueryFunc, QueryRow, Template, TemplateData, check};
pub use error::TemplateError;
