//! Asks for the space of mounts that may never answer, on threads of their own: the tick waits a moment and never longer.
//!
//! A mount that is asked is not asked again until it answers, so one that hangs holds one thread. More threads start when
//! questions wait behind such mounts; with all of them held, the rest reads as "does not answer".

use std::collections::{HashMap, VecDeque};
use std::ffi::CString;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::{Condvar, Mutex};

use super::filesystem::{Space, statvfs};
use crate::clock::Stopwatch;
use crate::model::Timestamp;

/// A question older than this has no answer: the server is gone or the call hangs.
const STUCK_AFTER_MS: i64 = 15_000;
/// What a tick waits for the answers to its questions, all together.
const WAIT: Duration = Duration::from_millis(50);
/// Threads that the first questions start, so that one mount that hangs delays no other.
const FIRST_THREADS: usize = 4;
/// Threads, so mounts that may hang before others are not asked any more.
const MAX_THREADS: usize = 16;
/// They call `statvfs` and no more.
const STACK_BYTES: usize = 128 << 10;

/// Asks the kernel; may hang.
type Ask = Arc<dyn Fn(&CString) -> io::Result<Space> + Send + Sync>;

/// One mount.
#[derive(Default)]
struct Mount {
    /// When it was asked, while it has not answered.
    asked: Option<Timestamp>,
    /// Asked in this tick.
    is_new: bool,
    /// Listed in this tick.
    wanted: bool,
    answer: Option<Result<Space, io::ErrorKind>>,
}

#[derive(Default)]
struct State {
    mounts: HashMap<Arc<CString>, Mount>,
    /// Questions that no thread has taken yet: each mount once at most.
    waiting: VecDeque<Arc<CString>>,
    threads: usize,
    is_over: bool,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    question: Condvar,
    answer: Condvar,
}

/// The mounts that are asked beside the tick; threads start with the first of them.
pub(super) struct SideMounts {
    ask: Ask,
    shared: Arc<Shared>,
}

impl Default for SideMounts {
    fn default() -> Self {
        Self::asking(Arc::new(statvfs))
    }
}

impl SideMounts {
    fn asking(ask: Ask) -> Self {
        Self { ask, shared: Arc::default() }
    }

    /// Puts a question, unless the last one is still open.
    pub(super) fn ask(&mut self, path: &Arc<CString>, now: Timestamp) {
        let mut state = self.shared.state.lock();
        let mount = state.mounts.entry(Arc::clone(path)).or_default();
        mount.wanted = true;
        if mount.asked.is_none() {
            (mount.asked, mount.is_new) = (Some(now), true);
            state.waiting.push_back(Arc::clone(path));
            self.shared.question.notify_one();
        }
    }

    /// Waits until all questions of this tick are answered, or [`WAIT`] is over.
    pub(super) fn wait(&mut self) {
        let watch = Stopwatch::start();
        let mut state = self.shared.state.lock();
        // A thread for each question that waits from before, as those that run may hang.
        let stuck = state.waiting.iter().filter(|path| state.mounts.get(*path).is_some_and(|m| !m.is_new)).count();
        let wanted = (state.threads + stuck).max(state.waiting.len().min(FIRST_THREADS)).min(MAX_THREADS);
        while state.threads < wanted && self.spawn() {
            state.threads += 1;
        }
        while state.mounts.values().any(|mount| mount.is_new && mount.asked.is_some()) {
            let left = WAIT.saturating_sub(watch.elapsed());
            if left.is_zero() || self.shared.answer.wait_for(&mut state, left).timed_out() {
                return;
            }
        }
    }

    /// The last answer for `path`.
    ///
    /// # Errors
    /// Before the first answer, when the mount does not answer any more, and when it answered with an error.
    pub(super) fn answer(&self, path: &Arc<CString>, now: Timestamp) -> io::Result<Space> {
        let state = self.shared.state.lock();
        let mount = state.mounts.get(path);
        match mount.and_then(|mount| mount.asked) {
            Some(at) if now - at > STUCK_AFTER_MS => {
                Err(io::Error::new(io::ErrorKind::TimedOut, "the file system does not answer"))
            }
            _ => match mount.and_then(|mount| mount.answer) {
                Some(answer) => answer.map_err(io::Error::from),
                None => Err(io::Error::new(io::ErrorKind::WouldBlock, "the file system has not answered yet")),
            },
        }
    }

