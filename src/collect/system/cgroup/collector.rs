//! The collector of cgroups.

use std::collections::BTreeMap;

use super::config::CgroupConfig;
use super::devices::DeviceNames;
use super::families::{OWN, TOTALS};
use super::group::{Fate, Group, SLOW_TICKS};
use super::layout::Layout;
use super::{own, walk};
use crate::collect::emit::{Emit, Slot};
use crate::collect::system::Roots;
use crate::collect::system::report::Trouble;
use crate::collect::{CollectError, Collector, Reading};
use crate::model::{Batch, Intern, Timestamp};

/// Files of every tick that stay open, three a cgroup in v2 and five in v1: a fifth of the usual 1,024 open files of a
/// process. Those of further cgroups are opened each time.
const KEPT_OPEN: usize = 200;

/// The cgroups of this machine or container.
pub(in crate::collect::system) struct Cgroups {
    roots: Roots,
    config: CgroupConfig,
    layout: Option<Layout>,
    groups: Vec<Group>,
    left_out: usize,
    walked_at: Option<Timestamp>,
    ticks: u64,
    names: DeviceNames,
    own: [Option<f64>; OWN.len()],
    own_slots: [Slot; OWN.len()],
    total_slots: [Slot; TOTALS.len()],
    buffer: Vec<u8>,
    kept_open: usize,
}

impl Cgroups {
    pub(in crate::collect::system) fn new(roots: &Roots, config: &CgroupConfig) -> Self {
        Self {
            roots: roots.clone(),
            config: config.clone(),
            layout: None,
            groups: Vec::new(),
            left_out: 0,
            walked_at: None,
            ticks: 0,
            names: DeviceNames::new(roots),
            own: [None; OWN.len()],
            own_slots: [Slot::New; OWN.len()],
            total_slots: [Slot::New; TOTALS.len()],
            buffer: Vec::new(),
            kept_open: KEPT_OPEN,
        }
    }

    #[cfg(test)]
    pub(super) fn keep_open(&mut self, files: usize) {
        self.kept_open = files;
    }

    #[cfg(test)]
    pub(super) fn open_files(&self) -> usize {
        self.groups.iter().map(Group::kept_files).sum()
    }

    /// Looks where the hierarchies are and which cgroups there are. Known ones keep what they have.
    fn walk(&mut self, emit: &Emit<'_>) {
        let layout = Layout::detect(&self.roots);
        if layout != self.layout {
            // Another machine under the same roots: paths may mean something else now.
            self.groups.drain(..).for_each(|group| group.release(emit));
            self.total_slots = release_all(emit, self.total_slots);
            self.layout = layout;
        }
        let Some(layout) = &self.layout else { return };
        let found = walk::walk(layout, &self.config);
        self.left_out = found.left_out;
        self.own = own::limits(layout, &mut self.buffer);
        let groups = self.groups.drain(..);
        let mut known: BTreeMap<String, Group> = groups.map(|group| (group.id.clone(), group)).collect();
        let mut open: usize = known.values().map(Group::kept_files).sum();
        for (path, name) in found.groups {
            let group = match known.remove(&path) {
                Some(group) if group.is(&name) => group,
                other => {
                    if let Some(other) = other {
                        open -= other.kept_files();
                        other.release(emit);
                    }
                    let group = Group::new(path, name, layout, self.kept_open.saturating_sub(open));
                    open += group.kept_files();
                    group
                }
            };
            self.groups.push(group);
        }
        known.into_values().for_each(|group| group.release(emit));
    }
}

fn release_all<const N: usize>(emit: &Emit<'_>, slots: [Slot; N]) -> [Slot; N] {
    emit.release(&slots);
    [Slot::New; N]
}

impl Collector for Cgroups {
    fn name(&self) -> &'static str {
        "cgroup"
    }

    fn collect(&mut self, now: Timestamp, intern: &dyn Intern, out: &mut Batch) -> Result<Reading, CollectError> {
        let mut emit = Emit::new("node", intern, out);
        let interval_ms = i64::try_from(self.config.walk_interval.as_millis()).unwrap_or(i64::MAX);
        if !self.walked_at.is_some_and(|at| (0..interval_ms).contains(&(now - at))) {
            self.walk(&emit);
            self.walked_at = Some(now);
        }
        let Some(layout) = &self.layout else {
            return Ok(Reading::Unavailable(format!(
                "no cgroup is mounted in {}",
                self.roots.proc.join("self/mountinfo").display()
            )));
        };
        self.ticks += 1;
        let (ticks, mut place) = (self.ticks, 0u64);
        let mut trouble = Trouble::default();
        let (names, buffer) = (&mut self.names, &mut self.buffer);
        self.groups.retain_mut(|group| {
            place += 1;
            // Slower files are read in turns, so that no tick has them all; a new cgroup's at once.
            let slow = group.is_new() || (ticks + place).is_multiple_of(SLOW_TICKS);
            match group.read(slow, buffer, &mut trouble) {
                Fate::Read => {
                    group.emit(&mut emit, names);
                    true
                }
                Fate::Vanished => {
                    group.release(&emit);
                    false
                }
            }
        });
        for ((slot, desc), value) in self.own_slots.iter_mut().zip(&OWN).zip(self.own) {
            emit.put_opt(slot, desc, &[], value);
        }
        let totals = [self.groups.len() as f64, self.left_out as f64];
        for ((slot, desc), value) in self.total_slots.iter_mut().zip(&TOTALS).zip(totals) {
            emit.put(slot, desc, &[layout.name()], value);
        }
        if self.left_out > 0 {
            let limit = self.config.limit;
            trouble.note(|| {
                format!(
                    "{} cgroups are beyond the limit of {limit}, too deep, or have names that are no text",
                    self.left_out
                )
            });
        }
        Ok(trouble.reading())
    }
}
