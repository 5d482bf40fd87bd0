//! `application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=delimited`: field numbers are those of client_model's
//! `metrics.proto`.

mod family;
mod histogram;
mod point;

pub use family::{Histograms, read_families};
pub use point::{ExemplarParts, FamilyHead, FamilySink, Point, Sampled};

/// Whether a Content-Type says so.
pub fn is_protobuf(content_type: &str) -> bool {
    let mut parts = content_type.split(';').map(str::trim);
    let kind = parts.next().unwrap_or("");
    if !kind.eq_ignore_ascii_case("application/vnd.google.protobuf") {
        return false;
    }
    parts.all(|part| match part.split_once('=') {
        Some((name, value)) => {
            let value = value.trim().trim_matches('"');
            match name.trim().to_ascii_lowercase().as_str() {
                "proto" => value == "io.prometheus.client.MetricFamily",
                "encoding" => value == "delimited",
                _ => true,
            }
        }
        None => true,
    })
}
