//! The daemon's own metrics, on prometheus-client's registry.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};

use parking_lot::RwLock;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric, MetricEncoder, text};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::{Registry, Unit};

use super::{BUILD, OwnSource, Reading, Readings};
use crate::model::{FamilyDesc, MetricKind, Timestamp};

const fn own(
    name: &'static str,
    kind: MetricKind,
    unit: &'static str,
    help: &'static str,
    labels: &'static [&'static str],
) -> FamilyDesc {
    FamilyDesc { name, kind, unit, help, labels, max_series: 1 }
}

static BUILD_INFO: FamilyDesc = own(
    "watchfire_build_info",
    MetricKind::Info,
    "",
    "What this build is.",
    &["version", "revision", "rustversion", "os", "arch"],
);
static DEMO: FamilyDesc =
    own("watchfire_demo", MetricKind::Gauge, "", "Whether the numbers are made up (--demo) and not measured.", &[]);
static RELOAD_OK: FamilyDesc = own(
    "watchfire_config_last_reload_successful",
    MetricKind::Gauge,
    "",
    "Whether the last attempt to read the configuration was successful.",
    &[],
);
static RELOAD_TIME: FamilyDesc = own(
    "watchfire_config_last_reload_success_timestamp_seconds",
    MetricKind::Gauge,
    "seconds",
    "When the configuration was last read with success.",
    &[],
);

/// The families that telemetry itself declares.
pub static OWN_FAMILIES: [&FamilyDesc; 4] = [&BUILD_INFO, &DEMO, &RELOAD_OK, &RELOAD_TIME];

/// What `/metrics` and the ring show of the daemon itself.
#[derive(Debug)]
pub struct OwnMetrics {
    shared: Arc<Shared>,
    registry: Registry,
}

struct Shared {
    demo: bool,
    reload_ok: AtomicBool,
    reload_at: AtomicI64,
    sources: RwLock<Vec<Arc<dyn OwnSource>>>,
}

impl OwnMetrics {
    /// Metrics of a daemon that measures, or of one that makes its numbers up (`demo`).
    pub fn new(demo: bool) -> Self {
        let shared = Arc::new(Shared {
            demo,
            reload_ok: AtomicBool::new(true),
            reload_at: AtomicI64::new(0),
            sources: RwLock::default(),
        });
        let mut registry = Registry::default();
        registry.register_collector(Box::new(Sources(Arc::clone(&shared))));
        Self { shared, registry }
    }

    /// Adds the counters of a room; a closure over its atomics will do.
    pub fn register(&self, source: Arc<dyn OwnSource>) {
        self.shared.sources.write().push(source);
    }

    /// Notes how a (re)load of the configuration went.
    pub fn config_loaded(&self, successful: bool, now: Timestamp) {
        self.shared.reload_ok.store(successful, Ordering::Relaxed);
        if successful {
            self.shared.reload_at.store(now, Ordering::Relaxed);
        }
    }

    /// Whether the last (re)load worked, and when one last did.
    pub fn last_reload(&self) -> (bool, Timestamp) {
        (self.shared.reload_ok.load(Ordering::Relaxed), self.shared.reload_at.load(Ordering::Relaxed))
    }

    /// The metrics as OpenMetrics text, without the closing `# EOF`.
    pub fn encode(&self) -> String {
        let mut out = String::new();
        // Writing to a string cannot fail; a source whose values cannot be written is a mistake that the test below finds.
        let _ = text::encode_registry(&mut out, &self.registry);
        out
    }

    /// The same values, for the ring and for other text formats: sorted by family and labels.
    pub fn as_samples(&self) -> Vec<Reading> {
        self.shared.readings()
    }

    /// Reads the values again into `out`, in the order of the sources. Whether they are of other series than before.
    pub(super) fn read_again(&self, out: &mut Readings) -> bool {
        out.begin();
        self.shared.read(out);
        out.end()
    }
}

impl Shared {
    fn readings(&self) -> Vec<Reading> {
        let mut out = Readings::default();
        self.read(&mut out);
        out.into_sorted()
    }

    fn read(&self, out: &mut Readings) {
        let build = [BUILD.version, BUILD.revision, BUILD.rust, BUILD.os, BUILD.arch];
        out.add_with(&BUILD_INFO, &build, 1.0);
        out.add(&DEMO, f64::from(u8::from(self.demo)));
        out.add(&RELOAD_OK, f64::from(u8::from(self.reload_ok.load(Ordering::Relaxed))));
        out.add(&RELOAD_TIME, self.reload_at.load(Ordering::Relaxed) as f64 / 1000.0);
        for source in self.sources.read().iter() {
            source.read(out);
        }
    }
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared").field("sources", &self.sources.read().len()).finish_non_exhaustive()
    }
}

#[derive(Debug)]
struct Sources(Arc<Shared>);

impl Collector for Sources {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let readings = self.0.readings();
        for family in readings.chunk_by(|a, b| a.family.name == b.family.name) {
            if let Some(first) = family.first() {
                encode_family(&mut encoder, first.family, family)?;
            }
        }
        Ok(())
    }
}

