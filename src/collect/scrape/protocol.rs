//! Formats that targets are asked for.

use crate::exposition::Format;

/// A format by the name that `scrape_protocols` has for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ScrapeProtocol {
    /// Protobuf, length-delimited.
    PrometheusProto,
    /// Text 0.0.4.
    PrometheusText004,
    /// Text 1.0.0: names of any characters in quotes.
    PrometheusText100,
    /// OpenMetrics 0.0.1.
    OpenMetricsText001,
    /// OpenMetrics 1.0.0.
    OpenMetricsText100,
}

impl ScrapeProtocol {
    /// Every format with its name.
    pub const ALL: [(&'static str, Self); 5] = [
        ("PrometheusProto", Self::PrometheusProto),
        ("PrometheusText0.0.4", Self::PrometheusText004),
        ("PrometheusText1.0.0", Self::PrometheusText100),
        ("OpenMetricsText0.0.1", Self::OpenMetricsText001),
        ("OpenMetricsText1.0.0", Self::OpenMetricsText100),
    ];
    /// What is asked for when nothing is said.
    pub const DEFAULTS: [Self; 4] =
        [Self::OpenMetricsText100, Self::OpenMetricsText001, Self::PrometheusText100, Self::PrometheusText004];
    /// What is asked for when native histograms are wanted.
    pub const PROTO_FIRST: [Self; 5] = [
        Self::PrometheusProto,
        Self::OpenMetricsText100,
        Self::OpenMetricsText001,
        Self::PrometheusText100,
        Self::PrometheusText004,
    ];

    /// The name in configurations.
    pub fn name(self) -> &'static str {
        Self::ALL.iter().find(|(_, protocol)| *protocol == self).map_or("", |(name, _)| name)
    }

    /// The media type with its version.
    pub const fn media_type(self) -> &'static str {
        match self {
            Self::PrometheusProto => {
                "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited"
            }
            Self::PrometheusText004 => "text/plain;version=0.0.4",
            Self::PrometheusText100 => "text/plain;version=1.0.0",
            Self::OpenMetricsText001 => "application/openmetrics-text;version=0.0.1",
            Self::OpenMetricsText100 => "application/openmetrics-text;version=1.0.0",
        }
    }

    /// The text format, if it is one.
    pub(super) const fn text_format(self) -> Format {
        match self {
            Self::OpenMetricsText001 | Self::OpenMetricsText100 => Format::OpenMetrics,
            _ => Format::Text,
        }
    }
}

/// How names beyond the classic characters are asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Escaping {
    /// As they are.
    #[default]
    AllowUtf8,
    /// Other characters become `_`.
    Underscores,
    /// Dots become `_dot_`.
    Dots,
    /// `U__…`, which can be read back.
    Values,
}

impl Escaping {
    /// Every way with its name.
    pub const ALL: [(&'static str, Self); 4] = [
        ("allow-utf-8", Self::AllowUtf8),
        ("underscores", Self::Underscores),
        ("dots", Self::Dots),
        ("values", Self::Values),
    ];

    /// The name in configurations and headers.
    pub fn name(self) -> &'static str {
        Self::ALL.iter().find(|(_, way)| *way == self).map_or("", |(name, _)| name)
    }
}

/// The Accept header that asks for these formats, the best first, and takes anything else last.
pub(super) fn accept(protocols: &[ScrapeProtocol], escaping: Escaping) -> String {
    let mut header = String::new();
    let mut weight = ScrapeProtocol::ALL.len() + 1;
    for protocol in protocols {
        header.push_str(protocol.media_type());
        // Older formats know no such parameter.
        if matches!(protocol, ScrapeProtocol::PrometheusText100 | ScrapeProtocol::OpenMetricsText100) {
            header.push_str(&format!(";escaping={}", escaping.name()));
        }
        header.push_str(&format!(";q=0.{weight},"));
        weight = weight.saturating_sub(1);
    }
    header + &format!("*/*;q=0.{weight}")
}

#[cfg(test)]
mod tests {
    use super::{Escaping, ScrapeProtocol, accept};

    #[test]
    fn headers_name_formats_by_weight() {
        let text = [ScrapeProtocol::PrometheusText004];
        assert_eq!(accept(&text, Escaping::AllowUtf8), "text/plain;version=0.0.4;q=0.6,*/*;q=0.5");
        // As Prometheus 3 sends it.
        let expected = "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,\
                        application/openmetrics-text;version=0.0.1;q=0.5,\
                        text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,text/plain;version=0.0.4;q=0.3,*/*;q=0.2";
        assert_eq!(accept(&ScrapeProtocol::DEFAULTS, Escaping::AllowUtf8), expected);
        let all = accept(&ScrapeProtocol::PROTO_FIRST, Escaping::Dots);
        assert!(all.starts_with("application/vnd.google.protobuf;") && all.ends_with(",*/*;q=0.1"), "{all}");
        assert!(all.contains("escaping=dots"));
    }
}
