//! Times and durations as Go prints them.

use jiff::Timestamp as Instant;
use jiff::tz::TimeZone;

use crate::model::Timestamp;

use super::value::Val;

/// `2006-01-02 15:04:05.999999999 -0700 MST`, in UTC; the fraction only when there is one.
pub(super) fn format_time(ms: Timestamp) -> String {
    let Ok(instant) = Instant::from_millisecond(ms) else { return format!("{ms} ms since the epoch") };
    let time = instant.to_zoned(TimeZone::UTC).datetime();
    let fraction = match ms.rem_euclid(1000) {
        0 => String::new(),
        ms => format!(".{ms:03}").trim_end_matches('0').to_owned(),
    };
    format!(
        "{:04}-{:02}-{:02} {:02}:{:02}:{:02}{fraction} +0000 UTC",
        time.year(),
        time.month(),
        time.day(),
        time.hour(),
        time.minute(),
        time.second()
    )
}

/// Methods of Go's time.Time that take no argument.
pub(super) fn time_field(ms: Timestamp, name: &str) -> Option<Val> {
    let time = Instant::from_millisecond(ms).ok()?.to_zoned(TimeZone::UTC).datetime();
    Some(match name {
        "Unix" => Val::Int(ms.div_euclid(1000)),
        "UnixMilli" => Val::Int(ms),
        "Year" => Val::Int(i64::from(time.year())),
        "Month" => Val::text(month(time.month())),
        "Day" => Val::Int(i64::from(time.day())),
        "Hour" => Val::Int(i64::from(time.hour())),
        "Minute" => Val::Int(i64::from(time.minute())),
        "Second" => Val::Int(i64::from(time.second())),
        "YearDay" => Val::Int(i64::from(time.day_of_year())),
        "Weekday" => Val::text(weekday(time.weekday().to_sunday_zero_offset())),
        "UTC" => Val::Time(ms),
        "String" => Val::text(format_time(ms)),
        _ => return None,
    })
}

const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];
const WEEKDAYS: [&str; 7] = ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"];

fn month(number: i8) -> &'static str {
    usize::try_from(number - 1).ok().and_then(|i| MONTHS.get(i)).copied().unwrap_or("")
}

fn weekday(number: i8) -> &'static str {
    usize::try_from(number).ok().and_then(|i| WEEKDAYS.get(i)).copied().unwrap_or("")
}

/// A time by a Go layout, which shows how 2006-01-02 15:04:05 would look.
pub(super) fn format_layout(ms: Timestamp, layout: &str) -> String {
    let Ok(instant) = Instant::from_millisecond(ms) else { return String::new() };
    let time = instant.to_zoned(TimeZone::UTC).datetime();
    let hour12 = match time.hour() % 12 {
        0 => 12,
        hour => hour,
    };
    let (month, weekday) = (month(time.month()), weekday(time.weekday().to_sunday_zero_offset()));
    let half = if time.hour() < 12 { "AM" } else { "PM" };
    // The longest sample comes first where one begins with another.
    let samples: [(&str, String); 25] = [
        ("January", month.to_owned()),
        ("Jan", month.get(..3).unwrap_or("").to_owned()),
        ("Monday", weekday.to_owned()),
        ("Mon", weekday.get(..3).unwrap_or("").to_owned()),
        ("MST", "UTC".to_owned()),
        ("2006", format!("{:04}", time.year())),
        ("-07:00", "+00:00".to_owned()),
        ("-0700", "+0000".to_owned()),
        ("Z07:00", "Z".to_owned()),
        (".000", format!(".{:03}", ms.rem_euclid(1000))),
        ("01", format!("{:02}", time.month())),
        ("02", format!("{:02}", time.day())),
        ("03", format!("{hour12:02}")),
        ("04", format!("{:02}", time.minute())),
        ("05", format!("{:02}", time.second())),
        ("06", format!("{:02}", time.year().rem_euclid(100))),
        ("15", format!("{:02}", time.hour())),
        ("PM", half.to_owned()),
        ("pm", half.to_ascii_lowercase()),
        ("_2", format!("{:2}", time.day())),
        ("1", time.month().to_string()),
        ("2", time.day().to_string()),
        ("3", hour12.to_string()),
        ("4", time.minute().to_string()),
        ("5", time.second().to_string()),
    ];
    let (mut out, mut rest) = (String::with_capacity(layout.len() + 8), layout);
    while let Some(c) = rest.chars().next() {
        match samples.iter().find(|(sample, _)| rest.starts_with(sample)) {
            Some((sample, text)) => {
                out.push_str(text);
                rest = rest.get(sample.len()..).unwrap_or("");
            }
            None => {
                out.push(c);
                rest = rest.get(c.len_utf8()..).unwrap_or("");
            }
        }
    }
    out
}

/// Methods of Go's time.Duration that take no argument.
pub(super) fn duration_field(ns: i64, name: &str) -> Option<Val> {
    let seconds = ns as f64 / 1e9;
    Some(match name {
        "Hours" => Val::Float(seconds / 3600.0),
        "Minutes" => Val::Float(seconds / 60.0),
        "Seconds" => Val::Float(seconds),
        "Milliseconds" => Val::Int(ns / 1_000_000),
        "Microseconds" => Val::Int(ns / 1000),
        "Nanoseconds" => Val::Int(ns),
        "String" => Val::text(format_duration_ns(ns)),
        _ => return None,
    })
}

/// `1h2m3.5s`, `1.5ms`, `0s`.
pub(super) fn format_duration_ns(ns: i64) -> String {
    let (sign, abs) = (if ns < 0 { "-" } else { "" }, ns.unsigned_abs());
    let small = |unit_ns: f64, unit: &str| format!("{sign}{}{unit}", abs as f64 / unit_ns);
    match abs {
        0 => "0s".to_owned(),
        1..1_000 => small(1.0, "ns"),
        1_000..1_000_000 => small(1e3, "µs"),
        1_000_000..1_000_000_000 => small(1e6, "ms"),
        _ => {
            let (hours, minutes) = (abs / 3_600_000_000_000, abs / 60_000_000_000 % 60);
            let (whole, fraction) = (abs / 1_000_000_000 % 60, abs % 1_000_000_000);
            let fraction = if fraction == 0 { String::new() } else { format!(".{fraction:09}") };
            let seconds = format!("{whole}{}s", fraction.trim_end_matches('0'));
            match (hours, minutes) {
                (0, 0) => format!("{sign}{seconds}"),
                (0, minutes) => format!("{sign}{minutes}m{seconds}"),
                (hours, minutes) => format!("{sign}{hours}h{minutes}m{seconds}"),
            }
        }
    }
}
