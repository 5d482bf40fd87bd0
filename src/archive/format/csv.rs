//! Comma-separated values (RFC 4180): `metric,labels,timestamp_ms,value,start_timestamp_ms`, labels as a JSON object.

use std::borrow::Cow;
use std::io::{self, Write};

use crate::archive::manifest::LeftOut;
use crate::model::{METRIC_NAME, Value};

use super::jsonl::labels_json;
use super::{Part, SampleWriter, Written, push_sample};

#[derive(Default)]
pub(super) struct Csv {
    left_out: LeftOut,
}

impl SampleWriter for Csv {
    fn begin(&mut self, out: &mut dyn Write) -> io::Result<()> {
        out.write_all(b"metric,labels,timestamp_ms,value,start_timestamp_ms\n")
    }

    fn series(&mut self, out: &mut dyn Write, part: &Part<'_>) -> io::Result<Written> {
        let Part { labels, samples, exemplars } = *part;
        self.left_out.exemplars += exemplars.len() as u64;
        let name = labels.metric_name();
        // A line is a sample, so a name with a line feed goes among the labels, where JSON escapes it.
        let apart = !name.contains(['\n', '\r']);
        let rest = if apart { labels.without(&[METRIC_NAME]) } else { labels.clone() };
        let head = format!("{},{},", quoted(if apart { name } else { "" }), quoted(&labels_json(&rest)));
        let mut text = Vec::new();
        let mut written = Written::default();
        for sample in samples {
            let Value::Float(value) = &sample.value else {
                self.left_out.histograms += 1;
                continue;
            };
            text.extend_from_slice(head.as_bytes());
            write!(text, "{},", sample.ts)?;
            push_sample(&mut text, *value, "stale");
            text.push(b',');
            if sample.start_ts != 0 {
                write!(text, "{}", sample.start_ts)?;
            }
            text.push(b'\n');
            written.samples += 1;
            if text.len() > 1 << 16 {
                out.write_all(&text)?;
                text.clear();
            }
        }
        out.write_all(&text)?;
        Ok(written)
    }

    fn end(&mut self, _: &mut dyn Write) -> io::Result<()> {
        Ok(())
    }

    fn left_out(&self) -> LeftOut {
        self.left_out
    }
}

fn quoted(text: &str) -> Cow<'_, str> {
    if text.contains([',', '"', '\n', '\r']) {
        Cow::Owned(format!("\"{}\"", text.replace('"', "\"\"")))
    } else {
        Cow::Borrowed(text)
    }
}

/// The fields of a line.
///
/// # Errors
/// Says what was expected.
pub(in crate::archive) fn fields(line: &str) -> Result<Vec<Cow<'_, str>>, String> {
    let mut all = Vec::new();
    let mut rest = line;
    loop {
        let (field, after) = match rest.strip_prefix('"') {
            Some(quoted) => quoted_field(quoted)?,
            None => {
                let end = rest.find(',').unwrap_or(rest.len());
                (Cow::Borrowed(&rest[..end]), &rest[end..])
            }
        };
        all.push(field);
        match after.strip_prefix(',') {
            Some(more) => rest = more,
            None if after.is_empty() => return Ok(all),
            None => return Err("expected a comma after the closing quote".to_owned()),
        }
    }
}

fn quoted_field(text: &str) -> Result<(Cow<'_, str>, &str), String> {
    let mut from = 0;
    loop {
        let at = text[from..].find('"').map(|at| from + at);
        let at = at.ok_or("expected a closing quote before the end of the line")?;
        if text[at + 1..].starts_with('"') {
            from = at + 2;
            continue;
        }
        let field = &text[..at];
        let field = if from == 0 { Cow::Borrowed(field) } else { Cow::Owned(field.replace("\"\"", "\"")) };
        return Ok((field, &text[at + 1..]));
    }
}

/// What each column of a file is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::archive) struct Header {
    pub(in crate::archive) metric: Option<usize>,
    pub(in crate::archive) labels: Option<usize>,
    pub(in crate::archive) timestamp: usize,
    pub(in crate::archive) value: usize,
    pub(in crate::archive) start: Option<usize>,
    /// Every other column is a label of the column's name.
    pub(in crate::archive) others: Vec<(usize, String)>,
    pub(in crate::archive) columns: usize,
}

impl Header {
    /// # Errors
    /// When a column that is needed is missing.
    pub(in crate::archive) fn read(line: &str) -> Result<Self, String> {
        let names = fields(line.trim_start_matches('\u{feff}'))?;
        let find = |name: &str| names.iter().position(|found| found == name);
        let need = |name: &str| {
            find(name).ok_or_else(|| {
                format!(
                    "expected a header with the columns metric, timestamp_ms and value (labels, start_timestamp_ms and \
                     one column a label may be there too), found no {name}"
                )
            })
        };
        let known = ["metric", "labels", "timestamp_ms", "value", "start_timestamp_ms"];
        let others = names.iter().enumerate().filter(|(_, name)| !known.contains(&name.as_ref()));
        Ok(Self {
            metric: find("metric"),
            labels: find("labels"),
            timestamp: need("timestamp_ms")?,
            value: need("value")?,
            start: find("start_timestamp_ms"),
            others: others.map(|(at, name)| (at, name.clone().into_owned())).collect(),
            columns: names.len(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::{Header, fields, quoted};

    #[test]
    fn fields_come_back() {
        for case in [&["a", "b,c", "d\"e\"", "", "é"][..], &[""], &["\"", "\"\""]] {
            let line = case.iter().map(|f| quoted(f).into_owned()).collect::<Vec<_>>().join(",");
            assert_eq!(fields(&line).unwrap(), case, "{line}");
        }
        for bad in ["\"a", "\"a\"b", "a,\"b"] {
            assert!(fields(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn headers_name_columns_in_any_order() {
        let header = Header::read("value,host,metric,timestamp_ms").unwrap();
        assert_eq!((header.value, header.timestamp, header.metric), (0, 3, Some(2)));
        assert_eq!(header.others, [(1, "host".to_owned())]);
        assert!(Header::read("a,b").unwrap_err().contains("timestamp_ms"));
    }
}
