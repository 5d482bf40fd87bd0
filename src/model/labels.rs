//! Label sets: sorted, immutable, one allocation, cheap to clone and to compare.

use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

/// The label that carries the metric name.
pub const METRIC_NAME: &str = "__name__";

/// A sorted set of labels. Names are unique, values are never empty (an empty value means: not there).
#[derive(Clone)]
pub struct Labels(Arc<Inner>);

struct Inner {
    hash: u64,
    /// Ends of name and value in `text`, alternating.
    ends: Box<[u32]>,
    text: Box<str>,
}

impl Labels {
    /// The empty label set.
    pub fn empty() -> Self {
        Self::from_sorted(&[])
    }

    /// All labels between braces, the name among them, as Go and promtool print label sets: `{__name__="up", job="node"}`.
    pub fn braced(&self) -> String {
        let pair = |(name, value): (&str, &str)| {
            let name = if is_classic_label_name(name) { name.to_owned() } else { quote(name) };
            format!("{name}={}", quote(value))
        };
        format!("{{{}}}", self.iter().map(pair).collect::<Vec<_>>().join(", "))
    }

    /// Builds a set from pairs in any order; of two pairs with one name the later wins, empty values are dropped.
    pub fn from_pairs(pairs: &[(&str, &str)]) -> Self {
        let mut sorted: Vec<(&str, &str)> = pairs.to_vec();
        sorted.sort_by(|a, b| a.0.cmp(b.0));
        let mut unique: Vec<(&str, &str)> = Vec::with_capacity(sorted.len());
        for pair in sorted {
            match unique.last_mut() {
                Some(last) if last.0 == pair.0 => *last = pair,
                _ => unique.push(pair),
            }
        }
        unique.retain(|(_, value)| !value.is_empty());
        Self::from_sorted(&unique)
    }

    fn from_sorted(pairs: &[(&str, &str)]) -> Self {
        let size = pairs.iter().map(|(name, value)| name.len() + value.len()).sum();
        let mut text = String::with_capacity(size);
        let mut ends = Vec::with_capacity(pairs.len() * 2);
        let mut hasher = rustc_hash::FxHasher::default();
        for (name, value) in pairs {
            text.push_str(name);
            ends.push(text.len() as u32);
            text.push_str(value);
            ends.push(text.len() as u32);
            name.hash(&mut hasher);
            value.hash(&mut hasher);
        }
        Self(Arc::new(Inner { hash: hasher.finish(), ends: ends.into(), text: text.into() }))
    }

    /// How many labels there are.
    pub fn len(&self) -> usize {
        self.0.ends.len() / 2
    }

    /// Whether there is no label.
    pub fn is_empty(&self) -> bool {
        self.0.ends.is_empty()
    }

    /// The hash of all names and values; stable within a process only.
    pub fn hash_value(&self) -> u64 {
        self.0.hash
    }

    /// The value of `name`, or `""` when it is not there.
    pub fn get(&self, name: &str) -> &str {
        self.iter().find(|(n, _)| *n == name).map_or("", |(_, value)| value)
    }

    /// Whether a label of that name is there.
    pub fn contains(&self, name: &str) -> bool {
        self.iter().any(|(n, _)| n == name)
    }

    /// The metric name, or `""`.
    pub fn metric_name(&self) -> &str {
        self.get(METRIC_NAME)
    }

    /// Name and value pairs, sorted by name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> + Clone {
        let inner = &*self.0;
        (0..self.len()).map(move |i| {
            let start = if i == 0 { 0 } else { inner.ends[2 * i - 1] as usize };
            let (mid, end) = (inner.ends[2 * i] as usize, inner.ends[2 * i + 1] as usize);
            (&inner.text[start..mid], &inner.text[mid..end])
        })
    }

    /// The set without the labels that `drop` names.
    pub fn without(&self, drop: &[&str]) -> Self {
        self.filtered(|name| !drop.contains(&name))
    }

    /// The set with only the labels that `keep` names.
    pub fn only(&self, keep: &[&str]) -> Self {
        self.filtered(|name| keep.contains(&name))
    }

    /// The set with the labels for which `keep` says yes; the same allocation when that is all of them.
    pub fn filtered(&self, mut keep: impl FnMut(&str) -> bool) -> Self {
        let pairs: Vec<(&str, &str)> = self.iter().filter(|(name, _)| keep(name)).collect();
        if pairs.len() == self.len() { self.clone() } else { Self::from_sorted(&pairs) }
    }

    /// The set with one label set to `value`, or removed when `value` is empty.
    pub fn with(&self, name: &str, value: &str) -> Self {
        LabelsBuilder::from(self).set(name, value).build()
    }
}

impl Default for Labels {
    fn default() -> Self {
        Self::empty()
    }
}

impl PartialEq for Labels {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
            || (self.0.hash == other.0.hash && self.0.ends == other.0.ends && self.0.text == other.0.text)
    }
}

impl Eq for Labels {}

impl Hash for Labels {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.0.hash);
    }
}

/// The order of Prometheus' `labels.Compare`: pair by pair, then the shorter first.
impl Ord for Labels {
    fn cmp(&self, other: &Self) -> Ordering {
        self.iter().cmp(other.iter())
    }
}

