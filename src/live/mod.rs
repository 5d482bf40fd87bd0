//! Broadcast of batches to pages; a slow one lags and is counted.
//!
//! ```
//! use std::sync::Arc;
//! use watchfire::live::Hub;
//! use watchfire::model::{Batch, GroupId};
//!
//! let hub = Hub::new();
//! let mut page = hub.subscribe().unwrap();
//! hub.publish(Arc::new(Batch::new(GroupId(0), 1000)));
//! assert_eq!(page.try_recv().unwrap().ts, 1000);
//! ```

mod hub;

pub use hub::{Hub, LiveCounters, Subscription, TooManySubscribers};
