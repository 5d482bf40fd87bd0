//! From a server's lines to our series: worked out once for each line, numbers only afterwards.

use rustc_hash::{FxHashMap, FxHashSet};
use smallvec::SmallVec;

use super::config::Runtime;
use super::rules::{Rule, Take, matching, strip};
use crate::exposition::{Meta, SampleLine, SeriesText, Sink, parse_series};
use crate::model::{Batch, FamilyDesc, Intern, MetricKind, Origin, SeriesKey, SeriesRef};

/// The ring's job of these series.
const JOB: &str = "llm";
/// Lines that a plan remembers; a page whose lines keep changing starts it anew.
const MAX_LINES: usize = 100_000;
/// Ticks between two looks for series that had no value for as long: the plan is then worked out anew without them.
const IDLE_TICKS: u64 = 900;
/// Models of one target; further ones share the label `other`.
const MAX_MODELS: usize = 64;

/// Where a line's value goes.
#[derive(Debug, Clone, Copy)]
enum Route {
    Add {
        slot: u32,
        sign: f64,
        rank: u8,
    },
    /// `engine_sleep_state`: whether this line is the awake one.
    Sleep {
        awake: bool,
    },
}

type Routes = SmallVec<[Route; 2]>;

/// One of our series.
struct Slot {
    series: Option<SeriesRef>,
    value: f64,
    count: u32,
    tick: u64,
    rank: u8,
    mean: bool,
    counter: bool,
}

/// The index of a series in the plan.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct SlotId(u32);

/// All series of one target.
pub(super) struct Plan {
    target: String,
    runtime: Runtime,
    /// The model label of lines that carry none (llama.cpp).
    model: String,
    routes: FxHashMap<Box<str>, Routes>,
    by_key: FxHashMap<String, u32>,
    slots: Vec<Slot>,
    models: FxHashSet<String>,
    /// References of an earlier plan, held until this one has got those that it needs too.
    old: Vec<SeriesRef>,
    tick: u64,
    /// What the page said about sleeping.
    pub(super) sleeping: Option<bool>,
}

impl Plan {
    pub(super) fn new(target: &str) -> Self {
        Self {
            target: target.to_owned(),
            runtime: Runtime::Auto,
            model: String::new(),
            routes: FxHashMap::default(),
            by_key: FxHashMap::default(),
            slots: Vec::new(),
            models: FxHashSet::default(),
            old: Vec::new(),
            tick: 0,
            sleeping: None,
        }
    }

    /// Starts anew for another runtime or model; false when both are the same.
    pub(super) fn identify(&mut self, runtime: Runtime, model: &str) -> bool {
        if self.runtime == runtime && self.model == model {
            return false;
        }
        self.runtime = runtime;
        model.clone_into(&mut self.model);
        self.reset();
        true
    }

    pub(super) fn runtime(&self) -> Runtime {
        self.runtime
    }

    fn reset(&mut self) {
        self.routes.clear();
        self.by_key.clear();
        self.models.clear();
        self.old.extend(self.slots.drain(..).filter_map(|slot| slot.series));
    }

    /// Starts a tick: nothing has a value.
    pub(super) fn begin(&mut self) {
        self.tick += 1;
        self.sleeping = None;
        let idle = |slot: &Slot| slot.tick + IDLE_TICKS < self.tick;
        if self.routes.len() > MAX_LINES || (self.tick.is_multiple_of(IDLE_TICKS) && self.slots.iter().any(idle)) {
            self.reset();
        }
    }

    /// The slot of a series of ours. Its labels are `target`, `runtime` and these; those with an empty value are left out.
    pub(super) fn slot(
        &mut self,
        family: &'static FamilyDesc,
        suffix: &str,
        labels: &[(&str, &str)],
        intern: &dyn Intern,
    ) -> SlotId {
        let key = key(family, suffix, labels);
        if let Some(slot) = self.by_key.get(&key) {
            return SlotId(*slot);
        }
        let name = format!("{}{suffix}", family.name);
        let mut all = vec![("target", self.target.as_str()), ("runtime", self.runtime.as_str())];
        all.extend_from_slice(labels);
        let origin = Origin::Own { job: JOB };
        let series = intern.intern(SeriesKey { family: &family.family(), name: &name, labels: &all, origin });
        let slot = self.slots.len() as u32;
        let counter = family.kind == MetricKind::Counter;
        self.slots.push(Slot { series, value: 0.0, count: 0, tick: 0, rank: 0, mean: false, counter });
        self.by_key.insert(key, slot);
        SlotId(slot)
    }

    /// Gives a slot its value of this tick.
    pub(super) fn set(&mut self, slot: SlotId, value: f64) {
        self.add(slot.0, value, 0, true);
    }

    /// The value that a series has in this tick, if it is there.
    pub(super) fn value(&self, family: &FamilyDesc, labels: &[(&str, &str)]) -> Option<f64> {
        let slot = self.by_key.get(&key(family, "", labels))?;
        self.slots.get(*slot as usize).filter(|slot| slot.tick == self.tick).map(Slot::number)
    }

    fn add(&mut self, slot: u32, value: f64, rank: u8, replace: bool) {
        let tick = self.tick;
        let Some(slot) = self.slots.get_mut(slot as usize) else { return };
        let fresh = slot.tick != tick;
        if !fresh && rank > slot.rank {
            return;
        }
        if fresh || rank < slot.rank || replace {
            (slot.tick, slot.value, slot.count, slot.rank) = (tick, 0.0, 0, rank);
        }
        slot.value += value;
        slot.count += 1;
    }

