//! A small server and a recording output for tests.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use parking_lot::Mutex;
use rustc_hash::FxHashMap;
use tokio::net::TcpListener;
use tokio::sync::Notify;

use crate::model::{
    Batch, GroupId, Intern, Irregular, IrregularSample, Labels, Output, SeriesKey, SeriesRef, SourceId, Timestamp,
    Value,
};

/// Status, Content-Type and body by path; whoever holds it may change the answers.
pub(crate) type Pages = Arc<Mutex<FxHashMap<String, (u16, String, String)>>>;

/// Starts a server on a free port; it lives as long as the runtime of the test.
pub(crate) async fn serve() -> (SocketAddr, Pages) {
    let pages = Pages::default();
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback");
    let address = listener.local_addr().expect("bound");
    let shared = Arc::clone(&pages);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let pages = Arc::clone(&shared);
            tokio::spawn(async move {
                let service = service_fn(move |request: Request<hyper::body::Incoming>| {
                    let answer = answer(&pages, &request);
                    async move { Ok::<_, Infallible>(answer) }
                });
                let _ =
                    hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
            });
        }
    });
    (address, pages)
}

fn answer(pages: &Pages, request: &Request<hyper::body::Incoming>) -> Response<Full<Bytes>> {
    let path = request.uri().path_and_query().map_or("", |path| path.as_str());
    let (status, kind, body) = pages.lock().get(path).cloned().unwrap_or((404, String::new(), String::new()));
    let response = Response::builder().status(status).header("content-type", kind);
    response.body(Full::new(body.into())).expect("a valid answer")
}

pub(crate) fn set(pages: &Pages, path: &str, status: u16, kind: &str, body: &str) {
    pages.lock().insert(path.to_owned(), (status, kind.to_owned(), body.to_owned()));
}

/// Interns by labels and keeps what was pushed.
#[derive(Default)]
pub(crate) struct Recorder {
    /// By reference: the labels while somebody holds them, and how often.
    series: Mutex<Vec<(Option<Labels>, u32)>>,
    pub(crate) batches: Mutex<Vec<Batch>>,
    pub(crate) irregular: Mutex<Vec<Irregular>>,
    /// Calls that brought them.
    pub(crate) irregular_loads: AtomicU32,
    pub(crate) ended: Mutex<Vec<GroupId>>,
    /// How often a series was looked up.
    pub(crate) interned: AtomicU32,
    /// Wakes who waits for the next batch.
    pub(crate) pushed: Notify,
    next: AtomicU32,
}

impl Recorder {
    pub(crate) fn living(&self) -> usize {
        self.series.lock().iter().filter(|(_, holders)| *holders > 0).count()
    }

    /// The newest batch as text: one sorted line a sample, the given names left out.
    pub(crate) fn last(&self, leave_out: &[&str]) -> Vec<String> {
        let batches = self.batches.lock();
        let floats = batches.last().map(|batch| batch.floats.clone()).unwrap_or_default();
        let labels = |series| self.labels(series).unwrap_or_default();
        let mut lines: Vec<String> = floats
            .iter()
            .filter(|(series, _)| !leave_out.contains(&labels(*series).metric_name()))
            .map(|(series, value)| format!("{} {value}", labels(*series)))
            .collect();
        lines.sort();
        lines
    }

    pub(crate) fn irregular_lines(&self) -> Vec<String> {
        let lines = |item: &Irregular| {
            let labels = self.labels(item.series).unwrap_or_default();
            let line = |sample: &IrregularSample| {
                format!("{labels} {} @{}", sample.value.as_float().unwrap_or(f64::NAN), sample.ts)
            };
            item.samples.iter().map(line).collect::<Vec<_>>()
        };
        self.irregular.lock().iter().flat_map(lines).collect()
    }
}

impl Intern for Recorder {
    fn intern(&self, key: SeriesKey<'_>) -> Option<SeriesRef> {
        self.interned.fetch_add(1, Ordering::Relaxed);
        let labels = key.to_labels();
        let mut series = self.series.lock();
        if let Some(at) = series.iter().position(|(known, _)| known.as_ref() == Some(&labels)) {
            series[at].1 += 1;
            return Some(SeriesRef(at as u32));
        }
        series.push((Some(labels), 1));
        Some(SeriesRef(series.len() as u32 - 1))
    }

    fn release(&self, refs: &[SeriesRef]) {
        let mut series = self.series.lock();
        for one in refs {
            let (labels, holders) = &mut series[one.0 as usize];
            *holders = holders.checked_sub(1).expect("given back as often as it was got");
            if *holders == 0 {
                *labels = None;
            }
        }
    }

    fn labels(&self, series: SeriesRef) -> Option<Labels> {
        self.series.lock().get(series.0 as usize).and_then(|(labels, _)| labels.clone())
    }
}

impl Output for Recorder {
    fn register_group(&self, _: &str) -> GroupId {
        GroupId(self.next.fetch_add(1, Ordering::Relaxed))
    }

    fn push(&self, batch: Batch) {
        self.batches.lock().push(batch);
        self.pushed.notify_waiters();
    }

    fn push_irregular(&self, items: Vec<Irregular>) {
        assert!(items.iter().flat_map(|item| &item.samples).all(|sample| matches!(sample.value, Value::Float(_))));
        self.irregular_loads.fetch_add(u32::from(!items.is_empty()), Ordering::Relaxed);
        self.irregular.lock().extend(items);
    }

    fn end_group(&self, group: GroupId, _: Timestamp) {
        self.ended.lock().push(group);
    }

    fn register_source(&self, _: Duration, _: Duration) -> SourceId {
        SourceId(0)
    }

    fn unregister_source(&self, _: SourceId) {}

    fn done(&self, _: SourceId, _: Timestamp) {}
}
