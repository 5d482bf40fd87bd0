//! `/metrics`: one rendering and one compression a tick, however many clients ask.

use std::hash::{Hash as _, Hasher as _};
use std::sync::Arc;

use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use parking_lot::Mutex;

use super::edge::Edge;
use super::error::{ApiError, ErrorKind};
use crate::exposition::{BodyCache, Format, Page, PageFamily, PageSeries, accepts_gzip, negotiate};
use crate::model::Timestamp;
use crate::registry::Latest;
use crate::telemetry::{OwnMetrics, Reading};

/// Series may come between reading the layout and reading the values; they rarely do so twice in a row.
const LAYOUT_TRIES: usize = 4;

/// Renders what the registry and the daemon itself know now.
pub struct MetricsPage {
    latest: Arc<Latest>,
    own: Arc<OwnMetrics>,
    pages: Mutex<Pages>,
    bodies: BodyCache,
}

struct Pages {
    open_metrics: Page,
    text: Page,
    values: Vec<f64>,
}

impl MetricsPage {
    /// A page of these sources.
    pub fn new(latest: Arc<Latest>, own: Arc<OwnMetrics>) -> Self {
        let pages =
            Pages { open_metrics: Page::new(Format::OpenMetrics), text: Page::new(Format::Text), values: Vec::new() };
        Self { latest, own, pages: Mutex::new(pages), bodies: BodyCache::new() }
    }

    /// The body at `now`. Clients that ask within one second, while no value has changed, get the same one.
    pub fn body(&self, format: Format, compressed: bool, now: Timestamp) -> Bytes {
        let mut pages = self.pages.lock();
        let Pages { open_metrics, text, values } = &mut *pages;
        let page = match format {
            Format::OpenMetrics => open_metrics,
            Format::Text => text,
        };
        self.read(page, values);
        let mut hasher = rustc_hash::FxHasher::default();
        now.div_euclid(1000).hash(&mut hasher);
        page.generation().hash(&mut hasher);
        values.iter().for_each(|value| value.to_bits().hash(&mut hasher));
        self.bodies.get(format, compressed, hasher.finish(), |out| page.render(values, &self.own.encode(), out))
    }

    /// The daemon's own values now.
    pub(super) fn own_readings(&self) -> Vec<Reading> {
        self.own.as_samples()
    }

    /// Reads the values, and the layout again when it is not theirs.
    fn read(&self, page: &mut Page, values: &mut Vec<f64>) {
        for _ in 0..LAYOUT_TRIES {
            let (generation, _) = self.latest.read(values);
            if page.generation() == Some(generation) {
                return;
            }
            self.rebuild(page);
        }
    }

    fn rebuild(&self, page: &mut Page) {
        let layout = self.latest.layout();
        let families: Vec<PageFamily<'_>> = layout
            .families
            .iter()
            .map(|family| PageFamily {
                family: &family.family,
                series: family
                    .series
                    .iter()
                    .map(|series| PageSeries { name: &series.name, labels: &series.labels, slot: series.slot })
                    .collect(),
            })
            .collect();
        page.rebuild(layout.generation, &families);
    }
}

/// `/metrics` in the format that the client prefers.
pub(super) async fn page(State(edge): State<Arc<Edge>>, headers: HeaderMap) -> Result<Response, ApiError> {
    let text = |name| headers.get(name).and_then(|value: &HeaderValue| value.to_str().ok()).unwrap_or("");
    let format = negotiate(text(header::ACCEPT));
    let compressed = accepts_gzip(text(header::ACCEPT_ENCODING));
    let now = edge.clock.now();
    let body = tokio::task::spawn_blocking(move || edge.metrics.body(format, compressed, now))
        .await
        .map_err(|error| ApiError::new(ErrorKind::Internal, error.to_string()))?;
    let mut response = body.into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(format.content_type()));
    headers.insert(header::VARY, HeaderValue::from_static("accept, accept-encoding"));
    if compressed {
        headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    }
    Ok(response)
}
