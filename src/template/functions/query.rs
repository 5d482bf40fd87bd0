//! Asking, and what to do with the answer.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::super::data::QueryRow;
use super::super::exec::Executor;
use super::super::value::Val;
use super::{Outcome, arg, text_arg};

/// Rows of one query that a template may see.
const MAX_ROWS: usize = 10_000;

pub(super) fn query(exec: &Executor<'_>, args: &[Val]) -> Outcome {
    let rows = exec.queries.query(text_arg(args, 0)?, exec.data.now)?;
    if rows.len() > MAX_ROWS {
        return Err(format!("query gives {} series, the limit is {MAX_ROWS}", rows.len()));
    }
    Ok(Val::list(rows.into_iter().map(|row| Val::Row(Arc::new(row))).collect()))
}

fn rows(value: &Val) -> Result<&[Val], String> {
    match value {
        Val::List(items) => Ok(items),
        Val::Nil => Ok(&[]),
        other => Err(format!("wrong type for value; expected a query's result; got {}", other.type_name())),
    }
}

fn row(value: &Val) -> Result<&QueryRow, String> {
    match value {
        Val::Row(row) => Ok(row),
        other => Err(format!("wrong type for value; expected a sample; got {}", other.type_name())),
    }
}

pub(super) fn first(args: &[Val]) -> Outcome {
    rows(arg(args, 0))?.first().cloned().ok_or_else(|| "first() called on vector with no elements".to_owned())
}

pub(super) fn label(args: &[Val]) -> Outcome {
    Ok(Val::text(row(arg(args, 1))?.labels.get(text_arg(args, 0)?)))
}

pub(super) fn value(args: &[Val]) -> Outcome {
    Ok(Val::Float(row(arg(args, 0))?.value))
}

/// The label `__value__`, which consoles set.
pub(super) fn strvalue(args: &[Val]) -> Outcome {
    Ok(Val::text(row(arg(args, 0))?.labels.get("__value__")))
}

pub(super) fn sort_by_label(args: &[Val]) -> Outcome {
    let label = text_arg(args, 0)?;
    let mut sorted = rows(arg(args, 1))?.to_vec();
    sorted.iter().try_for_each(|value| row(value).map(|_| ()))?;
    sorted.sort_by(|a, b| match (a, b) {
        (Val::Row(a), Val::Row(b)) => a.labels.get(label).cmp(b.labels.get(label)),
        _ => std::cmp::Ordering::Equal,
    });
    Ok(Val::list(sorted))
}

/// A map `arg0`, `arg1`, … to hand several values to a template.
pub(super) fn args(args: &[Val]) -> Outcome {
    let entries: BTreeMap<String, Val> =
        args.iter().enumerate().map(|(i, value)| (format!("arg{i}"), value.clone())).collect();
    Val::map(entries)
}
