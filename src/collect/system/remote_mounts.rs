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

/// The mounts of this tick and the thread that asks for them; it starts with the first remote mount.
#[derive(Default)]
pub(super) struct RemoteMounts {
    wanted: Vec<Arc<CString>>,
    answers: Arc<Mutex<Answers>>,
    thread: Option<SyncSender<(Timestamp, Vec<Arc<CString>>)>>,
}

impl RemoteMounts {
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
        let answers = &self.answers;
        let sender = self.thread.get_or_insert_with(|| spawn(Arc::clone(answers)));
        // A full queue means that the thread hangs in a call: its answers go stale by themselves.
        let _ = sender.try_send((now, wanted));
    }
}

fn spawn(answers: Arc<Mutex<Answers>>) -> SyncSender<(Timestamp, Vec<Arc<CString>>)> {
    let (sender, receiver) = sync_channel(WAITING_LISTS);
    let run = move || answer_all(&receiver, &answers);
    // A thread that cannot start leaves a closed queue: the mounts read as "has not answered".
    let _ = std::thread::Builder::new().name("remote-mounts".into()).spawn(run);
    sender
}

fn answer_all(questions: &Receiver<(Timestamp, Vec<Arc<CString>>)>, answers: &Mutex<Answers>) {
    while let Ok((now, paths)) = questions.recv() {
        for path in &paths {
            let answer = statvfs(path).map_err(|error| error.kind());
            answers.lock().insert(Arc::clone(path), (now, answer));
        }
        answers.lock().retain(|path, _| paths.contains(path));
    }
}
