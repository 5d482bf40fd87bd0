//! Room on the stack for walks over deep trees.

/// What must be left before the next level of a tree: the operators of one level, storage reads included, fit with room
/// to spare, also in builds without optimisation.
const RED_ZONE: usize = 512 << 10;
/// A piece of stack that is mapped when the red zone is reached; it goes back when the walk returns.
const SEGMENT: usize = 4 << 20;

/// Runs one level of a recursive walk, on a fresh piece of stack when the thread's own runs out. Trees are bounded by
/// [`crate::limits::MAX_QUERY_DEPTH`], so walks end; threads of the server have 2 MiB, which is not enough for that many
/// levels. Looking costs about a nanosecond.
#[inline]
pub(crate) fn deep<T>(step: impl FnOnce() -> T) -> T {
    stacker::maybe_grow(RED_ZONE, SEGMENT, step)
}