    /// Forgets mounts that were not asked for and do not hang.
    pub(super) fn end_tick(&mut self) {
        let mut state = self.shared.state.lock();
        state.mounts.retain(|_, mount| {
            let stays = mount.wanted || mount.asked.is_some();
            (mount.wanted, mount.is_new) = (false, false);
            stays
        });
    }

    /// Whether a thread could be started; without one the mounts read as "has not answered".
    fn spawn(&self) -> bool {
        let (ask, shared) = (Arc::clone(&self.ask), Arc::clone(&self.shared));
        let thread = std::thread::Builder::new().name("mounts".into()).stack_size(STACK_BYTES);
        thread.spawn(move || answer_all(&ask, &shared)).is_ok()
    }
}

impl Drop for SideMounts {
    /// Threads end; one that hangs when its mount answers.
    fn drop(&mut self) {
        self.shared.state.lock().is_over = true;
        self.shared.question.notify_all();
    }
}

fn answer_all(ask: &Ask, shared: &Shared) {
    let mut state = shared.state.lock();
    while !state.is_over {
        let Some(path) = state.waiting.pop_front() else {
            shared.question.wait(&mut state);
            continue;
        };
        let answer = parking_lot::MutexGuard::unlocked(&mut state, || ask(&path));
        if let Some(mount) = state.mounts.get_mut(&path) {
            mount.asked = None;
            mount.answer = Some(answer.map_err(|error| error.kind()));
        }
        shared.answer.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use std::ffi::CString;
    use std::io::ErrorKind::{self, TimedOut, WouldBlock};
    use std::sync::Arc;
    use std::sync::mpsc::sync_channel;

    use parking_lot::Mutex;

    use super::{MAX_THREADS, SideMounts};
    use crate::collect::system::filesystem::statvfs;

    fn tick(mounts: &mut SideMounts, paths: &[Arc<CString>], now: i64) -> Vec<Option<ErrorKind>> {
        paths.iter().for_each(|path| mounts.ask(path, now));
        mounts.wait();
        let found = paths.iter().map(|path| mounts.answer(path, now).err().map(|error| error.kind())).collect();
        mounts.end_tick();
        found
    }

    #[test]
    fn mounts_that_hang_cost_their_own_samples_only() {
        let (let_go, held) = sync_channel::<()>(0);
        let held = Mutex::new(held);
        let mut mounts = SideMounts::asking(Arc::new(move |path| {
            if path.as_bytes().starts_with(b"/hangs") {
                let _ = held.lock().recv();
            }
            statvfs(&CString::from(c"/"))
        }));
        let paths = ["/hangs1", "/well", "/hangs2", "/well2"].map(|path| Arc::new(CString::new(path).unwrap()));
        let expected = [Some(WouldBlock), None, Some(WouldBlock), None];
        // The first ticks find the only thread held and start others; answers may come after the wait.
        assert!((0..1_000).any(|_| tick(&mut mounts, &paths, 1_000) == expected));
        let expected = [Some(TimedOut), None, Some(TimedOut), None];
        assert!((0..1_000).any(|_| tick(&mut mounts, &paths, 40_000) == expected), "the others go on for ever");
        assert!(mounts.shared.state.lock().threads <= MAX_THREADS);
        drop(let_go);
        assert!((0..1_000).any(|_| tick(&mut mounts, &paths, 41_000) == [None; 4]), "and they heal");
        tick(&mut mounts, &paths[..1], 42_000);
        assert_eq!(mounts.shared.state.lock().mounts.len(), 1, "what is not mounted any more is forgotten");
    }

    #[test]
    fn threads_are_bounded() {
        let (_let_go, held) = sync_channel::<()>(0);
        let held = Mutex::new(held);
        let mut mounts = SideMounts::asking(Arc::new(move |path| {
            let _ = held.lock().recv();
            statvfs(path)
        }));
        let paths: Vec<_> = (0..40).map(|i| Arc::new(CString::new(format!("/{i}")).unwrap())).collect();
        for now in [0, 20_000, 40_000] {
            tick(&mut mounts, &paths, now);
        }
        let state = mounts.shared.state.lock();
        assert_eq!((state.threads, state.mounts.len()), (MAX_THREADS, 40));
        assert!(state.waiting.len() <= 40, "each is asked once: {}", state.waiting.len());
    }
}
