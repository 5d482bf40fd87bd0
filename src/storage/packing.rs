//! Maintenance of the head: blocks that ticks have filled are packed, in slices.

use crate::clock::Stopwatch;

use super::head::WideBlock;
use super::ring::Ring;
use super::seal::SLICE;

/// Columns between two looks at the clock: about a megabyte.
const COLUMNS: usize = 1024;

/// The blocks that wait, and first the one that is under way.
#[derive(Default)]
pub(crate) struct Packing(Vec<WideBlock>);

impl Packing {
    /// Packs for the length of a slice. Says whether there was anything to do.
    pub(crate) fn proceed(&mut self, ring: &Ring) -> bool {
        if self.0.is_empty() {
            self.0 = ring.inner.read().head.wide_blocks();
        }
        let watch = Stopwatch::start();
        let mut worked = false;
        while let Some(mut block) = self.0.pop() {
            worked = true;
            while block.step(COLUMNS) {
                if watch.elapsed() >= SLICE {
                    self.0.push(block);
                    return true;
                }
            }
            let done = block.finish();
            let rest = ring.inner.write().head.put_packed(done);
            drop(rest);
            if watch.elapsed() >= SLICE {
                return true;
            }
        }
        worked
    }
}
