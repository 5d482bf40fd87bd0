//! What goes to the live view beside the ring's ticks: samples of a few collectors up to ten times a second, and pushed
//! events as they come. Only while a page asks for it; none of it reaches the ring or `/metrics`.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use crate::clock::Clock;
use crate::collect::system::{SystemConfig, Usage, quick_collectors};
use crate::collect::windows::Windows;
use crate::collect::{
    CollectError, Collector, Demand, FastHandle, FastJob, FastSampler, FastSink, Reading, SamplingCounters,
};
use crate::http::{EventError, EventReceipt, EventSink};
use crate::ingest::Events;
use crate::live::Hub;
use crate::model::{Batch, GroupId, Intern, Timestamp};

/// Bodies of events that come closer together than this share a message: a storm of them must not push ticks out of the queue.
const TOGETHER_MS: i64 = 50;

/// Fast samples go to the windows and to pages, and nowhere else.
struct LiveSink {
    hub: Arc<Hub>,
    windows: Arc<Windows>,
}

impl FastSink for LiveSink {
    fn push(&self, batch: Batch) {
        self.windows.observe_fast(&batch);
        self.hub.publish_fast(Arc::new(batch));
    }
}

/// Second instances of the machine's quick collectors, as far as the configuration has them.
pub(super) fn machine_jobs(system: &SystemConfig) -> Vec<FastJob> {
    // Their view of the machine at a glance is dropped: the ring's instances keep the one that others see.
    let jobs = quick_collectors(system, &Arc::<Usage>::default());
    jobs.into_iter().map(|job| FastJob { every: job.interval, collector: job.collector }).collect()
}

/// Starts the thread that samples fast while the hub's fastest subscriber wants it.
///
/// # Errors
/// When the system gives no thread.
pub(super) fn start_fast(
    jobs: Vec<FastJob>,
    intern: Arc<dyn Intern>,
    (hub, windows): (&Arc<Hub>, &Arc<Windows>),
    group: GroupId,
    counters: Arc<SamplingCounters>,
    clock: Clock,
) -> std::io::Result<FastHandle> {
    let sink = LiveSink { hub: Arc::clone(hub), windows: Arc::clone(windows) };
    let demand = Arc::new(Demand::default());
    let handle = FastSampler::new(jobs, intern, Arc::new(sink), group, counters).spawn(clock, Arc::clone(&demand))?;
    hub.on_rate(move |hz| demand.set(hz));
    Ok(handle)
}

/// Takes pushed events, and shows what they changed to the pages that follow closely.
pub(super) struct LiveEvents {
    pub(super) events: Arc<Events>,
    pub(super) hub: Arc<Hub>,
    last: AtomicI64,
}

impl LiveEvents {
    pub(super) fn new(events: Arc<Events>, hub: Arc<Hub>) -> Self {
        Self { events, hub, last: AtomicI64::new(0) }
    }
}

impl EventSink for LiveEvents {
    fn push(&self, body: &[u8], now: Timestamp) -> Result<EventReceipt, EventError> {
        let receipt = EventSink::push(&*self.events, body, now)?;
        if receipt.accepted > 0 && self.hub.fastest() > 1 {
            let last = self.last.load(Ordering::Relaxed);
            // Who comes too early is shown with the next slot.
            if !(0..TOGETHER_MS).contains(&(now - last)) {
                self.last.store(now, Ordering::Relaxed);
                self.hub.publish_fast(Arc::new(self.events.fresh(now)));
            }
        }
        Ok(receipt)
    }
}

/// Shows at the next slot what came too early for a message of its own.
pub(super) struct EventTail(pub(super) Arc<Events>);

impl EventTail {
    pub(super) fn job(events: &Arc<Events>, every: Duration) -> FastJob {
        FastJob { every, collector: Box::new(Self(Arc::clone(events))) }
    }
}

impl Collector for EventTail {
    fn name(&self) -> &'static str {
        "events"
    }

    fn collect(&mut self, now: Timestamp, _: &dyn Intern, out: &mut Batch) -> Result<Reading, CollectError> {
        out.floats.extend(self.0.fresh(now).floats);
        Ok(Reading::Complete)
    }
}
