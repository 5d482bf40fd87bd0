//! What the edge counts.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};

use axum::http::StatusCode;
use parking_lot::Mutex;

use crate::model::{FamilyDesc, MetricKind};
use crate::telemetry::{OwnSource, Readings};

static REQUESTS: FamilyDesc = FamilyDesc {
    name: "watchfire_http_requests_total",
    kind: MetricKind::Counter,
    unit: "",
    help: "HTTP requests by route and status code.",
    labels: &["handler", "code"],
    max_series: 500,
};
static SOCKETS: FamilyDesc = FamilyDesc {
    name: "watchfire_http_sockets",
    kind: MetricKind::Gauge,
    unit: "",
    help: "WebSockets that are open.",
    labels: &[],
    max_series: 1,
};
static RESYNCS: FamilyDesc = FamilyDesc {
    name: "watchfire_http_live_resyncs_total",
    kind: MetricKind::Counter,
    unit: "",
    help: "Times that a page was too slow for the live stream and was told to read the history again.",
    labels: &[],
    max_series: 1,
};

/// Routes come from the table and codes from a short list; more than this cannot be, so the rest is left out.
const MAX_PAIRS: usize = 500;

/// Requests by route and code, and what the streams count.
#[derive(Debug, Default)]
pub struct HttpCounters {
    requests: Mutex<BTreeMap<(String, u16), u64>>,
    /// WebSockets that are open.
    pub sockets: AtomicU64,
    /// Times that a stream told its page to read the history again.
    pub resyncs: AtomicU64,
}

impl HttpCounters {
    pub(super) fn count(&self, route: &str, status: StatusCode) {
        let mut requests = self.requests.lock();
        let key = (route.to_owned(), status.as_u16());
        if requests.len() < MAX_PAIRS || requests.contains_key(&key) {
            *requests.entry(key).or_default() += 1;
        }
    }
}

impl OwnSource for HttpCounters {
    fn read(&self, out: &mut Readings) {
        for ((route, code), count) in self.requests.lock().iter() {
            out.add_with(&REQUESTS, &[route, &code.to_string()], *count as f64);
        }
        out.add(&SOCKETS, self.sockets.load(Ordering::Relaxed) as f64);
        out.add(&RESYNCS, self.resyncs.load(Ordering::Relaxed) as f64);
    }
}
