//! `live`: samples as they come, as server-sent events.
//!
//! `series` names the followed series (`{"series":[{"id":1,"labels":{…}}]}`, always the whole list), `tick` carries values
//! (`{"ts":ms,"values":[[id,value],…]}`, null for what JSON cannot write), `fast` those between two ticks in the same form,
//! `resync` tells a page that it lost ticks. `hz` says how often samples are wished, 1 to 10 a second; only from 2 on there
//! are `fast` ones. Other rooms' events come with their own names: `worker_exit`
//! (`schemas/worker-exit.json`).

use std::collections::VecDeque;
use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use tokio::sync::watch;

use super::membership::Membership;
use crate::http::api::read_selector;
use crate::http::edge::{Edge, stopped};
use crate::http::error::{ApiError, ErrorKind};
use crate::http::json::Json;
use crate::http::params::Params;
use crate::limits::MAX_LIVE_HZ;
use crate::live::{Message, Subscription, interval_ms};
use crate::model::{Intern, Matcher, SeriesRef, Timestamp};

/// Most selectors that one stream follows; the page has a few dozen.
const MAX_SELECTORS: usize = 200;
/// Comment that keeps proxies from closing a quiet stream.
const HEARTBEAT: Duration = Duration::from_secs(15);
/// When the browser tries again after the stream broke.
const RETRY: Duration = Duration::from_secs(1);
/// Batches of one tick come from several collectors within this time and go out as one event.
const GATHER: Duration = Duration::from_millis(100);
/// The same for who wants samples faster than that.
const GATHER_FAST: Duration = Duration::from_millis(25);

/// Follows the series that `match[]` names.
pub(in crate::http) async fn live(
    State(edge): State<Arc<Edge>>,
    headers: HeaderMap,
    params: Params,
) -> Result<Response, ApiError> {
    let selectors = params.all("match[]").map(read_selector).collect::<Result<Vec<_>, _>>()?;
    if selectors.is_empty() || selectors.len() > MAX_SELECTORS {
        let message = format!("expected 1 to {MAX_SELECTORS} match[] parameters, found {}", selectors.len());
        return Err(ApiError::new(ErrorKind::BadData, message));
    }
    let hz = wished_hz(params.get("hz"))?;
    let subscription =
        edge.live.subscribe_at(hz).map_err(|error| ApiError::new(ErrorKind::Unavailable, error.to_string()))?;
    let mut stream = Stream::new(edge, subscription, selectors);
    stream.ready.push_back(Event::default().retry(RETRY).comment("watchfire"));
    if headers.contains_key("last-event-id") {
        stream.resync();
    }
    let events = futures_util::stream::unfold(stream, Stream::next);
    Ok(Sse::new(events).keep_alive(KeepAlive::new().interval(HEARTBEAT)).into_response())
}

/// The wish as a number: 1 without one, at most 10.
fn wished_hz(text: Option<&str>) -> Result<u32, ApiError> {
    let Some(text) = text else { return Ok(1) };
    match text.parse::<u32>() {
        Ok(hz) if hz > 0 => Ok(hz.min(MAX_LIVE_HZ)),
        _ => Err(ApiError::new(
            ErrorKind::BadData,
            format!("expected hz as a number from 1 to {MAX_LIVE_HZ}, found {text:?}"),
        )),
    }
}

struct Stream {
    edge: Arc<Edge>,
    stop: watch::Receiver<bool>,
    subscription: Subscription,
    members: Membership,
    /// Milliseconds between two samples of this subscriber.
    interval: i64,
    /// The time of what was last sent.
    sent: Timestamp,
    /// Events that wait to be sent: those of one gathering at most, because more are made only when it is empty.
    ready: VecDeque<Event>,
    lost: u64,
    next_id: u64,
}

