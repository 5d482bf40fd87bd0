//! Critical errors (XID): the driver tells them once, to who waits. A thread of its own does.

use std::collections::HashMap;
use std::ffi::{OsStr, OsString};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

use parking_lot::Mutex;

use super::abi::{EVENT_XID, Event, Handle, SUCCESS};
use super::handle::Device;
use super::library::{Library, NvmlError, check};
use super::{MAX_GPUS, RETRY_MS, uuid_of};
use crate::clock::Clock;
use crate::collect::gpu::reading::XidReading;
use crate::model::Timestamp;

/// How long one wait takes at most: the thread looks for its end that often.
const WAIT_MS: u32 = 1000;

/// Waits that fail in a row until the watch is given up for a while: one GPU that is lost fails them all, and its last
/// words may still be waiting.
const MAX_FAILURES: u32 = 3;

/// Events after which the watch is given up for a while: a driver that floods must not cost a core.
const MAX_EVENTS: u32 = 10_000;

/// The errors of all GPUs, and the thread that waits for them.
#[derive(Default)]
pub(super) struct XidWatch {
    library: Option<OsString>,
    shared: Arc<Shared>,
    thread: Option<(JoinHandle<()>, Arc<AtomicBool>)>,
    started_at: Option<Timestamp>,
}

/// What a GPU said, by UUID, and whether it is listened to now.
#[derive(Default)]
struct Shared(Mutex<HashMap<String, (XidReading, bool)>>);

impl XidWatch {
    /// Watches with this library from the next reading on.
    pub(super) fn start(&mut self, library: &OsStr) {
        self.library = Some(library.to_owned());
        self.started_at = None;
    }

    /// Starts the thread, and starts it again some time after it has ended: a GPU that is lost ends it.
    pub(super) fn keep_running(&mut self, now: Timestamp) {
        let waits = self.started_at.is_some_and(|started| (0..RETRY_MS).contains(&(now - started)));
        let runs = self.thread.as_ref().is_some_and(|(thread, _)| !thread.is_finished());
        let Some(library) = self.library.clone().filter(|_| !waits && !runs) else { return };
        self.started_at = Some(now);
        let (shared, stop) = (Arc::clone(&self.shared), Arc::new(AtomicBool::new(false)));
        let stopped = Arc::clone(&stop);
        let run = move || {
            watch(&library, &shared, &stopped);
            shared.0.lock().values_mut().for_each(|(_, listening)| *listening = false);
        };
        // Without a thread there are no errors to tell; the next try comes by itself.
        if let Ok(thread) = std::thread::Builder::new().name("gpu-xid".into()).spawn(run) {
            self.thread = Some((thread, stop));
        }
    }

    /// Lets the thread end with its current wait.
    pub(super) fn stop(&mut self) {
        self.library = None;
        if let Some((_, stop)) = &self.thread {
            stop.store(true, Ordering::Release);
        }
    }

    /// What a GPU said so far; `None` while it is not listened to.
    pub(super) fn of(&self, uuid: &str) -> Option<XidReading> {
        self.shared.0.lock().get(uuid).filter(|(_, listening)| *listening).map(|(reading, _)| *reading)
    }

    /// What a GPU said before nobody listened to it any more.
    pub(super) fn last_words(&self, uuid: &str) -> Option<XidReading> {
        self.shared.0.lock().get(uuid).map(|(reading, _)| *reading)
    }
}

impl Drop for XidWatch {
    fn drop(&mut self) {
        self.stop();
    }
}

impl Shared {
    fn listen(&self, uuid: String) {
        let mut all = self.0.lock();
        // GPUs that were swapped all day must not pile up.
        if all.len() < 2 * MAX_GPUS as usize || all.contains_key(&uuid) {
            all.entry(uuid).or_default().1 = true;
        }
    }

    fn note(&self, uuid: &str, code: u64, at: Timestamp) {
        if let Some((reading, _)) = self.0.lock().get_mut(uuid) {
            reading.count += 1;
            reading.last = Some((code, at));
        }
    }
}

fn watch(library: &OsStr, shared: &Shared, stop: &AtomicBool) {
    let Ok(Ok(library)) = Library::open(library) else { return };
    let Some(events) = EventSet::of_all(&library, shared) else { return };
    let (mut failures, mut told) = (0, 0);
    while failures < MAX_FAILURES && told < MAX_EVENTS {
        // What came before the end is still told.
        let is_end = stop.load(Ordering::Acquire);
        match events.wait(if is_end { 0 } else { WAIT_MS }) {
            Ok(event) => {
                (failures, told) = (0, told + 1);
                if event.kind != 0 && event.kind & EVENT_XID == 0 {
                    continue;
                }
                if let Some(uuid) = events.uuid_of(&event) {
                    shared.note(&uuid, event.data, Clock::System.now());
                }
            }
            Err(_) if is_end => return,
            Err(NvmlError::TIMEOUT) => failures = 0,
            Err(_) => failures += 1,
        }
    }
}

/// The GPUs that report critical errors. Who they are is kept: one that fell off the bus does not tell any more.
struct EventSet<'l> {
    library: &'l Library,
    set: Handle,
    gpus: Vec<(Device<'l>, String)>,
}

impl<'l> EventSet<'l> {
    /// `None` when no GPU reports any.
    fn of_all(library: &'l Library, shared: &Shared) -> Option<Self> {
        let create = library.functions.event_set?;
        let mut set: Handle = std::ptr::null_mut();
        // SAFETY: the library is initialized and writes one handle.
        check(unsafe { create(&mut set) }).ok()?;
        let mut events = Self { library, set, gpus: Vec::new() };
        for index in 0..library.device_count().ok()?.min(MAX_GPUS) {
            let Ok(device) = library.device(index) else { continue };
            let Ok(uuid) = uuid_of(&device, index) else { continue };
            if events.register(&device) {
                shared.listen(uuid.clone());
                events.gpus.push((device, uuid));
            }
        }
        (!events.gpus.is_empty()).then_some(events)
    }

    fn register(&self, device: &Device<'_>) -> bool {
        let functions = &self.library.functions;
        let reports = match device.ask(functions.event_types) {
            Ok(types) => types & EVENT_XID != 0,
            Err(error) => error == NvmlError::NO_FUNCTION,
        };
        let register = functions.event_register.filter(|_| reports);
        // SAFETY: device and set are of this initialized library.
        register.is_some_and(|register| unsafe { register(device.handle(), EVENT_XID, self.set) } == SUCCESS)
    }

    fn wait(&self, timeout_ms: u32) -> Result<Event, NvmlError> {
        let wait = self.library.functions.event_wait.ok_or(NvmlError::NO_FUNCTION)?;
        let mut event = Event { device: std::ptr::null_mut(), kind: 0, data: 0, gpu_instance: 0, compute_instance: 0 };
        // SAFETY: the set is of this initialized library, which writes one event.
        check(unsafe { wait(self.set, &mut event, timeout_ms) }).map(|()| event)
    }

    fn uuid_of(&self, event: &Event) -> Option<String> {
        self.gpus.iter().find(|(device, _)| device.is(event.device)).map(|(_, uuid)| uuid.clone()).or_else(|| {
            let device = Device::new(self.library, event.device).ok()?;
            device.text(self.library.functions.uuid).ok()
        })
    }
}

impl Drop for EventSet<'_> {
    fn drop(&mut self) {
        // SAFETY: the set is of this initialized library and is not used after this.
        let _ = self.library.functions.event_free.map(|free| unsafe { free(self.set) });
    }
}
