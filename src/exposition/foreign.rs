//! Pages that another encoder wrote (prometheus-client's): cut to be appended, or rewritten as text 0.0.4.

/// The page without its closing `# EOF` line.
pub(super) fn without_eof(page: &str) -> &str {
    page.strip_suffix("# EOF\n").or_else(|| page.strip_suffix("# EOF")).unwrap_or(page)
}

/// Rewrites an OpenMetrics page as text 0.0.4: counters and infos get their suffix on the metadata lines, units, exemplars and
/// `_created` lines go. Timestamps are kept as they are: prometheus-client writes none.
pub fn openmetrics_to_text(page: &str) -> String {
    let mut out = String::with_capacity(page.len());
    let mut help: Option<(&str, &str)> = None;
    let mut family = "";
    for line in page.lines() {
        if let Some(rest) = line.strip_prefix("# HELP ") {
            help = rest.split_once(' ').or(Some((rest, "")));
        } else if let Some((name, word)) = line.strip_prefix("# TYPE ").and_then(|rest| rest.split_once(' ')) {
            family = name;
            let (suffix, word) = match word {
                "counter" => ("_total", "counter"),
                "info" => ("_info", "gauge"),
                "stateset" => ("", "gauge"),
                "histogram" | "summary" | "gauge" => ("", word),
                _ => ("", "untyped"),
            };
            if let Some((_, text)) = help.take().filter(|(known, _)| *known == name) {
                out.push_str(&format!("# HELP {name}{suffix} {}\n", text.replace("\\\"", "\"")));
            }
            out.push_str(&format!("# TYPE {name}{suffix} {word}\n"));
        } else if !line.is_empty() && !line.starts_with('#') && !is_created(line, family) {
            out.push_str(without_exemplar(line));
            out.push('\n');
        }
    }
    out
}

fn is_created(line: &str, family: &str) -> bool {
    let name = line.split(['{', ' ']).next().unwrap_or("");
    !family.is_empty() && name.strip_prefix(family) == Some("_created")
}

/// A sample line up to the ` # ` that stands outside of quotes.
fn without_exemplar(line: &str) -> &str {
    let (mut quoted, mut escaped) = (false, false);
    for (at, byte) in line.bytes().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            b'#' if !quoted => return line[..at].trim_end(),
            _ => {}
        }
    }
    line
}

#[cfg(test)]
mod tests {
    use super::openmetrics_to_text;

    #[test]
    fn rewrites() {
        let cases = [
            ("# EOF\n", ""),
            (
                "# HELP a Say \\\"a\\\".\n# TYPE a counter\n# UNIT a s\na_total{x=\" # \"} 1 # {t=\"1\"} 1\na_created 5\n# EOF\n",
                "# HELP a_total Say \"a\".\n# TYPE a_total counter\na_total{x=\" # \"} 1\n",
            ),
            ("# TYPE i info\ni_info{v=\"1\"} 1\n", "# TYPE i_info gauge\ni_info{v=\"1\"} 1\n"),
            ("# TYPE u unknown\nu 1\n", "# TYPE u untyped\nu 1\n"),
        ];
        for (page, expected) in cases {
            assert_eq!(openmetrics_to_text(page), expected);
        }
    }
}