/// What came while one tick was gathered.
#[derive(Default)]
struct Gathered {
    changed: bool,
    parts: Vec<Part>,
    events: Vec<(&'static str, Arc<str>)>,
}

/// Values that go out as one event.
struct Part {
    ts: Timestamp,
    fast: bool,
    values: Vec<(SeriesRef, f64)>,
}

impl Gathered {
    /// Where the values of a batch go: batches of one tick together, whatever the offsets of their sources.
    fn part(&mut self, ts: Timestamp, fast: bool) -> Option<&mut Vec<(SeriesRef, f64)>> {
        match self.parts.last_mut() {
            Some(last) if last.fast == fast && (!fast || last.ts == ts) => last.ts = last.ts.max(ts),
            _ => self.parts.push(Part { ts, fast, values: Vec::new() }),
        }
        self.parts.last_mut().map(|part| &mut part.values)
    }
}

impl Stream {
    fn new(edge: Arc<Edge>, subscription: Subscription, selectors: Vec<Vec<Matcher>>) -> Self {
        let (stop, members) = (edge.stop.subscribe(), Membership::new(selectors));
        let interval = interval_ms(subscription.hz());
        Self { edge, stop, subscription, members, interval, sent: 0, ready: VecDeque::new(), lost: 0, next_id: 0 }
    }

    async fn next(mut self) -> Option<(Result<Event, Infallible>, Self)> {
        loop {
            if let Some(event) = self.ready.pop_front() {
                return Some((Ok(event), self));
            }
            let message = tokio::select! {
                message = self.subscription.recv() => message?,
                () = stopped(&mut self.stop) => return None,
            };
            if matches!(&message, Message::Fast(batch) if !self.wants(batch.ts)) {
                continue;
            }
            self.gather(message).await;
        }
    }

    /// Whether samples between two ticks are due for this subscriber.
    fn wants(&self, ts: Timestamp) -> bool {
        let passed = ts - self.sent;
        // Events have times of their own; who asks for the fastest pace gets all of them.
        self.interval <= interval_ms(MAX_LIVE_HZ)
            || self.interval < 1000 && (ts % self.interval == 0 || passed >= self.interval || passed < 0)
    }

    /// Makes the events of one tick.
    async fn gather(&mut self, first: Message) {
        let mut gathered = Gathered::default();
        self.take(first, &mut gathered);
        let window = tokio::time::sleep(if self.interval < 1000 { GATHER_FAST } else { GATHER });
        tokio::pin!(window);
        loop {
            tokio::select! {
                message = self.subscription.recv() => match message {
                    Some(message) => self.take(message, &mut gathered),
                    None => break,
                },
                () = &mut window => break,
            }
        }
        if self.subscription.lagged() > self.lost {
            self.lost = self.subscription.lagged();
            self.resync();
        }
        if gathered.changed {
            let event = self.series_event();
            self.ready.push_back(event);
        }
        for Part { ts, fast, values } in gathered.parts {
            if !values.is_empty() {
                let event = self.values_event(if fast { "fast" } else { "tick" }, ts, &values);
                self.ready.push_back(event);
            }
        }
        for (name, json) in gathered.events {
            let event = self.event(name, Json::from_text(&json));
            self.ready.push_back(event);
        }
    }

    fn take(&mut self, message: Message, gathered: &mut Gathered) {
        match message {
            Message::Tick(batch) => {
                gathered.changed |= self.members.update(&batch, |series| self.edge.table.labels(series));
                self.sent = batch.ts;
                if let Some(values) = gathered.part(batch.ts, false) {
                    values.extend(self.members.values(&batch));
                }
            }
            Message::Fast(batch) if self.wants(batch.ts) => {
                self.sent = batch.ts;
                if let Some(values) = gathered.part(batch.ts, true) {
                    values.extend(self.members.fast_values(&batch));
                }
            }
            Message::Fast(_) => {}
            Message::Event(name, json) => gathered.events.push((name, json)),
        }
    }

    fn resync(&mut self) {
        self.edge.counters.resyncs.fetch_add(1, Ordering::Relaxed);
        let event = self.event("resync", Json::from_text("{}"));
        self.ready.push_back(event);
    }

    fn series_event(&mut self) -> Event {
        let mut json = Json::default();
        json.raw("{\"series\":[");
        for (i, (series, labels)) in self.members.all().enumerate() {
            json.raw(if i > 0 { ",{\"id\":" } else { "{\"id\":" }).number(series.0);
            json.raw(",\"labels\":").labels(labels).raw("}");
        }
        json.raw("]}");
        self.event("series", json)
    }

