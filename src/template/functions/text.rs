//! Strings, regular expressions, host names.

use std::net::IpAddr;

use regex::Regex;

use crate::model::{go_expand, go_regex};

use super::super::exec::MAX_OUTPUT_BYTES;
use super::super::value::Val;
use super::{Outcome, text_arg};

fn regex(pattern: &str) -> Result<Regex, String> {
    go_regex(pattern).map_err(|error| format!("error parsing regexp: {error}"))
}

pub(super) fn matches(args: &[Val]) -> Outcome {
    Ok(Val::Bool(regex(text_arg(args, 0)?)?.is_match(text_arg(args, 1)?)))
}

/// `reReplaceAll pattern replacement text`; `$1` and `${name}` stand for groups.
pub(super) fn replace_all(args: &[Val]) -> Outcome {
    let (pattern, replacement, text) = (regex(text_arg(args, 0)?)?, text_arg(args, 1)?, text_arg(args, 2)?);
    let mut out = String::new();
    let mut end = 0;
    for captures in pattern.captures_iter(text) {
        let Some(whole) = captures.get(0) else { continue };
        out.push_str(text.get(end..whole.start()).unwrap_or(""));
        go_expand(&captures, replacement, &mut out);
        end = whole.end();
        if out.len() > MAX_OUTPUT_BYTES {
            return Err(format!("gives more than the limit of {MAX_OUTPUT_BYTES} bytes"));
        }
    }
    out.push_str(text.get(end..).unwrap_or(""));
    Ok(Val::text(out))
}

/// The first letter of each word in upper case.
pub(super) fn title(args: &[Val]) -> Outcome {
    let mut out = String::new();
    let mut inside = false;
    for c in text_arg(args, 0)?.chars() {
        let letter = c.is_alphanumeric() || c == '_' || c == '\'';
        if letter && !inside {
            out.extend(c.to_uppercase());
        } else {
            out.push(c);
        }
        inside = letter;
    }
    Ok(Val::text(out))
}

pub(super) fn to_upper(args: &[Val]) -> Outcome {
    Ok(Val::text(text_arg(args, 0)?.to_uppercase()))
}

pub(super) fn to_lower(args: &[Val]) -> Outcome {
    Ok(Val::text(text_arg(args, 0)?.to_lowercase()))
}

/// Templates of rules are plain text: nothing is escaped anyway.
pub(super) fn safe_html(args: &[Val]) -> Outcome {
    text_arg(args, 0).map(Val::text)
}

/// `host:port`, `[v6]:port` → host and port, as Go's net.SplitHostPort: anything else is `None`.
fn split_host_port(text: &str) -> Option<(&str, &str)> {
    if let Some(rest) = text.strip_prefix('[') {
        let (host, rest) = rest.split_once(']')?;
        let port = rest.strip_prefix(':')?;
        return (!port.contains([':', '[', ']'])).then_some((host, port));
    }
    let (host, port) = text.rsplit_once(':')?;
    (!host.contains([':', '[', ']']) && !port.contains(['[', ']'])).then_some((host, port))
}

pub(super) fn strip_port(args: &[Val]) -> Outcome {
    let text = text_arg(args, 0)?;
    Ok(Val::text(split_host_port(text).map_or(text, |(host, _)| host)))
}

/// The first part of a host name, with its port; addresses stay as they are.
pub(super) fn strip_domain(args: &[Val]) -> Outcome {
    let text = text_arg(args, 0)?;
    let (host, port) = split_host_port(text).unwrap_or((text, ""));
    if host.parse::<IpAddr>().is_ok() {
        return Ok(Val::text(text));
    }
    let short = host.split('.').next().unwrap_or("");
    Ok(Val::text(match port {
        "" => short.to_owned(),
        port if short.contains(':') => format!("[{short}]:{port}"),
        port => format!("{short}:{port}"),
    }))
}
