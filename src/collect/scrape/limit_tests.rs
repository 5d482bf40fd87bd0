//! Targets beside a series table with limits, and what they give back.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::fake::{Pages, Recorder, serve, set};
use super::run::{Scrape, Shared};
use super::target::Target;
use super::{ScrapeConfig, ScrapeCounters, TargetGroup};
use crate::clock::{Clock, ManualClock};
use crate::model::Intern;
use crate::registry::{RegistryConfig, SeriesLimits, SeriesTable};

struct Bench {
    table: Arc<SeriesTable>,
    clock: ManualClock,
    output: Arc<Recorder>,
    counters: Arc<ScrapeCounters>,
    pages: Pages,
    address: String,
}

impl Bench {
    /// A table that keeps series for a minute after their end.
    async fn new(series: u32, series_per_family: u32) -> Self {
        let clock = ManualClock::new(1_000_000);
        let limits = SeriesLimits { series, series_per_family };
        let config = RegistryConfig { limits, keep: Duration::from_secs(60), ..RegistryConfig::default() };
        let table = Arc::new(SeriesTable::with_clock(config, Clock::Manual(clock.clone())));
        let (address, pages) = serve().await;
        let address = address.to_string();
        Self { table, clock, output: Arc::default(), counters: Arc::default(), pages, address }
    }

    fn target(&self, interval: Duration, change: impl FnOnce(&mut ScrapeConfig)) -> Scrape {
        let target = TargetGroup { addresses: vec![self.address.clone()], ..TargetGroup::default() };
        let mut job = ScrapeConfig {
            job_name: "app".to_owned(),
            static_configs: vec![target],
            interval,
            honor_labels: true,
            ..ScrapeConfig::default()
        };
        change(&mut job);
        let shared = Shared {
            forbidden: Arc::default(),
            client: Arc::default(),
            clock: Clock::Manual(self.clock.clone()),
            intern: Arc::clone(&self.table) as _,
            output: Arc::clone(&self.output) as _,
            counters: Arc::clone(&self.counters),
        };
        Scrape::new(shared, Target::all(std::slice::from_ref(&job)).remove(0))
    }

    /// One scrape of a page, and the samples of it that were taken, without the report.
    async fn scrape(&self, scrape: &mut Scrape, status: u16, page: &str) -> Vec<String> {
        set(&self.pages, "/metrics", status, "text/plain", page);
        self.clock.advance(Duration::from_secs(1));
        scrape.scrape(Clock::Manual(self.clock.clone()).now()).await;
        self.table.sweep();
        let batches = self.output.batches.lock();
        let floats = batches.last().map(|batch| batch.floats.clone()).unwrap_or_default();
        let line = |(series, value): &(_, f64)| {
            let labels = self.table.labels(*series).expect("what is appended is known");
            (!labels.metric_name().starts_with("scrape_") && labels.metric_name() != "up")
                .then(|| format!("{}{} {value}", labels.metric_name(), labels.get("x")))
        };
        floats.iter().filter_map(line).collect()
    }
}

#[tokio::test]
async fn a_page_over_the_limit_keeps_its_other_samples() {
    let bench = Bench::new(100, 2).await;
    let mut target = bench.target(Duration::from_secs(1), |_| ());
    let page = "a{x=\"1\"} 1\na{x=\"2\"} 2\na{x=\"3\"} 3\nb 4\na{x=\"4\"} 5\n";
    for round in 1..10 {
        assert_eq!(bench.scrape(&mut target, 200, page).await, ["a1 1", "a2 2", "b 4"]);
        assert_eq!(bench.counters.refused.load(Ordering::Relaxed), 2 * round);
    }
    assert_eq!(bench.table.full_families(), [("a".to_owned(), 2)]);
    let refusals = bench.table.counters().refused_family_limit.load(Ordering::Relaxed);
    assert_eq!(refusals, 2, "the table is not asked again for every page");
    // One ends: after its time in the cache and in the table the next one gets its place.
    let page = "a{x=\"2\"} 2\na{x=\"3\"} 3\nb 4\n";
    let mut taken = Vec::new();
    for _ in 0..400 {
        taken = bench.scrape(&mut target, 200, page).await;
    }
    assert_eq!(taken, ["a2 2", "a3 3", "b 4"]);
}

#[tokio::test]
async fn a_label_that_never_repeats_fills_its_family_and_no_more() {
    let bench = Bench::new(2_000, 500).await;
    let mut target = bench.target(Duration::from_secs(1), |_| ());
    let mut taken_of_churn = 0;
    for round in 0..200 {
        let churn: String = (0..20).map(|i| format!("a{{x=\"{round}-{i}\"}} 1\n")).collect();
        let taken = bench.scrape(&mut target, 200, &format!("{churn}b 1\n")).await;
        assert_eq!(taken.last().map(String::as_str), Some("b 1"), "who behaves is not harmed");
        taken_of_churn += taken.len() - 1;
        assert!(bench.table.len() <= 500 + 6, "{}", bench.table.len());
    }
    // Some 190 seconds of cache and table: 500 places go round about once.
    assert!((500..1_500).contains(&taken_of_churn), "{taken_of_churn}");
    assert!(bench.counters.refused.load(Ordering::Relaxed) > 2_000);
}

