use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::fake::{Recorder, serve, set};
use super::run::{Scrape, Shared};
use super::target::Target;
use super::{Health, HttpSd, ScrapeConfig, Scraper, TargetGroup};
use crate::clock::Clock;
use crate::model::{Intern, MetricKind};
use crate::net::{ClientConfig, Secret};

const REPORT: [&str; 5] = [
    "up",
    "scrape_duration_seconds",
    "scrape_samples_scraped",
    "scrape_samples_post_metric_relabeling",
    "scrape_series_added",
];

fn job(address: &str) -> ScrapeConfig {
    let target = TargetGroup {
        addresses: vec![address.to_owned()],
        labels: vec![("zone".to_owned(), "a".to_owned())],
        ..TargetGroup::default()
    };
    ScrapeConfig { job_name: "app".to_owned(), static_configs: vec![target], ..ScrapeConfig::default() }
}

fn scrape(recorder: &Arc<Recorder>, job: &ScrapeConfig) -> Scrape {
    let shared = Shared {
        forbidden: Arc::default(),
        client: Arc::default(),
        clock: Clock::System,
        intern: Arc::clone(recorder) as _,
        output: Arc::clone(recorder) as _,
        counters: Arc::default(),
    };
    Scrape::new(shared, Target::all(std::slice::from_ref(job)).remove(0))
}

/// One scrape of a page; instance and zone are cut from the lines.
async fn once(change: impl FnOnce(&mut ScrapeConfig), kind: &str, page: &str) -> (Vec<String>, Vec<String>, String) {
    let (address, pages) = serve().await;
    set(&pages, "/metrics", 200, kind, page);
    let mut job = job(&address.to_string());
    change(&mut job);
    let recorder = Arc::new(Recorder::default());
    let mut scrape = scrape(&recorder, &job);
    scrape.scrape(5_000).await;
    let cut = |lines: Vec<String>| {
        let tail = format!("instance=\"{address}\", job=\"app\"");
        lines.into_iter().map(|line| line.replace(&tail, "T").replace(", zone=\"a\"", "")).collect::<Vec<_>>()
    };
    let error = scrape.status().view.lock().last_error.clone();
    (cut(recorder.last(&REPORT)), cut(recorder.irregular_lines()), error)
}

#[tokio::test]
async fn pages_become_samples() {
    let cases: &[(&str, &str, &[&str], &[&str])] = &[
        ("text/plain", "a 1\nb{x=\"1\"} 2", &["a{T} 1", "b{T, x=\"1\"} 2"], &[]),
        ("text/plain", "a{job=\"mine\"} 1", &["a{exported_job=\"mine\", T} 1"], &[]),
        (
            "text/plain",
            "a{job=\"x\",exported_job=\"y\"} 1",
            &["a{exported_exported_job=\"x\", exported_job=\"y\", T} 1"],
            &[],
        ),
        ("text/plain", "a 1\na 2\na{} 3", &["a{T} 1"], &[]),
        ("text/plain", "a 1 1500\nb 2", &["b{T} 2"], &["a{T} 1 @1500"]),
        // Timestamps tell lines of one series apart; what is out of order or repeats a time is left out.
        (
            "text/plain",
            "a 1 1500\na 2 1600\na 3 1600\na 4 1550\na 5 1700",
            &[],
            &["a{T} 1 @1500", "a{T} 2 @1600", "a{T} 5 @1700"],
        ),
        (
            "application/openmetrics-text; version=1.0.0",
            "# TYPE a counter\na_total 1 1.5\na_created 3\n# EOF",
            &["a_created{T} 3"],
            &["a_total{T} 1 @1500"],
        ),
        ("", "a 1", &["a{T} 1"], &[]),
    ];
    for (kind, page, floats, irregular) in cases {
        let (found, found_irregular, error) = once(|_| {}, kind, page).await;
        assert_eq!((found, found_irregular, error.as_str()), (strings(floats), strings(irregular), ""), "{page}");
    }
    let (found, _, _) = once(|job| job.honor_labels = true, "", "a{job=\"mine\"} 1").await;
    assert_eq!(found.len(), 1);
    assert!(found[0].contains("job=\"mine\"") && !found[0].contains("exported"), "{found:?}");
    let (found, _, _) = once(|job| job.honor_labels = true, "", "a{instance=\"\",zone=\"\"} 1").await;
    assert_eq!(found, ["a{job=\"app\"} 1"]);
    let (found, irregular, _) = once(|job| job.honor_timestamps = false, "", "a 1 1500").await;
    assert_eq!((found, irregular.len()), (strings(&["a{T} 1"]), 0));
}

