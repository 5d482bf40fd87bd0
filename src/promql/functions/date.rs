//! Parts of a date in UTC.

use crate::promql::parser::FunctionId;

/// A date function over the parts of a time.
pub(crate) fn date_fn(id: FunctionId) -> Option<fn(&DateParts) -> f64> {
    Some(match id {
        FunctionId::Year => |date| date.year as f64,
        FunctionId::Month => |date| date.month as f64,
        FunctionId::DayOfMonth => |date| date.day as f64,
        FunctionId::DayOfWeek => |date| date.weekday as f64,
        FunctionId::DayOfYear => |date| date.day_of_year as f64,
        FunctionId::DaysInMonth => |date| days_in_month(date.year, date.month) as f64,
        FunctionId::Hour => |date| (date.second_of_day / 3600) as f64,
        FunctionId::Minute => |date| (date.second_of_day / 60 % 60) as f64,
        _ => return None,
    })
}

/// From Go's absolute zero, 1 January of the year -292277022399, to 1970 (`time` package of Go, `unixToAbsolute`).
const GO_ABSOLUTE_SECONDS: i64 = 9_223_372_028_715_321_600;

/// A time taken apart (proleptic Gregorian calendar, UTC).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct DateParts {
    pub(crate) year: i64,
    /// 1 to 12.
    pub(crate) month: i64,
    /// 1 to 31.
    pub(crate) day: i64,
    /// 0 is Sunday.
    pub(crate) weekday: i64,
    /// 1 to 366.
    pub(crate) day_of_year: i64,
    pub(crate) second_of_day: i64,
}

impl DateParts {
    /// Of a number of seconds since the epoch; fractions are cut off. What fits no 64-bit integer, NaN included, is the
    /// least one, and Go's calendar, which counts from a year far in the past, wraps around: both as Prometheus on amd64.
    pub(crate) fn of(seconds: f64) -> Self {
        let fits = seconds >= i64::MIN as f64 && seconds < i64::MAX as f64;
        let seconds = if fits { seconds as i64 } else { i64::MIN };
        let absolute = seconds.wrapping_add(GO_ABSOLUTE_SECONDS) as u64;
        let days = (absolute / 86_400) as i64 - GO_ABSOLUTE_SECONDS / 86_400;
        let (year, month, day) = civil(days);
        Self {
            year,
            month,
            day,
            weekday: (days + 4).rem_euclid(7),
            day_of_year: days - days_before(year, 1, 1) + 1,
            second_of_day: (absolute % 86_400) as i64,
        }
    }
}

/// Year, month and day of a day number counted from 1970-01-01 (Howard Hinnant's `civil_from_days`).
fn civil(days: i64) -> (i64, i64, i64) {
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let day_of_era = shifted.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    (year_of_era + era * 400 + i64::from(month <= 2), month, day)
}

/// Days from 1970-01-01 to a date (the inverse of [`civil`]).
fn days_before(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let shifted_month = (month + 9) % 12;
    let day_of_year = (153 * shifted_month + 2) / 5 + day - 1;
    era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719_468
}

fn days_in_month(year: i64, month: i64) -> i64 {
    match month {
        4 | 6 | 9 | 11 => 30,
        2 if (year % 4 == 0 && year % 100 != 0) || year % 400 == 0 => 29,
        2 => 28,
        _ => 31,
    }
}

#[cfg(test)]
mod tests {
    use super::DateParts;

    #[test]
    fn takes_times_apart() {
        let cases = [
            (0.0, (1970, 1, 1, 4, 1)),
            (-1.0, (1969, 12, 31, 3, 365)),
            (1_456_790_399.0, (2016, 2, 29, 1, 60)),
            (951_782_400.0, (2000, 2, 29, 2, 60)),
            (1_230_768_000.0, (2009, 1, 1, 4, 1)),
        ];
        for (seconds, expected) in cases {
            let date = DateParts::of(seconds);
            assert_eq!((date.year, date.month, date.day, date.weekday, date.day_of_year), expected, "{seconds}");
        }
        assert_eq!(DateParts::of(3661.9).second_of_day, 3661);
        assert_eq!(DateParts::of(-0.5).second_of_day, 0);
        for odd in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 1e300] {
            let date = DateParts::of(odd);
            assert_eq!((date.year, date.month, date.day), (292_277_026_596, 12, 4), "{odd}");
        }
    }
}
