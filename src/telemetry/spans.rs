//! Records spans, but only while somebody asked for a trace: at other times no span is even created for it.

use std::fmt::{self, Write as _};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use parking_lot::Mutex;
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id};
use tracing::subscriber::Interest;
use tracing::{Metadata, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::{Context, Filter};
use tracing_subscriber::registry::LookupSpan;

use crate::clock::Stopwatch;

/// Spans of one recording; about 10 MB. Later ones are counted, not kept.
const MAX_SPANS: usize = 100_000;

/// One stay inside a span on one thread.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SpanEvent {
    /// The span's name.
    pub name: &'static str,
    /// Where in the code it is.
    pub target: &'static str,
    /// The span's fields, as `name=value` words.
    pub fields: String,
    /// A number for the thread.
    pub thread: u64,
    /// Microseconds since the recording began.
    pub start_us: u64,
    /// Microseconds spent inside.
    pub duration_us: u64,
}

/// What was recorded.
#[derive(Debug, Default)]
pub struct SpanRecording {
    /// The spans in the order in which they ended.
    pub events: Vec<SpanEvent>,
    /// Spans that no longer fitted.
    pub dropped: u64,
}

/// Starts recordings; clones share them.
#[derive(Debug, Clone, Default)]
pub struct SpanRecorder(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    active: AtomicBool,
    running: Mutex<Option<Running>>,
}

#[derive(Debug)]
struct Running {
    watch: Stopwatch,
    recording: SpanRecording,
}

/// A recording under way; it ends when this is dropped.
#[derive(Debug)]
pub struct Recording(SpanRecorder);

impl SpanRecorder {
    /// Begins a recording; one that runs already is thrown away.
    pub fn start(&self) -> Recording {
        *self.0.running.lock() = Some(Running { watch: Stopwatch::start(), recording: SpanRecording::default() });
        self.0.active.store(true, Ordering::Release);
        tracing::callsite::rebuild_interest_cache();
        Recording(self.clone())
    }

    fn is_active(&self) -> bool {
        self.0.active.load(Ordering::Acquire)
    }

    /// The layer that records, for the one subscriber of the process.
    pub(super) fn layer<S>(&self) -> impl Layer<S> + Send + Sync
    where
        S: Subscriber + for<'a> LookupSpan<'a>,
    {
        RecordLayer(self.clone()).with_filter(OnlyWhileActive(self.clone()))
    }
}

impl Recording {
    /// Ends the recording and gives what was recorded.
    pub fn finish(self) -> SpanRecording {
        self.0.0.running.lock().take().map(|running| running.recording).unwrap_or_default()
    }
}

impl Drop for Recording {
    fn drop(&mut self) {
        self.0.0.active.store(false, Ordering::Release);
        *self.0.0.running.lock() = None;
        tracing::callsite::rebuild_interest_cache();
    }
}

struct OnlyWhileActive(SpanRecorder);

impl<S> Filter<S> for OnlyWhileActive {
    fn enabled(&self, metadata: &Metadata<'_>, _: &Context<'_, S>) -> bool {
        metadata.is_span() && self.0.is_active()
    }

    fn callsite_enabled(&self, metadata: &'static Metadata<'static>) -> Interest {
        if metadata.is_span() && self.0.is_active() { Interest::sometimes() } else { Interest::never() }
    }
}

struct RecordLayer(SpanRecorder);

/// When the span was entered last; kept with the span.
struct Entered(Stopwatch);

/// What a span was created with.
struct Fields(String);

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        let separator = if self.0.is_empty() { "" } else { " " };
        let _ = write!(self.0, "{separator}{}={value:?}", field.name());
    }
}

impl<S> Layer<S> for RecordLayer
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        if let Some(span) = context.span(id) {
            let mut fields = Fields(String::new());
            attributes.record(&mut fields);
            span.extensions_mut().replace(fields);
        }
    }

    fn on_enter(&self, id: &Id, context: Context<'_, S>) {
        if let Some(span) = context.span(id) {
            span.extensions_mut().replace(Entered(Stopwatch::start()));
        }
    }

    fn on_exit(&self, id: &Id, context: Context<'_, S>) {
        let Some(span) = context.span(id) else { return };
        let Some(Entered(entered)) = span.extensions_mut().remove::<Entered>() else { return };
        let fields = span.extensions().get::<Fields>().map(|fields| fields.0.clone()).unwrap_or_default();
        let inside = entered.elapsed();
        let mut running = self.0.0.running.lock();
        let Some(Running { watch, recording }) = running.as_mut() else { return };
        if recording.events.len() >= MAX_SPANS {
            recording.dropped += 1;
            return;
        }
        recording.events.push(SpanEvent {
            name: span.name(),
            target: span.metadata().target(),
            fields,
            thread: thread_number(),
            start_us: micros(watch.elapsed().saturating_sub(inside)),
            duration_us: micros(inside),
        });
    }
}

fn micros(duration: std::time::Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

/// Numbers threads in the order in which they first record.
fn thread_number() -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    thread_local!(static NUMBER: u64 = NEXT.fetch_add(1, Ordering::Relaxed));
    NUMBER.with(|number| *number)
}

#[cfg(test)]
mod tests {
    use tracing_subscriber::layer::SubscriberExt;

    use super::SpanRecorder;

    #[test]
    fn records_only_while_asked() {
        let recorder = SpanRecorder::default();
        let subscriber = tracing_subscriber::registry().with(recorder.layer());
        tracing::subscriber::with_default(subscriber, || {
            let visit = || tracing::info_span!("visit", room = 3).in_scope(|| ());
            visit();
            let recording = recorder.start();
            visit();
            visit();
            let recorded = recording.finish();
            visit();
            assert_eq!(recorded.events.len(), 2);
            assert_eq!((recorded.events[0].name, recorded.events[0].fields.as_str()), ("visit", "room=3"));
        });
    }
}
