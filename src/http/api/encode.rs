//! Writes a query's result: a small one at once, a large one part by part, on several threads, as fast as the client reads.

use std::ops::Range;
use std::sync::Arc;

use axum::body::Body;
use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::Response;
use bytes::Bytes;
use futures_util::stream::{self, StreamExt as _};

use super::histogram::write_histogram;
use super::packed::{Packed, Packer};
use super::places::{Place, parts};
use super::stamps::Stamps;
use super::stats::{Stats, write_stats};
use crate::exposition::accepts_gzip;
use crate::http::envelope::{Notes, close_envelope, json_response};
use crate::http::json::Json;
use crate::model::Value;
use crate::promql::{QueryValue, Sample, Series};

/// What a point takes, roughly; a part that turns out larger grows.
const POINT_BYTES: usize = 32;
/// Parts of one answer that are written at the same time, or wait to be sent.
const PARTS_AHEAD: usize = 3;

/// A finished query with what is said beside it.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) value: QueryValue,
    pub(super) notes: Notes,
    pub(super) stats: Option<Stats>,
}

/// The answer as a response: in one piece if it is small, else as a stream of parts, which are compressed where they are written.
pub(super) fn respond(answer: Answer, request: &HeaderMap) -> Response {
    let parts = parts(&answer.value);
    if let [part] = &parts[..] {
        return json_response(answer.part(part, true));
    }
    let accepted = request.get(header::ACCEPT_ENCODING).and_then(|value| value.to_str().ok());
    let packs = accepted.is_some_and(accepts_gzip);
    let (answer, last) = (Arc::new(answer), parts.len() - 1);
    let written = stream::iter(parts.into_iter().enumerate()).map(move |(number, part)| {
        let answer = Arc::clone(&answer);
        tokio::task::spawn_blocking(move || {
            let text = answer.part(&part, number == last);
            if packs { Written::Packed(Packed::of(&text, number == last)) } else { Written::Plain(text.into()) }
        })
    });
    let mut packer = Packer::default();
    let pieces = written.buffered(PARTS_AHEAD).map(move |part| {
        part.map(|part| match part {
            Written::Plain(text) => text,
            Written::Packed(packed) => packer.join(packed),
        })
    });
    let mut response = json_response(Body::from_stream(pieces));
    if packs {
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
        headers.insert(header::VARY, HeaderValue::from_static("accept-encoding"));
    }
    response
}

/// A part as it is sent.
enum Written {
    Plain(Bytes),
    Packed(Packed),
}

impl Answer {
    /// The text of a part; the first has the head of the envelope before it, the last its end behind it.
    fn part(&self, part: &Range<Place>, last: bool) -> Vec<u8> {
        let mut json = Json::with_capacity(part.start.points_until(part.end, &self.value) * POINT_BYTES + 1024);
        if part.start == Place::default() {
            json.raw("{\"status\":\"success\",\"data\":{\"resultType\":\"")
                .raw(kind(&self.value))
                .raw("\",\"result\":");
        }
        match &self.value {
            QueryValue::Scalar(ts, value) => _ = json.point(*ts, *value),
            QueryValue::String(ts, text) => _ = json.raw("[").seconds(*ts).raw(",").text(text).raw("]"),
            QueryValue::Vector(samples) => vector(&mut json, samples, part.start.row..part.end.row),
            QueryValue::Matrix(series) => matrix(&mut json, series, part),
        }
        if last {
            if let Some(stats) = &self.stats {
                write_stats(&mut json, stats);
            }
            json.raw("}");
            close_envelope(&mut json, &self.notes);
        }
        json.finish()
    }
}

fn kind(value: &QueryValue) -> &'static str {
    match value {
        QueryValue::Scalar(..) => "scalar",
        QueryValue::String(..) => "string",
        QueryValue::Vector(_) => "vector",
        QueryValue::Matrix(_) => "matrix",
    }
}

/// Opens the array before the first of all, and closes it behind the last.
fn vector(json: &mut Json, samples: &[Sample], part: Range<usize>) {
    let last = part.end == samples.len();
    if part.start == 0 {
        json.raw("[");
    }
    for (row, sample) in samples.iter().enumerate().take(part.end).skip(part.start) {
        json.raw(if row == 0 { "" } else { "," }).raw("{\"metric\":").labels(&sample.labels);
        match &sample.value {
            Value::Float(value) => json.raw(",\"value\":").point(sample.ts, *value),
            Value::Histogram(histogram) => {
                json.raw(",\"histogram\":[").seconds(sample.ts).raw(",");
                write_histogram(json, histogram);
                json.raw("]")
            }
        };
        json.raw("}");
    }
    if last {
        json.raw("]");
    }
}

/// Writes the points of a part, with what opens and closes their series and the array of all.
fn matrix(json: &mut Json, all: &[Series], part: &Range<Place>) {
    let mut stamps = Stamps::default();
    if part.start == Place::default() {
        json.raw("[");
    }
    for (row, series) in all.iter().enumerate().skip(part.start.row) {
        let from = if row == part.start.row { part.start.point } else { 0 };
        let until = if row == part.end.row { part.end.point } else { usize::MAX };
        if until == 0 || row > part.end.row {
            return;
        }
        if from == 0 {
            json.raw(if row == 0 { "" } else { "," }).raw("{\"metric\":").labels(&series.labels);
        }
        if !points(json, series, from..until, &mut stamps) {
            return;
        }
        json.raw("}");
    }
    json.raw("]");
}

