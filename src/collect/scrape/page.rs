//! The body of an answer: text in either format, or protobuf.

use super::protobuf::Families;
use super::sink::PageSink;
use crate::exposition::{Format, parse};
use crate::net::HttpResponse;
use crate::wire::{is_protobuf, read_families};

/// A page as its Content-Type says it.
pub(super) enum ScrapedPage<'r> {
    Text(&'r str, Format),
    Protobuf(&'r [u8]),
}

impl<'r> ScrapedPage<'r> {
    pub(super) fn of(response: &'r HttpResponse) -> Result<Self, String> {
        let kind = response.content_type();
        if is_protobuf(kind) {
            return Ok(Self::Protobuf(&response.body));
        }
        match std::str::from_utf8(&response.body) {
            Ok(text) => Ok(Self::Text(text, Format::of_content_type(kind))),
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
            Self::Text(text, format) => parse(text, *format, sink).map(drop).map_err(|error| error.to_string()),
            Self::Protobuf(bytes) => {
                read_families(bytes, &mut Families::new(sink)).map(drop).map_err(|error| error.to_string())
            }
        }
    }
}