    fn values_event(&mut self, name: &str, ts: Timestamp, values: &[(SeriesRef, f64)]) -> Event {
        let mut json = Json::default();
        json.raw("{\"ts\":").number(ts).raw(",\"values\":[");
        for (i, (series, value)) in values.iter().enumerate() {
            json.raw(if i > 0 { ",[" } else { "[" }).number(series.0).raw(",").float(*value).raw("]");
        }
        json.raw("]}");
        self.event(name, json)
    }

    fn event(&mut self, name: &str, json: Json) -> Event {
        self.next_id += 1;
        let data = String::from_utf8(json.finish()).unwrap_or_default();
        Event::default().event(name).id(self.next_id.to_string()).data(data)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::Ordering;

    use super::{Stream, wished_hz};
    use crate::http::tests::{NOW, World};
    use crate::limits::LIVE_QUEUE;
    use crate::model::{Batch, GroupId, Matcher};

    #[test]
    fn wishes_are_bounded() {
        for (text, expected) in [(None, Ok(1)), (Some("1"), Ok(1)), (Some("4"), Ok(4)), (Some("5000"), Ok(10))] {
            assert_eq!(wished_hz(text).map_err(|_| ()), expected, "{text:?}");
        }
        for text in ["0", "-1", "ten", "", "1.5", "99999999999"] {
            assert!(wished_hz(Some(text)).is_err(), "{text}");
        }
    }

    /// Each follower gets samples at its own rate, whatever the fastest of them wants; slots that it skips cost it nothing.
    #[tokio::test]
    async fn everybody_gets_their_own_rate() {
        let world = World::new();
        let selectors = || vec![vec![Matcher::equal("__name__", "node_load1")]];
        let mut heard = Vec::new();
        for hz in [1, 2, 10] {
            let fastest = world.hub.subscribe_at(10).expect("room");
            let subscription = world.hub.subscribe_at(hz).expect("room");
            let mut stream = Stream::new(Arc::clone(&world.edge), subscription, selectors());
            let series = world.tick(NOW, 1.0);
            for _ in 0..2 {
                stream = stream.next().await.expect("series and tick").1;
            }
            for step in 1..10 {
                let mut batch = Batch::new(GroupId(99), NOW + step * 100);
                batch.floats.push((series, step as f64));
                world.hub.publish_fast(Arc::new(batch));
            }
            world.tick(NOW + 1000, 2.0);
            let mut times = Vec::new();
            loop {
                let (event, rest) = stream.next().await.expect("the hub is there");
                let Ok(event) = event;
                let text = format!("{event:?}");
                times.push(if text.contains("fast") { 'f' } else { 't' });
                stream = rest;
                if text.contains("tick") {
                    break;
                }
            }
            heard.push(times.into_iter().collect::<String>());
            tokio::task::spawn_blocking(move || drop((stream, fastest))).await.expect("stops");
        }
        assert_eq!(heard, ["t", "ft", "ffffffffft"]);
        assert_eq!(world.hub.fastest(), 0, "nobody is left");
        tokio::task::spawn_blocking(move || drop(world)).await.expect("stops");
    }

    #[tokio::test]
    async fn a_page_that_lost_ticks_is_told() {
        let world = World::new();
        let subscription = world.hub.subscribe().expect("room");
        for i in 0..2 * LIVE_QUEUE as i64 {
            world.tick(NOW + i, 1.0);
        }
        let selectors = vec![vec![Matcher::equal("__name__", "node_load1")]];
        let mut stream = Stream::new(Arc::clone(&world.edge), subscription, selectors);
        for kind in ["resync", "series", "tick"] {
            let (event, rest) = stream.next().await.expect("the hub is there");
            let Ok(event) = event;
            assert!(format!("{event:?}").contains(kind), "{kind}: {event:?}");
            stream = rest;
        }
        assert_eq!(world.edge.counters.resyncs.load(Ordering::Relaxed), 1);
        // The server's own runtime is a blocking affair to stop.
        tokio::task::spawn_blocking(move || drop((stream, world))).await.expect("stops");
    }
}
