//! `/api/watchfire/v1` and the sockets: what Prometheus' API has no word for.

mod events;
mod frames;
mod live;
mod membership;
mod perf;
mod snapshot;
mod socket;
mod views;

pub(super) use events::events;
pub(super) use frames::frames;
pub(super) use live::live;
pub(super) use socket::project_socket;
pub(super) use views::{collectors, doctor, models, processes, series, workers};
