//! What the ring keeps beside the collectors' own series: `up` and `scrape_*` of each own job, as if Prometheus had
//! scraped it, and the daemon's own metrics.

use std::sync::{Arc, OnceLock};

use crate::collect::{CollectError, Collector, CollectorView, Outcome, Reading};
use crate::ingest::Events;
use crate::model::{Batch, Family, Intern, MetricKind, Origin, SeriesKey, SeriesRef, Timestamp};
use crate::telemetry::{OwnMetrics, RingFeed};

/// Gives the collectors' views; set once the scheduler exists.
pub(super) type Views = Arc<OnceLock<Box<dyn Fn() -> Vec<CollectorView> + Send + Sync>>>;

const SERIES: [(&str, &str); 3] = [
    ("up", "Whether the collectors of the job succeeded."),
    ("scrape_duration_seconds", "How long the collectors of the job took."),
    ("scrape_samples_scraped", "Samples that the collectors of the job gave."),
];

/// `up`, `scrape_duration_seconds` and `scrape_samples_scraped` of each own job.
pub(super) struct Up {
    pub(super) instance: String,
    pub(super) views: Views,
    pub(super) jobs: Vec<(String, [Option<SeriesRef>; 3])>,
}

impl Up {
    pub(super) fn new(instance: &str, views: Views) -> Self {
        Self { instance: instance.to_owned(), views, jobs: Vec::new() }
    }

    fn refs(&mut self, job: &str, intern: &dyn Intern) -> [Option<SeriesRef>; 3] {
        let place = self.jobs.iter().position(|(known, _)| known == job);
        // What a limit refused is tried again: `up` is not to be missing for longer than there is no room.
        if let Some((_, refs)) = place.and_then(|place| self.jobs.get(place))
            && refs.iter().all(Option::is_some)
        {
            return *refs;
        }
        let known = place.map_or([None; 3], |place| self.jobs.swap_remove(place).1);
        let labels = [("job", job), ("instance", self.instance.as_str())];
        let mut known = known.into_iter();
        let refs = SERIES.map(|(name, help)| {
            if let Some(Some(series)) = known.next() {
                return Some(series);
            }
            let family = Family { name: name.into(), kind: MetricKind::Gauge, unit: "".into(), help: help.into() };
            intern.intern(SeriesKey { family: &family, name, labels: &labels, origin: Origin::Foreign })
        });
        self.jobs.push((job.to_owned(), refs));
        refs
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
        let views = self.views.get().map(|views| views()).unwrap_or_default();
        let mut jobs: Vec<&str> = views.iter().map(job_of).collect();
        jobs.sort_unstable();
        jobs.dedup();
        for job in jobs {
            let mine = || views.iter().filter(|view| job_of(view) == job && view.outcome != Outcome::Pending);
            // A job whose source is not on this machine is no target: neither up nor down.
            if mine().all(|view| matches!(view.outcome, Outcome::Unavailable(_))) {
                continue;
            }
            let is_up = mine().any(|view| matches!(view.outcome, Outcome::Complete | Outcome::Degraded(_)));
            let seconds: f64 = mine().map(|view| view.duration.as_secs_f64()).sum();
            let samples: usize = mine().map(|view| view.samples).sum();
            let values = [f64::from(u8::from(is_up)), seconds, samples as f64];
            let refs = self.refs(job, intern);
            out.floats.extend(refs.into_iter().zip(values).filter_map(|(series, value)| Some((series?, value))));
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

    use super::{Up, Views};
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
        let all: Views = Arc::new(OnceLock::from(
            Box::new(move || shared.lock().clone()) as Box<dyn Fn() -> Vec<CollectorView> + Send + Sync>
        ));
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
