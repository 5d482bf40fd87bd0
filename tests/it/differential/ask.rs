//! Asking a server over one kept connection, and comparing what two of them say.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Error, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use serde_json::Value;

/// Both must agree within this part of the value.
const TOLERANCE: f64 = 1e-9;

/// A connection that is kept between requests.
pub(super) struct Client {
    host: String,
    stream: BufReader<TcpStream>,
}

impl Client {
    pub(super) fn new(url: &str) -> Self {
        let host = url.strip_prefix("http://").expect("tests use http").to_owned();
        let stream = TcpStream::connect(&host).unwrap_or_else(|e| panic!("{url}: {e}"));
        stream.set_nodelay(true).expect("a TCP stream");
        stream.set_read_timeout(Some(Duration::from_secs(60))).expect("not zero");
        Self { host, stream: BufReader::new(stream) }
    }

    /// The answer to a question of the query API: status and body.
    pub(super) fn raw(&mut self, path: &str) -> (u16, Vec<u8>) {
        let reply = self.request("GET", &format!("/api/v1/{path}"), "", b"");
        reply.unwrap_or_else(|e| panic!("{}: {path}: {e}", self.host))
    }

    /// As [`Client::raw`], read.
    pub(super) fn ask(&mut self, path: &str) -> Said {
        let (status, body) = self.raw(path);
        Said::of(status, &body)
    }

    /// One request; `headers` are whole lines.
    pub(super) fn request(
        &mut self,
        method: &str,
        path: &str,
        headers: &str,
        body: &[u8],
    ) -> std::io::Result<(u16, Vec<u8>)> {
        let (host, length) = (&self.host, body.len());
        let head = format!("{method} {path} HTTP/1.1\r\nhost: {host}\r\ncontent-length: {length}\r\n{headers}\r\n");
        let stream = self.stream.get_mut();
        stream.write_all(&[head.as_bytes(), body].concat())?;
        let status = self.line()?.split(' ').nth(1).and_then(|status| status.parse().ok());
        let status = status.ok_or_else(|| Error::other("no status"))?;
        let (mut length, mut chunked) = (0, false);
        loop {
            let line = self.line()?.to_ascii_lowercase();
            match line.split_once(':') {
                None => break,
                Some(("content-length", value)) => length = value.trim().parse().map_err(Error::other)?,
                Some(("transfer-encoding", value)) => chunked = value.trim() == "chunked",
                Some(_) => {}
            }
        }
        if !chunked {
            return Ok((status, self.bytes(length)?));
        }
        let mut body = Vec::new();
        loop {
            let size = usize::from_str_radix(self.line()?.trim(), 16).map_err(Error::other)?;
            body.extend(self.bytes(size)?);
            self.line()?;
            if size == 0 {
                return Ok((status, body));
            }
        }
    }

    fn line(&mut self) -> std::io::Result<String> {
        let mut line = String::new();
        if self.stream.read_line(&mut line)? == 0 {
            return Err(Error::other("the connection ended"));
        }
        Ok(line.trim_end().to_owned())
    }

    fn bytes(&mut self, length: usize) -> std::io::Result<Vec<u8>> {
        let mut bytes = vec![0; length];
        self.stream.read_exact(&mut bytes)?;
        Ok(bytes)
    }
}

/// Labels, and times with values.
pub(super) type Points = (BTreeMap<String, String>, Vec<(f64, f64)>);

/// What a server says: status with kind of error and message, or the kind of result and its points by series.
#[derive(Debug)]
pub(super) enum Said {
    Error { kind: String, message: String },
    Text(String),
    Result { kind: String, series: Vec<Points> },
}

impl Said {
    pub(super) fn of(status: u16, body: &[u8]) -> Self {
        let json: Value = serde_json::from_slice(body)
            .unwrap_or_else(|e| panic!("{status}, not JSON ({e}): {}", String::from_utf8_lossy(body)));
        let text = |value: &Value| value.as_str().unwrap_or("?").to_owned();
        if json["status"] != "success" {
            return Self::Error {
                kind: format!("{status} {}", text(&json["errorType"])),
                message: text(&json["error"]),
            };
        }
        let kind = text(&json["data"]["resultType"]);
        let result = &json["data"]["result"];
        match kind.as_str() {
            "string" => Self::Text(text(&result[1])),
            "scalar" => Self::Result { kind, series: vec![(BTreeMap::new(), vec![point(result)])] },
            _ => Self::Result { kind, series: result.as_array().expect("a list").iter().map(points).collect() },
        }
    }

    pub(super) fn failed(&self) -> bool {
        matches!(self, Self::Error { .. })
    }

    pub(super) fn is_empty(&self) -> bool {
        matches!(self, Self::Result { series, .. } if series.is_empty())
    }

