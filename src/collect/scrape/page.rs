//! The body of an answer: text in either format, or protobuf.

use super::protobuf::Families;
use super::protocol::ScrapeProtocol;
use super::sink::PageSink;
use crate::exposition::{Format, parse};
use crate::net::HttpResponse;
use crate::wire::{Histograms, is_protobuf, read_families};

/// A page as its Content-Type says it.
pub(super) enum ScrapedPage<'r> {
    Text(&'r str, Format),
    Protobuf(&'r [u8]),
}

impl<'r> ScrapedPage<'r> {
    /// A page that does not say its format is of the fallback, or text.
    pub(super) fn of(response: &'r HttpResponse, fallback: Option<ScrapeProtocol>) -> Result<Self, String> {
        let kind = response.content_type();
        let media = kind.split(';').next().unwrap_or("").trim();
        let is_text =
            ["text/plain", "application/openmetrics-text"].iter().any(|known| media.eq_ignore_ascii_case(known));
        let fallback = fallback.filter(|_| !is_text);
        if is_protobuf(kind) || fallback == Some(ScrapeProtocol::PrometheusProto) {
            return Ok(Self::Protobuf(&response.body));
        }
        let format = fallback.map_or_else(|| Format::of_content_type(kind), ScrapeProtocol::text_format);
        match std::str::from_utf8(&response.body) {
            Ok(text) => Ok(Self::Text(text, format)),
            Err(error) => Err(format!("the page is not UTF-8: {error}")),
        }
    }

    /// How it names families: protobuf does as text 0.0.4, suffixes included.
    pub(super) const fn format(&self) -> Format {
        match self {
            Self::Text(_, format) => *format,
            Self::Protobuf(_) => Format::Text,
        }
    }

    /// Hands it to the sink, and says what is wrong with it.
    pub(super) fn read(&self, sink: &mut PageSink<'_>) -> Result<(), String> {
        match self {
            Self::Text(text, format) => {
                parse(text, *format, sink).map_err(|error| error.to_string())?;
                sink.end()
            }
            Self::Protobuf(bytes) => {
                let job = &sink.target.job;
                let histograms = Histograms {
                    native: job.native_histograms,
                    classic: job.always_classic_histograms || !(job.native_histograms || job.custom_histograms),
                    custom: job.custom_histograms,
                };
                let read = read_families(bytes, histograms, &mut Families::new(sink));
                read.map(drop).map_err(|error| error.to_string())
            }
        }
    }
}
