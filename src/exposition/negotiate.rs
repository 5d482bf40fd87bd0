//! Which format a client wants.

/// A text format of metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Format {
    /// OpenMetrics 1.0.
    #[default]
    OpenMetrics,
    /// Prometheus text 0.0.4.
    Text,
}

impl Format {
    /// The Content-Type of a body in this format.
    pub const fn content_type(self) -> &'static str {
        match self {
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
            Self::Text => "text/plain; version=0.0.4; charset=utf-8",
        }
    }

    /// The format of a body that came with this Content-Type; everything but OpenMetrics is read as text, as Prometheus does
    /// with a fallback.
    pub fn of_content_type(content_type: &str) -> Self {
        let media = content_type.split(';').next().unwrap_or("").trim();
        if media.eq_ignore_ascii_case("application/openmetrics-text") { Self::OpenMetrics } else { Self::Text }
    }
}

/// The format that an Accept header prefers: OpenMetrics when it is empty, says `*/*` or leaves the choice open; text
/// when it gives text more weight, or comes from a browser (which would download OpenMetrics instead of showing it).
pub fn negotiate(accept: &str) -> Format {
    let (mut open, mut text, mut refused) = (0.0f32, 0.0f32, false);
    for range in accept.split(',') {
        let mut parts = range.split(';').map(str::trim);
        let media = parts.next().unwrap_or("").to_ascii_lowercase();
        let (mut quality, mut version) = (1.0f32, String::new());
        for part in parts {
            let Some((key, value)) = part.split_once('=') else { continue };
            let value = value.trim().trim_matches('"');
            match key.trim().to_ascii_lowercase().as_str() {
                "q" => quality = value.parse().map_or(0.0, |q: f32| q.clamp(0.0, 1.0)),
                "version" => value.clone_into(&mut version),
                _ => {} // escaping, charset: our names are classic, our text is UTF-8
            }
        }
        match media.as_str() {
            "application/openmetrics-text" if matches!(version.as_str(), "" | "1.0.0" | "0.0.1") => {
                open = open.max(quality);
                refused |= quality == 0.0;
            }
            // Text 1.0.0 adds quoted names, which our pages do not need.
            "text/plain" if matches!(version.as_str(), "" | "0.0.4" | "1.0.0") => text = text.max(quality),
            "text/html" | "text/*" => text = text.max(quality),
            "application/*" => open = open.max(quality),
            _ => {}
        }
    }
    if text > open || (refused && open == 0.0) { Format::Text } else { Format::OpenMetrics }
}

/// Whether an Accept-Encoding header allows gzip.
pub fn accepts_gzip(accept_encoding: &str) -> bool {
    accept_encoding.split(',').any(|coding| {
        let mut parts = coding.split(';').map(str::trim);
        let name = parts.next().unwrap_or("");
        let refused = parts.any(|part| {
            part.strip_prefix("q=").and_then(|q| q.trim().parse::<f32>().ok()).is_some_and(|quality| quality <= 0.0)
        });
        (name.eq_ignore_ascii_case("gzip") || name == "*") && !refused
    })
}

#[cfg(test)]
mod tests {
    use super::{Format, accepts_gzip, negotiate};

    #[test]
    fn prefers_what_the_client_prefers() {
        let prometheus2 = "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,text/plain;version=0.0.4;q=0.5,*/*;q=0.1";
        let prometheus3 = "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.5,application/openmetrics-text;version=0.0.1;q=0.4,text/plain;version=1.0.0;escaping=allow-utf-8;q=0.3,text/plain;version=0.0.4;q=0.2,*/*;q=0.1";
        let text_first = "text/plain;version=0.0.4;q=0.6, application/openmetrics-text;version=1.0.0;q=0.5";
        let protobuf = "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited;q=0.6,application/openmetrics-text;version=1.0.0;q=0.5,text/plain;version=0.0.4;q=0.4";
        let cases = [
            ("", Format::OpenMetrics),
            ("*/*", Format::OpenMetrics),
            (prometheus2, Format::OpenMetrics),
            (prometheus3, Format::OpenMetrics),
            (protobuf, Format::OpenMetrics),
            (text_first, Format::Text),
            ("text/plain", Format::Text),
            ("text/plain; version=0.0.4", Format::Text),
            ("text/plain;q=0", Format::OpenMetrics),
            ("application/openmetrics-text;version=2.0.0,text/plain;q=0.1", Format::Text),
            ("application/openmetrics-text; version=\"1.0.0\"", Format::OpenMetrics),
            ("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", Format::Text),
            ("application/json", Format::OpenMetrics),
            ("application/openmetrics-text;q=0,*/*", Format::Text),
            ("text/plain;version=1.0.0;escaping=allow-utf-8", Format::Text),
            ("text/plain;version=0.0.4;q=1,*/*;q=0.1", Format::Text),
            ("text/plain;q=0.9, application/openmetrics-text;q=0.9", Format::OpenMetrics),
        ];
        for (accept, expected) in cases {
            assert_eq!(negotiate(accept), expected, "{accept:?}");
        }
    }

    #[test]
    fn gzip_only_when_allowed() {
        for (header, expected) in [
            ("", false),
            ("gzip", true),
            ("deflate, gzip;q=0.5", true),
            ("gzip;q=0", false),
            ("*", true),
            ("br", false),
        ] {
            assert_eq!(accepts_gzip(header), expected, "{header:?}");
        }
    }
}
