//! Addresses and links.

use super::super::exec::Executor;
use super::super::value::Val;
use super::{Outcome, text_arg};

/// Go's url.QueryEscape.
pub(super) fn query_escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 16);
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => out.push(byte as char),
            b' ' => out.push('+'),
            byte => out.push_str(&format!("%{byte:02X}")),
        }
    }
    out
}

pub(super) fn escape(args: &[Val]) -> Outcome {
    Ok(Val::text(query_escape(text_arg(args, 0)?)))
}

/// Path and query of the page's graph of an expression.
pub(super) fn graph_link(args: &[Val]) -> Outcome {
    Ok(Val::text(format!("/graph?g0.expr={}&g0.tab=0", query_escape(text_arg(args, 0)?))))
}

/// Path and query of the page's table of an expression.
pub(super) fn table_link(args: &[Val]) -> Outcome {
    Ok(Val::text(format!("/graph?g0.expr={}&g0.tab=1", query_escape(text_arg(args, 0)?))))
}

pub(super) fn external_url(exec: &Executor<'_>, _args: &[Val]) -> Outcome {
    Ok(Val::text(exec.data.external_url.as_str()))
}

/// The path of the external URL.
pub(super) fn path_prefix(exec: &Executor<'_>, _args: &[Val]) -> Outcome {
    let url = exec.data.external_url.as_str();
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let path = rest.find('/').and_then(|at| rest.get(at..)).unwrap_or("");
    let path = path.split(['?', '#']).next().unwrap_or("");
    Ok(Val::text(path))
}
