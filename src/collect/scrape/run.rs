//! The task of one target.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use hyper::StatusCode;
use hyper::header::{ACCEPT, ACCEPT_ENCODING, HeaderName, HeaderValue};
use parking_lot::Mutex;
use tokio::sync::watch;

use super::cache::SeriesCache;
use super::counters::ScrapeCounters;
use super::metadata::MetadataStore;
use super::page::ScrapedPage;
use super::protocol::accept;
use super::report::{Outcome, Report};
use super::sink::PageSink;
use super::slots::Slots;
use super::target::Target;
use super::view::{Health, TargetView};
use crate::clock::{Clock, Stopwatch};
use crate::model::{
    Batch, GroupId, Intern, Irregular, IrregularSample, MetricKind, Output, SeriesRef, Timestamp, stale_marker,
};
use crate::net::{HttpClient, HttpError, HttpRequest, HttpResponse, Redirects};

/// How far ahead of the clock a page's timestamps may be, as in Prometheus.
const MAX_AHEAD_MS: i64 = 10 * 60 * 1_000;

/// What the targets of a job share.
#[derive(Clone)]
pub(super) struct Shared {
    /// Why the job's targets are not scraped at all: a job over its target limit.
    pub(super) forbidden: Arc<Mutex<Option<String>>>,
    /// The job's; a reload may bring another one, which the next scrape takes.
    pub(super) client: Arc<Mutex<HttpClient>>,
    pub(super) clock: Clock,
    pub(super) intern: Arc<dyn Intern>,
    pub(super) output: Arc<dyn Output>,
    pub(super) counters: Arc<ScrapeCounters>,
}

/// What the API reads of a target.
pub(super) struct Status {
    pub(super) view: Mutex<TargetView>,
    pub(super) metadata: Mutex<MetadataStore>,
}

/// How a page was taken. A page that fails counts what was read of it, as Prometheus does.
#[derive(Default)]
pub(super) struct Taken {
    samples: usize,
    kept: usize,
    added: usize,
    body_bytes: f64,
    limited: bool,
    pub(super) problem: Option<String>,
}

impl Taken {
    fn nothing(problem: String) -> Self {
        Self { problem: Some(problem), ..Self::default() }
    }

    fn failed(error: &HttpError) -> Self {
        let limited = matches!(error, HttpError::BodyTooLarge { .. });
        Self { limited, body_bytes: if limited { -1.0 } else { 0.0 }, ..Self::nothing(error.to_string()) }
    }
}

/// A target with everything that its scrapes keep.
pub(super) struct Scrape {
    shared: Shared,
    target: Target,
    status: Arc<Status>,
    group: GroupId,
    report: Report,
    cache: SeriesCache,
    batch: Batch,
    irregular: Vec<Irregular>,
    /// Series of pages that were read with other settings.
    retired: Vec<SeriesCache>,
}

impl Scrape {
    pub(super) fn new(shared: Shared, target: Target) -> Self {
        let view = TargetView {
            job: target.job.job_name.clone(),
            instance: target.labels.get("instance").to_owned(),
            labels: target.labels.clone(),
            discovered: target.discovered.clone(),
            url: target.key.url.clone(),
            health: Health::Unknown,
            last_error: String::new(),
            last_scrape: 0,
            last_duration: Duration::ZERO,
            last_samples: 0,
            interval: target.interval,
            timeout: target.timeout,
            written: target.written.clone(),
        };
        let group = shared.output.register_group(&format!("{} {}", view.job, view.instance));
        let report = Report::new(&target.labels, target.job.extra_metrics, &*shared.intern);
        let status = Arc::new(Status { view: Mutex::new(view), metadata: Mutex::default() });
        let (batch, cache) = (Batch::new(group, 0), SeriesCache::new(target.interval));
        Self { shared, target, status, group, report, cache, batch, irregular: Vec::new(), retired: Vec::new() }
    }

    #[cfg(test)]
    pub(super) fn batch(&self) -> &Batch {
        &self.batch
    }

    pub(super) fn status(&self) -> Arc<Status> {
        Arc::clone(&self.status)
    }

    /// Scrapes at every slot until told to stop, then ends the target's series. `changes` brings the same target with other
    /// settings: its series go on.
    pub(super) async fn run(mut self, mut stop: watch::Receiver<bool>, mut changes: watch::Receiver<Target>) {
        loop {
            if !self.run_unchanged(&mut stop, &mut changes).await {
                break;
            }
            let target = changes.borrow_and_update().clone();
            self.change(target);
        }
        self.end();
    }

