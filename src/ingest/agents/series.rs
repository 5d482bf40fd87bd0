//! The series of one worker: labels are built when they appear, a tick is numbers only.

use super::body::{Heartbeat, Status};
use super::families::FAMILIES;
use super::view::AgentView;
use crate::model::{FamilyDesc, Intern, Origin, SeriesKey, SeriesRef, Timestamp};

/// The ring's job of these series.
const JOB: &str = "agents";
/// Ticks after which a series that a limit refused is asked for again.
const TICKS_BEFORE_RETRY: u8 = 60;
const STATES: usize = Status::ALL.len();
/// Families after status and info, each with one series a worker.
const PLAIN: usize = FAMILIES.len() - 2;

#[derive(Debug, Clone, Copy, Default)]
enum Slot {
    #[default]
    New,
    Known(SeriesRef),
    Refused(u8),
}

impl Slot {
    fn get(&mut self, intern: impl FnOnce() -> Option<SeriesRef>) -> Option<SeriesRef> {
        match self {
            Self::Known(series) => return Some(*series),
            Self::Refused(ticks) if *ticks > 0 => {
                *ticks -= 1;
                return None;
            }
            Self::New | Self::Refused(_) => {}
        }
        let found = intern();
        *self = found.map_or(Self::Refused(TICKS_BEFORE_RETRY), Self::Known);
        found
    }

    fn take(&mut self) -> Option<SeriesRef> {
        match std::mem::take(self) {
            Self::Known(series) => Some(series),
            Self::New | Self::Refused(_) => None,
        }
    }
}

/// What a tick adds to the view.
#[derive(Debug, Clone, Copy)]
pub(super) struct Totals {
    pub(super) heartbeats: u64,
    pub(super) tokens: Option<u64>,
}

/// The references of one worker.
#[derive(Debug, Default)]
pub(super) struct AgentSeries {
    /// The heartbeat whose labels the series carry.
    of: Option<std::sync::Arc<Heartbeat>>,
    status: [Slot; STATES],
    info: Slot,
    plain: [Slot; PLAIN],
}

impl AgentSeries {
    /// Gives back what other labels need by now: everything for another project, the info for another run or process.
    fn relabel(&mut self, view: &AgentView, intern: &dyn Intern) {
        let Some(old) = self.of.replace(std::sync::Arc::clone(&view.beat)) else { return };
        let new = &view.beat;
        if std::sync::Arc::ptr_eq(&old, new) {
            return;
        }
        let mut gone: Vec<SeriesRef> = Vec::new();
        if old.project != new.project {
            gone.extend(self.status.iter_mut().chain(&mut self.plain).filter_map(Slot::take));
        }
        let facts = |beat: &Heartbeat| (beat.project.clone(), beat.run_id.clone(), beat.pid, beat.labels.clone());
        if facts(&old) != facts(new) {
            gone.extend(self.info.take());
        }
        if !gone.is_empty() {
            intern.release(&gone);
        }
    }

    /// Appends the samples of a tick. What the worker has not said for long is left out; what the system says is not.
    pub(super) fn append(
        &mut self,
        view: &AgentView,
        totals: Totals,
        now: Timestamp,
        intern: &dyn Intern,
        out: &mut Vec<(SeriesRef, f64)>,
    ) {
        self.relabel(view, intern);
        let worker = [("project", view.beat.project.as_deref().unwrap_or("")), ("worker", &*view.id)];
        let [status_desc, info_desc, plain_descs @ ..] = &FAMILIES;
        if let Some(status) = view.status(now) {
            for (slot, state) in self.status.iter_mut().zip(Status::ALL) {
                let labels = [worker[0], worker[1], (status_desc.name, state.as_str())];
                let series = slot.get(|| key(intern, status_desc, &labels));
                out.extend(series.map(|series| (series, f64::from(u8::from(state == status)))));
            }
        }
        let info = self.info.get(|| intern_info(intern, info_desc, worker, &view.beat));
        out.extend(info.map(|series| (series, 1.0)));
        for ((slot, desc), value) in self.plain.iter_mut().zip(plain_descs).zip(values(view, totals, now)) {
            if let Some(value) = value
                && let Some(series) = slot.get(|| key(intern, desc, &worker))
            {
                out.push((series, value));
            }
        }
    }

    /// Appends what the worker said since the tick before, as far as its series are known and still carry its labels.
    pub(super) fn append_known(
        &self,
        view: &AgentView,
        totals: Totals,
        now: Timestamp,
        out: &mut Vec<(SeriesRef, f64)>,
    ) {
        if self.of.as_ref().is_none_or(|of| of.project != view.beat.project) {
            return;
        }
        let states = self.status.iter().zip(Status::ALL).map(|(slot, state)| {
            let value = view.status(now).map(|status| f64::from(u8::from(state == status)));
            (slot, value)
        });
        for (slot, value) in states.chain(self.plain.iter().zip(values(view, totals, now))) {
            if let (Slot::Known(series), Some(value)) = (slot, value) {
                out.push((*series, value));
            }
        }
    }

    /// Gives everything back.
    pub(super) fn release(mut self, intern: &dyn Intern) {
        let slots = self.status.iter_mut().chain(&mut self.plain).chain([&mut self.info]);
        let gone: Vec<SeriesRef> = slots.filter_map(Slot::take).collect();
        if !gone.is_empty() {
            intern.release(&gone);
        }
    }
}

/// The values of the plain families, in their order.
fn values(view: &AgentView, totals: Totals, now: Timestamp) -> [Option<f64>; PLAIN] {
    let (tokens, fresh) = (view.tokens(now), !view.is_silent(now));
    let count = |value: Option<u64>| value.map(|value| value as f64);
    let stated = |value: Option<u64>| count(value.filter(|_| fresh));
    let seconds = |at: Timestamp| at as f64 / 1000.0;
    let flag = |value: bool| f64::from(u8::from(value));
    [
        Some(totals.heartbeats as f64),
        count(totals.tokens),
        count(tokens.current_run),
        count(tokens.total_session),
        count(tokens.limit),
        tokens.usage_ratio(),
        stated(view.beat.queue),
        stated(view.beat.in_flight),
        fresh.then(|| view.idle_seconds(now)),
        Some(seconds(view.last_heartbeat)),
        view.run_started_at.map(seconds),
        view.reapable(now).map(flag),
        view.cpu_percent().map(|percent| percent / 100.0),
        view.rss_bytes(),
        view.zombie().map(flag),
    ]
}

fn key(intern: &dyn Intern, desc: &FamilyDesc, labels: &[(&str, &str)]) -> Option<SeriesRef> {
    let family = desc.family();
    intern.intern(SeriesKey { family: &family, name: desc.name, labels, origin: Origin::Own { job: JOB } })
}

fn intern_info(
    intern: &dyn Intern,
    desc: &FamilyDesc,
    worker: [(&str, &str); 2],
    beat: &Heartbeat,
) -> Option<SeriesRef> {
    let pid = beat.pid.map(|pid| pid.to_string()).unwrap_or_default();
    let mut labels: Vec<(&str, &str)> = worker.to_vec();
    labels.extend([("pid", pid.as_str()), ("run_id", beat.run_id.as_deref().unwrap_or(""))]);
    labels.extend(beat.labels.iter().map(|(name, value)| (name.as_str(), value.as_str())));
    key(intern, desc, &labels)
}
