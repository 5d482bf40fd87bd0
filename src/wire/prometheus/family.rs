//! MetricFamily, Metric and the simple types.

use super::histogram;
use super::point::{ExemplarParts, FamilyHead, FamilySink, Point, Sampled};
use crate::model::{MetricKind, Timestamp};
use crate::wire::WireError;
use crate::wire::protobuf::{Field, Message};

type Result<T> = std::result::Result<T, WireError>;

/// Labels of one metric: more is broken or hostile.
const MAX_LABELS: usize = 512;
/// Exemplars of one metric that are handed on; a client keeps ten for a native histogram by default.
pub(super) const MAX_EXEMPLARS: usize = 64;

/// What is taken of a histogram. Classic buckets are taken where nothing else is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Histograms {
    /// One native sample of those with native buckets.
    pub native: bool,
    /// Classic buckets, sum and count also beside a native sample.
    pub classic: bool,
    /// One native sample with listed bounds of those with classic buckets only.
    pub custom: bool,
}

impl Histograms {
    /// As text has them: buckets, sum and count.
    pub const CLASSIC: Self = Self { native: false, classic: true, custom: false };
    /// One native sample; classic buckets only where there are no native ones.
    pub const NATIVE: Self = Self { native: true, classic: false, custom: false };
    /// All of it.
    pub const BOTH: Self = Self { native: true, classic: true, custom: false };
}

/// Reads a page and returns how many samples it had.
///
/// # Errors
/// At the first byte that is not of the format, or the metric that the sink refuses. What came before has been handed on.
pub fn read_families<S: FamilySink>(page: &[u8], histograms: Histograms, sink: &mut S) -> Result<usize> {
    let mut rest = Message::new(page);
    let mut samples = 0;
    while let Some(message) = rest.delimited()? {
        samples += family(message, histograms, sink)?;
    }
    Ok(samples)
}

fn family<S: FamilySink>(message: Message<'_>, histograms: Histograms, sink: &mut S) -> Result<usize> {
    let mut head = FamilyHead { name: "", help: "", unit: "", kind: MetricKind::Counter };
    // The type may stand behind the metrics, so the family is read twice: fields of its own first.
    let mut fields = message;
    while let Some(field) = fields.field()? {
        match field.number {
            1 => head.name = field.text()?,
            2 => head.help = field.text()?,
            3 => head.kind = kind(&field)?,
            5 => head.unit = field.text()?,
            _ => {}
        }
    }
    if head.name.is_empty() {
        return Err(WireError::new(message.offset(), "expected a family with a name"));
    }
    sink.family(&head);
    let (mut samples, mut labels) = (0, Vec::new());
    let mut fields = message;
    while let Some(field) = fields.field()? {
        if field.number == 4 {
            samples += metric(&field, &head, histograms, &mut labels, sink)?;
        }
    }
    Ok(samples)
}

fn kind(field: &Field<'_>) -> Result<MetricKind> {
    Ok(match field.unsigned()? {
        0 => MetricKind::Counter,
        1 => MetricKind::Gauge,
        2 => MetricKind::Summary,
        3 => MetricKind::Unknown,
        4 => MetricKind::Histogram,
        5 => MetricKind::GaugeHistogram,
        other => return Err(WireError::new(field.at, format!("expected a type of 0 to 5, found {other}"))),
    })
}

/// Where a metric's samples go, and what they have in common.
pub(super) struct Metric<'m, S> {
    pub(super) head: &'m FamilyHead<'m>,
    pub(super) labels: &'m [(&'m str, &'m str)],
    pub(super) ts: Option<Timestamp>,
    pub(super) at: usize,
    pub(super) sink: &'m mut S,
    pub(super) samples: usize,
}

