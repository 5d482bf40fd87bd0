//! How a family is laid out in each format: names on metadata lines, which samples belong, in what order.

use crate::model::{Family, Labels, MetricKind};

use super::negotiate::Format;
use super::page::PageSeries;

/// A metadata block and the series below it.
pub(super) struct Block<'a> {
    pub(super) name: String,
    pub(super) word: &'static str,
    pub(super) unit: &'a str,
    pub(super) help: &'a str,
    pub(super) series: Vec<&'a PageSeries<'a>>,
}

/// The suffixes that samples of a kind may have in OpenMetrics.
pub(super) const fn suffixes(kind: MetricKind) -> &'static [&'static str] {
    match kind {
        MetricKind::Counter => &["_total", "_created"],
        MetricKind::Gauge | MetricKind::StateSet | MetricKind::Unknown => &[""],
        MetricKind::Histogram => &["_bucket", "_count", "_sum", "_created"],
        MetricKind::GaugeHistogram => &["_bucket", "_gcount", "_gsum"],
        MetricKind::Summary => &["", "_count", "_sum", "_created"],
        MetricKind::Info => &["_info"],
    }
}

/// Splits a family into blocks: one for the samples that fit its kind, one for each sample name that does not
/// (a counter without `_total`, for example: its kind is then unknown, the name stays what it is).
pub(super) fn blocks<'a>(format: Format, family: &'a Family, series: &'a [PageSeries<'a>]) -> Vec<Block<'a>> {
    let fits = |series: &PageSeries<'_>| {
        series.name.strip_prefix(family.name.as_ref()).is_some_and(|suffix| suffixes(family.kind).contains(&suffix))
    };
    let (mut own, strangers): (Vec<_>, Vec<_>) = series.iter().partition(|series| fits(series));
    let mut out = Vec::new();
    if !own.is_empty() {
        if format == Format::Text && family.kind == MetricKind::GaugeHistogram {
            by_name(Format::Text, family, own, &mut out);
        } else {
            order(family, &mut own);
            out.push(main_block(format, family, own));
        }
    }
    by_name(format, family, strangers, &mut out);
    out
}

fn main_block<'a>(format: Format, family: &'a Family, series: Vec<&'a PageSeries<'a>>) -> Block<'a> {
    let base = family.name.as_ref();
    let help = family.help.as_ref();
    if format == Format::OpenMetrics {
        let unit = if !family.unit.is_empty() && has_unit(base, &family.unit) { family.unit.as_ref() } else { "" };
        return Block { name: base.to_owned(), word: family.kind.as_str(), unit, help, series };
    }
    let (suffix, word) = match family.kind {
        MetricKind::Counter => ("_total", "counter"),
        MetricKind::Info => ("_info", "gauge"),
        MetricKind::StateSet => ("", "gauge"),
        MetricKind::Unknown | MetricKind::GaugeHistogram => ("", "untyped"),
        kind => ("", kind.as_str()),
    };
    Block { name: format!("{base}{suffix}"), word, unit: "", help, series }
}

fn has_unit(name: &str, unit: &str) -> bool {
    name.strip_suffix(unit).is_some_and(|rest| rest.ends_with('_'))
}

fn by_name<'a>(format: Format, family: &'a Family, series: Vec<&'a PageSeries<'a>>, out: &mut Vec<Block<'a>>) {
    let first = out.len();
    let word = match (format, family.kind) {
        // Text takes a counter by any name.
        (Format::Text, MetricKind::Counter) => "counter",
        (Format::Text, _) => "untyped",
        (Format::OpenMetrics, _) => "unknown",
    };
    for one in series {
        match out[first..].iter_mut().find(|block| block.name == one.name) {
            Some(block) => block.series.push(one),
            None => {
                out.push(Block { name: one.name.to_owned(), word, unit: "", help: &family.help, series: vec![one] })
            }
        }
    }
    for block in &mut out[first..] {
        block.series.sort_by(|a, b| a.labels.cmp(b.labels));
    }
}

/// Samples of one metric must stand together, buckets by their bound.
fn order(family: &Family, series: &mut [&PageSeries<'_>]) {
    let inner = match family.kind {
        MetricKind::Histogram | MetricKind::GaugeHistogram => "le",
        MetricKind::Summary => "quantile",
        MetricKind::StateSet => family.name.as_ref(),
        _ => "",
    };
    if inner.is_empty() {
        series.sort_by(|a, b| a.labels.cmp(b.labels).then_with(|| a.name.len().cmp(&b.name.len())));
        return;
    }
    let rank = |series: &PageSeries<'_>| {
        let suffix = &series.name[family.name.len()..];
        suffixes(family.kind).iter().position(|known| *known == suffix).unwrap_or(usize::MAX)
    };
    let bound = |series: &PageSeries<'_>| crate::model::parse_float(series.labels.get(inner)).unwrap_or(0.0);
    series.sort_by_cached_key(|one| {
        let group: Labels = one.labels.without(&[inner]);
        (group, rank(one), Bound(bound(one)), one.labels.get(inner).to_owned())
    });
}

/// A bucket bound as a sort key.
#[derive(PartialEq)]
struct Bound(f64);

impl Eq for Bound {}

impl PartialOrd for Bound {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Bound {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.0.total_cmp(&other.0)
    }
}
