//! `eq`, `lt` and their like. As in Go, a whole number and a float do not compare: write `5.0`, not `5`.

use std::cmp::Ordering;

use super::super::value::Val;
use super::{Outcome, arg};

fn incompatible(a: &Val, b: &Val) -> String {
    format!("incompatible types for comparison: {} and {}", a.type_name(), b.type_name())
}

fn same(a: &Val, b: &Val) -> Result<bool, String> {
    match (a, b) {
        (Val::Bool(a), Val::Bool(b)) => Ok(a == b),
        (Val::Int(a) | Val::Duration(a), Val::Int(b) | Val::Duration(b)) => Ok(a == b),
        (Val::Float(a), Val::Float(b)) => Ok(a == b),
        (Val::Text(a), Val::Text(b)) => Ok(a == b),
        (Val::Time(a), Val::Time(b)) => Ok(a == b),
        (Val::Nil, Val::Nil) => Ok(true),
        (Val::Nil, _) | (_, Val::Nil) => Ok(false),
        (Val::List(_) | Val::Map(_) | Val::Labels(_) | Val::Root(_), _)
        | (_, Val::List(_) | Val::Map(_) | Val::Labels(_) | Val::Root(_)) => {
            Err(format!("non-comparable type {}", a.type_name()))
        }
        (a, b) => Err(incompatible(a, b)),
    }
}

fn order(args: &[Val]) -> Result<Option<Ordering>, String> {
    match (arg(args, 0), arg(args, 1)) {
        (Val::Int(a) | Val::Duration(a), Val::Int(b) | Val::Duration(b)) => Ok(Some(a.cmp(b))),
        (Val::Float(a), Val::Float(b)) => Ok(a.partial_cmp(b)),
        (Val::Text(a), Val::Text(b)) => Ok(Some(a.cmp(b))),
        (Val::Bool(_), Val::Bool(_)) => Err("invalid type for comparison: bool".to_owned()),
        (a, b) => Err(incompatible(a, b)),
    }
}

/// Whether the first argument equals any of the others.
pub(super) fn eq(args: &[Val]) -> Outcome {
    for other in args.get(1..).unwrap_or(&[]) {
        if same(arg(args, 0), other)? {
            return Ok(Val::Bool(true));
        }
    }
    Ok(Val::Bool(false))
}

pub(super) fn ne(args: &[Val]) -> Outcome {
    same(arg(args, 0), arg(args, 1)).map(|same| Val::Bool(!same))
}

pub(super) fn lt(args: &[Val]) -> Outcome {
    Ok(Val::Bool(order(args)? == Some(Ordering::Less)))
}

pub(super) fn le(args: &[Val]) -> Outcome {
    Ok(Val::Bool(matches!(order(args)?, Some(Ordering::Less | Ordering::Equal))))
}

pub(super) fn gt(args: &[Val]) -> Outcome {
    Ok(Val::Bool(order(args)? == Some(Ordering::Greater)))
}

pub(super) fn ge(args: &[Val]) -> Outcome {
    Ok(Val::Bool(matches!(order(args)?, Some(Ordering::Greater | Ordering::Equal))))
}
