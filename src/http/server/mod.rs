//! Sockets and connections: bind early, serve on a runtime of its own, drain at the end.

mod bind;
mod config;
mod holder;
mod refusals;
mod serve;

pub use bind::{Bound, HttpError, bind};
pub use config::{DEFAULT_PORT, HttpConfig, HttpConfigError, ListenAddr};
pub(super) use config::{host_without_port, url_host};
pub use serve::Running;
