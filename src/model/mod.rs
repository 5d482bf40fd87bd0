//! The nouns that every room shares: labels, matchers, families, samples, batches, series references.
//!
//! Nothing here does I/O or reads a clock. A series is known by its [`Labels`]; inside a process a
//! [`SeriesRef`] stands for it, so that a tick carries numbers only.
//!
//! ```
//! use watchfire::model::{Labels, Matcher, MatchOp};
//! let labels = Labels::from_pairs(&[("__name__", "up"), ("job", "node")]);
//! let matcher = Matcher::new(MatchOp::Regex, "job", "no.+").unwrap();
//! assert!(matcher.matches(labels.get("job")));
//! assert_eq!(labels.to_string(), r#"up{job="node"}"#);
//! ```

mod alert;
mod batch;
mod bounds;
mod duration;
mod family;
mod go_expand;
mod go_regex;
mod histogram;
mod labels;
mod matcher;
mod number;
mod output;
mod series;
mod value;

pub use alert::{Alert, AlertState};
pub use batch::{Batch, Exemplar, GroupId, Irregular, IrregularSample};
pub use bounds::exponential_bound;
pub use duration::{DurationError, format_duration, parse_duration};
pub use family::{Family, FamilyDesc, MetricKind};
pub(crate) use go_expand::go_expand;
pub(crate) use go_regex::{go_regex, go_regex_of_all};
pub use histogram::{CUSTOM_BUCKETS_SCHEMA, Histogram, ResetHint, Span};
pub use labels::{Labels, LabelsBuilder, METRIC_NAME, is_classic_label_name, is_classic_metric_name, quote};
pub use matcher::{MatchOp, Matcher, MatcherError};
pub use number::{format_float, parse_float, push_plain};
pub use output::{Output, SourceId};
pub use series::{Intern, NoSeries, Origin, SeriesKey, SeriesRef, SeriesRefusal};
pub use value::{ABSENT_BITS, STALE_BITS, Timestamp, Value, absent, is_absent, is_stale, stale_marker};
