//! Cgroups of version 1, version 2 and both (hybrid): what each slice, service, scope and container uses, waits for and
//! is limited to, and the limits that apply to watchfire itself.
//!
//! Where the hierarchies are is read from `/proc/self/mountinfo`. Folders are walked every ten seconds; each tick reads
//! CPU time, memory and its events of every known cgroup, and the slower files of a fifth of them. What vanishes between
//! two reads ends with its series.

mod collector;
mod config;
mod devices;
mod families;
mod group;
mod layout;
mod name;
mod own;
mod values;
mod walk;

#[cfg(test)]
mod tests;

pub(super) use collector::Cgroups;
pub use config::{CgroupConfig, CgroupPattern, MAX_CGROUPS, MAX_DEPTH};
pub(super) use families::{DEVICES, LABELLED, OWN, PLAIN, TOTALS};
