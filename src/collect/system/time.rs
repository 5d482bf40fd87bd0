//! The clock: the time, the zone, what the clock is driven by, and how well it is kept (`adjtimex`).

use std::ffi::CStr;
use std::mem::MaybeUninit;

use super::class::{Devices, Look, Named};
use super::edac::numbered;
use super::report::Trouble;
use super::roots::Roots;
use crate::collect::catalogue::{counter, gauge};
use crate::collect::emit::{Emit, Slot};
use crate::collect::{CollectError, Collector, Reading};
use crate::model::{Batch, FamilyDesc, Intern, Timestamp};

const CLOCK: &[&str] = &["device", "clocksource"];
pub(super) static TIME: [FamilyDesc; 4] = [
    gauge("node_time_seconds", "seconds", "System time in seconds since epoch (1970).", &[], 1),
    gauge("node_time_zone_offset_seconds", "seconds", "What local time is ahead of UTC.", &["time_zone"], 2),
    gauge("node_time_clocksource_available_info", "", "A source that the clock could have; always 1.", CLOCK, 64),
    gauge("node_time_clocksource_current_info", "", "The source that the clock has; always 1.", CLOCK, 16),
];

/// The time of the tick: exactly the timestamp of the sample.
pub(super) struct Time {
    slot: Slot,
    zone: (String, Slot),
    look: Look,
    clocks: Devices,
}

impl Time {
    pub(super) fn new(roots: &Roots) -> Self {
        let place = roots.sys.join("devices/system/clocksource");
        let look: Look = Box::new(move |scan| {
            let [.., available, current] = &TIME;
            for name in scan.try_entries(&place)? {
                let Some(device) = numbered(&name, "clocksource") else { continue };
                for (desc, file) in [(available, "available_clocksource"), (current, "current_clocksource")] {
                    let text = scan.text(&place.join(&name).join(file)).unwrap_or_default();
                    for source in text.split_whitespace() {
                        scan.constant(Named::Declared(desc), vec![device.to_owned(), source.to_owned()], 1.0);
                    }
                }
            }
            Ok(())
        });
        Self { slot: Slot::New, zone: (String::new(), Slot::New), look, clocks: Devices::default() }
    }
}

impl Collector for Time {
    fn name(&self) -> &'static str {
        "time"
    }

    fn collect(&mut self, now: Timestamp, intern: &dyn Intern, out: &mut Batch) -> Result<Reading, CollectError> {
        let mut emit = Emit::new("node", intern, out);
        let mut trouble = Trouble::default();
        let [seconds, offset, ..] = &TIME;
        emit.put(&mut self.slot, seconds, &[], now as f64 / 1e3);
        local_time(now.div_euclid(1000), |name, ahead| {
            let (known, slot) = &mut self.zone;
            if known.as_bytes() != name.to_bytes() {
                emit.release(&[std::mem::take(slot)]);
                *known = name.to_string_lossy().into_owned();
            }
            emit.put(slot, offset, &[known], ahead as f64);
        });
        // Without sysfs there is still a time.
        let _ = self.clocks.tick(now, &self.look, &mut emit, &mut trouble);
        Ok(trouble.reading())
    }
}

/// Calls `tell` with the zone's short name and its seconds ahead of UTC.
fn local_time(seconds: i64, tell: impl FnOnce(&CStr, i64)) {
    let mut broken = MaybeUninit::<libc::tm>::zeroed();
    // SAFETY: both point to what they should, and the library fills `broken`.
    let filled = unsafe { libc::localtime_r(&seconds, broken.as_mut_ptr()) };
    if filled.is_null() {
        return;
    }
    // SAFETY: zeroed bytes are a valid `tm`, and the call filled it.
    let broken = unsafe { broken.assume_init() };
    if broken.tm_zone.is_null() {
        return;
    }
    // SAFETY: the library's name of a zone ends in NUL and stays while this thread does not set another zone.
    tell(unsafe { CStr::from_ptr(broken.tm_zone) }, broken.tm_gmtoff);
}

pub(super) static TIMEX: [FamilyDesc; 17] = [
    gauge("node_timex_offset_seconds", "seconds", "What the clock is off from its reference.", &[], 1),
    gauge("node_timex_frequency_adjustment_ratio", "", "How much faster than by itself the clock runs.", &[], 1),
    gauge("node_timex_maxerror_seconds", "seconds", "Most that the clock can be off.", &[], 1),
    gauge("node_timex_estimated_error_seconds", "seconds", "What the clock is off, as estimated.", &[], 1),
    gauge("node_timex_status", "", "Status flags of the clock.", &[], 1),
    gauge("node_timex_loop_time_constant", "", "Time constant of the loop that keeps the clock.", &[], 1),
    gauge("node_timex_tick_seconds", "seconds", "Time between two ticks of the clock.", &[], 1),
    gauge("node_timex_pps_frequency_hertz", "hertz", "Frequency of the pulse a second.", &[], 1),
    gauge("node_timex_pps_jitter_seconds", "seconds", "Jitter of the pulse a second.", &[], 1),
    gauge("node_timex_pps_shift_seconds", "seconds", "Length of the pulse's calibration.", &[], 1),
    gauge("node_timex_pps_stability_hertz", "hertz", "How steady the pulse a second is.", &[], 1),
    counter("node_timex_pps_jitter_total", "", "Times that the pulse's jitter was too large.", &[], 1),
    counter("node_timex_pps_calibration_total", "", "Calibrations by the pulse.", &[], 1),
    counter("node_timex_pps_error_total", "", "Calibrations that failed.", &[], 1),
    counter("node_timex_pps_stability_exceeded_total", "", "Times that the pulse was not steady enough.", &[], 1),
    gauge("node_timex_tai_offset_seconds", "seconds", "What atomic time is ahead of UTC.", &[], 1),
    gauge("node_timex_sync_status", "", "Whether the clock is kept in step with a reference.", &[], 1),
];

