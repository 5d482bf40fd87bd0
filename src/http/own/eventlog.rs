//! What happened: a bounded list of events that survives a restart, and its live stream.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;
use serde_json::Value;

use crate::http::times::rfc3339;
use crate::live::Hub;
use crate::model::Timestamp;
use crate::storage::{Ring, StateTable, StorageError};

/// Events that are kept.
const MAX_EVENTS: usize = 1000;
/// Of them, those that are of less weight: the ends of a worker's children must not push out the ends of workers.
const MAX_MINOR: usize = 250;
/// Key and value of a kept event.
pub type EventPair = (Vec<u8>, Vec<u8>);

/// Where the list is kept beside memory.
pub trait EventStore: Send + Sync {
    /// Keeps a value; durable a second later.
    fn put(&self, key: &[u8], value: &[u8]);
    /// Forgets a value.
    fn delete(&self, key: &[u8]);
    /// All pairs, ascending by key.
    ///
    /// # Errors
    /// When it cannot be read.
    fn scan(&self) -> Result<Vec<EventPair>, StorageError>;
}

impl EventStore for Ring {
    fn put(&self, key: &[u8], value: &[u8]) {
        self.state_put(StateTable::Events, key, value);
    }

    fn delete(&self, key: &[u8]) {
        self.state_delete(StateTable::Events, key);
    }

    fn scan(&self) -> Result<Vec<EventPair>, StorageError> {
        self.state_scan(StateTable::Events)
    }
}

/// One event.
#[derive(Debug, Clone, PartialEq)]
pub struct LoggedEvent {
    /// Ascending; no two events of a ring have the same.
    pub id: u64,
    /// What kind: `worker_exit`.
    pub kind: Arc<str>,
    /// When, in milliseconds since the epoch.
    pub at: Timestamp,
    /// Whether it is of less weight, and the first to go.
    pub minor: bool,
    /// All of it, as JSON.
    pub json: Arc<str>,
}

/// The list and its stream.
pub struct EventLog {
    store: Option<Arc<dyn EventStore>>,
    events: Mutex<Events>,
    hub: Arc<Hub>,
    /// Events since the start.
    pub logged: AtomicU64,
}

#[derive(Default)]
struct Events {
    list: VecDeque<Arc<LoggedEvent>>,
    minor: usize,
    next_id: u64,
}

/// Which events are wanted.
#[derive(Debug, Clone, Copy, Default)]
pub struct EventQuery<'a> {
    /// Of this kind only.
    pub kind: Option<&'a str>,
    /// Not before this time.
    pub from: Option<Timestamp>,
    /// Not after this time.
    pub to: Option<Timestamp>,
    /// How many at most.
    pub limit: usize,
}

impl EventLog {
    /// A log in memory only, which tells `hub` of each event.
    pub fn new(hub: Arc<Hub>) -> Self {
        Self { store: None, events: Mutex::default(), hub, logged: AtomicU64::new(0) }
    }

    /// A log that goes on where the store's ends. What cannot be read of it is left out: new events matter more.
    pub fn open(store: Arc<dyn EventStore>, hub: Arc<Hub>) -> Self {
        let pairs = store.scan().unwrap_or_else(|error| {
            tracing::warn!(%error, "the events of former runs cannot be read");
            Vec::new()
        });
        let mut events = Events::default();
        for (key, value) in pairs {
            match decode(&key, &value) {
                Some(event) => events.push(Arc::new(event)),
                None => store.delete(&key),
            }
        }
        for id in events.trim() {
            store.delete(&id.to_be_bytes());
        }
        Self { store: Some(store), events: Mutex::new(events), ..Self::new(hub) }
    }

    /// Adds an event; `body` is an object, to which id, type and time are added.
    pub fn add(&self, kind: &'static str, at: Timestamp, minor: bool, mut body: Value) {
        let event = {
            let mut events = self.events.lock();
            let id = events.next_id;
            body["id"] = id.into();
            body["type"] = kind.into();
            body["time"] = rfc3339(at).into();
            body["timestamp_ms"] = at.into();
            let event = Arc::new(LoggedEvent { id, kind: kind.into(), at, minor, json: body.to_string().into() });
            events.push(Arc::clone(&event));
            if let Some(store) = &self.store {
                store.put(&id.to_be_bytes(), &encode(&event));
                events.trim().iter().for_each(|id| store.delete(&id.to_be_bytes()));
            } else {
                events.trim();
            }
            event
        };
        self.logged.fetch_add(1, Ordering::Relaxed);
        self.hub.event(kind, &event.json);
    }

    /// The newest events that the query wants, newest first.
    pub fn find(&self, query: EventQuery<'_>) -> Vec<Arc<LoggedEvent>> {
        let wanted = |event: &&Arc<LoggedEvent>| {
            query.kind.is_none_or(|kind| *event.kind == *kind)
                && query.from.is_none_or(|from| event.at >= from)
                && query.to.is_none_or(|to| event.at <= to)
        };
        self.events.lock().list.iter().rev().filter(wanted).take(query.limit).cloned().collect()
    }
}

