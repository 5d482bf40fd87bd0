//! Writes JSON straight into bytes: large answers never become a tree of values.

use std::io::Write as _;

use crate::model::{Labels, Timestamp, push_plain};

/// JSON under construction. The caller is responsible for commas and brackets, which it writes with [`Json::raw`].
#[derive(Debug, Default)]
pub(super) struct Json(Vec<u8>);

impl Json {
    /// JSON that is finished already.
    pub(super) fn from_text(text: &str) -> Self {
        Self(text.as_bytes().to_vec())
    }

    /// Empty, with room for so much.
    pub(super) fn with_capacity(bytes: usize) -> Self {
        Self(Vec::with_capacity(bytes))
    }

    pub(super) fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    pub(super) fn raw(&mut self, text: &str) -> &mut Self {
        self.bytes(text.as_bytes())
    }

    /// Text that is JSON already.
    pub(super) fn bytes(&mut self, text: &[u8]) -> &mut Self {
        self.0.extend_from_slice(text);
        self
    }

    /// A string, escaped.
    pub(super) fn text(&mut self, text: &str) -> &mut Self {
        self.0.push(b'"');
        let mut start = 0;
        for (i, byte) in text.bytes().enumerate() {
            let escape: &[u8] = match byte {
                b'"' => b"\\\"",
                b'\\' => b"\\\\",
                b'\n' => b"\\n",
                b'\r' => b"\\r",
                b'\t' => b"\\t",
                0..0x20 => b"",
                _ => continue,
            };
            self.0.extend_from_slice(&text.as_bytes()[start..i]);
            if escape.is_empty() {
                let _ = write!(self.0, "\\u{byte:04x}");
            } else {
                self.0.extend_from_slice(escape);
            }
            start = i + 1;
        }
        self.0.extend_from_slice(&text.as_bytes()[start..]);
        self.0.push(b'"');
        self
    }

    pub(super) fn number(&mut self, value: impl std::fmt::Display) -> &mut Self {
        let _ = write!(self.0, "{value}");
        self
    }

    /// A float as a JSON number; what JSON has no word for is null.
    pub(super) fn float(&mut self, value: f64) -> &mut Self {
        if value.is_finite() { self.number(value) } else { self.raw("null") }
    }

    /// Unix seconds with up to three decimals, as `util/jsonutil.MarshalTimestamp` of Prometheus.
    pub(super) fn seconds(&mut self, ts: Timestamp) -> &mut Self {
        if ts < 0 {
            self.0.push(b'-');
        }
        let (seconds, ms) = (ts.unsigned_abs() / 1000, ts.unsigned_abs() % 1000);
        self.0.extend_from_slice(itoa::Buffer::new().format(seconds).as_bytes());
        if ms != 0 {
            let _ = write!(self.0, ".{ms:03}");
        }
        self
    }

    /// A sample value in quotes, as `util/jsonutil.MarshalFloat` of Prometheus: plain digits, with an exponent below
    /// 1e-6 and from 1e21 on.
    pub(super) fn value(&mut self, value: f64) -> &mut Self {
        self.0.push(b'"');
        if !push_plain(&mut self.0, value) {
            self.odd(value);
        }
        self.0.push(b'"');
        self
    }

    /// Values that are not plain in every format.
    fn odd(&mut self, value: f64) {
        let magnitude = value.abs();
        if value.is_nan() {
            self.raw("NaN");
        } else if value.is_infinite() {
            self.raw(if value > 0.0 { "+Inf" } else { "-Inf" });
        } else if magnitude != 0.0 && !(1e-6..1e21).contains(&magnitude) {
            self.exponent(value);
        } else {
            self.number(value);
        }
    }

    /// Go writes a sign and at least two digits of exponent.
    fn exponent(&mut self, value: f64) {
        let text = format!("{value:e}");
        let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
        let (sign, digits) = match exponent.strip_prefix('-') {
            Some(digits) => ('-', digits),
            None => ('+', exponent),
        };
        let _ = write!(self.0, "{mantissa}e{sign}{digits:0>2}");
    }

    /// `[seconds,"value"]`
    pub(super) fn point(&mut self, ts: Timestamp, value: f64) -> &mut Self {
        self.raw("[").seconds(ts).raw(",").value(value).raw("]")
    }

    /// Labels as an object.
    pub(super) fn labels(&mut self, labels: &Labels) -> &mut Self {
        self.raw("{");
        for (i, (name, value)) in labels.iter().enumerate() {
            self.raw(if i > 0 { "," } else { "" }).text(name).raw(":").text(value);
        }
        self.raw("}")
    }

    /// `["a","b"]`
    pub(super) fn strings<'a>(&mut self, items: impl IntoIterator<Item = &'a str>) -> &mut Self {
        self.raw("[");
        for (i, item) in items.into_iter().enumerate() {
            self.raw(if i > 0 { "," } else { "" }).text(item);
        }
        self.raw("]")
    }

    pub(super) fn finish(self) -> Vec<u8> {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::Json;

    fn written(write: impl FnOnce(&mut Json)) -> String {
        let mut json = Json::default();
        write(&mut json);
        String::from_utf8(json.finish()).expect("utf-8")
    }

    #[test]
    fn values_as_prometheus_writes_them() {
        let cases: &[(f64, &str)] = &[
            (0.0, "0"),
            (-0.0, "-0"),
            (1.5, "1.5"),
            (0.000_001, "0.000001"),
            (1.25e-7, "1.25e-07"),
            (1e20, "100000000000000000000"),
            (1e21, "1e+21"),
            (1e300, "1e+300"),
            (f64::NAN, "NaN"),
            (f64::INFINITY, "+Inf"),
            (f64::NEG_INFINITY, "-Inf"),
        ];
        for (value, expected) in cases {
            assert_eq!(written(|json| _ = json.value(*value)), format!("\"{expected}\""));
        }
    }

    #[test]
    fn times_and_texts() {
        for (ts, expected) in [(0, "0"), (1500, "1.500"), (1000, "1"), (-1001, "-1.001"), (5, "0.005")] {
            assert_eq!(written(|json| _ = json.seconds(ts)), expected);
        }
        let odd = "a\"\\\n\u{1}é";
        let text = written(|json| _ = json.text(odd));
        assert_eq!(serde_json::from_str::<String>(&text).expect("valid"), odd);
    }
}
