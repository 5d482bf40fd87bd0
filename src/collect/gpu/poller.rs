//! Reads a source on a thread of its own. A driver call that hangs costs the GPU's samples, never the tick.

use std::io;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::Duration;

use parking_lot::{Condvar, Mutex};

use super::fast::FastLane;
use super::reading::{GpuError, GpuReadings, GpuSource};
use crate::clock::Stopwatch;
use crate::model::Timestamp;

/// One whole reading and one fast one wait at most: the answer to an older question would be of no use.
const WAITING_QUESTIONS: usize = 2;

/// What the thread is asked for.
pub(super) enum Question {
    /// Everything.
    Full(Timestamp),
    /// What changes between two ticks.
    Fast(Timestamp),
}

/// How a question ended.
pub(super) enum Answer {
    /// It was answered in time.
    Read(Result<Arc<GpuReadings>, GpuError>),
    /// The source still thinks about the question asked this long ago.
    Late(Duration),
    /// The thread has ended: the source panicked.
    Gone,
}

/// The thread and what it said last.
pub(super) struct Poller {
    questions: SyncSender<Question>,
    shared: Arc<Shared>,
    asked: Option<(Timestamp, Stopwatch)>,
}

#[derive(Default)]
struct Shared {
    last: Mutex<Last>,
    answered: Condvar,
}

#[derive(Default)]
struct Last {
    question: Option<Timestamp>,
    answer: Option<Result<Arc<GpuReadings>, GpuError>>,
    gone: bool,
}

/// Says that the thread has ended, however it ended.
struct EndGuard(Arc<Shared>);

impl Drop for EndGuard {
    fn drop(&mut self) {
        self.0.last.lock().gone = true;
        self.0.answered.notify_all();
    }
}

impl Poller {
    /// Starts the thread; answers to fast questions go to `fast`.
    pub(super) fn spawn(source: Box<dyn GpuSource>, fast: &Arc<FastLane>) -> io::Result<Self> {
        let (questions, receiver) = sync_channel(WAITING_QUESTIONS);
        let shared = Arc::new(Shared::default());
        let guard = EndGuard(Arc::clone(&shared));
        let lane = Arc::clone(fast);
        std::thread::Builder::new().name("gpu".into()).spawn(move || answer_all(source, &receiver, &lane, &guard))?;
        fast.connect(questions.clone());
        Ok(Self { questions, shared, asked: None })
    }

    /// Asks for a reading at `now` and waits for it until `deadline`; not at all while an older call hangs.
    pub(super) fn ask(&mut self, now: Timestamp, deadline: Duration) -> Answer {
        let mut last = self.shared.last.lock();
        if let Some((question, since)) = &self.asked
            && last.question != Some(*question)
        {
            return if last.gone { Answer::Gone } else { Answer::Late(since.elapsed()) };
        }
        if self.questions.try_send(Question::Full(now)).is_err() {
            return Answer::Gone;
        }
        let watch = Stopwatch::start();
        self.asked = Some((now, watch));
        last.question = None;
        loop {
            if last.question == Some(now)
                && let Some(answer) = last.answer.take()
            {
                return Answer::Read(answer);
            }
            if last.gone {
                return Answer::Gone;
            }
            let left = deadline.saturating_sub(watch.elapsed());
            if left.is_zero() || self.shared.answered.wait_for(&mut last, left).timed_out() {
                return Answer::Late(watch.elapsed());
            }
        }
    }
}

fn answer_all(mut source: Box<dyn GpuSource>, questions: &Receiver<Question>, fast: &FastLane, guard: &EndGuard) {
    while let Ok(question) = questions.recv() {
        match question {
            Question::Full(now) => {
                let answer = source.read(now).map(Arc::new);
                {
                    let mut last = guard.0.last.lock();
                    (last.question, last.answer) = (Some(now), Some(answer));
                }
                guard.0.answered.notify_all();
                // What takes long is read while nobody waits.
                source.idle(now);
            }
            Question::Fast(now) => fast.answer(source.read_fast(now)),
        }
    }
}