#[tokio::test]
async fn a_target_that_stays_away_gives_its_series_back() {
    let bench = Bench::new(100, 100).await;
    // At five minutes a quarter of an hour is three scrapes.
    let mut target = bench.target(Duration::from_secs(300), |_| ());
    let page = "a{x=\"1\"} 1\na{x=\"2\"} 2\n";
    bench.scrape(&mut target, 200, page).await;
    for _ in 0..3 {
        assert!(bench.scrape(&mut target, 500, page).await.is_empty());
        assert_eq!(bench.table.held(), 5 + 2);
    }
    bench.scrape(&mut target, 500, page).await;
    assert_eq!(bench.table.held(), 5, "the report stays");
    assert_eq!(bench.scrape(&mut target, 200, page).await, ["a1 1", "a2 2"]);
    // A series that is gone from the page leaves as soon.
    for _ in 0..8 {
        bench.scrape(&mut target, 200, "a{x=\"1\"} 1\n").await;
    }
    assert_eq!(bench.table.held(), 5 + 1);
}

#[tokio::test]
async fn a_series_of_two_targets_lives_as_long_as_one_of_them() {
    let bench = Bench::new(100, 100).await;
    let named = |job: &mut ScrapeConfig, name: &str| job.job_name = name.to_owned();
    let mut one = bench.target(Duration::from_secs(1), |job| named(job, "one"));
    let mut two = bench.target(Duration::from_secs(1), |job| named(job, "two"));
    // The page states all of its labels, so both have the same series; one of the lines is another spelling.
    let page = "a{job=\"j\",instance=\"i\",x=\"1\"} 1\na{x=\"1\",instance=\"i\",job=\"j\"} 9\n";
    assert_eq!(bench.scrape(&mut one, 200, page).await, ["a1 1"]);
    assert_eq!(bench.scrape(&mut two, 200, page).await, ["a1 1"]);
    assert_eq!(bench.table.held(), 2 * 5 + 1);
    one.end();
    bench.clock.advance(Duration::from_secs(3_600));
    assert_eq!(bench.scrape(&mut two, 200, page).await, ["a1 1"], "the other one holds it");
    two.end();
    bench.clock.advance(Duration::from_secs(3_600));
    bench.table.sweep();
    assert!(bench.table.is_empty());
}

#[tokio::test]
async fn timed_samples_of_a_page_travel_together() {
    let bench = Bench::new(20_000, 20_000).await;
    let mut target = bench.target(Duration::from_secs(1), |job| job.track_timestamps_staleness = true);
    let page: String = (0..5_000).map(|index| format!("a{{x=\"{index}\"}} 1 1500\n")).collect();
    bench.scrape(&mut target, 200, &page).await;
    let found = || (bench.output.irregular.lock().len(), bench.output.irregular_loads.load(Ordering::Relaxed));
    assert_eq!(found(), (5_000, 1));
    bench.scrape(&mut target, 200, "").await;
    assert_eq!(found(), (10_000, 2), "so do their stale markers");
}

#[tokio::test]
async fn another_spelling_of_a_series_goes_on() {
    let bench = Bench::new(100, 100).await;
    let mut target = bench.target(Duration::from_secs(1), |_| {});
    let pages: &[(&str, &[&str])] = &[
        ("a{x=\"1\",y=\"2\"} 1\n", &["a1 1"]),
        ("a{y=\"2\",x=\"1\"} 2\n", &["a1 2"]),
        ("a{x=\"1\",y=\"2\"} 3\n", &["a1 3"]),
        ("a{x=\"1\",y=\"2\",} 4\n", &["a1 4"]),
        // The first line of a page wins, whoever held the series.
        ("a{x=\"1\",y=\"2\"} 5\na{x=\"1\",y=\"2\",} 6\na{y=\"2\",x=\"1\"} 7\n", &["a1 5"]),
        ("a{y=\"2\",x=\"1\"} 8\na{x=\"1\",y=\"2\"} 9\n", &["a1 8"]),
    ];
    for (page, expected) in pages {
        assert_eq!(bench.scrape(&mut target, 200, page).await, *expected, "{page}");
    }
    assert_eq!(bench.counters.refused.load(Ordering::Relaxed), 0);
    assert_eq!(bench.counters.duplicates.load(Ordering::Relaxed), 3);
    assert_eq!(bench.table.held(), 5 + 1);
    // Timestamps go along: what was taken is not taken again.
    for page in ["b{x=\"1\",y=\"2\"} 1 1500\n", "b{y=\"2\",x=\"1\"} 1 1500\n", "b{y=\"2\",x=\"1\"} 1 1600\n"] {
        bench.scrape(&mut target, 200, page).await;
    }
    let times: Vec<_> = bench.output.irregular.lock().iter().map(|item| item.samples[0].ts).collect();
    assert_eq!(times, [1_500, 1_600]);
    target.end();
    assert_eq!(bench.table.held(), 0);
}

#[tokio::test]
async fn created_lines_past_the_limit_say_nothing() {
    let bench = Bench::new(100, 100).await;
    let mut target = bench.target(Duration::from_secs(1), |job| job.sample_limit = 50);
    let page = format!("{}{}# EOF\n", "foo_total 1\n".repeat(50), "foo_created 1\n".repeat(100));
    let kind = "application/openmetrics-text; version=1.0.0";
    let headers = hyper::header::HeaderMap::from_iter([(
        hyper::header::CONTENT_TYPE,
        hyper::header::HeaderValue::from_static(kind),
    )]);
    let response = crate::net::HttpResponse { status: hyper::StatusCode::OK, headers, body: page.into() };
    target.take(&response, 1_000);
    assert_eq!(target.batch().start_ts.len(), 0);
}

#[tokio::test]
async fn pages_over_their_limit_do_not_pile_up() {
    let bench = Bench::new(20_000, 20_000).await;
    let mut target = bench.target(Duration::from_secs(1), |job| job.sample_limit = 600);
    for round in 0..12 {
        let page: String = (0..700).map(|index| format!("a{{x=\"{round}-{index}\"}} 1\n")).collect();
        bench.scrape(&mut target, 200, &page).await;
    }
    assert!(bench.table.held() < 2_500, "{} series are held", bench.table.held());
}
