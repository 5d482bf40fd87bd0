//! What the ring keeps beside the collectors' own series: `up` and `scrape_*` of each own job, as if Prometheus had
//! scraped it, and the daemon's own metrics.

use std::sync::{Arc, OnceLock};

use crate::collect::{CollectError, Collector, CollectorView, Outcome, Reading};
use crate::ingest::Events;
use crate::model::{Batch, Family, Intern, MetricKind, Origin, SeriesKey, SeriesRef, Timestamp};
use crate::telemetry::{OwnMetrics, RingFeed};

/// Shows the collectors' views; set once the scheduler exists.
pub(super) type Views = Arc<OnceLock<Box<Show>>>;
/// Calls what it is given with each view.
pub(super) type Show = dyn Fn(&mut dyn FnMut(&CollectorView)) + Send + Sync;

const SERIES: [(&str, &str); 3] = [
    ("up", "Whether the collectors of the job succeeded."),
    ("scrape_duration_seconds", "How long the collectors of the job took."),
    ("scrape_samples_scraped", "Samples that the collectors of the job gave."),
];

/// `up`, `scrape_duration_seconds` and `scrape_samples_scraped` of each own job.
pub(super) struct Up {
    instance: String,
    views: Views,
    jobs: Vec<Job>,
}

/// A job, and what its collectors add up to.
struct Job {
    name: String,
    refs: [Option<SeriesRef>; 3],
    /// Whether one of its collectors has a source on this machine: a job without is no target, neither up nor down.
    is_target: bool,
    is_up: bool,
    seconds: f64,
    samples: usize,
}

impl Up {
    pub(super) fn new(instance: &str, views: Views) -> Self {
        Self { instance: instance.to_owned(), views, jobs: Vec::new() }
    }
}

impl Job {
    fn new(name: &str) -> Self {
        Self { name: name.to_owned(), refs: [None; 3], is_target: false, is_up: false, seconds: 0.0, samples: 0 }
    }

    fn add(&mut self, view: &CollectorView) {
        self.is_target |= !matches!(view.outcome, Outcome::Unavailable(_) | Outcome::Pending);
        self.is_up |= matches!(view.outcome, Outcome::Complete | Outcome::Degraded(_));
        if view.outcome != Outcome::Pending {
            self.seconds += view.duration.as_secs_f64();
            self.samples += view.samples;
        }
    }

    /// What a limit refused is asked for again: `up` is not to be missing for longer than there is no room.
    fn intern(&mut self, instance: &str, intern: &dyn Intern) {
        let labels = [("job", self.name.as_str()), ("instance", instance)];
        for (series, (name, help)) in self.refs.iter_mut().zip(SERIES) {
            if series.is_none() {
                let family = Family { name: name.into(), kind: MetricKind::Gauge, unit: "".into(), help: help.into() };
                *series = intern.intern(SeriesKey { family: &family, name, labels: &labels, origin: Origin::Foreign });
            }
        }
    }
}

/// Job of a source: `node@5s` belongs to `node`.
fn job_of(view: &CollectorView) -> &str {
    view.source.split('@').next().unwrap_or(&view.source)
}

impl Collector for Up {
    fn name(&self) -> &'static str {
        "up"
    }

    fn collect(&mut self, _: Timestamp, intern: &dyn Intern, out: &mut Batch) -> Result<Reading, CollectError> {
        let Self { instance, views, jobs } = self;
        for job in jobs.iter_mut() {
            (job.is_target, job.is_up, job.seconds, job.samples) = (false, false, 0.0, 0);
        }
        if let Some(views) = views.get() {
            views(&mut |view| {
                let name = job_of(view);
                match jobs.iter_mut().find(|job| job.name == name) {
                    Some(job) => job.add(view),
                    None => {
                        let mut job = Job::new(name);
                        job.add(view);
                        jobs.push(job);
                    }
                }
            });
        }
        for job in jobs.iter_mut().filter(|job| job.is_target) {
            job.intern(instance, intern);
            let values = [f64::from(u8::from(job.is_up)), job.seconds, job.samples as f64];
            out.floats.extend(job.refs.iter().zip(values).filter_map(|(series, value)| Some(((*series)?, value))));
        }
        Ok(Reading::Complete)
    }
}

