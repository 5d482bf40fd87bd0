//! Functions of Go's text/template.

use super::super::printf::{sprint, sprintf, sprintln};
use super::super::value::Val;
use super::{Outcome, arg, links, text_arg};

pub(super) fn not(args: &[Val]) -> Outcome {
    Ok(Val::Bool(!arg(args, 0).is_true()))
}

pub(super) fn len(args: &[Val]) -> Outcome {
    let length = match arg(args, 0) {
        Val::Text(text) => text.len(),
        Val::List(items) => items.len(),
        Val::Map(map) => map.entries.len(),
        Val::Labels(labels) => labels.len(),
        Val::Nil => return Err("len of nil pointer".to_owned()),
        other => return Err(format!("len of type {}", other.type_name())),
    };
    Ok(Val::Int(length as i64))
}

/// `index x 1 2` is `x[1][2]`.
pub(super) fn index(args: &[Val]) -> Outcome {
    let (first, indices) = args.split_first().ok_or("missing argument")?;
    indices.iter().try_fold(first.clone(), |value, index| match (&value, index) {
        (Val::List(items), Val::Int(i)) => {
            let item = usize::try_from(*i).ok().and_then(|i| items.get(i));
            item.cloned().ok_or_else(|| format!("error indexing: index out of range: {i}"))
        }
        (Val::Text(text), Val::Int(i)) => {
            let byte = usize::try_from(*i).ok().and_then(|i| text.as_bytes().get(i));
            byte.map(|byte| Val::Int(i64::from(*byte)))
                .ok_or_else(|| format!("error indexing: index out of range: {i}"))
        }
        (Val::Labels(_) | Val::Map(_), Val::Text(key)) => value.field(key),
        (Val::Nil, _) => Err("index of untyped nil".to_owned()),
        (Val::List(_) | Val::Text(_), other) => {
            Err(format!("cannot index slice/array with type {}", other.type_name()))
        }
        (Val::Labels(_) | Val::Map(_), other) => Err(format!("value has type {}; should be string", other.type_name())),
        (other, _) => Err(format!("can't index item of type {}", other.type_name())),
    })
}

/// `slice x 1 2` is `x[1:2]`.
pub(super) fn slice(args: &[Val]) -> Outcome {
    let length = match arg(args, 0) {
        Val::Text(text) => text.len(),
        Val::List(items) => items.len(),
        other => return Err(format!("can't slice item of type {}", other.type_name())),
    };
    let bound = |i: usize, default: usize| match args.get(i) {
        None => Ok(default),
        Some(Val::Int(bound)) => {
            usize::try_from(*bound).ok().filter(|bound| *bound <= length).ok_or(format!("index out of range: {bound}"))
        }
        Some(other) => Err(format!("cannot index slice/array with type {}", other.type_name())),
    };
    let (from, to) = (bound(1, 0)?, bound(2, length)?);
    if args.len() > 3 && matches!(arg(args, 0), Val::Text(_)) {
        return Err("cannot 3-index slice a string".to_owned());
    }
    let range = || format!("invalid slice index: {from} > {to}");
    match arg(args, 0) {
        Val::Text(text) => text
            .get(from..to)
            .map(Val::text)
            .ok_or_else(|| if from > to { range() } else { format!("slice {from}:{to} cuts a character in two") }),
        Val::List(items) => items.get(from..to).map(|items| Val::list(items.to_vec())).ok_or_else(range),
        _ => Err(range()),
    }
}

pub(super) fn print(args: &[Val]) -> Outcome {
    Ok(Val::text(sprint(args)))
}

pub(super) fn println(args: &[Val]) -> Outcome {
    Ok(Val::text(sprintln(args)))
}

pub(super) fn printf(args: &[Val]) -> Outcome {
    let format = text_arg(args, 0)?;
    Ok(Val::text(sprintf(format, args.get(1..).unwrap_or(&[]))))
}

/// One string argument is taken as it is, others as `print` writes them.
fn joined(args: &[Val]) -> String {
    match args {
        [Val::Text(text)] => text.to_string(),
        args => sprint(args),
    }
}

pub(super) fn html(args: &[Val]) -> Outcome {
    let mut out = String::new();
    for c in joined(args).chars() {
        match c {
            '"' => out.push_str("&#34;"),
            '\'' => out.push_str("&#39;"),
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '\0' => out.push('\u{fffd}'),
            c => out.push(c),
        }
    }
    Ok(Val::text(out))
}

pub(super) fn js(args: &[Val]) -> Outcome {
    let mut out = String::new();
    for c in joined(args).chars() {
        match c {
            '\\' => out.push_str(r"\\"),
            '\'' => out.push_str(r"\'"),
            '"' => out.push_str("\\\""),
            '<' | '>' | '&' | '=' => out.push_str(&format!("\\u{:04X}", c as u32)),
            c if c < ' ' => out.push_str(&format!("\\u{:04X}", c as u32)),
            c => out.push(c),
        }
    }
    Ok(Val::text(out))
}

pub(super) fn urlquery(args: &[Val]) -> Outcome {
    Ok(Val::text(links::query_escape(&joined(args))))
}

/// No value of these templates is a function.
pub(super) fn call(args: &[Val]) -> Outcome {
    Err(format!("non-function of type {}", arg(args, 0).type_name()))
}
