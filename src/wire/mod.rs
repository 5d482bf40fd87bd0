//! Binary formats of this field: Prometheus' protobuf exposition, into the visitor [`FamilySink`].
//!
//! Messages are read field by field where they lie, without building them first: a page of ten thousand series would be a hundred thousand small
//! strings. Every length is checked against what is left before it is used, so the cost of a page is bounded by its size, and damage is an
//! error that names its byte.
//!
//! ```
//! use watchfire::model::Histogram;
//! use watchfire::wire::{FamilyHead, FamilySink, Histograms, Point, Sampled, read_families};
//!
//! #[derive(Default)]
//! struct Sum(f64);
//! impl FamilySink for Sum {
//!     fn family(&mut self, _: &FamilyHead<'_>) {}
//!     fn float(&mut self, _: &Point<'_>, value: f64, _: &Sampled<'_>) -> Result<(), String> {
//!         self.0 += value;
//!         Ok(())
//!     }
//!     fn histogram(&mut self, _: &Point<'_>, value: Histogram, _: &Sampled<'_>) -> Result<(), String> {
//!         self.0 += value.count;
//!         Ok(())
//!     }
//! }
//! // A gauge `up` with the value 1.
//! let page = [19, 0x0a, 2, b'u', b'p', 0x18, 1, 0x22, 11, 0x12, 9, 0x09, 0, 0, 0, 0, 0, 0, 0xf0, 0x3f];
//! let mut sum = Sum::default();
//! assert_eq!(read_families(&page, Histograms::NATIVE, &mut sum), Ok(1));
//! assert_eq!(sum.0, 1.0);
//! ```

mod error;
mod listed;
mod native;
mod prometheus;
mod protobuf;
mod resolution;

pub use error::WireError;
pub use listed::of_classic;
pub use prometheus::{ExemplarParts, FamilyHead, FamilySink, Histograms, Point, Sampled, is_protobuf, read_families};
pub use resolution::{limit_buckets, schema_of_factor};

#[cfg(test)]
mod encode;
#[cfg(test)]
mod tests;