/// Brings the sums of pushed events into a tick.
pub(super) struct EventFeed(pub(super) Arc<Events>);

impl Collector for EventFeed {
    fn name(&self) -> &'static str {
        "events"
    }

    fn collect(&mut self, now: Timestamp, _: &dyn Intern, out: &mut Batch) -> Result<Reading, CollectError> {
        out.floats.extend(self.0.tick(now).floats);
        Ok(Reading::Complete)
    }
}

/// Brings the daemon's own metrics into the ring.
pub(super) struct OwnFeed {
    pub(super) own: Arc<OwnMetrics>,
    pub(super) feed: RingFeed,
}

impl Collector for OwnFeed {
    fn name(&self) -> &'static str {
        "own"
    }

    fn collect(&mut self, _: Timestamp, intern: &dyn Intern, out: &mut Batch) -> Result<Reading, CollectError> {
        self.feed.append(&self.own, intern, out);
        Ok(Reading::Complete)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, OnceLock};

    use parking_lot::Mutex;

    use super::{Show, Up, Views};
    use crate::collect::{Collector, CollectorView, Outcome};
    use crate::model::{Batch, GroupId, Intern};
    use crate::registry::{RegistryConfig, SeriesTable};

    fn view(source: &str, outcome: Outcome) -> CollectorView {
        CollectorView {
            name: "one",
            source: source.into(),
            interval_ms: 1_000,
            last_slot: None,
            duration: std::time::Duration::from_millis(250),
            outcome,
            last_trouble: None,
            samples: 3,
            ticks: 1,
            failures: 0,
            missed: 0,
        }
    }

    #[test]
    fn a_job_is_up_while_one_of_its_collectors_is_and_absent_without_any() {
        let (why, table) = (String::new, SeriesTable::new(RegistryConfig::default()));
        let views = Arc::<Mutex<Vec<CollectorView>>>::default();
        let shared = Arc::clone(&views);
        let show = move |look: &mut dyn FnMut(&CollectorView)| shared.lock().iter().for_each(look);
        let all: Views = Arc::new(OnceLock::from(Box::new(show) as Box<Show>));
        let mut up = Up::new("h", all);
        // Sources with their outcomes; `up` and samples by job.
        type Case = (Vec<(&'static str, Outcome)>, &'static str);
        let cases: Vec<Case> = vec![
            (vec![], ""),
            (vec![("gpu", Outcome::Pending)], ""),
            (vec![("gpu", Outcome::Unavailable(why()))], ""),
            (vec![("gpu", Outcome::Unavailable(why())), ("gpu@5s", Outcome::Pending)], ""),
            (vec![("gpu", Outcome::Unavailable(why())), ("node", Outcome::Complete)], "node 1 3"),
            (vec![("gpu", Outcome::Failed(why()))], "gpu 0 3"),
            (vec![("gpu", Outcome::Degraded(why()))], "gpu 1 3"),
            (vec![("gpu", Outcome::Unavailable(why())), ("gpu@5s", Outcome::Failed(why()))], "gpu 0 6"),
            (vec![("node", Outcome::Failed(why())), ("node@5s", Outcome::Complete)], "node 1 6"),
            // It comes back as the same series.
            (vec![("gpu", Outcome::Complete)], "gpu 1 3"),
        ];
        for (sources, expected) in cases {
            let named = format!("{sources:?}");
            *views.lock() = sources.into_iter().map(|(source, outcome)| view(source, outcome)).collect();
            let mut batch = Batch::new(GroupId(0), 1_000);
            up.collect(1_000, &table, &mut batch).expect("it cannot fail");
            let value = |name: &str, job: &str| {
                let of = |(series, value): &(_, f64)| {
                    let labels = table.labels(*series)?;
                    (labels.metric_name() == name && labels.get("job") == job).then_some(*value)
                };
                batch.floats.iter().find_map(of)
            };
            let line =
                |job: &str| Some(format!("{job} {} {}", value("up", job)?, value("scrape_samples_scraped", job)?));
            let found: Vec<String> = ["gpu", "node"].iter().filter_map(|job| line(job)).collect();
            assert_eq!(found.join(","), expected, "{named}");
        }
        assert_eq!(table.held(), 6, "three series of each job");
    }
}
