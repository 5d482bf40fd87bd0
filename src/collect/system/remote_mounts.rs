//! Asks for the space of remote mounts on a thread of its own; the tick takes the last answer and never waits.

use std::collections::HashMap;
use std::ffi::CString;
use std::io;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use parking_lot::Mutex;

use super::filesystem::{Space, statvfs};
use crate::model::Timestamp;

/// An answer older than this is no answer: the server is gone or the call hangs.
const STALE_AFTER_MS: i64 = 15_000;

/// One list of mounts waits at most: while the thread hangs, further lists would only repeat it.
const WAITING_LISTS: usize = 1;

type Answers = HashMap<Arc<CString>, (Timestamp, Result<Space, io::ErrorKind>)>;

/// Asks the kernel; may hang.
type Ask = Arc<dyn Fn(&CString) -> io::Result<Space> + Send + Sync>;

/// The mounts of this tick and the thread that asks for them; it starts with the first remote mount.
pub(super) struct RemoteMounts {
    ask: Ask,
    wanted: Vec<Arc<CString>>,
    answers: Arc<Mutex<Answers>>,
    thread: Option<SyncSender<(Timestamp, Vec<Arc<CString>>)>>,
}

impl Default for RemoteMounts {
    fn default() -> Self {
        Self::asking(Arc::new(statvfs))
    }
}

impl RemoteMounts {
    fn asking(ask: Ask) -> Self {
        Self { ask, wanted: Vec::new(), answers: Arc::default(), thread: None }
    }

    /// The last answer for `path`, and a question for the next tick.
    ///
    /// # Errors
    /// While there is no fresh answer, and when the mount answered with an error.
    pub(super) fn ask(&mut self, path: &Arc<CString>, now: Timestamp) -> io::Result<Space> {
        self.wanted.push(Arc::clone(path));
        match self.answers.lock().get(path) {
            Some((at, answer)) if now - at <= STALE_AFTER_MS => answer.map_err(io::Error::from),
            Some(_) => Err(io::Error::new(io::ErrorKind::TimedOut, "the remote file system does not answer")),
            None => Err(io::Error::new(io::ErrorKind::WouldBlock, "the remote file system has not answered yet")),
        }
    }

    /// Sends the questions of this tick, unless the last ones are still being asked.
    pub(super) fn end_tick(&mut self, now: Timestamp) {
        let wanted = std::mem::take(&mut self.wanted);
        if wanted.is_empty() {
            self.thread = None;
            return;
        }
        let (ask, answers) = (&self.ask, &self.answers);
        let sender = self.thread.get_or_insert_with(|| spawn(Arc::clone(ask), Arc::clone(answers)));
        // A full queue means that the thread hangs in a call: its answers go stale by themselves.
        let _ = sender.try_send((now, wanted));
    }
}

fn spawn(ask: Ask, answers: Arc<Mutex<Answers>>) -> SyncSender<(Timestamp, Vec<Arc<CString>>)> {
    let (sender, receiver) = sync_channel(WAITING_LISTS);
    let run = move || answer_all(&ask, &receiver, &answers);
    // A thread that cannot start leaves a closed queue: the mounts read as "has not answered".
    let _ = std::thread::Builder::new().name("remote-mounts".into()).spawn(run);
    sender
}

fn answer_all(ask: &Ask, questions: &Receiver<(Timestamp, Vec<Arc<CString>>)>, answers: &Mutex<Answers>) {
    while let Ok((now, paths)) = questions.recv() {
        for path in &paths {
            let answer = ask(path).map_err(|error| error.kind());
            answers.lock().insert(Arc::clone(path), (now, answer));
        }
        answers.lock().retain(|path, _| paths.contains(path));
    }
}

#[cfg(test)]
mod tests {
    use std::ffi::CString;
    use std::sync::Arc;
    use std::sync::mpsc::sync_channel;

    use parking_lot::Mutex;

    use super::RemoteMounts;
    use crate::collect::system::filesystem::statvfs;

    #[test]
    fn a_mount_that_hangs_costs_its_own_samples_only() {
        let (let_go, held) = sync_channel::<()>(0);
        let (answered, answers) = sync_channel::<()>(16);
        let held = Mutex::new(held);
        let mut mounts = RemoteMounts::asking(Arc::new(move |path| {
            if path.as_bytes() == b"/hangs" {
                let _ = held.lock().recv();
            }
            let _ = answered.send(());
            statvfs(&CString::from(c"/"))
        }));
        let paths = [Arc::new(CString::from(c"/well")), Arc::new(CString::from(c"/hangs"))];
        let mut tick = |now: i64| {
            let found = paths.each_ref().map(|path| mounts.ask(path, now).map_err(|error| error.kind()).err());
            mounts.end_tick(now);
            found
        };
        use std::io::ErrorKind::{TimedOut, WouldBlock};
        assert_eq!(tick(0), [Some(WouldBlock), Some(WouldBlock)]);
        answers.recv().unwrap();
        // The answer is written just after it was given: the next tick that sees it may be a few later.
        let seen = (1..1_000_000).map(|_| tick(1_000)).find(|found| found[0].is_none());
        assert_eq!(seen, Some([None, Some(WouldBlock)]));
        assert_eq!(tick(20_000), [Some(TimedOut), Some(WouldBlock)], "old answers are no answers");
        drop(let_go);
        let healed = (1..1_000_000).map(|_| tick(20_000)).find(|found| *found == [None, None]);
        assert!(healed.is_some());
    }
}
