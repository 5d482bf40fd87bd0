//! Blocks are packed outside of the head's lock, by maintenance: a tick only hands its block over.

use std::sync::Arc;

use super::floats::Packer;
use super::{Block, Head};

/// A block on its way from wide to packed columns.
pub(crate) struct WideBlock {
    group: u32,
    block: Arc<Block>,
    packer: Packer,
}

impl WideBlock {
    /// Packs the next columns, so many at most. Says whether there are more.
    pub(crate) fn step(&mut self, columns: usize) -> bool {
        self.packer.step(&self.block.floats, columns)
    }

    /// The whole of it, packed.
    pub(crate) fn finish(self) -> PackedBlock {
        let Self { group, block, packer } = self;
        let packed = Block {
            window: block.window,
            times: Arc::clone(&block.times),
            floats: packer.finish(),
            histograms: block.histograms.clone(),
            starts: block.starts.clone(),
        };
        PackedBlock { group, wide: block, packed: Arc::new(packed) }
    }
}

/// A packed block that is to take the place of a wide one.
pub(crate) struct PackedBlock {
    group: u32,
    wide: Arc<Block>,
    packed: Arc<Block>,
}

impl Head {
    /// The blocks that wait to be packed, the oldest of each group last.
    pub(crate) fn wide_blocks(&self) -> Vec<WideBlock> {
        let mut found = Vec::new();
        for (index, group) in self.groups.iter().enumerate() {
            for block in group.iter().flat_map(|group| group.columns.wide_blocks()) {
                found.push(WideBlock { group: index as u32, block: Arc::clone(block), packer: Packer::default() });
            }
        }
        found
    }

    /// Puts a packed block in the place of the wide one, whose places take the ticks of a later block unless a query still
    /// reads them. What comes back is for the caller to drop, without the lock.
    pub(crate) fn put_packed(&mut self, done: PackedBlock) -> impl Sized + use<> {
        let PackedBlock { group, wide, packed } = done;
        let Some(Some(group)) = self.groups.get_mut(group as usize) else { return (Some(wide), None) };
        if group.columns.replace(&wide, packed).is_none() {
            return (Some(wide), None);
        }
        match Arc::try_unwrap(wide) {
            Ok(block) => (None, Some(group.columns.keep_spare(block.floats.into_places()))),
            Err(wide) => (Some(wide), None),
        }
    }
}
