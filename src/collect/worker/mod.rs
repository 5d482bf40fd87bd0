//! Workers: groups of processes, their ends, and the processes themselves as a snapshot.
//!
//! Members of groups are read at every tick: `stat`, `io` and the number of open files, through files that stay open;
//! `status` every fifth tick and `smaps_rollup` once a minute. A listing of `/proc` every two seconds finds newcomers (most of them look
//! at the newest numbers only), and reads everybody else less and less often as they grow older. A newcomer's command line is read and matched once, and again when it renames
//! itself. Group counters never run backwards: what a process used stays when it ends.

mod around;
mod classify;
mod cmdline;
mod collector;
mod config;
mod ends;
mod exits;
mod families;
mod groups;
mod listing;
mod matcher;
mod member;
mod pid;
mod pidfd;
mod reader;
mod scan;
mod slope;
mod speaker;
mod steady;
mod table;
mod template;
mod view;

#[cfg(test)]
mod real_tests;
#[cfg(test)]
mod tests;

pub(super) use families::{ALIASES, FAMILIES};

pub use collector::{OnExit, WorkerCounters, Workers};
pub use config::{MAX_EXPECTED, WorkerConfig, WorkerConfigError, WorkerMatcher};
pub use exits::WorkerExit;
pub use pid::{PidError, PidReader, PidReading};
pub use template::TemplateError;
pub use view::{ProcessQuery, ProcessSort, ProcessView, WorkersHandle};
