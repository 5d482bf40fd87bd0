//! The series table and the latest values that `/metrics` shows.
//!
//! [`SeriesTable`] turns a series into a [`SeriesRef`](crate::model::SeriesRef) once; [`Latest`] keeps the newest value of each
//! series that watchfire measures itself, so that a page needs numbers only.
//!
//! References are held and given back. A series that nobody holds stays in the table, and counts, for as long as storage may
//! have samples of it in memory; one that comes back meanwhile is the same series under the same number.
//!
//! ```
//! use std::sync::Arc;
//! use watchfire::model::{Batch, Family, GroupId, Intern, Origin, SeriesKey};
//! use watchfire::registry::{Latest, RegistryConfig, SeriesTable};
//!
//! let table = Arc::new(SeriesTable::new(RegistryConfig::default()));
//! let family = Family { name: "node_load1".into(), ..Family::default() };
//! let key = SeriesKey { family: &family, name: "node_load1", labels: &[], origin: Origin::Own { job: "node" } };
//! let series = table.intern(key).unwrap();
//! let latest = Latest::new(Arc::clone(&table));
//! let mut batch = Batch::new(GroupId(0), 1000);
//! batch.floats.push((series, 0.5));
//! latest.update(&batch);
//! assert_eq!(latest.layout().families[0].series[0].name.as_ref(), "node_load1");
//! ```

mod config;
mod latest;
mod quota;
mod table;

pub use config::{RegistryConfig, RegistryCounters, SeriesCounts, SeriesLimits};
pub use latest::{Latest, LatestSeries, Layout, LayoutFamily, LayoutSeries};
pub use table::SeriesTable;
