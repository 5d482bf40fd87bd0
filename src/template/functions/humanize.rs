//! Numbers for people.

use super::super::exec::Executor;
use super::super::format::significant;
use super::super::time::format_time;
use super::super::value::Val;
use super::{Outcome, number_arg, text_arg};

/// Four significant digits.
fn four(value: f64) -> String {
    significant(value, Some(4))
}

/// Scales by `base` until the value is below it; gives the last prefix that was needed.
fn scale_up(mut value: f64, base: f64, prefixes: [&'static str; 8]) -> (f64, &'static str) {
    let mut found = "";
    for prefix in prefixes {
        if value.abs() < base {
            break;
        }
        found = prefix;
        value /= base;
    }
    (value, found)
}

fn scale_down(mut value: f64) -> (f64, &'static str) {
    let mut found = "";
    for prefix in ["m", "u", "n", "p", "f", "a", "z", "y"] {
        if value.abs() >= 1.0 {
            break;
        }
        found = prefix;
        value *= 1000.0;
    }
    (value, found)
}

pub(super) fn humanize(args: &[Val]) -> Outcome {
    let value = number_arg(args, 0)?;
    if value == 0.0 || !value.is_finite() {
        return Ok(Val::text(four(value)));
    }
    let (value, prefix) = if value.abs() >= 1.0 {
        scale_up(value, 1000.0, ["k", "M", "G", "T", "P", "E", "Z", "Y"])
    } else {
        scale_down(value)
    };
    Ok(Val::text(format!("{}{prefix}", four(value))))
}

pub(super) fn humanize1024(args: &[Val]) -> Outcome {
    let value = number_arg(args, 0)?;
    if value.abs() <= 1.0 || !value.is_finite() {
        return Ok(Val::text(four(value)));
    }
    let (value, prefix) = scale_up(value, 1024.0, ["ki", "Mi", "Gi", "Ti", "Pi", "Ei", "Zi", "Yi"]);
    Ok(Val::text(format!("{}{prefix}", four(value))))
}

/// Days to minutes show whole seconds, shorter ones four digits.
pub(super) fn duration(args: &[Val]) -> Outcome {
    let value = number_arg(args, 0)?;
    if !value.is_finite() {
        return Ok(Val::text(four(value)));
    }
    if value == 0.0 {
        return Ok(Val::text("0s"));
    }
    if value.abs() < 1.0 {
        let (value, prefix) = scale_down(value);
        return Ok(Val::text(format!("{}{prefix}s", four(value))));
    }
    let (sign, value) = (if value < 0.0 { "-" } else { "" }, value.abs());
    let whole = value as i64;
    let (days, hours, minutes, seconds) = (whole / 86_400, whole / 3600 % 24, whole / 60 % 60, whole % 60);
    Ok(Val::text(match (days, hours, minutes) {
        (0, 0, 0) => format!("{sign}{}s", four(value)),
        (0, 0, minutes) => format!("{sign}{minutes}m {seconds}s"),
        (0, hours, minutes) => format!("{sign}{hours}h {minutes}m {seconds}s"),
        (days, hours, minutes) => format!("{sign}{days}d {hours}h {minutes}m {seconds}s"),
    }))
}

pub(super) fn percentage(args: &[Val]) -> Outcome {
    Ok(Val::text(format!("{}%", four(number_arg(args, 0)? * 100.0))))
}

/// Milliseconds of a time in seconds, or `None` for NaN and the infinities.
fn milliseconds(seconds: f64) -> Result<Option<i64>, String> {
    if !seconds.is_finite() {
        return Ok(None);
    }
    let nanoseconds = seconds * 1e9;
    if nanoseconds.abs() > i64::MAX as f64 {
        let text = significant(seconds, None);
        return Err(format!("{text} cannot be represented as a nanoseconds timestamp since it overflows int64"));
    }
    Ok(Some((nanoseconds as i64).div_euclid(1_000_000)))
}

pub(super) fn timestamp(args: &[Val]) -> Outcome {
    let value = number_arg(args, 0)?;
    Ok(Val::text(milliseconds(value)?.map_or_else(|| four(value), format_time)))
}

pub(super) fn to_time(args: &[Val]) -> Outcome {
    let value = number_arg(args, 0)?;
    milliseconds(value)?.map(Val::Time).ok_or_else(|| "value is NaN or Inf".to_owned())
}

pub(super) fn to_duration(args: &[Val]) -> Outcome {
    let value = number_arg(args, 0)?;
    let nanoseconds = value * 1e9;
    if !nanoseconds.is_finite() || nanoseconds.abs() > i64::MAX as f64 {
        return Err("value is NaN, Inf or out of range".to_owned());
    }
    Ok(Val::Duration(nanoseconds as i64))
}

/// Seconds of a duration such as `1h30m`.
pub(super) fn parse_duration(args: &[Val]) -> Outcome {
    let duration = crate::model::parse_duration(text_arg(args, 0)?).map_err(|error| error.to_string())?;
    Ok(Val::Float(duration.as_secs_f64()))
}

/// The evaluation time in seconds.
pub(super) fn now(exec: &Executor<'_>, _args: &[Val]) -> Outcome {
    Ok(Val::Float(exec.data.now as f64 / 1000.0))
}
