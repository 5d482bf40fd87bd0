//! A page whose names and labels are formatted once and whose numbers are appended at each rendering.

use std::ops::Range;

use crate::model::{Family, Labels, is_absent};

use super::escape::{push_escaped, push_name, push_series};
use super::foreign::{openmetrics_to_text, without_eof};
use super::layout::blocks;
use super::negotiate::Format;
use super::number::push_value;

/// A family and its series, as the registry's layout names them.
#[derive(Debug, Clone)]
pub struct PageFamily<'a> {
    /// Name, kind, unit, help.
    pub family: &'a Family,
    /// Its series in any order: the page sorts them as its format asks.
    pub series: Vec<PageSeries<'a>>,
}

/// A series and the slot of its value.
#[derive(Debug, Clone, Copy)]
pub struct PageSeries<'a> {
    /// Sample name: the family's, or that with a suffix.
    pub name: &'a str,
    /// Labels without the name.
    pub labels: &'a Labels,
    /// Index into the values of [`Page::render`].
    pub slot: u32,
}

struct Line {
    /// End of `name{labels} ` in the text; it starts where the line before ends.
    end: u32,
    slot: u32,
}

struct Section {
    header: Range<usize>,
    lines: Range<usize>,
}

/// One format's page: cached bytes, rendered with the values of a tick.
pub struct Page {
    format: Format,
    generation: Option<u64>,
    text: Vec<u8>,
    lines: Vec<Line>,
    sections: Vec<Section>,
}

impl Page {
    /// An empty page.
    pub fn new(format: Format) -> Self {
        Self { format, generation: None, text: Vec::new(), lines: Vec::new(), sections: Vec::new() }
    }

    /// The generation that the cached bytes belong to; `None` before the first [`Page::rebuild`].
    pub fn generation(&self) -> Option<u64> {
        self.generation
    }

    /// Formats names and labels anew. Families must have different names; they are printed in this order.
    pub fn rebuild(&mut self, generation: u64, families: &[PageFamily<'_>]) {
        self.generation = Some(generation);
        self.text.clear();
        self.lines.clear();
        self.sections.clear();
        for PageFamily { family, series } in families {
            for block in blocks(self.format, family, series) {
                let header = self.text.len();
                self.metadata("HELP", &block.name, block.help);
                self.metadata("TYPE", &block.name, block.word);
                if !block.unit.is_empty() {
                    self.metadata("UNIT", &block.name, block.unit);
                }
                let header = header..self.text.len();
                let first = self.lines.len();
                for one in &block.series {
                    push_series(&mut self.text, one.name, one.labels);
                    self.lines.push(Line { end: self.text.len() as u32, slot: one.slot });
                }
                self.sections.push(Section { header, lines: first..self.lines.len() });
            }
        }
    }

    /// Appends the page. A series whose value is [`crate::model::absent`] is left out, and so is a family without any other.
    ///
    /// `extra` is a page in OpenMetrics (prometheus-client's) that follows ours, before `# EOF`; it is rewritten when this page is text.
    pub fn render(&self, values: &[f64], extra: &str, out: &mut Vec<u8>) {
        out.reserve(self.text.len() + self.lines.len() * 12 + extra.len());
        for section in &self.sections {
            let mark = out.len();
            out.extend_from_slice(&self.text[section.header.clone()]);
            let mut start = section.header.end;
            let mut shown = false;
            for line in &self.lines[section.lines.clone()] {
                let end = line.end as usize;
                let prefix = start..end;
                start = end;
                let Some(value) = values.get(line.slot as usize).filter(|value| !is_absent(**value)) else { continue };
                out.extend_from_slice(&self.text[prefix]);
                push_value(out, *value);
                out.push(b'\n');
                shown = true;
            }
            if !shown {
                out.truncate(mark);
            }
        }
        match self.format {
            Format::OpenMetrics => {
                out.extend_from_slice(without_eof(extra).as_bytes());
                out.extend_from_slice(b"# EOF\n");
            }
            Format::Text => out.extend_from_slice(openmetrics_to_text(extra).as_bytes()),
        }
    }

    fn metadata(&mut self, word: &str, name: &str, rest: &str) {
        self.text.extend_from_slice(b"# ");
        self.text.extend_from_slice(word.as_bytes());
        self.text.push(b' ');
        push_name(&mut self.text, name);
        self.text.push(b' ');
        // OpenMetrics escapes quotes in help texts, text 0.0.4 does not.
        push_escaped(&mut self.text, rest, self.format == Format::OpenMetrics);
        self.text.push(b'\n');
    }
}

#[cfg(test)]
mod tests {
    use super::{Page, PageFamily, PageSeries};
    use crate::exposition::{Format, check_openmetrics, lint_text};
    use crate::model::{Family, Labels, MetricKind, absent};

