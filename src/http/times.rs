//! Times as Go's JSON writes them.

use crate::model::Timestamp;

/// RFC 3339 with up to three decimals in UTC; 0 ("never") is Go's zero time.
pub(super) fn rfc3339(ts: Timestamp) -> String {
    if ts == 0 {
        return "0001-01-01T00:00:00Z".to_owned();
    }
    jiff::Timestamp::from_millisecond(ts).map(|time| time.to_string()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::rfc3339;

    #[test]
    fn as_go_writes_them() {
        for (ts, expected) in [
            (0, "0001-01-01T00:00:00Z"),
            (1_435_781_451_781, "2015-07-01T20:10:51.781Z"),
            (1_435_781_451_000, "2015-07-01T20:10:51Z"),
        ] {
            assert_eq!(rfc3339(ts), expected);
        }
    }
}
