//! OpenMetrics 1.0 and text 0.0.4: encoders, content negotiation, a tolerant parser, a strict check and a lint.
//!
//! [`Page`] renders a page from name-and-label bytes that it formatted once; [`parse`] reads what others publish.
//!
//! ```
//! use watchfire::exposition::{Format, Meta, SampleLine, Sink, parse};
//!
//! #[derive(Default)]
//! struct Sum(f64);
//! impl<'a> Sink<'a> for Sum {
//!     fn sample(&mut self, sample: SampleLine<'a>) -> Result<(), String> {
//!         self.0 += sample.value;
//!         Ok(())
//!     }
//!     fn meta(&mut self, _: &'a str, _: Meta<'a>) {}
//! }
//! let mut sum = Sum::default();
//! parse("a{b=\"1\"} 2\na{b=\"2\"} 3\n", Format::Text, &mut sum).unwrap();
//! assert_eq!(sum.0, 5.0);
//! ```

mod body;
mod check;
mod escape;
mod foreign;
mod layout;
mod negotiate;
mod number;
mod page;
mod parse;

pub use body::{BodyCache, gzip};
pub use check::{Problem, check_openmetrics, lint_text};
pub use escape::{push_escaped, push_name, push_series, push_series_of, unescape_help};
pub use foreign::openmetrics_to_text;
pub use negotiate::{Format, accepts_gzip, negotiate};
pub use number::{canonical_bound, parse_value, push_bound, push_value};
pub use page::{Page, PageFamily, PageSeries};
pub use parse::{
    ExemplarText, Meta, ParseError, SampleLine, SeriesText, Sink, TextLine, parse, parse_line, parse_series,
};
