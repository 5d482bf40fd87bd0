//! One event as one line: logfmt for machines, a short coloured form for a terminal.

use std::fmt::{self, Write as _};

use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;

use crate::clock::Clock;

/// The line's form.
#[derive(Debug, Clone)]
pub(super) enum LineFormat {
    Logfmt(Clock),
    Human(Clock),
}

impl<S, N> FormatEvent<S, N> for LineFormat
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(&self, _: &FmtContext<'_, S, N>, mut out: Writer<'_>, event: &Event<'_>) -> fmt::Result {
        let mut fields = Fields::default();
        event.record(&mut fields);
        let level = event.metadata().level();
        let source = short_target(event.metadata().target());
        match self {
            Self::Logfmt(clock) => {
                let (time, message) = (timestamp(clock), quoted(&fields.message));
                writeln!(out, "time={time} level={level} source={source} msg={message}{}", fields.rest)
            }
            Self::Human(clock) => {
                let (time, colour) = (timestamp(clock), colour(*level));
                let time = time.get(11..19).unwrap_or_default();
                let message = &fields.message;
                writeln!(out, "\x1b[2m{time}\x1b[0m {colour}{level:>5}\x1b[0m {message}\x1b[2m{}\x1b[0m", fields.rest)
            }
        }
    }
}

fn timestamp(clock: &Clock) -> String {
    jiff::Timestamp::from_millisecond(clock.now()).map(|time| format!("{time:.3}")).unwrap_or_default()
}

/// `watchfire::storage::head` is `storage` to the reader; other crates keep their name.
fn short_target(target: &str) -> &str {
    let rest = target.strip_prefix("watchfire::").unwrap_or(target);
    rest.split("::").next().unwrap_or(rest)
}

fn colour(level: Level) -> &'static str {
    match level {
        Level::ERROR => "\x1b[31m",
        Level::WARN => "\x1b[33m",
        Level::INFO => "\x1b[32m",
        _ => "\x1b[2m",
    }
}

/// A value, in quotes when it would be ambiguous without; line breaks never reach the log as such.
fn quoted(value: &str) -> String {
    let plain = |c: char| !c.is_whitespace() && !c.is_control() && !matches!(c, '"' | '=');
    if !value.is_empty() && value.chars().all(plain) { value.to_owned() } else { format!("{value:?}") }
}

#[derive(Debug, Default)]
struct Fields {
    message: String,
    rest: String,
}

impl Fields {
    fn put(&mut self, field: &Field, value: &str) {
        if field.name() == "message" {
            value.clone_into(&mut self.message);
        } else {
            let _ = write!(self.rest, " {}={}", field.name(), quoted(value));
        }
    }
}

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.put(field, &format!("{value:?}"));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.put(field, value);
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::sync::Arc;

    use parking_lot::Mutex;
    use tracing_subscriber::layer::SubscriberExt;

    use super::{LineFormat, short_target};
    use crate::clock::{Clock, ManualClock};

    #[derive(Clone, Default)]
    struct Sink(Arc<Mutex<Vec<u8>>>);

    impl Write for Sink {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn one_event_is_one_line() {
        let sink = Sink::default();
        let writer = sink.clone();
        let clock = Clock::Manual(ManualClock::new(1_700_000_000_123));
        let layer = tracing_subscriber::fmt::layer()
            .event_format(LineFormat::Logfmt(clock))
            .with_writer(move || writer.clone());
        tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), || {
            tracing::warn!(path = "a b", count = 3, error = %"x\ny", "cannot open file");
        });
        let text = String::from_utf8(sink.0.lock().clone()).expect("utf-8");
        let expected = "time=2023-11-14T22:13:20.123Z level=WARN source=telemetry msg=\"cannot open file\" path=\"a b\" count=3 error=\"x\\ny\"\n";
        assert_eq!(text, expected);
    }

    #[test]
    fn sources_are_rooms() {
        assert_eq!(short_target("watchfire::storage::head"), "storage");
        assert_eq!(short_target("hyper::proto"), "hyper");
    }
}
