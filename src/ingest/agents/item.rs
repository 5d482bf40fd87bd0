//! JSON as it was written: pairs in order and doubled names are still there, so that both can be told.

use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, SeqAccess, Visitor};

/// One JSON value.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Item {
    Null,
    Bool(bool),
    Number(f64),
    Text(String),
    /// What is in a list is of no use to anybody here.
    List,
    Object(Vec<(String, Item)>),
}

impl Item {
    /// What a message calls it.
    pub(super) fn kind(&self) -> String {
        match self {
            Self::Null => "null".to_owned(),
            Self::Bool(value) => value.to_string(),
            Self::Number(number) => number.to_string(),
            Self::Text(text) => format!("{:?}", shorten(text)),
            Self::List => "a list".to_owned(),
            Self::Object(_) => "an object".to_owned(),
        }
    }
}

/// The beginning of a text that may be long.
pub(super) fn shorten(text: &str) -> String {
    const SHOWN: usize = 40;
    match text.char_indices().nth(SHOWN) {
        Some((at, _)) => format!("{}…", &text[..at]),
        None => text.to_owned(),
    }
}

/// Names of `names` that is nearest to `word`, if it may have been meant.
pub(super) fn nearest<'a>(word: &str, names: &[&'a str]) -> Option<&'a str> {
    // Longer words are no typing mistake, and would take long to compare.
    let short = word.get(..word.len().min(64)).unwrap_or("");
    let near = names.iter().map(|name| (distance(short, name), *name)).min()?;
    (near.0 <= near.1.len().max(3) / 3 + 1).then_some(near.1)
}

/// Insertions, deletions and replacements between two words (Levenshtein).
fn distance(a: &str, b: &str) -> usize {
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, left) in a.bytes().enumerate() {
        let mut diagonal = i;
        let mut before = i + 1;
        for (place, right) in row.iter_mut().skip(1).zip(b.bytes()) {
            let cost = (diagonal + usize::from(!left.eq_ignore_ascii_case(&right))).min(before + 1).min(*place + 1);
            diagonal = std::mem::replace(place, cost);
            before = cost;
        }
        if let Some(first) = row.first_mut() {
            *first = i + 1;
        }
    }
    row.last().copied().unwrap_or(0)
}

struct Any;

impl<'de> Visitor<'de> for Any {
    type Value = Item;

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<Item, E> {
        Ok(Item::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Item, E> {
        Ok(Item::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Item, E> {
        Ok(Item::Number(value as f64))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Item, E> {
        Ok(Item::Number(value as f64))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Item, E> {
        Ok(Item::Number(value))
    }

    fn visit_str<E>(self, value: &str) -> Result<Item, E> {
        Ok(Item::Text(value.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Item, A::Error> {
        while list.next_element::<Item>()?.is_some() {}
        Ok(Item::List)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Item, A::Error> {
        let mut pairs = Vec::new();
        while let Some(pair) = map.next_entry()? {
            pairs.push(pair);
        }
        Ok(Item::Object(pairs))
    }
}

impl<'de> Deserialize<'de> for Item {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Any)
    }
}

#[cfg(test)]
mod tests {
    use super::{distance, nearest};

    #[test]
    fn finds_what_was_meant() {
        for (a, b, expected) in
            [("", "", 0), ("a", "", 1), ("", "abc", 3), ("kitten", "sitting", 3), ("Status", "status", 0)]
        {
            assert_eq!(distance(a, b), expected, "{a} {b}");
        }
        let names = ["pid", "status", "in_flight", "ttl_seconds", "run_id"];
        for (word, expected) in [
            ("statsu", Some("status")),
            ("inflight", Some("in_flight")),
            ("ttl", None),
            ("runid", Some("run_id")),
            ("weather_report", None),
        ] {
            assert_eq!(nearest(word, &names), expected, "{word}");
        }
    }
}
