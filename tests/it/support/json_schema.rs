//! As much of JSON Schema (2020-12) as the files of `schemas/` use. A word that is not known here is a mistake of the schema or of the test.

use std::cell::RefCell;
use std::collections::HashMap;
use std::path::Path;

use serde_json::Value;

const KNOWN: [&str; 24] = [
    "$schema",
    "$id",
    "$ref",
    "$defs",
    "title",
    "description",
    "format",
    "type",
    "enum",
    "const",
    "required",
    "properties",
    "additionalProperties",
    "propertyNames",
    "maxProperties",
    "items",
    "minItems",
    "maxItems",
    "minLength",
    "maxLength",
    "pattern",
    "minimum",
    "maximum",
    "exclusiveMinimum",
];

/// A schema with its definitions.
pub(crate) struct Schema(Value);

impl Schema {
    /// A file of `schemas/`.
    pub(crate) fn load(name: &str) -> Self {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("schemas").join(name);
        let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        Self(serde_json::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display())))
    }

    /// What is wrong with a value, nothing when it fits.
    pub(crate) fn faults(&self, value: &Value) -> Vec<String> {
        let mut faults = Vec::new();
        self.check(&self.0, value, "$", &mut faults);
        faults
    }

    fn check(&self, schema: &Value, value: &Value, at: &str, faults: &mut Vec<String>) {
        for word in schema.as_object().into_iter().flatten().map(|(word, _)| word) {
            assert!(KNOWN.contains(&word.as_str()), "{at}: the test does not know {word:?}");
        }
        if let Some(reference) = schema["$ref"].as_str() {
            let name = reference.strip_prefix("#/$defs/").expect("a definition of this file");
            let target = &self.0["$defs"][name];
            assert!(target.is_object(), "{reference} is missing");
            self.check(target, value, at, faults);
        }
        let mut wrong = |what: &str| faults.push(format!("{at}: {what}: {value}"));
        let types: Vec<&str> = match &schema["type"] {
            Value::String(one) => vec![one],
            Value::Array(many) => many.iter().filter_map(Value::as_str).collect(),
            _ => Vec::new(),
        };
        if !types.is_empty() && !types.iter().any(|name| is_of(name, value)) {
            return wrong(&format!("is none of {types:?}"));
        }
        if schema["enum"].as_array().is_some_and(|words| !words.contains(value)) {
            wrong("is none of the words");
        }
        if schema.get("const").is_some_and(|one| one != value) {
            wrong("is another constant");
        }
        if let Some(number) = value.as_f64() {
            let bound = |name: &str| schema[name].as_f64();
            if bound("minimum").is_some_and(|least| number < least)
                || bound("maximum").is_some_and(|most| number > most)
                || bound("exclusiveMinimum").is_some_and(|least| number <= least)
            {
                wrong("is out of bounds");
            }
        }
        if let Some(text) = value.as_str() {
            let length = text.chars().count() as u64;
            if schema["minLength"].as_u64().is_some_and(|least| length < least)
                || schema["maxLength"].as_u64().is_some_and(|most| length > most)
            {
                wrong("is too short or too long");
            }
            if schema["pattern"].as_str().is_some_and(|pattern| !matches(pattern, text)) {
                wrong("does not match");
            }
        }
        self.object(schema, value, at, faults);
        self.array(schema, value, at, faults);
    }

    fn object(&self, schema: &Value, value: &Value, at: &str, faults: &mut Vec<String>) {
        let Some(object) = value.as_object() else { return };
        for name in schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str) {
            if !object.contains_key(name) {
                faults.push(format!("{at}: {name} is missing"));
            }
        }
        if schema["maxProperties"].as_u64().is_some_and(|most| object.len() as u64 > most) {
            faults.push(format!("{at}: {} properties", object.len()));
        }
        for (name, value) in object {
            let at = format!("{at}.{name}");
            if schema["propertyNames"].is_object() {
                self.check(&schema["propertyNames"], &name.as_str().into(), &at, faults);
            }
            match (&schema["properties"][name], &schema["additionalProperties"]) {
                (Value::Null, Value::Bool(false)) => faults.push(format!("{at} is not described")),
                (Value::Null, Value::Object(_)) => self.check(&schema["additionalProperties"], value, &at, faults),
                (Value::Null, _) => {}
                (known, _) => self.check(known, value, &at, faults),
            }
        }
    }

    fn array(&self, schema: &Value, value: &Value, at: &str, faults: &mut Vec<String>) {
        let Some(items) = value.as_array() else { return };
        let count = items.len() as u64;
        if schema["minItems"].as_u64().is_some_and(|least| count < least)
            || schema["maxItems"].as_u64().is_some_and(|most| count > most)
        {
            faults.push(format!("{at}: {count} items"));
        }
        for (i, item) in items.iter().enumerate().filter(|_| schema["items"].is_object()) {
            self.check(&schema["items"], item, &format!("{at}[{i}]"), faults);
        }
    }
}

fn is_of(name: &str, value: &Value) -> bool {
    match name {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "boolean" => value.is_boolean(),
        "null" => value.is_null(),
        "number" => value.is_number(),
        "integer" => value.as_f64().is_some_and(|number| number.fract() == 0.0),
        other => panic!("the test does not know type {other}"),
    }
}

/// A pattern, compiled once a thread: answers hold thousands of texts.
fn compiled(pattern: &str) -> regex::Regex {
    thread_local!(static KNOWN: RefCell<HashMap<String, regex::Regex>> = RefCell::default());
    let make = || regex::Regex::new(pattern).expect("a pattern");
    KNOWN.with_borrow_mut(|known| known.entry(pattern.to_owned()).or_insert_with(make).clone())
}

/// The regex crate has no look-ahead: `^(?!A)(?!B)C` is taken apart.
fn matches(pattern: &str, text: &str) -> bool {
    let is_match = |pattern: &str| compiled(pattern).is_match(text);
    let mut rest = pattern.strip_prefix('^').unwrap_or(pattern).to_owned();
    while let Some(inner) = rest.strip_prefix("(?!") {
        let mut depth = 1;
        let end = inner.char_indices().find(|(_, c)| {
            depth += i32::from(*c == '(') - i32::from(*c == ')');
            depth == 0
        });
        let (end, _) = end.expect("a closed group");
        if is_match(&format!("^(?:{})", &inner[..end])) {
            return false;
        }
        rest = inner[end + 1..].to_owned();
    }
    is_match(&if pattern.starts_with('^') { format!("^{rest}") } else { rest })
}
