//! Histogram: classic buckets, native buckets, or both.

use super::family::{Histograms, MAX_EXEMPLARS, Metric, exemplar, timestamp};
use super::point::{ExemplarParts, FamilySink, Point, Sampled};
use crate::model::{CUSTOM_BUCKETS_SCHEMA, MetricKind, Span, Timestamp};
use crate::wire::WireError;
use crate::wire::listed::of_classic;
use crate::wire::native::Native;
use crate::wire::protobuf::{Field, Message};

type Result<T> = std::result::Result<T, WireError>;

/// What a histogram has beside its classic buckets.
#[derive(Default)]
struct Parts<'a> {
    native: Native,
    count: u64,
    count_float: f64,
    zero: u64,
    zero_float: f64,
    start: Option<Timestamp>,
    exemplars: Vec<ExemplarParts<'a>>,
    /// Whether it has any classic bucket.
    classic: bool,
}

pub(super) fn read<S: FamilySink>(metric: &mut Metric<'_, S>, body: Message<'_>, wanted: Histograms) -> Result<()> {
    let mut parts = Parts::default();
    let mut fields = body;
    while let Some(field) = fields.field()? {
        parts.take(&field)?;
    }
    let (start, sum) = (parts.start, parts.native.sum);
    let count = if parts.count_float > 0.0 { parts.count_float } else { parts.count as f64 };
    if wanted.native && parts.is_native() {
        let has_classic = parts.classic;
        native(metric, parts, body)?;
        if !wanted.classic || !has_classic {
            return Ok(());
        }
    } else if wanted.custom && metric.head.kind == MetricKind::Histogram {
        listed(metric, body, count, sum, start)?;
        if !wanted.classic {
            return Ok(());
        }
    }
    metric.float("_count", None, count, start, &[])?;
    metric.float("_sum", None, sum, start, &[])?;
    classic(metric, body, count, start)
}

impl<'a> Parts<'a> {
    fn take(&mut self, field: &Field<'a>) -> Result<()> {
        let native = &mut self.native;
        match field.number {
            1 => self.count = field.unsigned()?,
            2 => native.sum = field.double()?,
            3 => self.classic = true,
            4 => self.count_float = field.double()?,
            5 => native.schema = field.zigzag32()?,
            6 => native.zero_threshold = field.double()?,
            7 => self.zero = field.unsigned()?,
            8 => self.zero_float = field.double()?,
            9 => native.negative.spans.push(span(field)?),
            10 => field.zigzags(&mut native.negative.deltas)?,
            11 => field.doubles(&mut native.negative.counts)?,
            12 => native.positive.spans.push(span(field)?),
            13 => field.zigzags(&mut native.positive.deltas)?,
            14 => field.doubles(&mut native.positive.counts)?,
            15 => self.start = Some(timestamp(field)?),
            16 if self.exemplars.len() < MAX_EXEMPLARS => self.exemplars.push(exemplar(field)?),
            _ => {}
        }
        Ok(())
    }

    /// As Prometheus tells the two apart.
    fn is_native(&self) -> bool {
        let native = &self.native;
        !native.positive.spans.is_empty()
            || !native.negative.spans.is_empty()
            || native.zero_threshold > 0.0
            || self.zero > 0
            || self.zero_float > 0.0
    }
}