/// prometheus-client appends unit and type suffixes itself and writes HELP as it is: the name is cut, the help escaped.
fn encode_family(encoder: &mut DescriptorEncoder<'_>, desc: &FamilyDesc, readings: &[Reading]) -> fmt::Result {
    let family = desc.family();
    let help = family.help.replace('\\', "\\\\").replace('\n', "\\n").replace('"', "\\\"");
    let unit = (!family.unit.is_empty()).then(|| Unit::Other(family.unit.to_string()));
    let name = match &unit {
        Some(unit) => family.name.strip_suffix(unit.as_str()).and_then(|name| name.strip_suffix('_')),
        None => Some(&*family.name),
    };
    debug_assert!(name.is_some(), "{} does not end in its unit", desc.name);
    let (name, unit) = match name {
        Some(name) => (name, unit.as_ref()),
        None => (&*family.name, None),
    };
    let kind = match desc.kind {
        MetricKind::Counter => MetricType::Counter,
        MetricKind::Info => MetricType::Info,
        MetricKind::Histogram => MetricType::Histogram,
        _ => MetricType::Gauge,
    };
    let mut metric = encoder.encode_descriptor(name, &help, unit, kind)?;
    for reading in readings {
        if let Some(histogram) = &reading.histogram {
            // The client accumulates the buckets itself.
            let count = reading.value as u64;
            metric.encode_histogram::<[(&str, &str); 0]>(histogram.sum, count, &histogram.buckets, None)?;
            continue;
        }
        let labels: Vec<(&str, &str)> =
            desc.labels.iter().copied().zip(reading.labels.iter().map(String::as_str)).collect();
        encode_value(&mut metric, desc.kind, labels, reading.value)?;
    }
    Ok(())
}

fn encode_value(
    metric: &mut MetricEncoder<'_>,
    kind: MetricKind,
    labels: Vec<(&str, &str)>,
    value: f64,
) -> fmt::Result {
    match kind {
        MetricKind::Info => metric.encode_info(&labels),
        MetricKind::Counter if labels.is_empty() => metric.encode_counter::<[(&str, &str); 0], f64, u64>(&value, None),
        MetricKind::Counter => ConstCounter::new(value).encode(metric.encode_family(&labels)?),
        _ if labels.is_empty() => metric.encode_gauge(&value),
        _ => ConstGauge::new(value).encode(metric.encode_family(&labels)?),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::OwnMetrics;
    use crate::model::{FamilyDesc, MetricKind};
    use crate::telemetry::Readings;

    #[test]
    fn writes_openmetrics() {
        static DROPPED: FamilyDesc = FamilyDesc {
            name: "watchfire_things_dropped_total",
            kind: MetricKind::Counter,
            unit: "",
            help: "Things\nthat were dropped.",
            labels: &["why"],
            max_series: 4,
        };
        static BYTES: FamilyDesc = FamilyDesc {
            name: "watchfire_sent_bytes_total",
            kind: MetricKind::Counter,
            unit: "bytes",
            help: "Bytes sent.",
            labels: &[],
            max_series: 1,
        };
        let own = OwnMetrics::new(false);
        let counter = Arc::new(AtomicU64::new(7));
        let read = Arc::clone(&counter);
        own.register(Arc::new(move |out: &mut Readings| {
            let value = read.load(Ordering::Relaxed) as f64;
            out.add_with(&DROPPED, &["queue \"full\""], value);
            out.add_with(&DROPPED, &["b"], 1.0);
            out.add(&BYTES, 1.5);
        }));
        static TOOK: FamilyDesc = FamilyDesc {
            name: "watchfire_took_seconds",
            kind: MetricKind::Histogram,
            unit: "seconds",
            help: "How long it took.",
            labels: &[],
            max_series: 1,
        };
        own.register(Arc::new(|out: &mut Readings| out.add_histogram(&TOOK, 7.5, &[0.1, 1.0], &[1, 2, 3])));
        own.config_loaded(true, 1_700_000_000_500);
        own.config_loaded(false, 1_700_000_001_000);
        let page = own.encode();
        for line in [
            "# HELP watchfire_things_dropped Things\\nthat were dropped.",
            "# TYPE watchfire_things_dropped counter",
            "watchfire_things_dropped_total{why=\"b\"} 1.0",
            "watchfire_things_dropped_total{why=\"queue \\\"full\\\"\"} 7.0",
            "# UNIT watchfire_sent_bytes bytes",
            "watchfire_sent_bytes_total 1.5",
            "watchfire_config_last_reload_successful 0.0",
            "watchfire_config_last_reload_success_timestamp_seconds 1700000000.5",
            "# TYPE watchfire_took_seconds histogram",
            "watchfire_took_seconds_bucket{le=\"0.1\"} 1",
            "watchfire_took_seconds_bucket{le=\"1.0\"} 3",
            "watchfire_took_seconds_bucket{le=\"+Inf\"} 6",
            "watchfire_took_seconds_sum 7.5",
            "watchfire_took_seconds_count 6",
            "# TYPE watchfire_build info",
            "watchfire_demo 0.0",
        ] {
            assert!(page.lines().any(|found| found == line), "{line}\n{page}");
        }
        assert!(!page.contains("# EOF"), "{page}");
        assert_eq!(page.matches("# TYPE watchfire_things_dropped").count(), 1);
        assert_eq!(own.as_samples().len(), 8);
    }
}
