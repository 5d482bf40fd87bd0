//! Windows: which is the oldest open one, what is in it, and when it leaves memory.

use std::sync::Arc;

use crate::model::{IrregularSample, Timestamp};

use crate::storage::codec::Stamped;

use super::{Block, Head, Sid};

/// The series of a group's columns, and its blocks.
pub(crate) type GroupData = (Vec<Option<Sid>>, Vec<Arc<Block>>);

/// What a window holds, shared with the head or copied, for the sealer.
#[derive(Debug, Default)]
pub(crate) struct WindowData {
    pub(crate) groups: Vec<GroupData>,
    pub(crate) irregular: Vec<(Sid, Vec<IrregularSample>)>,
    pub(crate) exemplars: Vec<(Sid, Vec<Stamped>)>,
}

impl Head {
    /// The oldest window that is not sealed and has samples.
    pub(crate) fn first_open_window(&self) -> Option<Timestamp> {
        let groups = self.groups.iter().flatten().filter_map(|g| g.columns.first_window(self.sealing));
        let irregular = self.irregular.values().filter_map(|s| s.first_window(self.sealing));
        groups.chain(irregular).chain(self.exemplars.first_window(self.sealing)).min()
    }

    /// Closes a window: later samples of it are late. Everything before it must be sealed.
    pub(crate) fn close_window(&mut self, window: Timestamp) -> WindowData {
        self.sealing = self.sealing.max(self.window_end(window));
        self.window_data(window)
    }

    fn window_data(&mut self, window: Timestamp) -> WindowData {
        let mut data = WindowData::default();
        for group in self.groups.iter_mut().flatten() {
            group.columns.freeze_window(window);
            let blocks = group.columns.blocks_of(window);
            if !blocks.is_empty() {
                data.groups.push((group.columns.sids().to_vec(), blocks));
            }
        }
        for (sid, series) in &self.irregular {
            if let Some(samples) = series.of_window(window) {
                data.irregular.push((*sid, samples.to_vec()));
            }
        }
        data.irregular.sort_by_key(|(sid, _)| *sid);
        data.exemplars = self.exemplars.of_window(window);
        data
    }

    /// Takes windows before `floor` out of memory; the caller drops their blocks.
    #[must_use]
    pub(crate) fn evict(&mut self, floor: Timestamp) -> Vec<Arc<Block>> {
        let mut blocks = Vec::new();
        if floor <= self.floor {
            return blocks;
        }
        self.floor = floor;
        for index in 0..self.groups.len() {
            let Some(group) = self.groups[index].as_mut() else { continue };
            let gone = group.columns.evict(floor, &mut blocks);
            let empty = group.columns.is_empty();
            let id = group.id;
            for sid in gone {
                if let Some(entry) = self.series.get_mut(sid) {
                    entry.places.retain(|p| p.group != index as u32);
                }
                self.series.touch(sid);
                self.series.release_if_unused(sid);
            }
            if empty {
                self.groups[index] = None;
                self.free_groups.push(index as u32);
                if let Some(id) = id {
                    self.group_of.remove(&id);
                }
            }
        }
        let (series, samples) = (&mut self.series, &mut self.irregular_samples);
        self.irregular.retain(|sid, list| {
            let before = list.len();
            list.evict(floor);
            *samples -= before - list.len();
            if list.is_empty() {
                if let Some(entry) = series.get_mut(*sid) {
                    entry.uses -= 1;
                }
                series.touch(*sid);
                series.release_if_unused(*sid);
            }
            !list.is_empty()
        });
        for sid in self.exemplars.evict(floor) {
            if let Some(entry) = self.series.get_mut(sid) {
                entry.uses -= 1;
            }
            self.series.release_if_unused(sid);
        }
        blocks
    }

    /// Makes the next row of every group full: rows were lost.
    pub(crate) fn reset_rows(&mut self) {
        self.groups.iter_mut().flatten().for_each(|g| g.rows.reset());
        self.series.forget_announcements();
    }
}