/// Points are counted through the floats and then through the histograms. Says whether all of the series are written now.
fn points(json: &mut Json, series: &Series, part: Range<usize>, stamps: &mut Stamps) -> bool {
    let (floats, all) = (series.floats.len(), series.floats.len() + series.histograms.len());
    for (i, (ts, value)) in series.floats.iter().enumerate().take(part.end).skip(part.start) {
        json.raw(if i == 0 { ",\"values\":[" } else { "," });
        stamps.open(json, i, *ts);
        json.value(*value).raw(if i + 1 == floats { "]]" } else { "]" });
    }
    for (i, (ts, histogram)) in (floats..).zip(&series.histograms).take(part.end.saturating_sub(floats)) {
        if i < part.start {
            continue;
        }
        json.raw(if i == floats { ",\"histograms\":[[" } else { ",[" }).seconds(*ts).raw(",");
        write_histogram(json, histogram);
        json.raw(if i + 1 == all { "]]" } else { "]" });
    }
    part.end >= all
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use super::{Answer, HeaderMap, HeaderValue, Stats, header, respond};
    use crate::http::envelope::Notes;
    use crate::model::{Labels, Value};
    use crate::promql::{QueryStats, QueryValue, Sample, Series};

    /// The body, plain or packed.
    fn body(value: QueryValue, stats: Option<Stats>, accept: &'static str) -> Vec<u8> {
        let headers = HeaderMap::from_iter([(header::ACCEPT_ENCODING, HeaderValue::from_static(accept))]);
        let runtime = tokio::runtime::Runtime::new().expect("a runtime");
        let body = runtime.block_on(async {
            let response = respond(Answer { value, notes: Notes::default(), stats }, &headers);
            axum::body::to_bytes(response.into_body(), usize::MAX).await
        });
        body.expect("a body").to_vec()
    }

    fn written(value: QueryValue) -> String {
        String::from_utf8(body(value, None, "identity")).expect("utf-8")
    }

    #[test]
    fn each_kind() {
        let labels = Labels::from_pairs(&[("__name__", "up"), ("job", "a\"b")]);
        let sample = Sample { labels: labels.clone(), ts: 1500, value: Value::Float(1.0) };
        let series = Series { labels, floats: vec![(1000, 1.0), (2000, f64::NAN)], histograms: Vec::new() };
        let metric = r#"{"__name__":"up","job":"a\"b"}"#;
        let cases: Vec<(QueryValue, String)> = vec![
            (QueryValue::Scalar(1000, 2.5), r#""scalar","result":[1,"2.5"]"#.to_owned()),
            (QueryValue::String(1000, "x\n".to_owned()), r#""string","result":[1,"x\n"]"#.to_owned()),
            (QueryValue::Vector(vec![]), r#""vector","result":[]"#.to_owned()),
            (
                QueryValue::Vector(vec![sample.clone(), sample]),
                format!(
                    r#""vector","result":[{{"metric":{metric},"value":[1.500,"1"]}},{{"metric":{metric},"value":[1.500,"1"]}}]"#
                ),
            ),
            (QueryValue::Matrix(vec![]), r#""matrix","result":[]"#.to_owned()),
            (
                QueryValue::Matrix(vec![series]),
                format!(r#""matrix","result":[{{"metric":{metric},"values":[[1,"1"],[2,"NaN"]]}}]"#),
            ),
        ];
        for (value, expected) in cases {
            let expected = format!(r#"{{"status":"success","data":{{"resultType":{expected}}}}}"#);
            assert_eq!(written(value), expected);
        }
    }

    #[test]
    fn large_results_are_whole_plain_and_packed() {
        let floats: Vec<(i64, f64)> = (0..30_000).map(|i| (i * 1000, i as f64 / 3.0)).collect();
        let labels = |i: i32| Labels::from_pairs(&[("i", &*i.to_string())]);
        let series =
            |i, points: usize| Series { labels: labels(i), floats: floats[..points].to_vec(), histograms: Vec::new() };
        let lengths = [30_000, 1, 16_384, 16_383, 1, 30_000, 2];
        let value = QueryValue::Matrix((0..).zip(lengths).map(|(i, points)| series(i, points)).collect());
        let plain = body(value.clone(), Some(Stats { cost: QueryStats::default(), start: 0, step: 1 }), "identity");
        let json: serde_json::Value = serde_json::from_slice(&plain).expect("valid JSON");
        let result = json["data"]["result"].as_array().expect("an array");
        let found: Vec<usize> = result.iter().map(|one| one["values"].as_array().map_or(0, Vec::len)).collect();
        assert_eq!(found, lengths);
        assert_eq!(json["data"]["stats"]["samples"]["peakSamples"], 0);
        let mut unpacked = Vec::new();
        let packed = body(value, Some(Stats { cost: QueryStats::default(), start: 0, step: 1 }), "gzip");
        flate2::read::GzDecoder::new(&packed[..]).read_to_end(&mut unpacked).expect("gzip");
        assert!(packed.len() * 2 < plain.len() && unpacked == plain, "{} of {}", packed.len(), plain.len());
    }

    #[test]
    fn long_vectors_are_whole() {
        let sample =
            |i: i32| Sample { labels: Labels::from_pairs(&[("i", &*i.to_string())]), ts: 0, value: Value::Float(1.0) };
        let text = written(QueryValue::Vector((0..20_000).map(sample).collect()));
        let json: serde_json::Value = serde_json::from_str(&text).expect("valid JSON");
        let result = json["data"]["result"].as_array().expect("an array");
        assert!(result.len() == 20_000 && result[19_999]["metric"]["i"] == "19999");
    }
}
