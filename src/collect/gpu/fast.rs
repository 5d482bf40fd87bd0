//! The values that change between two ticks, for who wants them more often than the ring: the live view.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::SyncSender;

use parking_lot::Mutex;

use super::poller::Question;
use super::reading::{GpuIdentity, GpuReading};
use crate::model::Timestamp;

/// What one GPU says many times a second. What it does not support is `None`, never 0.
#[derive(Debug, Clone, PartialEq)]
pub struct FastReading {
    /// When it was asked.
    pub at: Timestamp,
    /// Value of the label `gpu`.
    pub gpu: Arc<str>,
    /// Value of the label `uuid`.
    pub uuid: Arc<str>,
    /// Share of the driver's sample period in which a kernel ran, 0 to 1.
    pub utilization_ratio: Option<f64>,
    /// Share of the driver's sample period in which memory was read or written, 0 to 1.
    pub memory_utilization_ratio: Option<f64>,
    /// Memory in use, in bytes.
    pub memory_used_bytes: Option<f64>,
    /// Memory, in bytes.
    pub memory_total_bytes: Option<f64>,
    /// Power draw.
    pub power_watts: Option<f64>,
    /// Temperature of the chip.
    pub temperature_celsius: Option<f64>,
}

impl FastReading {
    /// The fast part of a whole reading.
    pub fn of(reading: &GpuReading, at: Timestamp) -> Self {
        Self {
            utilization_ratio: reading.utilization_ratio,
            memory_utilization_ratio: reading.memory_utilization_ratio,
            memory_used_bytes: reading.memory_used_bytes,
            memory_total_bytes: reading.memory_total_bytes,
            power_watts: reading.power_watts,
            temperature_celsius: reading.temperature_celsius,
            ..Self::empty(&reading.identity, at)
        }
    }

    /// A reading without values.
    pub fn empty(identity: &GpuIdentity, at: Timestamp) -> Self {
        Self {
            at,
            gpu: identity.label().into(),
            uuid: identity.uuid.as_str().into(),
            utilization_ratio: None,
            memory_utilization_ratio: None,
            memory_used_bytes: None,
            memory_total_bytes: None,
            power_watts: None,
            temperature_celsius: None,
        }
    }
}

/// The way to one source for fast questions; it outlives the thread that answers.
#[derive(Default)]
pub(super) struct FastLane {
    questions: Mutex<Option<SyncSender<Question>>>,
    /// Whether a question is under way: a slow driver gets one at a time.
    pending: AtomicBool,
    last: Mutex<Vec<FastReading>>,
}

impl FastLane {
    pub(super) fn connect(&self, questions: SyncSender<Question>) {
        *self.questions.lock() = Some(questions);
        self.pending.store(false, Ordering::Release);
    }

    /// Lets the thread end when its collector does.
    pub(super) fn disconnect(&self) {
        *self.questions.lock() = None;
        self.last.lock().clear();
    }

    pub(super) fn answer(&self, readings: Vec<FastReading>) {
        *self.last.lock() = readings;
        self.pending.store(false, Ordering::Release);
    }

    /// Asks for the next reading, unless one is under way, and adds the last one to `out`.
    pub(super) fn sample(&self, now: Timestamp, out: &mut Vec<FastReading>) {
        if let Some(questions) = &*self.questions.lock()
            && !self.pending.swap(true, Ordering::AcqRel)
            && questions.try_send(Question::Fast(now)).is_err()
        {
            self.pending.store(false, Ordering::Release);
        }
        out.extend(self.last.lock().iter().cloned());
    }
}