fn native<S: FamilySink>(metric: &mut Metric<'_, S>, parts: Parts<'_>, body: Message<'_>) -> Result<()> {
    let Parts { mut native, mut exemplars, count, count_float, zero, zero_float, start, classic } = parts;
    native.floats = count_float > 0.0 || zero_float > 0.0;
    (native.count, native.zero_count) =
        if native.floats { (count_float, zero_float) } else { (count as f64, zero as f64) };
    native.gauge = metric.head.kind == MetricKind::GaugeHistogram;
    if classic {
        let own = !exemplars.is_empty();
        let custom = native.schema == CUSTOM_BUCKETS_SCHEMA;
        let mut fields = body;
        while let Some(field) = fields.field()? {
            if field.number != 3 {
                continue;
            }
            let bucket = bucket(&field)?;
            // The bounds of listed buckets are those of the classic ones.
            if custom && bucket.bound != f64::INFINITY {
                native.bounds.push(bucket.bound);
            }
            // Without exemplars of its own it has those of its buckets, if they say when they were.
            if !own && exemplars.len() < MAX_EXEMPLARS {
                exemplars.extend(bucket.exemplar.filter(|found| found.ts.is_some()));
            }
        }
    }
    let histogram = native.build().map_err(|problem| metric.refuse(problem))?;
    let point = Point { family: metric.head.name, suffix: "", labels: metric.labels, bound: None };
    let sampled = Sampled { ts: metric.ts, start_ts: start, exemplars: &exemplars };
    metric.samples += 1;
    metric.sink.histogram(&point, histogram, &sampled).map_err(|problem| metric.refuse(problem))
}

/// The classic buckets as one native histogram with listed bounds. One that contradicts itself is left out, as in Prometheus.
fn listed<S: FamilySink>(
    metric: &mut Metric<'_, S>,
    body: Message<'_>,
    count: f64,
    sum: f64,
    start: Option<Timestamp>,
) -> Result<()> {
    let (mut buckets, mut exemplars) = (Vec::new(), Vec::new());
    let mut fields = body;
    while let Some(field) = fields.field()? {
        if field.number != 3 {
            continue;
        }
        let bucket = bucket(&field)?;
        buckets.push((bucket.bound, bucket.count));
        if exemplars.len() < MAX_EXEMPLARS {
            exemplars.extend(bucket.exemplar.filter(|found| found.ts.is_some()));
        }
    }
    let Ok(histogram) = of_classic(&mut buckets, Some(count), sum) else { return Ok(()) };
    let point = Point { family: metric.head.name, suffix: "", labels: metric.labels, bound: None };
    let sampled = Sampled { ts: metric.ts, start_ts: start, exemplars: &exemplars };
    metric.samples += 1;
    metric.sink.histogram(&point, histogram, &sampled).map_err(|problem| metric.refuse(problem))
}

fn classic<S: FamilySink>(
    metric: &mut Metric<'_, S>,
    body: Message<'_>,
    count: f64,
    start: Option<Timestamp>,
) -> Result<()> {
    let mut infinite = false;
    let mut fields = body;
    while let Some(field) = fields.field()? {
        if field.number != 3 {
            continue;
        }
        let bucket = bucket(&field)?;
        infinite |= bucket.bound == f64::INFINITY;
        metric.float("_bucket", Some(("le", bucket.bound)), bucket.count, start, bucket.exemplar.as_slice())?;
    }
    if infinite {
        return Ok(());
    }
    // Clients leave the last bucket out: it is the count.
    metric.float("_bucket", Some(("le", f64::INFINITY)), count, start, &[])
}

struct Bucket<'a> {
    count: f64,
    bound: f64,
    exemplar: Option<ExemplarParts<'a>>,
}

fn bucket<'a>(field: &Field<'a>) -> Result<Bucket<'a>> {
    let (mut count, mut float, mut bound, mut found) = (0, 0.0, 0.0, None);
    let mut fields = field.message()?;
    while let Some(field) = fields.field()? {
        match field.number {
            1 => count = field.unsigned()?,
            2 => bound = field.double()?,
            3 => found = Some(exemplar(&field)?),
            4 => float = field.double()?,
            _ => {}
        }
    }
    Ok(Bucket { count: if float > 0.0 { float } else { count as f64 }, bound, exemplar: found })
}

fn span(field: &Field<'_>) -> Result<Span> {
    let mut span = Span { offset: 0, length: 0 };
    let mut fields = field.message()?;
    while let Some(field) = fields.field()? {
        match field.number {
            1 => span.offset = field.zigzag32()?,
            2 => {
                span.length = u32::try_from(field.unsigned()?)
                    .map_err(|_| WireError::new(field.at, "expected a length of 32 bits"))?;
            }
            _ => {}
        }
    }
    Ok(span)
}