impl<S: FamilySink> Metric<'_, S> {
    pub(super) fn float(
        &mut self,
        suffix: &'static str,
        bound: Option<(&'static str, f64)>,
        value: f64,
        start_ts: Option<Timestamp>,
        exemplars: &[ExemplarParts<'_>],
    ) -> Result<()> {
        let point = Point { family: self.head.name, suffix, labels: self.labels, bound };
        let sampled = Sampled { ts: self.ts, start_ts, exemplars };
        self.samples += 1;
        self.sink.float(&point, value, &sampled).map_err(|problem| self.refuse(problem))
    }

    pub(super) fn refuse(&self, problem: String) -> WireError {
        WireError::new(self.at, format!("{}: {problem}", self.head.name))
    }
}

fn metric<'a, S: FamilySink>(
    field: &Field<'a>,
    head: &FamilyHead<'a>,
    histograms: Histograms,
    labels: &mut Vec<(&'a str, &'a str)>,
    sink: &mut S,
) -> Result<usize> {
    labels.clear();
    let wanted = match head.kind {
        MetricKind::Gauge => 2,
        MetricKind::Counter => 3,
        MetricKind::Summary => 4,
        MetricKind::Histogram | MetricKind::GaugeHistogram => 7,
        _ => 5,
    };
    let (mut ts, mut body) = (None, None);
    let mut fields = field.message()?;
    while let Some(field) = fields.field()? {
        match field.number {
            1 if labels.len() >= MAX_LABELS => {
                return Err(WireError::new(field.at, format!("expected at most {MAX_LABELS} labels")));
            }
            1 => labels.push(label(&field)?),
            6 => ts = Some(field.signed()?).filter(|ts| *ts != 0),
            number if number == wanted => body = Some(field.message()?),
            _ => {}
        }
    }
    let mut metric = Metric { head, labels, ts, at: field.at, sink, samples: 0 };
    // As in Prometheus, what is not there, or is of another type than the family, is 0.
    let body = body.unwrap_or_else(|| Message::new(&[]));
    match head.kind {
        MetricKind::Counter => counter(&mut metric, body)?,
        MetricKind::Summary => summary(&mut metric, body)?,
        MetricKind::Histogram | MetricKind::GaugeHistogram => histogram::read(&mut metric, body, histograms)?,
        _ => simple(&mut metric, body)?,
    }
    Ok(metric.samples)
}

fn label<'a>(field: &Field<'a>) -> Result<(&'a str, &'a str)> {
    let (mut name, mut value) = ("", "");
    let mut fields = field.message()?;
    while let Some(field) = fields.field()? {
        match field.number {
            1 => name = field.text()?,
            2 => value = field.text()?,
            _ => {}
        }
    }
    if name.is_empty() { Err(WireError::new(field.at, "expected a label with a name")) } else { Ok((name, value)) }
}

/// Gauge and Untyped: nothing but a value.
fn simple<S: FamilySink>(metric: &mut Metric<'_, S>, mut body: Message<'_>) -> Result<()> {
    let mut value = 0.0;
    while let Some(field) = body.field()? {
        if field.number == 1 {
            value = field.double()?;
        }
    }
    metric.float("", None, value, None, &[])
}

fn counter<S: FamilySink>(metric: &mut Metric<'_, S>, mut body: Message<'_>) -> Result<()> {
    let (mut value, mut start, mut found) = (0.0, None, None);
    while let Some(field) = body.field()? {
        match field.number {
            1 => value = field.double()?,
            2 => found = Some(exemplar(&field)?),
            3 => start = Some(timestamp(&field)?),
            _ => {}
        }
    }
    metric.float("", None, value, start, found.as_slice())
}

fn summary<S: FamilySink>(metric: &mut Metric<'_, S>, body: Message<'_>) -> Result<()> {
    let (mut count, mut sum, mut start) = (0, 0.0, None);
    let mut fields = body;
    while let Some(field) = fields.field()? {
        match field.number {
            1 => count = field.unsigned()?,
            2 => sum = field.double()?,
            4 => start = Some(timestamp(&field)?),
            _ => {}
        }
    }
    metric.float("_count", None, count as f64, start, &[])?;
    metric.float("_sum", None, sum, start, &[])?;
    let mut fields = body;
    while let Some(field) = fields.field()? {
        if field.number != 3 {
            continue;
        }
        let (mut quantile, mut value) = (0.0, 0.0);
        let mut parts = field.message()?;
        while let Some(part) = parts.field()? {
            match part.number {
                1 => quantile = part.double()?,
                2 => value = part.double()?,
                _ => {}
            }
        }
        metric.float("", Some(("quantile", quantile)), value, start, &[])?;
    }
    Ok(())
}

pub(super) fn exemplar<'a>(field: &Field<'a>) -> Result<ExemplarParts<'a>> {
    let mut found = ExemplarParts { labels: Vec::new(), value: 0.0, ts: None };
    let mut fields = field.message()?;
    while let Some(field) = fields.field()? {
        match field.number {
            1 if found.labels.len() < MAX_LABELS => found.labels.push(label(&field)?),
            2 => found.value = field.double()?,
            3 => found.ts = Some(timestamp(&field)?),
            _ => {}
        }
    }
    Ok(found)
}

/// google.protobuf.Timestamp in milliseconds.
pub(super) fn timestamp(field: &Field<'_>) -> Result<Timestamp> {
    let (mut seconds, mut nanos) = (0i64, 0i64);
    let mut fields = field.message()?;
    while let Some(field) = fields.field()? {
        match field.number {
            1 => seconds = field.signed()?,
            2 => nanos = field.signed()?,
            _ => {}
        }
    }
    let ms = (0..1_000_000_000).contains(&nanos).then(|| seconds.checked_mul(1000)?.checked_add(nanos / 1_000_000));
    ms.flatten().ok_or_else(|| WireError::new(field.at, "expected a timestamp of seconds and nanoseconds"))
}