    /// Appends what has a value in this tick, and gives back series that an earlier plan left behind.
    pub(super) fn finish(&mut self, intern: &dyn Intern, batch: &mut Batch) {
        for slot in self.slots.iter().filter(|slot| slot.tick == self.tick) {
            let value = slot.number();
            // A difference of two counters can only be negative when one of them is missing.
            if let Some(series) = slot.series.filter(|_| !(slot.counter && value < 0.0)) {
                batch.floats.push((series, value));
            }
        }
        // What this plan needs as well, it holds once more.
        intern.release(&self.old);
        self.old.clear();
    }

    /// Gives all series back: the target has ended.
    pub(super) fn release_all(&mut self, intern: &dyn Intern) {
        self.reset();
        intern.release(&self.old);
        self.old.clear();
    }

    /// Models that the page named, and the one that the server named.
    pub(super) fn models(&self) -> Vec<String> {
        let mut models: Vec<String> = self.models.iter().cloned().collect();
        models.sort();
        models
    }

    /// The model label: at most [`MAX_MODELS`] different ones.
    pub(super) fn model(&mut self, raw: &str) -> String {
        let label = model_label(raw);
        if self.models.contains(&label) || label.is_empty() {
            return label;
        }
        if self.models.len() >= MAX_MODELS {
            return "other".to_owned();
        }
        self.models.insert(label.clone());
        label
    }

    fn routes(&mut self, series: &SeriesText<'_>, intern: &dyn Intern) -> Routes {
        let Some(name) = strip(self.runtime, &series.name) else { return Routes::new() };
        let label =
            |name: &str| series.labels.iter().find(|(known, _)| known == name).map_or("", |(_, value)| value.as_ref());
        if name == "engine_sleep_state" {
            return SmallVec::from_slice(&[Route::Sleep { awake: label("sleep_state") == "awake" }]);
        }
        let model = match label("model_name") {
            "" => self.model.clone(),
            model => self.model(model),
        };
        let matching: Vec<(&'static Rule, &str)> = matching(self.runtime, name).collect();
        matching
            .into_iter()
            .map(|(rule, suffix)| {
                let mut labels = vec![("model", model.as_str())];
                labels.extend_from_slice(rule.labels);
                if suffix == "_bucket" {
                    labels.push(("le", label("le")));
                }
                if let Some((theirs, ours)) = rule.carry {
                    labels.push((ours, label(theirs)));
                }
                let SlotId(slot) = self.slot(rule.family, suffix, &labels, intern);
                let sign = if let Take::Sum(sign) = rule.take { sign } else { 1.0 };
                if let Some(slot) = self.slots.get_mut(slot as usize) {
                    slot.mean = rule.take == Take::Mean;
                }
                Route::Add { slot, sign, rank: rule.rank }
            })
            .collect()
    }
}

impl Slot {
    fn number(&self) -> f64 {
        if self.mean && self.count > 1 { self.value / f64::from(self.count) } else { self.value }
    }
}

/// Takes a page of the server.
pub(super) struct PlanSink<'p> {
    pub(super) plan: &'p mut Plan,
    pub(super) intern: &'p dyn Intern,
}

impl<'a> Sink<'a> for PlanSink<'_> {
    fn sample(&mut self, sample: SampleLine<'a>) -> Result<(), String> {
        if !self.plan.routes.contains_key(sample.series) {
            let routes = self.plan.routes(&parse_series(sample.series)?, self.intern);
            self.plan.routes.insert(sample.series.into(), routes);
        }
        let Some(routes) = self.plan.routes.get(sample.series) else { return Ok(()) };
        for route in routes.clone() {
            match route {
                Route::Add { slot, sign, rank } => self.plan.add(slot, sign * sample.value, rank, false),
                Route::Sleep { awake } if sample.value > 0.0 => self.plan.sleeping = Some(!awake),
                Route::Sleep { .. } => {}
            }
        }
        Ok(())
    }

    fn meta(&mut self, _: &'a str, _: Meta<'a>) {}
}

/// A series of ours as the key of its slot.
fn key(family: &FamilyDesc, suffix: &str, labels: &[(&str, &str)]) -> String {
    let mut key = format!("{}{suffix}", family.name);
    for (label, value) in labels {
        key.extend(["\0", label, "\0", value]);
    }
    key
}

/// What a server calls its model, as a label: a path becomes its last part, an `organisation/name` stays.
fn model_label(raw: &str) -> String {
    let is_path = raw.starts_with(['/', '.', '~'])
        || raw.contains('\\')
        || raw.matches('/').count() > 1
        || raw.ends_with(".gguf");
    let label = if is_path { raw.rsplit(['/', '\\']).next().unwrap_or(raw) } else { raw };
    label.chars().take(256).collect()
}

#[cfg(test)]
mod tests {
    use super::model_label;

    #[test]
    fn paths_become_their_last_part() {
        let cases = [
            ("smollm2-135m", "smollm2-135m"),
            ("/models/a/tiny.gguf", "tiny.gguf"),
            ("models/tiny.gguf", "tiny.gguf"),
            ("C:\\models\\tiny.gguf", "tiny.gguf"),
            ("meta-llama/Llama-3.1-8B", "meta-llama/Llama-3.1-8B"),
            ("./local/dir", "dir"),
            ("", ""),
        ];
        for (raw, expected) in cases {
            assert_eq!(model_label(raw), expected);
        }
    }
}