/// The kernel counts parts in a million, with 16 bits behind the point.
const PPM: f64 = 1e6 * 65536.0;

/// How well the clock is kept.
#[derive(Default)]
pub(super) struct Timex([Slot; 17]);

impl Collector for Timex {
    fn name(&self) -> &'static str {
        "timex"
    }

    fn collect(&mut self, _now: Timestamp, intern: &dyn Intern, out: &mut Batch) -> Result<Reading, CollectError> {
        let mut emit = Emit::new("node", intern, out);
        let values =
            ask().map_err(|error| CollectError { collector: "timex", reason: format!("adjtimex: {error}") })?;
        for ((slot, desc), value) in self.0.iter_mut().zip(&TIMEX).zip(values) {
            emit.put(slot, desc, &[], value);
        }
        Ok(Reading::Complete)
    }
}

/// Asks the kernel, changing nothing.
fn ask() -> std::io::Result<[f64; 17]> {
    let mut timex = MaybeUninit::<libc::timex>::zeroed();
    // SAFETY: `timex` is zeroed, so `modes` is 0 and the call only reads the clock's state into it.
    let state = unsafe { libc::adjtimex(timex.as_mut_ptr()) };
    if state < 0 {
        return Err(std::io::Error::last_os_error());
    }
    // SAFETY: zeroed bytes are a valid `timex`, and the call filled it.
    Ok(values(&unsafe { timex.assume_init() }, state))
}

/// Units by `adjtimex(2)`: offset and jitter are nanoseconds when the status says so.
fn values(timex: &libc::timex, state: libc::c_int) -> [f64; 17] {
    let unit = if timex.status & libc::STA_NANO != 0 { 1e9 } else { 1e6 };
    [
        timex.offset as f64 / unit,
        1.0 + timex.freq as f64 / PPM,
        timex.maxerror as f64 / 1e6,
        timex.esterror as f64 / 1e6,
        f64::from(timex.status),
        timex.constant as f64,
        timex.tick as f64 / 1e6,
        timex.ppsfreq as f64 / PPM,
        timex.jitter as f64 / unit,
        f64::from(timex.shift),
        timex.stabil as f64 / PPM,
        timex.jitcnt as f64,
        timex.calcnt as f64,
        timex.errcnt as f64,
        timex.stbcnt as f64,
        f64::from(timex.tai),
        if state == libc::TIME_ERROR { 0.0 } else { 1.0 },
    ]
}

#[cfg(test)]
mod tests {
    use super::{Time, Timex, local_time, values};
    use crate::collect::Reading;
    use crate::collect::system::Roots;
    use crate::collect::testing::{Interner, collect, put};

    #[test]
    fn time_zone_and_sources() {
        let root = tempfile::tempdir().unwrap();
        let mut time = Time::new(&Roots::under(root.path()));
        let intern = Interner::default();
        assert_eq!(collect(&mut time, &intern, 1500).0["node_time_seconds"], 1.5);
        put(root.path(), "sys/devices/system/clocksource/clocksource0/available_clocksource", "tsc hpet \n");
        put(root.path(), "sys/devices/system/clocksource/clocksource0/current_clocksource", "tsc\n");
        let (page, result) = collect(&mut time, &intern, 2000);
        assert_eq!((page.len(), result.unwrap()), (5, Reading::Complete));
        local_time(0, |name, ahead| assert!(!name.is_empty() && ahead.abs() < 86_400));
    }

    #[test]
    fn the_kernels_units() {
        // SAFETY: zeroed bytes are a valid `timex`.
        let mut timex: libc::timex = unsafe { std::mem::zeroed() };
        (timex.offset, timex.freq, timex.tick) = (-5, 65_536_000_000, 10_000);
        let found = values(&timex, libc::TIME_ERROR);
        assert_eq!((found[0], found[1], found[6], found[16]), (-5e-6, 2.0, 0.01, 0.0));
        timex.status = libc::STA_NANO;
        assert_eq!(values(&timex, 0)[0], -5e-9);
        let (page, result) = collect(&mut Timex::default(), &Interner::default(), 0);
        // A sandbox may forbid the call; then that is what is told.
        assert!(result.is_err() || page.len() == 17);
    }
}
