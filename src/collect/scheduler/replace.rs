//! Other collectors in the place of some, between two ticks.

use super::{CollectorView, Job, Scheduler, Unit, source_of};
use crate::collect::emit::{Emit, Slot};
use crate::model::{Batch, Timestamp};

/// What the scheduler's thread is told.
#[derive(Default)]
pub(super) struct Control {
    pub(super) stopped: bool,
    pub(super) replacements: Vec<Replacement>,
}

/// All collectors of some groups leave, others come.
pub(super) struct Replacement {
    pub(super) groups: Vec<&'static str>,
    pub(super) jobs: Vec<Job>,
}

impl Scheduler {
    /// What stays keeps its slots and series. A source that loses some collectors ends their series with its next batch, one
    /// that loses all of them ends now.
    pub(super) fn replace(&mut self, Replacement { groups, jobs }: Replacement, now: Timestamp) {
        let mut views = self.views.lock();
        let mut kept: Vec<CollectorView> = Vec::with_capacity(views.len());
        let mut gone: Vec<CollectorView> = Vec::new();
        for unit in &mut self.units {
            let mut released: Vec<Slot> = Vec::new();
            unit.entries.retain_mut(|entry| {
                if groups.contains(&entry.group) {
                    released.extend([entry.duration_slot, entry.success_slot]);
                    gone.extend(views.get(entry.view).cloned());
                    return false;
                }
                kept.extend(views.get(entry.view).cloned());
                entry.view = kept.len().saturating_sub(1);
                true
            });
            Emit::new("", &*self.intern, &mut Batch::new(unit.group, now)).release(&released);
        }
        // Newcomers stand before those that stay: what is about all the others is last and stays so.
        let mut front = 0;
        for job in jobs {
            let source = source_of(&job);
            let index = self.units.iter().position(|unit| *unit.source == *source).unwrap_or_else(|| {
                let mut unit = Unit::new(&job, source, &*self.output);
                unit.not_before = now;
                self.units.insert(front, unit);
                front += 1;
                front - 1
            });
            if let Some(unit) = self.units.get_mut(index) {
                unit.add(job, &mut kept);
                // Until its first slot it is known by what the one before it did: nobody takes it for gone.
                if let Some(new) = kept.last_mut()
                    && let Some(old) = gone.iter().find(|old| old.name == new.name)
                {
                    new.outcome = old.outcome.clone();
                    (new.last_slot, new.duration, new.samples) = (old.last_slot, old.duration, old.samples);
                }
            }
        }
        *views = kept;
        drop(views);
        let (output, mut ended) = (&*self.output, Vec::new());
        self.units.retain(|unit| {
            if unit.entries.is_empty() {
                ended.push((unit.group, unit.id));
            }
            !unit.entries.is_empty()
        });
        for (group, source) in ended {
            // Behind its last slot, not now: what comes in its place may be of the slot that runs.
            output.end_group(group, Timestamp::MIN);
            output.unregister_source(source);
        }
        self.base_ms = self.units.iter().map(|unit| unit.slots.interval_ms()).min().unwrap_or(1000);
    }
}
