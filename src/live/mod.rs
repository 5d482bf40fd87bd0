//! Broadcast of batches to pages; a slow one lags and is counted. Each subscriber says how fast it wants samples, and the
//! fastest wish is told to whoever samples.
//!
//! ```
//! use std::sync::Arc;
//! use watchfire::live::{Hub, Message};
//! use watchfire::model::{Batch, GroupId};
//!
//! let hub = Hub::new();
//! let mut page = hub.subscribe().unwrap();
//! hub.publish(Arc::new(Batch::new(GroupId(0), 1000)));
//! assert!(matches!(page.try_recv(), Some(Message::Tick(batch)) if batch.ts == 1000));
//! ```

mod hub;
mod rate;

pub use hub::{Hub, LiveCounters, Message, Subscription, TooManySubscribers};
pub use rate::{interval_ms, sampled_hz};