    /// `false` when told to stop, `true` when there are other settings.
    async fn run_unchanged(&mut self, stop: &mut watch::Receiver<bool>, changes: &mut watch::Receiver<Target>) -> bool {
        let (interval, offset) = (self.target.interval, self.target.offset());
        let source = self.shared.output.register_source(interval, offset);
        let mut slots = Slots::new(self.shared.clock.clone(), interval, offset);
        let changed = loop {
            let slot = tokio::select! {
                slot = slots.wait(stop) => slot,
                Ok(()) = changes.changed() => break true,
            };
            let Some(slot) = slot else { break false };
            tokio::select! {
                () = self.scrape(slot) => {}
                _ = stop.wait_for(|stop| *stop) => break false,
            }
            self.shared.output.done(source, slot);
            self.shared.counters.missed.fetch_add(slots.advance(), Ordering::Relaxed);
        };
        self.shared.output.unregister_source(source);
        changed
    }

    /// Goes on with other settings. Lines may mean other series then; those that do not come again end at the next scrape.
    fn change(&mut self, target: Target) {
        {
            let mut view = self.status.view.lock();
            (view.interval, view.timeout) = (target.interval, target.timeout);
            view.written.clone_from(&target.written);
            view.discovered = target.discovered.clone();
        }
        let intern = &*self.shared.intern;
        let before = std::mem::replace(&mut self.cache, SeriesCache::new(target.interval));
        self.retired.push(before);
        if self.target.job.extra_metrics != target.job.extra_metrics {
            let report = Report::new(&target.labels, target.job.extra_metrics, intern);
            std::mem::replace(&mut self.report, report).release(intern);
        }
        self.target = target;
    }

    /// Ends the target's series and gives them back.
    pub(super) fn end(mut self) {
        let now = self.shared.clock.now();
        self.shared.output.end_group(self.group, now);
        if self.target.job.track_timestamps_staleness {
            let gone = self.cache.gone_timed(true);
            self.push_stale(gone, now);
        }
        self.release_retired();
        self.cache.release_all(&*self.shared.intern);
        self.report.release(&*self.shared.intern);
    }

    /// Series that the target had under other settings are given back once the next page holds those that it still has.
    fn release_retired(&mut self) {
        for mut cache in self.retired.drain(..) {
            cache.release_all(&*self.shared.intern);
        }
    }

    fn push_stale(&self, series: Vec<SeriesRef>, ts: Timestamp) {
        let ended = |series| {
            let samples = vec![IrregularSample { ts, start_ts: 0, value: stale_marker().into() }];
            Irregular { series, samples }
        };
        self.shared.output.push_irregular(series.into_iter().map(ended).collect());
    }

    /// Scrapes once, as of `slot`. A failure ends the series of the page (they are missing from the batch) and says `up` 0.
    pub(super) async fn scrape(&mut self, slot: Timestamp) {
        let timer = Stopwatch::start();
        let forbidden = self.shared.forbidden.lock().clone();
        let taken = match forbidden {
            Some(problem) => Taken { limited: true, ..Taken::nothing(problem) },
            None => {
                let client = self.shared.client.lock().clone();
                match client.send(self.request()).await {
                    Ok(response) => self.take(&response, slot),
                    Err(error) => Taken::failed(&error),
                }
            }
        };
        let duration = timer.elapsed();
        let counters = &self.shared.counters;
        counters.scrapes.fetch_add(1, Ordering::Relaxed);
        let up = taken.problem.is_none();
        if up {
            counters.samples.fetch_add(taken.kept as u64, Ordering::Relaxed);
        } else {
            counters.failures.fetch_add(1, Ordering::Relaxed);
            counters.limited.fetch_add(u64::from(taken.limited), Ordering::Relaxed);
            self.cache.fail(&*self.shared.intern);
            self.batch = Batch::new(self.group, slot);
            if !self.irregular.is_empty() {
                self.irregular.clear();
                self.cache.forget_times();
            }
        }
        if self.target.job.track_timestamps_staleness {
            let gone = self.cache.gone_timed(!up);
            self.push_stale(gone, slot);
        }
        let outcome = Outcome {
            up,
            seconds: duration.as_secs_f64(),
            scraped: taken.samples,
            kept: taken.kept,
            added: taken.added,
            timeout_seconds: self.target.timeout.as_secs_f64(),
            sample_limit: self.target.job.sample_limit,
            body_bytes: taken.body_bytes,
        };
        {
            let mut view = self.status.view.lock();
            view.health = if up { Health::Up } else { Health::Down };
            view.last_error = taken.problem.unwrap_or_default();
            view.last_scrape = slot;
            view.last_duration = duration;
            view.last_samples = taken.samples;
        }
        let mut next = Batch::new(self.group, slot);
        next.floats.reserve(self.batch.floats.len() + 8);
        let mut batch = std::mem::replace(&mut self.batch, next);
        self.report.complete(&self.target.labels, &*self.shared.intern);
        self.report.append(&outcome, &mut batch);
        self.shared.output.push(batch);
        self.shared.output.push_irregular(std::mem::take(&mut self.irregular));
        self.release_retired();
    }

