//! Spans as Chrome's trace format, which Perfetto and chrome://tracing open.

use std::fmt::Write as _;

use crate::telemetry::{SpanEvent, SpanRecording};

/// Writes a recording as `{"traceEvents":[…]}`; times are microseconds since the recording began.
pub(super) fn json(recording: &SpanRecording) -> String {
    let mut out = String::from("{\"displayTimeUnit\":\"ms\",\"traceEvents\":[");
    let pid = std::process::id();
    for (index, event) in recording.events.iter().enumerate() {
        if index > 0 {
            out.push(',');
        }
        let SpanEvent { name, target, fields, thread, start_us, duration_us } = event;
        let name = serde_json::Value::from(*name);
        let target = serde_json::Value::from(*target);
        let fields = serde_json::Value::from(fields.as_str());
        let _ = write!(
            out,
            "{{\"name\":{name},\"cat\":{target},\"ph\":\"X\",\"ts\":{start_us},\"dur\":{duration_us},\"pid\":{pid},\"tid\":{thread},\"args\":{{\"fields\":{fields}}}}}"
        );
    }
    let _ = write!(out, "],\"otherData\":{{\"dropped_spans\":{}}}}}", recording.dropped);
    out
}
