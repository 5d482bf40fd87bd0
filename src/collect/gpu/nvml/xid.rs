//! Critical errors (XID): the driver tells them once, to who waits. A thread of its own does.

use std::collections::HashMap;
use std::ffi::{OsStr, OsString};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

use nvml_wrapper::bitmasks::event::EventTypes;
use nvml_wrapper::enums::event::XidError;
use nvml_wrapper::error::NvmlError;
use nvml_wrapper::{EventSet, Nvml};
use parking_lot::Mutex;

use super::{MAX_GPUS, RETRY_MS};
use crate::clock::Clock;
use crate::collect::gpu::reading::XidReading;
use crate::model::Timestamp;

/// How long one wait takes at most: the thread looks for its end that often.
const WAIT_MS: u32 = 1000;

/// NVIDIA's number for an error that it does not know.
const UNKNOWN: u64 = 999;

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
    let Ok(nvml) = Nvml::builder().lib_path(library).init() else { return };
    let Some(events) = register(&nvml, shared) else { return };
    while !stop.load(Ordering::Acquire) {
        match events.wait(WAIT_MS) {
            Ok(event) => {
                let code = match event.event_data {
                    Some(XidError::Value(code)) => code,
                    Some(XidError::Unknown) => UNKNOWN,
                    None => continue,
                };
                if let Ok(uuid) = event.device.uuid() {
                    shared.note(&uuid, code, Clock::System.now());
                }
            }
            Err(NvmlError::Timeout) => {}
            Err(_) => return,
        }
    }
}

/// A set with every GPU that reports critical errors; `None` when none does. A GPU that refuses frees the whole set,
/// so the others are put into a new one without it.
fn register<'nvml>(nvml: &'nvml Nvml, shared: &Shared) -> Option<EventSet<'nvml>> {
    let count = nvml.device_count().ok()?.min(MAX_GPUS);
    let mut willing: Vec<u32> = (0..count).filter(|index| reports(nvml, *index)).collect();
    'sets: while !willing.is_empty() {
        let mut events = nvml.create_event_set().ok()?;
        for index in willing.clone() {
            let device = nvml.device_by_index(index).ok();
            let added = device.and_then(|device| device.register_events(EventTypes::CRITICAL_XID_ERROR, events).ok());
            match added {
                Some(set) => events = set,
                None => {
                    willing.retain(|other| *other != index);
                    continue 'sets;
                }
            }
        }
        for index in willing {
            if let Ok(uuid) = nvml.device_by_index(index).and_then(|device| device.uuid()) {
                shared.listen(uuid);
            }
        }
        return Some(events);
    }
    None
}

fn reports(nvml: &Nvml, index: u32) -> bool {
    let types = nvml.device_by_index(index).and_then(|device| device.supported_event_types());
    types.is_ok_and(|types| types.contains(EventTypes::CRITICAL_XID_ERROR))
}
