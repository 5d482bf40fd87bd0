//! The task of one target.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use hyper::StatusCode;
use hyper::header::{ACCEPT, AUTHORIZATION, HeaderName, HeaderValue};
use parking_lot::Mutex;
use tokio::sync::watch;

use super::cache::SeriesCache;
use super::counters::ScrapeCounters;
use super::metadata::MetadataStore;
use super::page::ScrapedPage;
use super::report::{Outcome, Report};
use super::sink::PageSink;
use super::slots::Slots;
use super::target::Target;
use super::view::{Health, TargetView};
use crate::clock::{Clock, Stopwatch};
use crate::model::{Batch, GroupId, Intern, Irregular, Output, Timestamp};
use crate::net::{HttpClient, HttpRequest, HttpResponse, Redirects};

/// Both formats, OpenMetrics first, as Prometheus asks.
const ACCEPTED: &str = "application/openmetrics-text;version=1.0.0;q=0.6,text/plain;version=0.0.4;q=0.4,*/*;q=0.1";

/// What all targets share.
#[derive(Clone)]
pub(super) struct Shared {
    pub(super) client: HttpClient,
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
    pub(super) problem: Option<String>,
}

impl Taken {
    fn nothing(problem: String) -> Self {
        Self { problem: Some(problem), ..Self::default() }
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
}

impl Scrape {
    pub(super) fn new(shared: Shared, target: Target) -> Self {
        let view = TargetView {
            job: target.job.job_name.clone(),
            instance: target.labels.get("instance").to_owned(),
            labels: target.labels.clone(),
            discovered: target.discovered.clone(),
            url: target.url.clone(),
            health: Health::Unknown,
            last_error: String::new(),
            last_scrape: 0,
            last_duration: Duration::ZERO,
            last_samples: 0,
            interval: target.job.interval,
            timeout: target.job.timeout,
        };
        let group = shared.output.register_group(&format!("{} {}", view.job, view.instance));
        let report = Report::new(&target.labels, &*shared.intern);
        let status = Arc::new(Status { view: Mutex::new(view), metadata: Mutex::default() });
        let (batch, cache) = (Batch::new(group, 0), SeriesCache::new(target.job.interval));
        Self { shared, target, status, group, report, cache, batch, irregular: Vec::new() }
    }

    #[cfg(test)]
    pub(super) fn batch(&self) -> &Batch {
        &self.batch
    }

    pub(super) fn status(&self) -> Arc<Status> {
        Arc::clone(&self.status)
    }

    /// Scrapes at every slot until told to stop, then ends the target's series.
    pub(super) async fn run(mut self, mut stop: watch::Receiver<bool>) {
        let offset = self.target.offset();
        let source = self.shared.output.register_source(self.target.job.interval, offset);
        let mut slots = Slots::new(self.shared.clock.clone(), self.target.job.interval, offset);
        while let Some(slot) = slots.wait(&mut stop).await {
            tokio::select! {
                () = self.scrape(slot) => {}
                _ = stop.wait_for(|stop| *stop) => break,
            }
            self.shared.output.done(source, slot);
            self.shared.counters.missed.fetch_add(slots.advance(), Ordering::Relaxed);
        }
        self.shared.output.unregister_source(source);
        self.end();
    }

    /// Ends the target's series and gives them back.
    pub(super) fn end(mut self) {
        self.shared.output.end_group(self.group, self.shared.clock.now());
        self.cache.release_all(&*self.shared.intern);
        self.report.release(&*self.shared.intern);
    }

    /// Scrapes once, as of `slot`. A failure ends the series of the page (they are missing from the batch) and says `up` 0.
    pub(super) async fn scrape(&mut self, slot: Timestamp) {
        let timer = Stopwatch::start();
        let taken = match self.shared.client.send(self.request()).await {
            Ok(response) => self.take(&response, slot),
            Err(error) => Taken::nothing(error.to_string()),
        };
        let duration = timer.elapsed();
        let counters = &self.shared.counters;
        counters.scrapes.fetch_add(1, Ordering::Relaxed);
        let up = taken.problem.is_none();
        if up {
            counters.samples.fetch_add(taken.kept as u64, Ordering::Relaxed);
        } else {
            counters.failures.fetch_add(1, Ordering::Relaxed);
            self.cache.fail(&*self.shared.intern);
            self.batch = Batch::new(self.group, slot);
            if !self.irregular.is_empty() {
                self.irregular.clear();
                self.cache.forget_times();
            }
        }
        let outcome = Outcome {
            up,
            seconds: duration.as_secs_f64(),
            scraped: taken.samples,
            kept: taken.kept,
            added: taken.added,
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
        next.floats.reserve(self.batch.floats.len() + 5);
        let mut batch = std::mem::replace(&mut self.batch, next);
        self.report.complete(&self.target.labels, &*self.shared.intern);
        self.report.append(&outcome, &mut batch);
        self.shared.output.push(batch);
        for item in self.irregular.drain(..) {
            self.shared.output.push_irregular(item);
        }
    }

    fn request(&self) -> HttpRequest {
        let job = &self.target.job;
        let timeout = HeaderValue::from_str(&job.timeout.as_secs_f64().to_string());
        let mut request = HttpRequest::get(self.target.url.as_str())
            .timeout(job.timeout)
            .header(ACCEPT, HeaderValue::from_static(ACCEPTED));
        request.max_body = job.body_size_limit;
        request.redirects = if job.follow_redirects { Redirects::Anywhere } else { Redirects::Never };
        if let Ok(timeout) = timeout {
            request = request.header(HeaderName::from_static("x-prometheus-scrape-timeout-seconds"), timeout);
        }
        if let Some(Ok(mut token)) = job.bearer_token.as_ref().map(|t| HeaderValue::from_str(&format!("Bearer {t}"))) {
            token.set_sensitive(true);
            request = request.header(AUTHORIZATION, token);
        }
        request
    }

    pub(super) fn take(&mut self, response: &HttpResponse, slot: Timestamp) -> Taken {
        if response.status != StatusCode::OK {
            return Taken::nothing(format!("server returned HTTP status {}", response.status));
        }
        let page = match ScrapedPage::of(response) {
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
        };
        let result = page.read(&mut sink);
        let problem = match result {
            Err(problem) => Some(problem),
            Ok(_) if sink.over_limit() => {
                let (samples, limit) = (sink.samples, sink.target.job.sample_limit);
                Some(format!("sample limit exceeded: expected at most {limit} samples (sample_limit), found {samples}"))
            }
            Ok(_) => None,
        };
        let (samples, kept, duplicates, refused) = (sink.samples, sink.kept, sink.duplicates, sink.refused);
        drop(metadata);
        if problem.is_none() {
            self.cache.finish(&*self.shared.intern);
            self.shared.counters.duplicates.fetch_add(duplicates, Ordering::Relaxed);
            self.shared.counters.refused.fetch_add(refused, Ordering::Relaxed);
        }
        Taken { samples, kept, added: self.cache.added(), problem }
    }
}