    type Sample = (Family, Vec<(&'static str, Labels, f64)>);

    fn family(name: &'static str, kind: MetricKind, unit: &'static str, help: &'static str) -> Family {
        Family { name: name.into(), kind, unit: unit.into(), help: help.into() }
    }

    fn render(format: Format, families: &[Sample], extra: &str) -> String {
        let values: Vec<f64> = families.iter().flat_map(|(_, series)| series.iter().map(|one| one.2)).collect();
        let mut slot = 0u32;
        let mut pages = Vec::new();
        for (family, series) in families {
            let series = series
                .iter()
                .map(|(name, labels, _)| {
                    slot += 1;
                    PageSeries { name, labels, slot: slot - 1 }
                })
                .collect();
            pages.push(PageFamily { family, series });
        }
        let mut page = Page::new(format);
        page.rebuild(1, &pages);
        let mut out = Vec::new();
        page.render(&values, extra, &mut out);
        String::from_utf8(out).expect("text")
    }

    fn labels(pairs: &[(&str, &str)]) -> Labels {
        Labels::from_pairs(pairs)
    }

    fn sample() -> Vec<Sample> {
        let le = |value| labels(&[("le", value)]);
        vec![
            (
                family("a_seconds", MetricKind::Counter, "seconds", "Say \"a\"."),
                vec![
                    ("a_seconds_total", labels(&[("m", "y")]), 1.5),
                    ("a_seconds_total", labels(&[("m", "x")]), 2.0),
                    ("a_seconds_total", labels(&[("m", "gone")]), absent()),
                ],
            ),
            (
                family("h", MetricKind::Histogram, "", "A histogram."),
                vec![
                    ("h_sum", labels(&[]), 3.0),
                    ("h_bucket", le("+Inf"), 3.0),
                    ("h_bucket", le("10"), 2.0),
                    ("h_bucket", le("2"), 1.0),
                    ("h_count", labels(&[]), 3.0),
                ],
            ),
            (family("b", MetricKind::Info, "", "Facts."), vec![("b_info", labels(&[("v", "1")]), 1.0)]),
            (
                family("s", MetricKind::StateSet, "", "A state."),
                vec![("s", labels(&[("s", "up")]), 1.0), ("s", labels(&[("s", "down")]), 0.0)],
            ),
            (family("odd", MetricKind::Counter, "", "Without the suffix."), vec![("odd", labels(&[]), 7.0)]),
            (family("none", MetricKind::Gauge, "", "Nothing."), vec![("none", labels(&[]), absent())]),
        ]
    }

    const EXTRA: &str = "# HELP own_ticks Ticks.\n# TYPE own_ticks counter\nown_ticks_total 3\n# EOF\n";

    #[test]
    fn open_metrics() {
        let text = render(Format::OpenMetrics, &sample(), EXTRA);
        let expected = r#"# HELP a_seconds Say \"a\".
# TYPE a_seconds counter
# UNIT a_seconds seconds
a_seconds_total{m="x"} 2
a_seconds_total{m="y"} 1.5
# HELP h A histogram.
# TYPE h histogram
h_bucket{le="2"} 1
h_bucket{le="10"} 2
h_bucket{le="+Inf"} 3
h_count 3
h_sum 3
# HELP b Facts.
# TYPE b info
b_info{v="1"} 1
# HELP s A state.
# TYPE s stateset
s{s="down"} 0
s{s="up"} 1
# HELP odd Without the suffix.
# TYPE odd unknown
odd 7
# HELP own_ticks Ticks.
# TYPE own_ticks counter
own_ticks_total 3
# EOF
"#;
        assert_eq!(text, expected);
        assert_eq!(check_openmetrics(&text), []);
    }

    #[test]
    fn text() {
        let text = render(Format::Text, &sample(), EXTRA);
        let expected = r#"# HELP a_seconds_total Say "a".
# TYPE a_seconds_total counter
a_seconds_total{m="x"} 2
a_seconds_total{m="y"} 1.5
# HELP h A histogram.
# TYPE h histogram
h_bucket{le="2"} 1
h_bucket{le="10"} 2
h_bucket{le="+Inf"} 3
h_count 3
h_sum 3
# HELP b_info Facts.
# TYPE b_info gauge
b_info{v="1"} 1
# HELP s A state.
# TYPE s gauge
s{s="down"} 0
s{s="up"} 1
# HELP odd Without the suffix.
# TYPE odd counter
odd 7
# HELP own_ticks_total Ticks.
# TYPE own_ticks_total counter
own_ticks_total 3
"#;
        assert_eq!(text, expected);
        // promtool wants another name for such a counter; we show what others named so.
        let lint: Vec<usize> = lint_text(&text).iter().map(|problem| problem.line).collect();
        assert_eq!(lint, [19]);
    }
}