#[tokio::test]
async fn bounds_are_spelled_in_one_way() {
    // As Prometheus 3 does: by the type that was stated last, whatever the family's name.
    let page = "# TYPE h histogram\nh_bucket{le=\"1\"} 1\nh_bucket{le=\"1.0\"} 1\nh_bucket{le=\"10000000\",quantile=\"1\"} 2\n\
                h_bucket{le=\"x\"} 3\nh_bucket{le=\"+Inf\"} 4\n# TYPE s summary\ns{quantile=\"1\",le=\"1\"} 5\n\
                # TYPE g gauge\ng{le=\"1\",quantile=\"1\"} 6\n";
    let expected = [
        "g{T, le=\"1\", quantile=\"1\"} 6",
        "h_bucket{T, le=\"+Inf\"} 4",
        "h_bucket{T, le=\"1.0\"} 1",
        "h_bucket{T, le=\"1e+07\", quantile=\"1\"} 2",
        "h_bucket{T, le=\"x\"} 3",
        "s{T, le=\"1\", quantile=\"1.0\"} 5",
    ];
    for (kind, end) in [("text/plain", ""), ("application/openmetrics-text", "# EOF\n")] {
        let (found, _, error) = once(|_| {}, kind, &format!("{page}{end}")).await;
        assert_eq!((found, error.as_str()), (strings(&expected), ""), "{kind}");
    }
    let (found, _, _) = once(|_| {}, "text/plain", "h_bucket{le=\"1\"} 1").await;
    assert_eq!(found, ["h_bucket{T, le=\"1\"} 1"], "without a type nothing is known");
}

/// The histograms of a page, one line each: series, schema, bounds, counts, count, sum.
async fn histograms(change: impl FnOnce(&mut ScrapeConfig), kind: &str, page: &str) -> (Vec<String>, Vec<String>) {
    let (address, pages) = serve().await;
    set(&pages, "/metrics", 200, kind, page);
    let mut job = ScrapeConfig { custom_histograms: true, ..job(&address.to_string()) };
    change(&mut job);
    let recorder = Arc::new(Recorder::default());
    let mut scrape = scrape(&recorder, &job);
    for slot in [1_000, 2_000] {
        scrape.scrape(slot).await;
    }
    let error = scrape.status().view.lock().last_error.clone();
    assert_eq!(error, "");
    let cut =
        |text: String| text.replace(&format!("instance=\"{address}\", job=\"app\""), "T").replace(", zone=\"a\"", "");
    let batches = recorder.batches.lock();
    let last = batches.last().expect("scraped");
    let line = |(series, one): &(_, Arc<crate::model::Histogram>)| {
        let labels = recorder.labels(*series).unwrap_or_default().to_string();
        cut(format!("{labels} {:?} {:?} {} {}", one.custom_values, one.positive, one.count, one.sum))
    };
    let found = last.histograms.iter().map(line).collect();
    drop(batches);
    (found, recorder.last(&REPORT).into_iter().map(cut).collect())
}

#[tokio::test]
async fn classic_histograms_become_native_ones_when_asked() {
    let page = "# TYPE h histogram\nh_bucket{x=\"1\",le=\"1\"} 1\nh_bucket{x=\"1\",le=\"2\"} 3\nh_bucket{le=\"+Inf\",x=\"1\"} 4\n\
                h_sum{x=\"1\"} 5.5\nh_count{x=\"1\"} 4\nh_bucket{x=\"2\",le=\"+Inf\"} 0\nh_sum{x=\"2\"} 0\nh_count{x=\"2\"} 0\n\
                # TYPE bad histogram\nbad_bucket{le=\"1\"} 5\nbad_bucket{le=\"+Inf\"} 4\nbad_count 4\n\
                # TYPE g gauge\ng 1\nh_bucket{le=\"1\"} 1\n# TYPE u_p histogram\nu_p_bucket{le=\"1\"} 1\nu_p_count 2\nu_p_sum 3\n\
                # TYPE d histogram\nd_bucket{le=\"1\"} 1\nd_bucket{le=\"1.0\"} 1\nd_bucket{le=\"+Inf\"} 2\nd_sum 3\nd_count 2\n\
                # TYPE o histogram\no_sum 7\n";
    // A bound that comes twice counts once; a sum alone is no histogram.
    let expected = [
        "h{T, x=\"1\"} [1.0, 2.0] [1.0, 2.0, 1.0] 4 5.5",
        "h{T, x=\"2\"} [] [0.0] 0 0",
        "u_p{T} [1.0] [1.0, 1.0] 2 3",
        "d{T} [1.0] [1.0, 1.0] 2 3",
    ];
    for (kind, end) in [("text/plain", ""), ("application/openmetrics-text", "# EOF\n")] {
        let page = format!("{page}{end}");
        let (found, floats) = histograms(|_| {}, kind, &page).await;
        assert_eq!(found, expected, "{kind}");
        assert_eq!(floats, ["g{T} 1", "h_bucket{T, le=\"1\"} 1"], "{kind}");
        let (found, floats) = histograms(|job| job.always_classic_histograms = true, kind, &page).await;
        assert_eq!(found, expected, "{kind}");
        assert_eq!(floats.len(), 2 + 5 + 3 + 3 + 3 + 4 + 1, "{floats:#?}");
        let (found, _) = histograms(|job| job.custom_histograms = false, kind, &page).await;
        assert!(found.is_empty());
    }
}

