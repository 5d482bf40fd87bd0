//! `live`: samples as they come, as server-sent events.
//!
//! `series` names the followed series (`{"series":[{"id":1,"labels":{…}}]}`, always the whole list), `tick` carries values
//! (`{"ts":ms,"values":[[id,value],…]}`, null for what JSON cannot write), `resync` tells a page that it lost ticks, and
//! `worker_exit` carries an event of the log (`schemas/worker-exit.json`).

use std::collections::VecDeque;
use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::{broadcast, watch};

use super::eventlog::LoggedEvent;
use super::membership::Membership;
use crate::http::api::read_selector;
use crate::http::edge::{Edge, stopped};
use crate::http::error::{ApiError, ErrorKind};
use crate::http::json::Json;
use crate::http::params::Params;
use crate::live::Subscription;
use crate::model::{Batch, Intern, Matcher, SeriesRef, Timestamp};

/// Most selectors that one stream follows; the page has a few dozen.
const MAX_SELECTORS: usize = 200;
/// Comment that keeps proxies from closing a quiet stream.
const HEARTBEAT: Duration = Duration::from_secs(15);
/// When the browser tries again after the stream broke.
const RETRY: Duration = Duration::from_secs(1);
/// Batches of one tick come from several collectors within this time and go out as one event.
const GATHER: Duration = Duration::from_millis(100);

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
    let subscription =
        edge.live.subscribe().map_err(|error| ApiError::new(ErrorKind::Unavailable, error.to_string()))?;
    let mut stream = Stream::new(edge, subscription, selectors);
    stream.ready.push_back(Event::default().retry(RETRY).comment("watchfire"));
    if headers.contains_key("last-event-id") {
        stream.resync();
    }
    let events = futures_util::stream::unfold(stream, Stream::next);
    Ok(Sse::new(events).keep_alive(KeepAlive::new().interval(HEARTBEAT)).into_response())
}

struct Stream {
    edge: Arc<Edge>,
    stop: watch::Receiver<bool>,
    subscription: Subscription,
    members: Membership,
    happened: broadcast::Receiver<Arc<LoggedEvent>>,
    /// Events that wait to be sent: at most three, because more are made only when it is empty.
    ready: VecDeque<Event>,
    lost: u64,
    next_id: u64,
}

impl Stream {
    fn new(edge: Arc<Edge>, subscription: Subscription, selectors: Vec<Vec<Matcher>>) -> Self {
        let (stop, members) = (edge.stop.subscribe(), Membership::new(selectors));
        let happened = edge.log.follow();
        Self { edge, stop, subscription, members, happened, ready: VecDeque::new(), lost: 0, next_id: 0 }
    }

    async fn next(mut self) -> Option<(Result<Event, Infallible>, Self)> {
        loop {
            if let Some(event) = self.ready.pop_front() {
                return Some((Ok(event), self));
            }
            let batch = tokio::select! {
                batch = self.subscription.recv() => Some(batch?),
                happened = self.happened.recv() => {
                    self.tell(happened);
                    None
                }
                () = stopped(&mut self.stop) => return None,
            };
            if let Some(batch) = batch {
                self.gather(batch).await;
            }
        }
    }

    /// Passes on what happened: the list has it too, for a stream that was too slow.
    fn tell(&mut self, happened: Result<Arc<LoggedEvent>, RecvError>) {
        match happened {
            Ok(event) => {
                let message = self.event(&event.kind, Json::from_text(&event.json));
                self.ready.push_back(message);
            }
            Err(RecvError::Lagged(_)) => self.resync(),
            // The log lives as long as the edge, which this stream holds.
            Err(RecvError::Closed) => {}
        }
    }

    /// Makes the events of one tick.
    async fn gather(&mut self, first: Arc<Batch>) {
        let mut values: Vec<(SeriesRef, f64)> = Vec::new();
        let (mut ts, mut changed) = (first.ts, self.take(&first, &mut values));
        let window = tokio::time::sleep(GATHER);
        tokio::pin!(window);
        loop {
            tokio::select! {
                batch = self.subscription.recv() => match batch {
                    Some(batch) => {
                        ts = ts.max(batch.ts);
                        changed |= self.take(&batch, &mut values);
                    }
                    None => break,
                },
                () = &mut window => break,
            }
        }
        if self.subscription.lagged() > self.lost {
            self.lost = self.subscription.lagged();
            self.resync();
        }
        if changed {
            let event = self.series_event();
            self.ready.push_back(event);
        }
        if !values.is_empty() {
            let event = self.tick_event(ts, &values);
            self.ready.push_back(event);
        }
    }

    fn take(&mut self, batch: &Batch, values: &mut Vec<(SeriesRef, f64)>) -> bool {
        let changed = self.members.update(batch, |series| self.edge.table.labels(series));
        values.extend(self.members.values(batch));
        changed
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

    fn tick_event(&mut self, ts: Timestamp, values: &[(SeriesRef, f64)]) -> Event {
        let mut json = Json::default();
        json.raw("{\"ts\":").number(ts).raw(",\"values\":[");
        for (i, (series, value)) in values.iter().enumerate() {
            json.raw(if i > 0 { ",[" } else { "[" }).number(series.0).raw(",").float(*value).raw("]");
        }
        json.raw("]}");
        self.event("tick", json)
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

    use super::Stream;
    use crate::http::tests::{NOW, World};
    use crate::limits::LIVE_QUEUE;
    use crate::model::Matcher;

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