    fn request(&self) -> HttpRequest {
        let job = &self.target.job;
        let timeout = HeaderValue::from_str(&self.target.timeout.as_secs_f64().to_string());
        let accepted = HeaderValue::from_str(&accept(&job.protocols, job.escaping));
        let mut request = HttpRequest::get(self.target.key.url.as_str())
            .timeout(self.target.timeout)
            .header(ACCEPT, accepted.unwrap_or(HeaderValue::from_static("*/*")));
        if !job.enable_compression {
            request = request.header(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
        }
        request.max_body = job.body_size_limit;
        request.errors_too = false;
        request.redirects = if job.follow_redirects { Redirects::Anywhere } else { Redirects::Never };
        if let Ok(timeout) = timeout {
            request = request.header(HeaderName::from_static("x-prometheus-scrape-timeout-seconds"), timeout);
        }
        request
    }

    pub(super) fn take(&mut self, response: &HttpResponse, slot: Timestamp) -> Taken {
        if response.status != StatusCode::OK {
            return Taken::nothing(format!("server returned HTTP status {}", response.status));
        }
        let page = match ScrapedPage::of(response, self.target.job.fallback_protocol) {
            Ok(page) => page,
            Err(problem) => return Taken::nothing(problem),
        };
        self.shared.counters.bytes.fetch_add(response.body.len() as u64, Ordering::Relaxed);
        self.batch.ts = slot;
        self.batch.floats.clear();
        self.batch.histograms.clear();
        self.batch.start_ts.clear();
        self.batch.exemplars.clear();
        self.cache.begin();
        let mut metadata = self.status.metadata.lock();
        metadata.begin(page.format());
        let mut sink = PageSink {
            target: &self.target,
            cache: &mut self.cache,
            metadata: &mut metadata,
            intern: &*self.shared.intern,
            batch: &mut self.batch,
            irregular: &mut self.irregular,
            samples: 0,
            kept: 0,
            duplicates: 0,
            refused: 0,
            out_of_order: 0,
            out_of_bounds: 0,
            over_buckets: None,
            latest: slot + MAX_AHEAD_MS,
            kind: MetricKind::Unknown,
            assembly: self.target.job.custom_histograms.then(Box::default),
        };
        let result = page.read(&mut sink);
        let over_limit = sink.over_limit();
        let problem = match result {
            Err(problem) => Some(problem),
            Ok(_) if over_limit => {
                let (kept, limit) = (sink.kept, sink.target.job.sample_limit);
                Some(format!("sample limit exceeded: expected at most {limit} samples (sample_limit), found {kept}"))
            }
            // As in Prometheus the number of samples is said first, where both are too many.
            Ok(_) => sink.over_buckets.take(),
        };
        // Labels over a limit are found while the page is read.
        let limits = ["limit exceeded (metric:", "histogram bucket limit exceeded"];
        let limited =
            over_limit || problem.as_ref().is_some_and(|problem| limits.iter().any(|limit| problem.contains(limit)));
        let counters = &self.shared.counters;
        let mut taken = Taken { samples: sink.samples, kept: sink.kept, added: 0, limited, problem, body_bytes: 0.0 };
        if taken.problem.is_none() {
            for (counter, count) in [
                (&counters.duplicates, sink.duplicates),
                (&counters.refused, sink.refused),
                (&counters.out_of_order, sink.out_of_order),
                (&counters.out_of_bounds, sink.out_of_bounds),
            ] {
                counter.fetch_add(count, Ordering::Relaxed);
            }
        }
        drop(metadata);
        if taken.problem.is_none() {
            self.cache.finish(&*self.shared.intern);
        }
        taken.added = self.cache.added();
        taken.body_bytes = response.body.len() as f64;
        taken
    }
}
