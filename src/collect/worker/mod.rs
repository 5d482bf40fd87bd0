//! Workers: groups of processes, matched by name, command line and parent, and the processes themselves as a snapshot.
//!
//! One walk over `/proc` a tick reads `stat` of every newcomer and every member of a group, and of all others once in
//! four ticks. A newcomer's command line is read and matched once, and again when it renames itself; open files are counted for members of groups only. Group counters never run backwards.

mod collector;
mod config;
mod groups;
mod matcher;
mod pid;
mod table;
mod template;

#[cfg(test)]
mod tests;

pub(super) use groups::FAMILIES;

pub use collector::{ProcessView, Workers, WorkersHandle};
pub use config::{WorkerConfig, WorkerConfigError, WorkerMatcher};
pub use pid::{PidError, PidReader, PidReading};
pub use template::TemplateError;
