//! Parameters of a request, from the query string and from a form body, with Prometheus' times and durations.

use std::time::Duration;

use axum::body::Body;
use axum::extract::{FromRequest, Request};
use axum::http::header;
use http_body_util::LengthLimitError;

use super::error::{ApiError, ErrorKind};
use crate::limits;
use crate::model::{Timestamp, parse_duration};

/// Prometheus' API answers these two texts for the ends of time, and takes them back.
const MIN_TIME: (&str, Timestamp) = ("-292273086-05-16T16:47:06Z", i64::MIN / 4);
const MAX_TIME: (&str, Timestamp) = ("292277025-08-18T07:12:54.999999999Z", i64::MAX / 4);

/// Names and values in the order in which they came; a body's come first, as Go's `Request.Form`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Params(Vec<(String, String)>);

impl<S: Send + Sync> FromRequest<S> for Params {
    type Rejection = ApiError;

    async fn from_request(request: Request, _: &S) -> Result<Self, ApiError> {
        let (parts, body) = request.into_parts();
        let is_form = parts
            .headers
            .get(header::CONTENT_TYPE)
            .and_then(|value| value.to_str().ok())
            .is_some_and(|value| value.starts_with("application/x-www-form-urlencoded"));
        let mut pairs = if is_form { parse_form(&read_text(body).await?) } else { Vec::new() };
        pairs.extend(parse_form(parts.uri.query().unwrap_or("")));
        Ok(Self(pairs))
    }
}

/// A body as bytes, within the limit.
pub(super) async fn read_body(body: Body) -> Result<bytes::Bytes, ApiError> {
    read_body_within(body, limits::MAX_BODY_BYTES, "MAX_BODY_BYTES").await
}

/// A body as bytes, within a limit of that name.
pub(super) async fn read_body_within(body: Body, limit: usize, name: &str) -> Result<bytes::Bytes, ApiError> {
    axum::body::to_bytes(body, limit).await.map_err(|error| {
        let too_large = std::error::Error::source(&error).is_some_and(|source| source.is::<LengthLimitError>());
        if too_large {
            let message = format!("the request body is larger than the limit of {limit} bytes ({name})");
            ApiError::new(ErrorKind::TooLarge, message)
        } else {
            ApiError::new(ErrorKind::BadData, "the request body could not be read to its end")
        }
    })
}

async fn read_text(body: Body) -> Result<String, ApiError> {
    String::from_utf8(read_body(body).await?.to_vec())
        .map_err(|_| ApiError::new(ErrorKind::BadData, "the request body is not UTF-8"))
}

impl Params {
    /// The first value of `name`; an empty one counts as missing.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(n, _)| n == name).map(|(_, value)| value.as_str()).filter(|value| !value.is_empty())
    }

    /// All values of `name`.
    pub(super) fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.0.iter().filter(move |(n, _)| n == name).map(|(_, value)| value.as_str())
    }

    /// A time in unix seconds or RFC 3339. Where a time may be missing, Prometheus' error names it twice.
    pub(super) fn time(&self, name: &str) -> Result<Option<Timestamp>, ApiError> {
        let Some(text) = self.get(name) else { return Ok(None) };
        let reason = || {
            let again = format!("Invalid time value for '{name}': cannot parse {text:?} to a valid timestamp");
            ApiError::parameter(name, again)
        };
        parse_time(text).map(Some).ok_or_else(reason)
    }

    pub(super) fn required_time(&self, name: &str) -> Result<Timestamp, ApiError> {
        let text = self.get(name).unwrap_or("");
        let reason = || ApiError::parameter(name, format!("cannot parse {text:?} to a valid timestamp"));
        parse_time(text).ok_or_else(reason)
    }

    /// A duration in seconds or as `5m`.
    pub(super) fn duration(&self, name: &str) -> Result<Option<Duration>, ApiError> {
        let Some(text) = self.get(name) else { return Ok(None) };
        let reason = || {
            let too_long = text.parse::<f64>().is_ok_and(|seconds| seconds > 0.0);
            let more = if too_long { ". It overflows int64" } else { "" };
            ApiError::parameter(name, format!("cannot parse {text:?} to a valid duration{more}"))
        };
        parse_length(text).map(Some).ok_or_else(reason)
    }

    /// A count; 0 and absence mean: no limit.
    pub(super) fn limit(&self) -> Result<Option<usize>, ApiError> {
        self.count("limit")
    }

    pub(super) fn count(&self, name: &str) -> Result<Option<usize>, ApiError> {
        let Some(text) = self.get(name) else { return Ok(None) };
        let reason = || ApiError::parameter(name, format!("{name} must be a number, not {text:?}"));
        let count: i64 = text.parse().map_err(|_| reason())?;
        match usize::try_from(count) {
            Ok(count) => Ok((count > 0).then_some(count)),
            Err(_) => Err(ApiError::parameter(name, format!("{name} must be non-negative"))),
        }
    }

    /// A flag as Go's `strconv.ParseBool` reads it; absent is false.
    pub(super) fn flag(&self, name: &str) -> Result<bool, ApiError> {
        match self.get(name) {
            None | Some("0" | "f" | "F" | "false" | "FALSE" | "False") => Ok(false),
            Some("1" | "t" | "T" | "true" | "TRUE" | "True") => Ok(true),
            Some(text) => Err(ApiError::parameter(name, format!("expected true or false, not {text:?}"))),
        }
    }
}

