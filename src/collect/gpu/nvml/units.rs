//! Numbers of the driver in base units. What no device can have, and the all ones that stand for "not available", are no
//! values.

/// More bytes than any device has: a pebibyte.
const MAX_BYTES: u64 = 1 << 50;
/// More milliwatts than any device takes: 100 kW.
const MAX_MILLIWATTS: u32 = 100_000_000;
/// A fan may be driven beyond what its maker calls all.
const MAX_FAN_PERCENT: u32 = 200;
const MAX_RPM: u32 = 1_000_000;
const MAX_CELSIUS: u32 = 300;
/// 100 GHz.
const MAX_MEGAHERTZ: u32 = 100_000;
/// More than any PCIe has; 0 is what a link that is down says.
const MAX_PCIE: u32 = 64;

pub(super) fn percent(value: u32) -> Option<f64> {
    (value <= 100).then(|| f64::from(value) / 100.0)
}

pub(super) fn fan_percent(value: u32) -> Option<f64> {
    (value <= MAX_FAN_PERCENT).then(|| f64::from(value) / 100.0)
}

pub(super) fn rpm(value: u32) -> Option<f64> {
    (value <= MAX_RPM).then(|| f64::from(value))
}

pub(super) fn celsius(value: u32) -> Option<f64> {
    (value <= MAX_CELSIUS).then(|| f64::from(value))
}

pub(super) fn watts(milliwatts: u32) -> Option<f64> {
    (milliwatts <= MAX_MILLIWATTS).then(|| f64::from(milliwatts) / 1e3)
}

pub(super) fn hertz(megahertz: u32) -> Option<f64> {
    (megahertz <= MAX_MEGAHERTZ).then(|| f64::from(megahertz) * 1e6)
}

pub(super) fn pcie(value: u32) -> Option<f64> {
    (1..=MAX_PCIE).contains(&value).then(|| f64::from(value))
}

pub(super) fn bytes(value: u64) -> Option<f64> {
    (value <= MAX_BYTES).then_some(value as f64)
}

/// A switch that is on or off.
pub(super) fn switch(value: u32) -> Option<bool> {
    (value <= 1).then_some(value == 1)
}

/// A number out of a few.
pub(super) fn up_to(value: u32, most: u32) -> Option<f64> {
    (value <= most).then(|| f64::from(value))
}

/// A count that may be large.
pub(super) fn known(value: u32) -> Option<f64> {
    (value != u32::MAX).then(|| f64::from(value))
}

/// As [`known`], of 64 bits.
pub(super) fn known_long(value: u64) -> Option<f64> {
    (value != u64::MAX).then_some(value as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_is_absent() {
        for (name, convert, fits, expected, too_much) in [
            ("percent", percent as fn(u32) -> Option<f64>, 100, 1.0, 101),
            ("fan", fan_percent, 110, 1.1, 201),
            ("rpm", rpm, 5000, 5000.0, 1_000_001),
            ("celsius", celsius, 90, 90.0, 0xffff_fffb),
            ("watts", watts, 700_000, 700.0, 100_000_001),
            ("hertz", hertz, 1980, 1.98e9, 100_001),
            ("pcie", pcie, 16, 16.0, 0),
            ("count", known, 7, 7.0, u32::MAX),
        ] {
            assert_eq!((convert(fits), convert(too_much), convert(u32::MAX)), (Some(expected), None, None), "{name}");
        }
        assert_eq!((bytes(5), bytes(u64::MAX), known_long(u64::MAX)), (Some(5.0), None, None));
        assert_eq!((switch(1), switch(0), switch(2)), (Some(true), Some(false), None));
        assert_eq!((up_to(15, 15), up_to(16, 15)), (Some(15.0), None));
    }
}
