//! Build → run → drain: puts the rooms together, answers signals, ends in order.
//!
//! [`App::start`] binds its addresses before anything else; [`App::run`] returns after a clean stop.

mod agents;
mod banner;
mod build;
mod collecting;
mod counters;
mod daemon;
mod live;
mod open_files;
mod processes;
mod reload;
mod settings;
mod store;
mod tasks;
mod tracked;
mod up;

pub use banner::{banner, detected};
pub use build::{App, StartError};
pub use processes::processes_json;
pub use settings::Settings;