fn strings(lines: &[&str]) -> Vec<String> {
    lines.iter().map(|line| (*line).to_owned()).collect()
}

#[tokio::test]
async fn a_bad_page_fails_the_scrape() {
    type Change = fn(&mut ScrapeConfig);
    let cases: &[(Change, &str, &str)] = &[
        (|_| {}, "a 1\nb x", "line 2: expected a value after the series, found \"x\""),
        (|_| {}, "a{b=\"1\" 1", "line 1: expected }"),
        (
            |job| job.sample_limit = 1,
            "a 1\nb 1",
            "sample limit exceeded: expected at most 1 samples (sample_limit), found 2",
        ),
        (|job| job.body_size_limit = 5, "a 1\nb 1", "body size limit exceeded: the answer"),
        (|job| job.metrics_path = "/other".to_owned(), "a 1", "server returned HTTP status 404 Not Found"),
    ];
    for (change, page, expected) in cases {
        let (floats, irregular, error) = once(change, "text/plain", page).await;
        assert!(error.contains(expected), "{page}: {error}");
        assert_eq!((floats.len(), irregular.len()), (0, 0));
    }
}

#[tokio::test]
async fn a_steady_page_interns_nothing_and_a_failure_ends_its_series() {
    let (address, pages) = serve().await;
    let recorder = Arc::new(Recorder::default());
    let mut scrape = scrape(&recorder, &job(&address.to_string()));
    let page = "# HELP a Some \\\\ help.\n# TYPE a counter\na{x=\"1\"} 1\na{x=\"2\"} 2\n";
    set(&pages, "/metrics", 200, "text/plain", page);
    scrape.scrape(1_000).await;
    let interned = recorder.interned.load(Ordering::Relaxed);
    assert_eq!(report(&recorder), [1.0, 2.0, 2.0, 2.0]);
    // Another order and one line less are no new series.
    set(&pages, "/metrics", 200, "text/plain", "a{x=\"2\"} 2\na{x=\"1\"} 1\n");
    scrape.scrape(2_000).await;
    set(&pages, "/metrics", 200, "text/plain", "a{x=\"2\"} 2\n");
    scrape.scrape(3_000).await;
    assert_eq!(recorder.interned.load(Ordering::Relaxed), interned);
    assert_eq!(report(&recorder), [1.0, 1.0, 1.0, 0.0]);
    set(&pages, "/metrics", 500, "text/plain", "");
    scrape.scrape(4_000).await;
    assert_eq!(report(&recorder), [0.0, 0.0, 0.0, 0.0]);
    let status = scrape.status();
    let view = status.view.lock().clone();
    assert_eq!((view.health, view.last_scrape, view.instance), (Health::Down, 4_000, address.to_string()));
    let metadata = status.metadata.lock().list();
    assert_eq!(metadata.len(), 1);
    assert_eq!((metadata[0].0.as_str(), metadata[0].1.kind), ("a", MetricKind::Counter));
    assert_eq!(metadata[0].1.help, "Some \\ help.");
}

/// `up`, scraped, kept and added of the newest batch.
fn report(recorder: &Recorder) -> [f64; 4] {
    let lines = recorder.last(&[]);
    ["up{", "scrape_samples_scraped{", "scrape_samples_post", "scrape_series_added{"].map(|name| {
        let line = lines.iter().find(|line| line.starts_with(name)).expect("reported");
        line.rsplit(' ').next().and_then(|value| value.parse().ok()).expect("a number")
    })
}

