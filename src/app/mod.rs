//! Build → run → drain: puts the rooms together, answers signals, ends in order.
//!
//! [`App::start`] binds its addresses before anything else; [`App::run`] returns after a clean stop.

mod api;
mod banner;
mod build;
mod counters;
mod daemon;
mod queries;
mod reload;
mod settings;
mod sink;
mod store;
mod tasks;
mod up;

pub use banner::banner;
pub use build::{App, StartError};
pub use settings::Settings;
