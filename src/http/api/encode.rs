//! Writes a query's result piece by piece, so that a large one is never held twice.

use std::time::Duration;

use axum::body::Body;
use axum::response::Response;
use bytes::Bytes;

use super::histogram::write_histogram;
use crate::http::envelope::{Notes, close_envelope, json_response};
use crate::http::json::Json;
use crate::model::Value;
use crate::promql::{QueryStats, QueryValue, Sample, Series};

/// A piece is handed to the connection when it has this many bytes.
const PIECE_BYTES: usize = 64 << 10;

/// A finished query with what is said beside it.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) value: QueryValue,
    pub(super) notes: Notes,
    pub(super) stats: Option<QueryStats>,
}

/// The answer as a response: in one piece if it is small, else as a stream that is written as fast as the client reads.
pub(super) fn respond(answer: Answer) -> Response {
    let mut pieces = Pieces::new(answer);
    let first = pieces.next().unwrap_or_default();
    if pieces.done {
        return json_response(first);
    }
    let all = std::iter::once(first).chain(pieces).map(Ok::<_, std::convert::Infallible>);
    json_response(Body::from_stream(futures_util::stream::iter(all)))
}

/// The pieces of an answer.
struct Pieces {
    answer: Answer,
    /// The next series (or sample of a vector), and the next point in it.
    series: usize,
    point: usize,
    started: bool,
    done: bool,
}

impl Pieces {
    fn new(answer: Answer) -> Self {
        Self { answer, series: 0, point: 0, started: false, done: false }
    }
}

impl Iterator for Pieces {
    type Item = Bytes;

    fn next(&mut self) -> Option<Bytes> {
        if self.done {
            return None;
        }
        let mut json = Json::default();
        if !self.started {
            self.started = true;
            json.raw("{\"status\":\"success\",\"data\":{\"resultType\":\"")
                .raw(kind(&self.answer.value))
                .raw("\",\"result\":");
        }
        let finished = match &self.answer.value {
            QueryValue::Scalar(ts, value) => {
                json.point(*ts, *value);
                true
            }
            QueryValue::String(ts, text) => {
                json.raw("[").seconds(*ts).raw(",").text(text).raw("]");
                true
            }
            QueryValue::Vector(samples) => vector(&mut json, samples, &mut self.series),
            QueryValue::Matrix(series) => matrix(&mut json, series, &mut self.series, &mut self.point),
        };
        if finished {
            self.done = true;
            if let Some(stats) = self.answer.stats {
                write_stats(&mut json, stats);
            }
            json.raw("}");
            close_envelope(&mut json, &self.answer.notes);
        }
        Some(json.finish().into())
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

/// Writes from sample `next` on until the piece is full; says whether all are written.
fn vector(json: &mut Json, samples: &[Sample], next: &mut usize) -> bool {
    while let Some(sample) = samples.get(*next) {
        json.raw(if *next == 0 { "[" } else { "," }).raw("{\"metric\":").labels(&sample.labels);
        match &sample.value {
            Value::Float(value) => json.raw(",\"value\":").point(sample.ts, *value),
            Value::Histogram(histogram) => {
                json.raw(",\"histogram\":[").seconds(sample.ts).raw(",");
                write_histogram(json, histogram);
                json.raw("]")
            }
        };
        json.raw("}");
        *next += 1;
        if json.len() >= PIECE_BYTES {
            return false;
        }
    }
    json.raw(if samples.is_empty() { "[]" } else { "]" });
    true
}

/// Writes from point `point` of series `next` on until the piece is full; says whether all are written.
fn matrix(json: &mut Json, all: &[Series], next: &mut usize, point: &mut usize) -> bool {
    while let Some(series) = all.get(*next) {
        if *point == 0 {
            json.raw(if *next == 0 { "[" } else { "," }).raw("{\"metric\":").labels(&series.labels);
        }
        if !points(json, series, point) {
            return false;
        }
        json.raw("}");
        *point = 0;
        *next += 1;
    }
    json.raw(if all.is_empty() { "[]" } else { "]" });
    true
}

/// Points are counted through the floats and then through the histograms.
fn points(json: &mut Json, series: &Series, next: &mut usize) -> bool {
    let (floats, histograms) = (series.floats.len(), series.histograms.len());
    while *next < floats + histograms {
        if *next < floats {
            json.raw(if *next == 0 { ",\"values\":[" } else { "," });
            if let Some((ts, value)) = series.floats.get(*next) {
                json.point(*ts, *value);
            }
        } else if let Some((ts, histogram)) = series.histograms.get(*next - floats) {
            json.raw(if *next == floats { ",\"histograms\":[" } else { "," }).raw("[").seconds(*ts).raw(",");
            write_histogram(json, histogram);
            json.raw("]");
        }
        *next += 1;
        if *next == floats || *next == floats + histograms {
            json.raw("]");
        }
        if json.len() >= PIECE_BYTES && *next < floats + histograms {
            return false;
        }
    }
    true
}

/// Prometheus' statistics. Results are sorted where they are made, so that sorting has no time of its own.
fn write_stats(json: &mut Json, stats: QueryStats) {
    let eval = stats.elapsed.saturating_sub(stats.queued);
    for (name, time) in [
        (",\"stats\":{\"timings\":{\"evalTotalTime\":", eval),
        (",\"resultSortTime\":", Duration::ZERO),
        (",\"queryPreparationTime\":", stats.prepared),
        (",\"innerEvalTime\":", eval),
        (",\"execQueueTime\":", stats.queued),
        (",\"execTotalTime\":", stats.elapsed),
    ] {
        json.raw(name).float(time.as_secs_f64());
    }
    json.raw("},\"samples\":{\"totalQueryableSamples\":").number(stats.total_samples);
    json.raw(",\"peakSamples\":").number(stats.peak_samples).raw("}}");
}

#[cfg(test)]
mod tests {
    use super::{Answer, Pieces};
    use crate::http::envelope::Notes;
    use crate::model::{Labels, Value};
    use crate::promql::{QueryStats, QueryValue, Sample, Series};

    fn written(value: QueryValue, stats: Option<QueryStats>) -> (String, usize) {
        let pieces: Vec<_> = Pieces::new(Answer { value, notes: Notes::default(), stats }).collect();
        let text = pieces.concat();
        (String::from_utf8(text).expect("utf-8"), pieces.len())
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
            assert_eq!(written(value, None), (expected, 1));
        }
    }

    #[test]
    fn large_results_come_in_pieces_and_are_whole() {
        let floats: Vec<(i64, f64)> = (0..30_000).map(|i| (i * 1000, i as f64 / 3.0)).collect();
        let series = Series { labels: Labels::empty(), floats, histograms: Vec::new() };
        let (text, pieces) = written(QueryValue::Matrix(vec![series; 3]), Some(QueryStats::default()));
        assert!(pieces > 10, "{pieces}");
        let json: serde_json::Value = serde_json::from_str(&text).expect("valid JSON");
        let result = json["data"]["result"].as_array().expect("an array");
        assert_eq!(result.len(), 3);
        assert!(result.iter().all(|one| one["values"].as_array().is_some_and(|values| values.len() == 30_000)));
        assert_eq!(json["data"]["stats"]["samples"]["peakSamples"], 0);
    }
}
