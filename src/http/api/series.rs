//! `series`, `labels`, `label/{name}/values`.

use std::collections::{BTreeSet, HashSet};
use std::sync::Arc;

use axum::extract::{Path, State};
use axum::response::Response;

use crate::http::edge::Edge;
use crate::http::envelope::{Asker, Notes, run, success};
use crate::http::error::{ApiError, ErrorKind};
use crate::http::params::Params;
use crate::model::{Labels, Matcher, Timestamp};
use crate::promql::parser::parse_selector;

/// Selectors and the time range of a request for series.
struct Wanted {
    selectors: Vec<Vec<Matcher>>,
    start: Timestamp,
    end: Timestamp,
    limit: Option<usize>,
}

impl Wanted {
    fn read(params: &Params) -> Result<Self, ApiError> {
        let selectors = params.all("match[]").map(read_selector).collect::<Result<_, _>>()?;
        let start = params.time("start")?.unwrap_or(Timestamp::MIN / 4);
        let end = params.time("end")?.unwrap_or(Timestamp::MAX / 4);
        Ok(Self { selectors, start, end, limit: params.limit()? })
    }

    /// Series that match one of the selectors, each once; all series when there is no selector.
    fn find(&self, edge: &Edge, asker: &Asker) -> Result<Vec<Labels>, ApiError> {
        asker.still_there()?;
        // A range that ends before it starts is empty, not wrong.
        if self.end < self.start {
            return Ok(Vec::new());
        }
        match self.selectors.as_slice() {
            [] => Ok(edge.querier.series(&[], self.start, self.end)?),
            [one] => Ok(edge.querier.series(one, self.start, self.end)?),
            many => {
                let mut found = HashSet::new();
                for matchers in many {
                    asker.still_there()?;
                    found.extend(edge.querier.series(matchers, self.start, self.end)?);
                }
                let mut sorted: Vec<Labels> = found.into_iter().collect();
                sorted.sort_unstable();
                Ok(sorted)
            }
        }
    }
}

/// A `match[]` value. One that any series satisfies is refused, as Prometheus does.
pub(in crate::http) fn read_selector(text: &str) -> Result<Vec<Matcher>, ApiError> {
    let matchers = parse_selector(text).map_err(|error| ApiError::parameter("match[]", error))?;
    if matchers.iter().all(Matcher::matches_empty) {
        return Err(ApiError::parameter("match[]", "match[] must contain at least one non-empty matcher"));
    }
    Ok(matchers)
}

/// The first `limit` items, and whether there were more.
fn limited<T>(mut items: Vec<T>, limit: Option<usize>) -> (Vec<T>, Notes) {
    let cut = limit.is_some_and(|limit| items.len() > limit);
    items.truncate(limit.unwrap_or(usize::MAX));
    (items, Notes::truncated(cut))
}

/// Series that match.
pub(in crate::http) async fn series(State(edge): State<Arc<Edge>>, params: Params) -> Result<Response, ApiError> {
    let wanted = Wanted::read(&params)?;
    if wanted.selectors.is_empty() {
        return Err(ApiError::new(ErrorKind::BadData, "no match[] parameter provided"));
    }
    run(&edge, edge.patience(), move |edge, asker| {
        let (found, notes) = limited(wanted.find(edge, asker)?, wanted.limit);
        Ok(success(&notes, |json| {
            json.raw("[");
            for (i, labels) in found.iter().enumerate() {
                json.raw(if i > 0 { "," } else { "" }).labels(labels);
            }
            json.raw("]");
        }))
    })
    .await
}

/// Names of labels.
pub(in crate::http) async fn labels(State(edge): State<Arc<Edge>>, params: Params) -> Result<Response, ApiError> {
    let wanted = Wanted::read(&params)?;
    run(&edge, edge.patience(), move |edge, asker| {
        let found = wanted.find(edge, asker)?;
        let names: BTreeSet<&str> = found.iter().flat_map(|labels| labels.iter().map(|(name, _)| name)).collect();
        let (names, notes) = limited(names.into_iter().collect(), wanted.limit);
        Ok(success(&notes, |json| {
            json.strings(names);
        }))
    })
    .await
}

/// Values of one label.
pub(in crate::http) async fn label_values(
    State(edge): State<Arc<Edge>>,
    Path(name): Path<String>,
    params: Params,
) -> Result<Response, ApiError> {
    let name = unescape_name(&name);
    if name.is_empty() {
        return Err(ApiError::new(ErrorKind::BadData, "invalid label name: \"\""));
    }
    let wanted = Wanted::read(&params)?;
    run(&edge, edge.patience(), move |edge, asker| {
        let found = wanted.find(edge, asker)?;
        let values: BTreeSet<&str> =
            found.iter().map(|labels| labels.get(&name)).filter(|value| !value.is_empty()).collect();
        let (values, notes) = limited(values.into_iter().collect(), wanted.limit);
        Ok(success(&notes, |json| {
            json.strings(values);
        }))
    })
    .await
}

/// Undoes the escaping by which UTF-8 names fit into a path: `U__http_2e_status` is `http.status`, `__` is `_`
/// (`model.UnescapeName` of prometheus/common). What is no valid escape stays as it is.
fn unescape_name(name: &str) -> String {
    let Some(mut rest) = name.strip_prefix("U__") else { return name.to_owned() };
    let mut out = String::new();
    while let Some(at) = rest.find('_') {
        out.push_str(&rest[..at]);
        rest = &rest[at + 1..];
        let Some(end) = rest.find('_') else { return name.to_owned() };
        if end == 0 {
            out.push('_');
        } else {
            let Some(c) = u32::from_str_radix(&rest[..end], 16).ok().and_then(char::from_u32) else {
                return name.to_owned();
            };
            out.push(c);
        }
        rest = &rest[end + 1..];
    }
    out.push_str(rest);
    out
}

#[cfg(test)]
mod tests {
    use super::{read_selector, unescape_name};

    #[test]
    fn unescapes_names() {
        for (escaped, expected) in [
            ("job", "job"),
            ("U__http_2e_status", "http.status"),
            ("U__a__b", "a_b"),
            ("U__label_20_with_20_space", "label with space"),
            ("U__broken_2e", "U__broken_2e"),
            ("U__bad_zz_", "U__bad_zz_"),
        ] {
            assert_eq!(unescape_name(escaped), expected, "{escaped}");
        }
    }

    #[test]
    fn selectors_must_select() {
        for (text, valid) in [("up", true), ("{a=\"\"}", false), ("{a=~\".*\"}", false), ("up[5m]", false), ("", false)]
        {
            assert_eq!(read_selector(text).is_ok(), valid, "{text:?}");
        }
    }
}