impl PartialOrd for Labels {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl fmt::Debug for Labels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Writes `name{a="b"}` as PromQL reads it; names beyond the classic characters are quoted inside the braces.
impl fmt::Display for Labels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = self.metric_name();
        let bare = is_classic_metric_name(name);
        if bare {
            f.write_str(name)?;
        }
        let rest = self.iter().filter(|(label, _)| *label != METRIC_NAME);
        let mut separator = "{";
        if !name.is_empty() && !bare {
            write!(f, "{{{}", quote(name))?;
            separator = ", ";
        }
        for (label, value) in rest {
            f.write_str(separator)?;
            separator = ", ";
            if is_classic_label_name(label) {
                f.write_str(label)?
            } else {
                f.write_str(&quote(label))?
            }
            write!(f, "={}", quote(value))?;
        }
        match separator {
            "{" if bare => Ok(()),
            "{" => f.write_str("{}"),
            _ => f.write_str("}"),
        }
    }
}

/// Collects label changes and builds the set once.
#[derive(Debug, Clone, Default)]
pub struct LabelsBuilder {
    pairs: Vec<(String, String)>,
}

impl LabelsBuilder {
    /// Starts with no label.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets `name` to `value`; an empty value removes it.
    pub fn set(mut self, name: &str, value: &str) -> Self {
        self.put(name, value);
        self
    }

    /// As [`LabelsBuilder::set`], for loops.
    pub fn put(&mut self, name: &str, value: &str) {
        match self.pairs.iter_mut().find(|(n, _)| n == name) {
            Some(pair) => value.clone_into(&mut pair.1),
            None => self.pairs.push((name.to_owned(), value.to_owned())),
        }
    }

    /// Removes `name`.
    pub fn remove(&mut self, name: &str) {
        self.pairs.retain(|(n, _)| n != name);
    }

    /// The value of `name`, or `""`.
    pub fn get(&self, name: &str) -> &str {
        self.pairs.iter().find(|(n, _)| n == name).map_or("", |(_, value)| value)
    }

    /// The finished set.
    pub fn build(&self) -> Labels {
        let pairs: Vec<(&str, &str)> = self.pairs.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
        Labels::from_pairs(&pairs)
    }
}

impl From<&Labels> for LabelsBuilder {
    fn from(labels: &Labels) -> Self {
        Self { pairs: labels.iter().map(|(n, v)| (n.to_owned(), v.to_owned())).collect() }
    }
}

/// Whether `name` is `[a-zA-Z_][a-zA-Z0-9_]*`.
pub fn is_classic_label_name(name: &str) -> bool {
    is_classic(name, false)
}

/// Whether `name` is `[a-zA-Z_:][a-zA-Z0-9_:]*`.
pub fn is_classic_metric_name(name: &str) -> bool {
    is_classic(name, true)
}

fn is_classic(name: &str, colon: bool) -> bool {
    let bytes = name.as_bytes();
    !bytes.is_empty()
        && !bytes[0].is_ascii_digit()
        && bytes.iter().all(|b| b.is_ascii_alphanumeric() || *b == b'_' || (colon && *b == b':'))
}

/// A double-quoted string as Go's `strconv.Quote` writes it (printable Unicode stays as it is).
pub fn quote(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\t' => out.push_str("\\t"),
            '\r' => out.push_str("\\r"),
            '\u{7}' => out.push_str("\\a"),
            '\u{8}' => out.push_str("\\b"),
            '\u{b}' => out.push_str("\\v"),
            '\u{c}' => out.push_str("\\f"),
            c if (c as u32) < 0x20 || c as u32 == 0x7f => out.push_str(&format!("\\x{:02x}", c as u32)),
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

#[cfg(test)]
mod tests {
    use super::{Labels, LabelsBuilder};

    #[test]
    fn sorts_drops_and_prints() {
        let cases: &[(&[(&str, &str)], &str)] = &[
            (&[], "{}"),
            (&[("__name__", "up")], "up"),
            (&[("b", "2"), ("a", "1"), ("c", "")], r#"{a="1", b="2"}"#),
            (&[("a", "1"), ("a", "2")], r#"{a="2"}"#),
            (&[("__name__", "my.metric"), ("a.b", "x\n")], r#"{"my.metric", "a.b"="x\n"}"#),
        ];
        for (pairs, expected) in cases {
            assert_eq!(Labels::from_pairs(pairs).to_string(), *expected);
        }
    }

    #[test]
    fn orders_as_prometheus() {
        let a = Labels::from_pairs(&[("a", "1")]);
        let ab = Labels::from_pairs(&[("a", "1"), ("b", "1")]);
        let b = Labels::from_pairs(&[("b", "0")]);
        assert!(a < ab && ab < b && Labels::empty() < a);
    }

    #[test]
    fn changes_make_new_sets() {
        let labels = Labels::from_pairs(&[("a", "1"), ("b", "2")]);
        assert_eq!(labels.without(&["a"]).to_string(), r#"{b="2"}"#);
        assert_eq!(labels.only(&["a"]).to_string(), r#"{a="1"}"#);
        assert_eq!(labels.with("b", ""), labels.without(&["b"]));
        assert_eq!(LabelsBuilder::from(&labels).build(), labels);
    }
}