#[tokio::test]
async fn failed_pages_count_what_was_read_of_them() {
    // Figures of Prometheus 2.42 on the same pages: up, scraped, after relabeling, added.
    let cases = [
        (200, "a 1\na 2\nb 3", [1.0, 3.0, 3.0, 2.0]),
        (200, "a 1\nthis is } not a page", [0.0, 1.0, 1.0, 1.0]),
        (200, "a{x=\"1\",x=\"2\"} 1", [0.0, 1.0, 0.0, 0.0]),
        (200, "a{__name__=\"x\"} 1", [0.0, 1.0, 0.0, 0.0]),
        (200, "a 1\nb 1\nc 1\nd 1\ne 1", [0.0, 5.0, 5.0, 3.0]),
        (200, "", [1.0, 0.0, 0.0, 0.0]),
        // What is no series at all is not counted.
        (200, "a 1\na-b 1", [0.0, 1.0, 1.0, 1.0]),
        (200, "a 1\nb{x='1'} 1", [0.0, 1.0, 1.0, 1.0]),
        (200, "a 1\nb 1e999", [0.0, 1.0, 1.0, 1.0]),
        (201, "a 1", [0.0; 4]),
        (204, "", [0.0; 4]),
        (206, "a 1", [0.0; 4]),
        (500, "a 1", [0.0; 4]),
    ];
    for (status, page, expected) in cases {
        let (address, pages) = serve().await;
        set(&pages, "/metrics", status, "text/plain", page);
        let recorder = Arc::new(Recorder::default());
        let job = ScrapeConfig { sample_limit: 3, ..job(&address.to_string()) };
        scrape(&recorder, &job).scrape(1_000).await;
        assert_eq!(report(&recorder), expected, "{status} {page:?}");
    }
}

#[tokio::test]
async fn a_histogram_over_the_bucket_limit_does_not_end_the_page() {
    let h = "# TYPE h histogram\nh_bucket{le=\"1\"} 0\nh_bucket{le=\"2\"} 1\nh_bucket{le=\"3\"} 2\nh_bucket{le=\"+Inf\"} 2\nh_sum 3\nh_count 2\n";
    // The limit, what comes after the histogram, the problem, and the report.
    let cases = [
        (2, "# TYPE g gauge\ng 1\ng2 1\n", "", [1.0, 3.0, 3.0, 3.0]),
        (1, "# TYPE g gauge\ng 1\ng2 1\n", "expected at most 1 buckets, h has more", [0.0, 3.0, 3.0, 0.0]),
        (1, "", "expected at most 1 buckets, h has more", [0.0, 1.0, 1.0, 0.0]),
        (1, "# TYPE g gauge\ng 1\nthis is } not a page", "line 10: ", [0.0, 2.0, 2.0, 0.0]),
        (1, "# TYPE g gauge\ng 1\ng2 1\ng3 1\n", "sample limit exceeded", [0.0, 4.0, 4.0, 0.0]),
    ];
    for (limit, after, expected, counts) in cases {
        let (address, pages) = serve().await;
        set(&pages, "/metrics", 200, "text/plain", &format!("{h}{after}"));
        let recorder = Arc::new(Recorder::default());
        let job = ScrapeConfig {
            custom_histograms: true,
            histogram_bucket_limit: limit,
            sample_limit: 3,
            ..job(&address.to_string())
        };
        let mut scrape = scrape(&recorder, &job);
        scrape.scrape(1_000).await;
        let error = scrape.status().view.lock().last_error.clone();
        assert!(error.contains(expected) && error.is_empty() == expected.is_empty(), "{limit} {after:?}: {error}");
        assert_eq!(report(&recorder), counts, "{limit} {after:?}");
    }
}

#[tokio::test]
async fn times_of_a_failed_page_are_given_again() {
    let (address, pages) = serve().await;
    let recorder = Arc::new(Recorder::default());
    let mut scrape = scrape(&recorder, &job(&address.to_string()));
    for (ts, page) in [(1, "a 1 1500\nb x"), (2, "a 1 1500\na 2 1600"), (3, "a 1 1500\na 2 1600\na 3 1700")] {
        set(&pages, "/metrics", 200, "text/plain", page);
        scrape.scrape(ts).await;
    }
    let lines: Vec<String> =
        recorder.irregular_lines().iter().filter_map(|line| Some(line.rsplit_once("} ")?.1.to_owned())).collect();
    assert_eq!(lines, ["1 @1500", "2 @1600", "3 @1700"]);
}