    /// In one line, series in the order of their labels; for the table of exceptions.
    pub(super) fn line(&self) -> String {
        match self {
            Self::Error { kind, message } if kind == "422 execution" => message.clone(),
            Self::Error { kind, .. } => kind.clone(),
            Self::Text(text) => format!("{text:?}"),
            Self::Result { series, .. } => {
                let mut lines: Vec<String> = series
                    .iter()
                    .map(|(labels, points)| {
                        let pairs: Vec<String> = labels.iter().map(|(name, value)| format!("{name}={value}")).collect();
                        let values: Vec<String> = points.iter().map(|(_, value)| round(*value)).collect();
                        format!("{{{}}} {}", pairs.join(","), values.join(" "))
                    })
                    .collect();
                lines.sort();
                lines.join("; ")
            }
        }
    }
}

/// Ten digits.
fn round(value: f64) -> String {
    let short: f64 = format!("{value:.9e}").parse().unwrap_or(value);
    short.to_string()
}

fn number(text: &Value) -> f64 {
    text.as_str().and_then(watchfire::model::parse_float).unwrap_or_else(|| panic!("{text} is no number"))
}

fn point(point: &Value) -> (f64, f64) {
    (point[0].as_f64().expect("a time"), number(&point[1]))
}

fn points(one: &Value) -> Points {
    let labels = one["metric"].as_object().expect("labels");
    let labels = labels.iter().map(|(name, value)| (name.clone(), value.as_str().unwrap_or("?").to_owned())).collect();
    let points = match &one["values"] {
        Value::Array(values) => values.iter().map(point).collect(),
        _ => vec![point(&one["value"])],
    };
    (labels, points)
}

/// Whether two bodies say the same success in the same bytes, warnings apart: true of most, and far cheaper than reading.
pub(super) fn same_bytes(theirs: &[u8], ours: &[u8]) -> bool {
    let data = theirs.strip_suffix(b"}").unwrap_or(theirs);
    theirs.starts_with(br#"{"status":"success""#) && ours.starts_with(data)
}

fn same(a: f64, b: f64) -> bool {
    a == b || (a.is_nan() && b.is_nan()) || (a - b).abs() <= TOLERANCE * a.abs().max(b.abs())
}

/// The part of a message that names no series.
fn essence(message: &str) -> &str {
    message.split(['{', '[', '#']).next().unwrap_or_default()
}

/// How the answers differ, if they do. `ordered`: the values must come in the same order.
pub(super) fn difference(theirs: &mut Said, ours: &mut Said, ordered: bool) -> Option<String> {
    let (kinds, theirs, ours) = match (theirs, ours) {
        (Said::Error { kind: a, message: x }, Said::Error { kind: b, message: y }) => {
            // The grammar has other words in version 3, the evaluator the same.
            let alike = a == b && (a != "422 execution" || essence(x) == essence(y));
            return (!alike).then(|| format!("error {a} ({x}), ours {b} ({y})"));
        }
        (Said::Text(a), Said::Text(b)) => return (a != b).then(|| format!("{a:?}, ours {b:?}")),
        (Said::Result { kind: a, series: x }, Said::Result { kind: b, series: y }) => ((a, b), x, y),
        (a, b) => return Some(format!("{a:?}, ours {b:?}")),
    };
    if kinds.0 != kinds.1 {
        return Some(format!("{kinds:?}"));
    }
    if ordered {
        let values = |series: &[Points]| series.iter().map(|(_, points)| points[0].1).collect::<Vec<_>>();
        let (x, y) = (values(theirs), values(ours));
        if x.len() != y.len() || x.iter().zip(&y).any(|(a, b)| !same(*a, *b)) {
            return Some(format!("order {x:?}, ours {y:?}"));
        }
    }
    theirs.sort_by(|a, b| a.0.cmp(&b.0));
    ours.sort_by(|a, b| a.0.cmp(&b.0));
    if theirs.len() != ours.len() {
        return Some(format!("{} series, ours {}: {theirs:?} / {ours:?}", theirs.len(), ours.len()));
    }
    for ((labels, x), (own_labels, y)) in theirs.iter().zip(ours.iter()) {
        if labels != own_labels {
            return Some(format!("labels {labels:?}, ours {own_labels:?}"));
        }
        let times = |points: &[(f64, f64)]| points.iter().map(|point| point.0).collect::<Vec<_>>();
        if times(x) != times(y) {
            return Some(format!("{labels:?}: times {:?}, ours {:?}", times(x), times(y)));
        }
        if let Some((a, b)) = x.iter().zip(y).find(|(a, b)| !same(a.1, b.1)) {
            return Some(format!("{labels:?} at {}: {}, ours {}", a.0, a.1, b.1));
        }
    }
    None
}
