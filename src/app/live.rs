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
use crate::ingest::{Agents, Events};
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

/// Takes pushed events, and shows what they and heartbeats changed to the pages that follow closely.
pub(super) struct LiveEvents {
    events: Arc<Events>,
    agents: Arc<Agents>,
    hub: Arc<Hub>,
    last: AtomicI64,
}

impl LiveEvents {
    pub(super) fn new(events: Arc<Events>, agents: Arc<Agents>, hub: Arc<Hub>) -> Self {
        Self { events, agents, hub, last: AtomicI64::new(0) }
    }

    /// Who comes too early is shown with the next slot.
    fn show(&self, now: Timestamp) {
        let last = self.last.load(Ordering::Relaxed);
        if self.hub.fastest() > 1 && !(0..TOGETHER_MS).contains(&(now - last)) {
            self.last.store(now, Ordering::Relaxed);
            let mut batch = self.events.fresh(now);
            self.agents.fresh(now, &mut batch.floats);
            if !batch.is_empty() {
                self.hub.publish_fast(Arc::new(batch));
            }
        }
    }
}

impl EventSink for LiveEvents {
    fn push(&self, body: &[u8], now: Timestamp) -> Result<EventReceipt, EventError> {
        let receipt = EventSink::push(&*self.events, body, now)?;
        if receipt.accepted > 0 {
            self.show(now);
        }
        Ok(receipt)
    }

    fn heartbeat(&self, now: Timestamp) {
        self.show(now);
    }
}

/// Shows at the next slot what came too early for a message of its own.
pub(super) struct EventTail(Arc<Events>, Arc<Agents>);

impl EventTail {
    pub(super) fn job(events: &Arc<Events>, agents: &Arc<Agents>, every: Duration) -> FastJob {
        FastJob { every, collector: Box::new(Self(Arc::clone(events), Arc::clone(agents))) }
    }
}

impl Collector for EventTail {
    fn name(&self) -> &'static str {
        "events"
    }

    fn collect(&mut self, now: Timestamp, _: &dyn Intern, out: &mut Batch) -> Result<Reading, CollectError> {
        out.floats.extend(self.0.fresh(now).floats);
        self.1.fresh(now, &mut out.floats);
        Ok(Reading::Complete)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use super::{EventTail, LiveEvents, TOGETHER_MS};
    use crate::clock::{Clock, ManualClock};
    use crate::collect::Collector as _;
    use crate::http::EventSink as _;
    use crate::ingest::{AgentRoom, Agents, AgentsConfig, Events, EventsConfig, NoProcesses, NoRunStore};
    use crate::live::{Hub, Message};
    use crate::model::{Batch, GroupId, Intern};
    use crate::registry::{RegistryConfig, SeriesTable};

    /// On a clock that stands still between steps: no tick comes by itself.
    #[test]
    fn tokens_of_heartbeats_and_events_come_before_the_next_tick() {
        let clock = ManualClock::new(1_700_000_000_000);
        let now = || Clock::Manual(clock.clone()).now();
        let table = Arc::new(SeriesTable::new(RegistryConfig::default()));
        let intern = || Arc::clone(&table) as Arc<dyn Intern>;
        let room = AgentRoom { intern: intern(), processes: Arc::new(NoProcesses), runs: Arc::new(NoRunStore) };
        let agents = Arc::new(Agents::new(AgentsConfig::default(), room));
        let events = Arc::new(Events::new(EventsConfig::default(), intern(), GroupId(7)));
        let hub = Arc::new(Hub::new());
        let live = LiveEvents::new(Arc::clone(&events), Arc::clone(&agents), Arc::clone(&hub));
        let beat = |tokens: u32| {
            let body = format!(r#"{{"status":"running","project":"p","tokens":{{"current_run":{tokens}}}}}"#);
            agents.beat("w", body.as_bytes(), now()).expect("a good one");
            live.heartbeat(now());
        };
        let tokens = |floats: &[(crate::model::SeriesRef, f64)]| {
            let is_total = |labels: &crate::model::Labels| labels.metric_name() == "worker_agent_tokens_total";
            floats
                .iter()
                .find(|(series, _)| table.labels(*series).is_some_and(|l| is_total(&l)))
                .map(|(_, value)| *value)
        };
        let slow = hub.subscribe().expect("room");
        beat(5);
        agents.tick(now(), &mut Batch::new(GroupId(8), now()));
        let mut page = hub.subscribe_at(10).expect("room");
        clock.advance(Duration::from_millis(100));
        beat(12);
        let Some(Message::Fast(batch)) = page.try_recv() else { panic!("the page hears of it at once") };
        assert_eq!((batch.ts, tokens(&batch.floats)), (now(), Some(12.0)));
        // Too close to share no message: the next slot has it.
        clock.advance(Duration::from_millis(TOGETHER_MS as u64 - 1));
        beat(13);
        assert!(page.try_recv().is_none());
        clock.advance(Duration::from_millis(1));
        let mut slot = Batch::new(GroupId(9), now());
        EventTail(Arc::clone(&events), Arc::clone(&agents)).collect(now(), &*table, &mut slot).expect("numbers");
        assert_eq!(tokens(&slot.floats), Some(13.0));
        // Nobody follows closely: nothing is made for nobody.
        drop(page);
        clock.advance(Duration::from_secs(1));
        let published = hub.counters().published.load(std::sync::atomic::Ordering::Relaxed);
        beat(20);
        assert_eq!(hub.counters().published.load(std::sync::atomic::Ordering::Relaxed), published);
        drop(slow);
    }
}
