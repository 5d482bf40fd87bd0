//! Values while a template is expanded, with Go's types in mind.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::model::{Labels, Timestamp};

use super::data::{QueryRow, TemplateData};
use super::exec::MAX_OUTPUT_BYTES;
use super::format::float;
use super::time::{format_duration_ns, format_time};

/// A value.
#[derive(Debug, Clone)]
pub(super) enum Val {
    Nil,
    Bool(bool),
    Int(i64),
    Float(f64),
    Text(Arc<str>),
    /// A map of strings; a missing key is the empty string.
    Labels(Labels),
    List(Arc<[Val]>),
    Map(Arc<ArgMap>),
    /// A sample of a query.
    Row(Arc<QueryRow>),
    /// What `.` is at the top.
    Root(Arc<TemplateData>),
    /// A native histogram, written.
    Histogram(Arc<str>),
    /// Milliseconds since the epoch.
    Time(Timestamp),
    /// Nanoseconds.
    Duration(i64),
}

/// What `args` makes. Maps may hold maps: the height is kept so that it can be bounded.
#[derive(Debug)]
pub(super) struct ArgMap {
    pub(super) entries: BTreeMap<String, Val>,
    height: usize,
}

/// How deep maps may hold maps.
const MAX_HEIGHT: usize = 16;

/// Equality of literals in the tree; NaN differs from itself.
impl PartialEq for Val {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Nil, Self::Nil) => true,
            (Self::Bool(a), Self::Bool(b)) => a == b,
            (Self::Int(a), Self::Int(b)) => a == b,
            (Self::Float(a), Self::Float(b)) => a == b,
            (Self::Text(a), Self::Text(b)) => a == b,
            _ => false,
        }
    }
}

impl Val {
    pub(super) fn text(text: impl Into<Arc<str>>) -> Self {
        Self::Text(text.into())
    }

    pub(super) fn list(items: Vec<Self>) -> Self {
        Self::List(items.into())
    }

    /// A map, unless it nests too deep.
    pub(super) fn map(entries: BTreeMap<String, Self>) -> Result<Self, String> {
        let below = entries.values().map(|value| if let Self::Map(map) = value { map.height } else { 0 }).max();
        let height = below.unwrap_or(0) + 1;
        if height > MAX_HEIGHT {
            return Err(format!("maps nest deeper than the limit of {MAX_HEIGHT} levels"));
        }
        Ok(Self::Map(Arc::new(ArgMap { entries, height })))
    }

    pub(super) fn as_text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            _ => None,
        }
    }

    /// A sample's value: a number, or a histogram as text.
    pub(super) fn of_sample(value: &crate::model::Value) -> Self {
        match value {
            crate::model::Value::Float(value) => Self::Float(*value),
            crate::model::Value::Histogram(histogram) => {
                Self::Histogram(format!("{{count:{}, sum:{}}}", float(histogram.count), float(histogram.sum)).into())
            }
        }
    }

    /// Go's name of the type.
    pub(super) fn type_name(&self) -> &'static str {
        match self {
            Self::Nil => "nil",
            Self::Bool(_) => "bool",
            Self::Int(_) => "int",
            Self::Float(_) => "float64",
            Self::Text(_) => "string",
            Self::Labels(_) => "map[string]string",
            Self::List(_) => "list",
            Self::Map(_) => "map[string]interface {}",
            Self::Row(_) => "sample",
            Self::Root(_) => "template data",
            Self::Histogram(_) => "histogram",
            Self::Time(_) => "time.Time",
            Self::Duration(_) => "time.Duration",
        }
    }

    /// Whether `if` takes the value for true: not zero, not empty.
    pub(super) fn is_true(&self) -> bool {
        match self {
            Self::Nil => false,
            Self::Bool(value) => *value,
            Self::Int(value) | Self::Duration(value) => *value != 0,
            Self::Float(value) => *value != 0.0,
            Self::Text(text) => !text.is_empty(),
            Self::Labels(labels) => !labels.is_empty(),
            Self::List(items) => !items.is_empty(),
            Self::Map(map) => !map.entries.is_empty(),
            Self::Row(_) | Self::Root(_) | Self::Histogram(_) | Self::Time(_) => true,
        }
    }

    /// The value as Go's `%v` writes it, cut somewhat beyond [`MAX_OUTPUT_BYTES`]: its users refuse what is longer.
    pub(super) fn to_text(&self) -> String {
        let mut out = String::new();
        self.write(&mut out);
        out
    }

    fn write(&self, out: &mut String) {
        if out.len() > MAX_OUTPUT_BYTES {
            return;
        }
        match self {
            Self::Nil => out.push_str("<nil>"),
            Self::Bool(value) => out.push_str(if *value { "true" } else { "false" }),
            Self::Int(value) => out.push_str(&value.to_string()),
            Self::Float(value) => out.push_str(&float(*value)),
            Self::Text(text) | Self::Histogram(text) => out.push_str(text),
            Self::Labels(labels) => {
                let pairs: Vec<String> = labels.iter().map(|(name, value)| format!("{name}:{value}")).collect();
                out.push_str(&format!("map[{}]", pairs.join(" ")));
            }
            Self::List(items) => {
                out.push('[');
                for (i, item) in items.iter().enumerate() {
                    out.push_str(if i == 0 { "" } else { " " });
                    item.write(out);
                }
                out.push(']');
            }
            Self::Map(map) => {
                out.push_str("map[");
                for (i, (name, value)) in map.entries.iter().enumerate() {
                    out.push_str(if i == 0 { "" } else { " " });
                    out.push_str(name);
                    out.push(':');
                    value.write(out);
                }
                out.push(']');
            }
            Self::Row(row) => Self::pair(&row.labels, Self::Float(row.value), out),
            Self::Root(data) => Self::pair(&data.labels, Self::of_sample(&data.value), out),
            Self::Time(ms) => out.push_str(&format_time(*ms)),
            Self::Duration(ns) => out.push_str(&format_duration_ns(*ns)),
        }
    }

    /// `{map[…] value}`.
    fn pair(labels: &Labels, value: Self, out: &mut String) {
        out.push('{');
        Self::Labels(labels.clone()).write(out);
        out.push(' ');
        value.write(out);
        out.push('}');
    }

    /// `.name` of the value.
    pub(super) fn field(&self, name: &str) -> Result<Self, String> {
        let found = match self {
            Self::Labels(labels) => Some(Self::text(labels.get(name))),
            Self::Map(map) => Some(map.entries.get(name).cloned().unwrap_or(Self::Nil)),
            Self::Row(row) => match name {
                "Labels" => Some(Self::Labels(row.labels.clone())),
                "Value" => Some(Self::Float(row.value)),
                _ => None,
            },
            Self::Root(data) => match name {
                "Labels" => Some(Self::Labels(data.labels.clone())),
                "ExternalLabels" => Some(Self::Labels(data.external_labels.clone())),
                "ExternalURL" => Some(Self::text(data.external_url.as_str())),
                "Value" => Some(Self::of_sample(&data.value)),
                _ => None,
            },
            Self::Nil => return Err(format!("nil data; no entry for key {name:?}")),
            Self::Time(ms) => super::time::time_field(*ms, name),
            Self::Duration(ns) => super::time::duration_field(*ns, name),
            _ => None,
        };
        found.ok_or_else(|| format!("can't evaluate field {name} in type {}", self.type_name()))
    }
}