fn parse_time(text: &str) -> Option<Timestamp> {
    for (known, ts) in [MIN_TIME, MAX_TIME] {
        if text == known {
            return Some(ts);
        }
    }
    if let Ok(seconds) = text.parse::<f64>() {
        // Seconds and their fraction apart: together they would round 0.0005 s of a late year up.
        let ms = seconds.trunc() * 1000.0 + (seconds.fract() * 1000.0).round();
        return (ms.abs() <= MAX_TIME.1 as f64).then_some(ms as i64);
    }
    is_rfc3339(text).then(|| text.parse::<jiff::Timestamp>().ok().map(|time| time.as_millisecond()))?
}

/// Whether a time has the shape `2015-07-01T20:10:51`, an optional fraction, and `Z` or `+02:00`: the parser takes more.
fn is_rfc3339(text: &str) -> bool {
    let shape = |text: &str, shape: &str| {
        text.len() == shape.len()
            && text.bytes().zip(shape.bytes()).all(|(byte, like)| match like {
                b'0' => byte.is_ascii_digit(),
                b'+' => matches!(byte, b'+' | b'-'),
                like => byte == like,
            })
    };
    let Some((start, rest)) = text.split_at_checked(19) else { return false };
    let zone =
        rest.strip_prefix('.').map_or(rest, |fraction| fraction.trim_start_matches(|c: char| c.is_ascii_digit()));
    shape(start, "0000-00-00T00:00:00") && (zone == "Z" || shape(zone, "+00:00"))
}

/// Negative and unrepresentable durations are refused here; zero is the caller's business.
fn parse_length(text: &str) -> Option<Duration> {
    match text.parse::<f64>() {
        Ok(seconds) => {
            Duration::try_from_secs_f64(seconds).ok().filter(|length| length.as_secs() < u64::MAX / 2_000_000_000)
        }
        Err(_) => parse_duration(text).ok(),
    }
}

/// `a=1&b=x+y%21`; a broken escape stays as it is written.
pub(super) fn parse_form(text: &str) -> Vec<(String, String)> {
    text.split('&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            (unescape(name), unescape(value))
        })
        .collect()
}

fn unescape(text: &str) -> String {
    let mut out = Vec::with_capacity(text.len());
    let mut bytes = text.as_bytes();
    while let Some((first, rest)) = bytes.split_first() {
        bytes = rest;
        match first {
            b'+' => out.push(b' '),
            b'%' => match rest.first_chunk::<2>().and_then(|hex| hex_byte(*hex)) {
                Some(byte) => {
                    out.push(byte);
                    bytes = rest.get(2..).unwrap_or_default();
                }
                None => out.push(b'%'),
            },
            byte => out.push(*byte),
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

fn hex_byte([high, low]: [u8; 2]) -> Option<u8> {
    let digit = |byte: u8| char::from(byte).to_digit(16);
    u8::try_from(digit(high)? * 16 + digit(low)?).ok()
}

#[cfg(test)]
mod tests {
    use super::{Params, parse_form, parse_length, parse_time};

    #[test]
    fn reads_forms() {
        let pairs = parse_form("query=up%7Ba%3D%22b%22%7D+%2B1&match[]=a&match%5B%5D=b&odd=%zz&flag");
        let expected = [("query", "up{a=\"b\"} +1"), ("match[]", "a"), ("match[]", "b"), ("odd", "%zz"), ("flag", "")];
        let pairs: Vec<(&str, &str)> = pairs.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
        assert_eq!(pairs, expected);
    }

    #[test]
    fn reads_times_and_durations() {
        for (text, expected) in [
            ("1435781451.781", Some(1_435_781_451_781)),
            ("1435781451.0005", Some(1_435_781_451_000)),
            ("-1.5", Some(-1_500)),
            ("2015-07-01T20:10:51.781Z", Some(1_435_781_451_781)),
            ("2015-07-01T22:10:51+02:00", Some(1_435_781_451_000)),
            ("-1", Some(-1000)),
            ("NaN", None),
            ("1e300", None),
            ("yesterday", None),
            ("2015-07-01", None),
            ("2015-07-01 20:10:51Z", None),
            ("2015-07-01T20:10:51", None),
            ("2015-07-01T20:10Z", None),
            ("2015-07-01T20:10:51Z[UTC]", None),
            ("2015-07-01T20:10:51+0200", None),
            ("2015-07-01T20:10:5é", None),
        ] {
            assert_eq!(parse_time(text), expected, "{text}");
        }
        for (text, expected) in
            [("15", Some(15_000)), ("0.5", Some(500)), ("1m", Some(60_000)), ("-1", None), ("1e300", None), ("x", None)]
        {
            assert_eq!(parse_length(text).map(|length| length.as_millis()), expected, "{text}");
        }
    }

    #[test]
    fn limits_and_flags() {
        let params = |text| Params(parse_form(text));
        assert_eq!(params("limit=0").limit(), Ok(None));
        assert_eq!(params("limit=3").limit(), Ok(Some(3)));
        assert!(params("limit=-1").limit().is_err());
        assert_eq!(params("x=true").flag("x"), Ok(true));
        assert!(params("x=maybe").flag("x").is_err());
    }
}