#[tokio::test]
async fn metadata_has_the_names_that_queries_use() {
    for (kind, page, expected) in [
        ("text/plain", "# TYPE a counter\n# TYPE b_total counter\n# TYPE c gauge\n", "a b_total c"),
        (
            "application/openmetrics-text; version=1.0.0",
            "# TYPE a counter\n# TYPE i info\n# TYPE c gauge\n# EOF\n",
            "a_total c i_info",
        ),
    ] {
        let (address, pages) = serve().await;
        set(&pages, "/metrics", 200, kind, page);
        let recorder = Arc::new(Recorder::default());
        let mut scrape = scrape(&recorder, &job(&address.to_string()));
        scrape.scrape(1_000).await;
        let names: Vec<String> = scrape.status().metadata.lock().list().into_iter().map(|(name, _)| name).collect();
        assert_eq!(names.join(" "), expected);
    }
}

#[tokio::test]
async fn gone_series_leave_the_cache() {
    let (address, pages) = serve().await;
    let recorder = Arc::new(Recorder::default());
    let mut scrape = scrape(&recorder, &job(&address.to_string()));
    for round in 0..400i64 {
        set(&pages, "/metrics", 200, "text/plain", &format!("a{{round=\"{round}\"}} 1\n"));
        scrape.scrape(round).await;
    }
    assert!(recorder.living() < 260, "{} series live", recorder.living());
    // A page that is new each time may not pile up until the next regular search.
    for round in 0..8i64 {
        let page: String = (0..500).map(|index| format!("b{{round=\"{round}-{index}\"}} 1\n")).collect();
        set(&pages, "/metrics", 200, "text/plain", &page);
        scrape.scrape(1_000 + round).await;
    }
    assert!(recorder.living() < 3_000, "{} series live", recorder.living());
}

/// Waits for batches until `what` is true.
async fn wait_for(recorder: &Recorder, scraper: &Scraper, what: impl Fn(&Scraper) -> bool) {
    let wait = async {
        loop {
            let pushed = recorder.pushed.notified();
            if what(scraper) {
                return;
            }
            pushed.await;
        }
    };
    let in_time = tokio::time::timeout(Duration::from_secs(10), wait).await;
    assert!(in_time.is_ok(), "{:?}", scraper.views());
}

#[tokio::test]
async fn reload_keeps_what_stays_and_ends_what_goes() {
    let (address, pages) = serve().await;
    set(&pages, "/metrics", 200, "text/plain", "a 1\n");
    set(&pages, "/metrics?x=%26&x=b", 200, "text/plain", "b 1\n");
    let recorder = Arc::new(Recorder::default());
    let runtime = tokio::runtime::Handle::current();
    let (intern, output) = (Arc::clone(&recorder) as _, Arc::clone(&recorder) as _);
    let scraper = Scraper::new(Clock::System, intern, output, runtime);
    let interval = Duration::from_millis(100);
    let first = ScrapeConfig { interval, timeout: interval, ..job(&address.to_string()) };
    let params = vec![("x".to_owned(), vec!["&".to_owned(), "b".to_owned()])];
    let second = ScrapeConfig { job_name: "other".to_owned(), params, ..first.clone() };
    scraper.reload(vec![first.clone(), second.clone()]).await;
    wait_for(&recorder, &scraper, |scraper| scraper.views().iter().all(|view| view.health == Health::Up)).await;
    let views = scraper.views();
    assert_eq!(views.iter().map(|view| view.job.as_str()).collect::<Vec<_>>(), ["app", "other"]);
    assert_eq!(views[1].discovered.get("__param_x"), "&");
    scraper.reload(vec![second.clone()]).await;
    assert_eq!(recorder.ended.lock().len(), 1);
    assert_eq!(scraper.views().len(), 1);
    assert_eq!(scraper.views()[0].health, Health::Up, "what stays keeps its state");
    scraper.shutdown().await;
    assert_eq!(recorder.ended.lock().len(), 2);
    assert_eq!(recorder.living(), 0);
    let batches = recorder.batches.lock();
    let slots: Vec<i64> = batches.iter().filter(|batch| batch.group.0 == 0).map(|batch| batch.ts).collect();
    assert!(slots.windows(2).all(|pair| (pair[1] - pair[0]) % 100 == 0 && pair[1] > pair[0]), "{slots:?}");
}

