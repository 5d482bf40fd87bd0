use super::{Meta, SampleLine, Sink, parse, parse_series};
use crate::exposition::Format;

#[derive(Default)]
struct Lines(Vec<String>);

impl<'a> Sink<'a> for Lines {
    fn sample(&mut self, sample: SampleLine<'a>) -> Result<(), String> {
        let series = parse_series(sample.series)?;
        let labels: Vec<String> = series.labels.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let mut line = format!("{}[{}] {}", series.name, labels.join("|"), sample.value);
        if let Some(ts) = sample.ts {
            line.push_str(&format!(" @{ts}"));
        }
        if let Some(exemplar) = sample.exemplar {
            line.push_str(&format!(" # {} {} {:?}", exemplar.labels, exemplar.value, exemplar.ts));
        }
        self.0.push(line);
        Ok(())
    }

    fn meta(&mut self, name: &'a str, meta: Meta<'a>) {
        self.0.push(format!("{name}: {meta:?}"));
    }

    fn created(&mut self, sample: SampleLine<'a>) -> Result<(), String> {
        self.0.push(format!("{} created {}", sample.series, sample.value));
        Ok(())
    }
}

fn check(format: Format, text: &str) -> String {
    let mut lines = Lines::default();
    match parse(text, format, &mut lines) {
        Ok(_) => lines.0.join("\n"),
        Err(error) => format!("ERROR {error}"),
    }
}

#[test]
fn text_is_read() {
    let cases = [
        ("", ""),
        ("\n\n", ""),
        ("a 1", "a[] 1"),
        ("a 1\r\nb 2\r\n", "a[] 1\nb[] 2"),
        ("\ta{ b = \"1\" , } 1e3 1500 ", "a[b=1] 1000 @1500"),
        ("a {b=\"1\"} 1", "a[b=1] 1"),
        ("a{b=\"}\\\"\\n\\\\ # \"} -1 -5", "a[b=}\"\n\\ # ] -1 @-5"),
        ("llamacpp:n 1", "llamacpp:n[] 1"),
        ("a{b=\"\"} NaN\na +Inf\na -inf", "a[b=] NaN\na[] inf\na[] -inf"),
        ("{\"my.metric\"} 1\n{\"my.metric\",\"a.b\"=\"x\",c=\"y\"} 2", "my.metric[] 1\nmy.metric[a.b=x|c=y] 2"),
        ("# EOF\n# a comment\n#\n#comment\na 1", "a[] 1"),
        (
            "# HELP a  Some  help.\n# TYPE a gaugehistogram\n# HELP a again",
            "a: Help(\" Some  help.\")\na: Kind(GaugeHistogram)\na: Help(\"again\")",
        ),
        ("# TYPE a untyped\n# TYPE \"b.c\" counter", "a: Kind(Unknown)\nb.c: Kind(Counter)"),
        ("# HELP a\n", "a: Help(\"\")"),
        ("# TYPE a counter\na 1\na_created 2", "a: Kind(Counter)\na[] 1\na_created[] 2"),
    ];
    for (text, expected) in cases {
        assert_eq!(check(Format::Text, text), expected, "{text:?}");
    }
}

#[test]
fn open_metrics_is_read() {
    let cases = [
        ("# EOF\n", ""),
        ("a 1 1.5\n# EOF", "a[] 1 @1500"),
        ("a 1 # {t=\"x # y\"} 0.5\n# EOF", "a[] 1 # {t=\"x # y\"} 0.5 None"),
        ("a{b=\"c\"} 1 2 # {} 0.5 3\n# EOF", "a[b=c] 1 @2000 # {} 0.5 Some(3000)"),
        (
            "# TYPE a counter\n# UNIT a s\na_total 1\na_created 5\n# EOF",
            "a: Kind(Counter)\na: Unit(\"s\")\na_total[] 1\na_created created 5",
        ),
        ("# TYPE a gauge\na_created 5\n# EOF", "a: Kind(Gauge)\na_created[] 5"),
    ];
    for (text, expected) in cases {
        assert_eq!(check(Format::OpenMetrics, text), expected, "{text:?}");
    }
}

#[test]
fn bad_lines_name_the_line_and_what_was_expected() {
    let cases = [
        (Format::Text, "a 1\nb", "line 2: expected a value after the series: \"b\""),
        (Format::Text, "a x", "line 1: expected a value after the series, found \"x\": \"a x\""),
        (Format::Text, "a{b=\"1\" 1", "line 1: expected } before the end of the line"),
        (Format::Text, "a{b=\"1} 1\nc 1", "line 1: expected a closing quote before the end of the line"),
        (Format::Text, "a{b=1} 1", "line 1: expected a quoted value of the label \"b\""),
        (Format::Text, "a{1=\"1\"} 1", "line 1: expected a label name of letters, digits and _"),
        (Format::Text, "a{b=\"1\"c=\"2\"} 1", "line 1: expected , or } after a label value, found \"c=\\\"2\\\"\""),
        (Format::Text, "a{b=\"1\",b=\"2\"} 1", "line 1: expected each label once, found \"b\" twice"),
        (Format::Text, "a{,} 1", "line 1: expected a label name"),
        (Format::Text, "a-b 1", "line 1: expected a metric name"),
        (Format::Text, "{} 1", "line 1: expected a metric name"),
        (Format::Text, "a 1 1.5", "line 1: expected a timestamp in whole milliseconds, found \"1.5\""),
        (Format::Text, "a 1 1 1", "line 1: expected the end of the line after the timestamp"),
        (Format::Text, "a 1 # {} 1", "line 1: expected no exemplar in text 0.0.4"),
        (Format::Text, "# TYPE a meh", "line 1: expected counter, gauge"),
        (Format::Text, "# TYPE ", "line 1: expected a metric name after # TYPE"),
        (Format::OpenMetrics, "a 1\n", "line 2: expected # EOF"),
        (Format::OpenMetrics, "# EOF\na 1\n", "line 2: expected nothing after # EOF"),
        (Format::OpenMetrics, "a 1 # x\n# EOF", "line 1: expected {labels} of an exemplar after #"),
        (Format::OpenMetrics, "a 1 NaN\n# EOF", "line 1: expected a timestamp in seconds"),
        (Format::Text, "\"", "line 1: expected a value"),
        (Format::Text, "a{\"\\", "line 1: expected a closing quote"),
    ];
    for (format, text, expected) in cases {
        let found = check(format, text);
        assert!(found.starts_with(&format!("ERROR {expected}")), "{text:?}: {found}");
    }
}

#[test]
fn labels_are_limited() {
    let labels: Vec<String> = (0..600).map(|index| format!("l{index}=\"\"")).collect();
    let found = check(Format::Text, &format!("a{{{}}} 1", labels.join(",")));
    assert!(found.contains("expected at most 512 labels"), "{}", &found[..200.min(found.len())]);
}

#[test]
fn no_prefix_of_a_page_and_no_flipped_byte_panics() {
    let page =
        "# HELP a x\n# TYPE a histogram\na_bucket{le=\"0.1\",q=\"\\\"é\"} 1 1 # {t=\"1\"} 2 3\n{\"a.b\"} 4\n# EOF\n";
    for format in [Format::Text, Format::OpenMetrics] {
        for cut in (0..page.len()).filter(|cut| page.is_char_boundary(*cut)) {
            check(format, &page[..cut]);
            check(format, &page[cut..]);
            for other in ['"', '\\', '{', '}', '\n', '#', ' ', 'é'] {
                check(format, &format!("{}{other}{}", &page[..cut], &page[cut..]));
            }
        }
    }
}
