//! Metric families: name, kind, unit and help, as the exposition formats know them.

use std::borrow::Cow;

/// What a family measures, by OpenMetrics' words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum MetricKind {
    /// Only grows, or starts again at zero; sample names end in `_total`.
    Counter,
    /// Any number.
    Gauge,
    /// Cumulative buckets with `_bucket`, `_sum`, `_count`.
    Histogram,
    /// A histogram whose counts may fall (`_gsum`, `_gcount`).
    GaugeHistogram,
    /// Quantiles with `_sum` and `_count`.
    Summary,
    /// Facts as labels, value 1; sample names end in `_info`.
    Info,
    /// One of several states; one sample a state.
    StateSet,
    /// Not stated by its source.
    #[default]
    Unknown,
}

impl MetricKind {
    /// The word on OpenMetrics' `# TYPE` line.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram => "histogram",
            Self::GaugeHistogram => "gaugehistogram",
            Self::Summary => "summary",
            Self::Info => "info",
            Self::StateSet => "stateset",
            Self::Unknown => "unknown",
        }
    }

    /// Reads a `# TYPE` word of either text format; `untyped` is [`MetricKind::Unknown`].
    pub fn parse(word: &str) -> Option<Self> {
        Some(match word {
            "counter" => Self::Counter,
            "gauge" => Self::Gauge,
            "histogram" => Self::Histogram,
            "gaugehistogram" => Self::GaugeHistogram,
            "summary" => Self::Summary,
            "info" => Self::Info,
            "stateset" => Self::StateSet,
            "unknown" | "untyped" => Self::Unknown,
            _ => return None,
        })
    }
}

/// One metric family. `name` is the name on the `# TYPE` line of OpenMetrics: without `_total` or `_info`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Family {
    /// Family name, for example `node_cpu_seconds`.
    pub name: Cow<'static, str>,
    /// What it measures.
    pub kind: MetricKind,
    /// Base unit (`seconds`, `bytes`) when the name ends in it, else empty.
    pub unit: Cow<'static, str>,
    /// One sentence: what it is and where it comes from.
    pub help: Cow<'static, str>,
}

/// A family that watchfire itself measures, as its catalogue declares it: once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FamilyDesc {
    /// The name that a query uses: counters with `_total`, infos with `_info`; histograms the bare name.
    pub name: &'static str,
    /// What it measures.
    pub kind: MetricKind,
    /// Base unit when the name carries one, else empty.
    pub unit: &'static str,
    /// One sentence: what it is and where it comes from.
    pub help: &'static str,
    /// Label names, in the order that the collector fills them.
    pub labels: &'static [&'static str],
    /// The most series that this family may have on one machine.
    pub max_series: u32,
}

impl FamilyDesc {
    /// The family as the exposition formats know it (suffixes that OpenMetrics adds are cut).
    pub fn family(&self) -> Family {
        let name = match self.kind {
            MetricKind::Counter => self.name.strip_suffix("_total").unwrap_or(self.name),
            MetricKind::Info => self.name.strip_suffix("_info").unwrap_or(self.name),
            _ => self.name,
        };
        Family { name: name.into(), kind: self.kind, unit: self.unit.into(), help: self.help.into() }
    }
}