impl Events {
    fn push(&mut self, event: Arc<LoggedEvent>) {
        self.next_id = self.next_id.max(event.id.saturating_add(1));
        self.minor += usize::from(event.minor);
        self.list.push_back(event);
    }

    /// Drops what is over the bounds; gives the numbers.
    fn trim(&mut self) -> Vec<u64> {
        let mut dropped = Vec::new();
        while self.minor > MAX_MINOR || self.list.len() > MAX_EVENTS {
            let oldest_minor = self.list.iter().position(|event| event.minor);
            let place = oldest_minor.filter(|_| self.minor > MAX_MINOR).unwrap_or(0);
            let Some(event) = self.list.remove(place) else { break };
            self.minor -= usize::from(event.minor);
            dropped.push(event.id);
        }
        dropped
    }
}

/// u8 version 1, u8 minor, i64 time, u8 length of the kind, the kind, JSON; numbers are little-endian.
fn encode(event: &LoggedEvent) -> Vec<u8> {
    let kind = event.kind.as_bytes();
    let mut out = vec![1, u8::from(event.minor)];
    out.extend_from_slice(&event.at.to_le_bytes());
    out.push(u8::try_from(kind.len()).unwrap_or(0));
    out.extend_from_slice(kind);
    out.extend_from_slice(event.json.as_bytes());
    out
}

fn decode(key: &[u8], value: &[u8]) -> Option<LoggedEvent> {
    let id = u64::from_be_bytes(key.try_into().ok()?);
    let (&[1, minor], rest) = value.split_first_chunk::<2>()? else { return None };
    let (at, rest) = rest.split_first_chunk::<8>()?;
    let (length, rest) = rest.split_first()?;
    let (kind, json) = rest.split_at_checked(usize::from(*length))?;
    let json = std::str::from_utf8(json).ok()?;
    serde_json::from_str::<Value>(json).ok().filter(Value::is_object)?;
    Some(LoggedEvent {
        id,
        kind: std::str::from_utf8(kind).ok()?.into(),
        at: Timestamp::from_le_bytes(*at),
        minor: minor != 0,
        json: json.into(),
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::sync::Arc;

    use parking_lot::Mutex;
    use serde_json::json;

    use super::{EventLog, EventPair, EventQuery, EventStore, MAX_EVENTS, MAX_MINOR};
    use crate::storage::StorageError;

    #[derive(Default)]
    struct Kept(Mutex<BTreeMap<Vec<u8>, Vec<u8>>>);

    impl EventStore for Kept {
        fn put(&self, key: &[u8], value: &[u8]) {
            self.0.lock().insert(key.to_vec(), value.to_vec());
        }

        fn delete(&self, key: &[u8]) {
            self.0.lock().remove(key);
        }

        fn scan(&self) -> Result<Vec<EventPair>, StorageError> {
            Ok(self.0.lock().clone().into_iter().collect())
        }
    }

    #[test]
    fn a_bounded_list_that_outlives_the_process() {
        let kept = Arc::new(Kept::default());
        let log = EventLog::open(Arc::clone(&kept) as _, Arc::default());
        for n in 0..MAX_EVENTS as i64 + 10 {
            log.add("worker_exit", n, false, json!({"pid": n}));
        }
        for n in 0..MAX_MINOR as i64 + 5 {
            log.add("worker_exit", 5_000 + n, true, json!({"pid": n}));
        }
        let all = |log: &EventLog| log.find(EventQuery { limit: usize::MAX, ..EventQuery::default() });
        let list = all(&log);
        assert_eq!((list.len(), list.iter().filter(|event| event.minor).count()), (MAX_EVENTS, MAX_MINOR));
        assert_eq!(kept.0.lock().len(), MAX_EVENTS);
        // Halves, other versions and other keys of a damaged store are left out.
        kept.put(b"short", b"x");
        kept.put(&u64::MAX.to_be_bytes(), &[1, 0, 0]);
        kept.put(&(u64::MAX - 1).to_be_bytes(), &[9; 40]);
        let again = EventLog::open(Arc::clone(&kept) as _, Arc::default());
        assert_eq!(all(&again), list);
        assert_eq!(kept.0.lock().len(), MAX_EVENTS);
        again.add("other", 9_000, false, json!({}));
        assert_eq!(all(&again)[0].id, list[0].id + 1, "numbers go on");
        let find = |kind, from, to, limit| {
            again.find(EventQuery { kind, from, to, limit }).iter().map(|event| event.at).collect::<Vec<_>>()
        };
        assert_eq!(find(Some("other"), None, None, 9), [9_000]);
        assert_eq!(find(Some("worker_exit"), Some(5_100), Some(5_101), 9), [5_101, 5_100]);
        assert_eq!(find(None, None, None, 1), [9_000]);
    }
}
