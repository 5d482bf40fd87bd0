//! The windows as series.

use std::sync::Arc;

use super::Windows;
use super::rolling::SPANS;
use super::signals::SIGNALS;
use crate::collect::catalogue::{counter, gauge};
use crate::collect::emit::{Emit, Slot};
use crate::collect::{CollectError, Collector, Reading};
use crate::model::{Batch, FamilyDesc, Intern, Timestamp};

/// The ring's job of these series.
const JOB: &str = "windows";
const STATS: [&str; 4] = ["mean", "max", "p50", "p95"];
const SERIES: usize = SIGNALS.len() * SPANS.len() * STATS.len();

pub(in crate::collect) static FAMILIES: [FamilyDesc; 3] = [
    gauge(
        "watchfire_window",
        "",
        "Mean, largest value, median and 95th percentile, by time, of the last 1s, 10s and 5m; the signal's name ends in its unit.",
        &["signal", "window", "stat"],
        SERIES as u32,
    ),
    counter("ui_frames_total", "", "Frames of the pages that are open, as they report them.", &[], 1),
    counter("ui_late_frames_total", "", "Frames of the pages that took longer than 25 ms.", &[], 1),
];

/// Makes series of the windows; runs after the collectors whose values it is about.
pub struct WindowsCollector {
    windows: Arc<Windows>,
    slots: Vec<Slot>,
    frames: [Slot; 2],
}

impl WindowsCollector {
    /// A collector of these windows.
    pub fn new(windows: Arc<Windows>) -> Self {
        Self { windows, slots: vec![Slot::New; SERIES], frames: [Slot::New; 2] }
    }
}

impl Collector for WindowsCollector {
    fn name(&self) -> &'static str {
        "windows"
    }

    fn collect(&mut self, now: Timestamp, intern: &dyn Intern, out: &mut Batch) -> Result<Reading, CollectError> {
        let mut emit = Emit::new(JOB, intern, out);
        let [window_desc, frames_desc, late_desc] = &FAMILIES;
        let slots = &mut self.slots;
        self.windows.read(now, |signal, span, stats| {
            let first = (signal * SPANS.len() + span) * STATS.len();
            let values = [stats.mean, stats.max, stats.p50, stats.p95];
            let names = (SIGNALS.get(signal).copied(), SPANS.get(span).map(|(name, _)| *name));
            let (Some(signal), Some(span)) = names else { return };
            let slots = slots.get_mut(first..).unwrap_or_default();
            for ((slot, stat), value) in slots.iter_mut().zip(STATS).zip(values) {
                emit.put(slot, window_desc, &[signal, span, stat], value);
            }
        });
        if let Some((frames, late)) = self.windows.frame_counts() {
            let [frames_slot, late_slot] = &mut self.frames;
            emit.put(frames_slot, frames_desc, &[], frames as f64);
            emit.put(late_slot, late_desc, &[], late as f64);
        }
        Ok(Reading::Complete)
    }
}