/// A reload of what does not change who a target is: its series, its health and its group go on.
#[tokio::test]
async fn a_reload_of_interval_timeout_or_credentials_leaves_no_gap() {
    let (address, pages) = serve().await;
    set(&pages, "/metrics", 200, "text/plain", "a 1\n");
    let recorder = Arc::new(Recorder::default());
    let runtime = tokio::runtime::Handle::current();
    let (intern, output) = (Arc::clone(&recorder) as _, Arc::clone(&recorder) as _);
    let scraper = Scraper::new(Clock::System, intern, output, runtime);
    let millis = Duration::from_millis;
    let first = ScrapeConfig { interval: millis(100), timeout: millis(100), ..job(&address.to_string()) };
    let header = ("x-team".parse().expect("a name"), Secret::Inline("b".to_owned()));
    let client = ClientConfig { headers: vec![header], ..ClientConfig::default() };
    scraper.reload(vec![first.clone()]).await;
    wait_for(&recorder, &scraper, |scraper| scraper.views()[0].health == Health::Up).await;
    for changed in [
        ScrapeConfig { interval: millis(200), ..first.clone() },
        ScrapeConfig { interval: millis(200), timeout: millis(150), ..first.clone() },
        ScrapeConfig { client, ..first.clone() },
        first.clone(),
    ] {
        scraper.reload(vec![changed.clone()]).await;
        let view = scraper.views().remove(0);
        assert_eq!((view.health, scraper.views().len()), (Health::Up, 1));
        let seen = recorder.batches.lock().len();
        let interval = crate::model::format_duration(changed.interval);
        wait_for(&recorder, &scraper, |scraper| {
            scraper.views()[0].written.0 == interval && recorder.batches.lock().len() > seen + 1
        })
        .await;
    }
    assert!(recorder.ended.lock().is_empty(), "nothing ended");
    let batches = recorder.batches.lock();
    assert!(batches.iter().all(|batch| batch.group.0 == 0), "one group");
    assert!(batches.iter().all(|batch| batch.floats.len() == batches[0].floats.len()), "no series is missing");
    assert_eq!(pages.lock().len(), 1);
}

#[tokio::test]
async fn who_names_targets_does_not_hear_the_credentials_of_the_job() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("loopback");
    let url = format!("http://{}/sd", listener.local_addr().expect("bound"));
    let header = ("x-team".parse().expect("a name"), Secret::Inline("hunter2".to_owned()));
    let client = ClientConfig { headers: vec![header], ..ClientConfig::default() };
    let http_sd = HttpSd {
        url,
        refresh_interval: Duration::from_secs(60),
        client: ClientConfig::default(),
        follow_redirects: true,
    };
    let job = ScrapeConfig { job_name: "app".to_owned(), http_sd: vec![http_sd], client, ..ScrapeConfig::default() };
    let recorder = Arc::new(Recorder::default());
    let (intern, output) = (Arc::clone(&recorder) as _, Arc::clone(&recorder) as _);
    let scraper = Scraper::new(Clock::System, intern, output, tokio::runtime::Handle::current());
    scraper.reload(vec![job]).await;
    let (mut stream, _) = listener.accept().await.expect("it asks");
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(tokio::io::AsyncReadExt::read_u8(&mut stream).await.expect("a request"));
    }
    let head = String::from_utf8_lossy(&head);
    assert!(head.starts_with("GET /sd") && !head.contains("hunter2"), "{head}");
    scraper.shutdown().await;
}

#[test]
fn configurations_are_checked_all_at_once() {
    let good = ScrapeConfig { job_name: "a".to_owned(), ..ScrapeConfig::default() };
    let bad = ScrapeConfig {
        job_name: "a".to_owned(),
        interval: Duration::from_millis(10),
        timeout: Duration::from_secs(2),
        scheme: "ftp".to_owned(),
        metrics_path: "metrics".to_owned(),
        static_configs: vec![TargetGroup {
            addresses: vec!["http://x/".to_owned()],
            labels: vec![("a-b".to_owned(), String::new())],
            ..TargetGroup::default()
        }],
        legacy_names: true,
        ..ScrapeConfig::default()
    };
    assert_eq!(ScrapeConfig::validate(std::slice::from_ref(&good)), []);
    let problems = ScrapeConfig::validate(&[good, bad]);
    assert_eq!(problems.len(), 6, "{problems:#?}");
}
