//! Batteries and mains adapters, from `/sys/class/power_supply`.

use regex::bytes::Regex;

use super::class::Class;
use super::roots::Roots;
use crate::collect::catalogue::gauge;
use crate::model::FamilyDesc;

/// Supplies of one machine.
const MAX: u32 = 64;
/// Files count millionths of volts, amperes and watts.
const MICRO: f64 = 1e-6;
/// Temperatures are tenths of a degree.
const TENTH: f64 = 0.1;

macro_rules! supplies {
    ($($name:literal $file:literal $factor:expr),* $(,)?) => {
        /// Numbers of a supply.
        pub(super) static FAMILIES: [FamilyDesc; FILES.len()] = [$(gauge(
            concat!("node_power_supply_", $name),
            "",
            concat!("What a power supply says in ", $file, ", in base units."),
            &["power_supply"],
            MAX,
        )),*];
        const FILES: &[(&str, f64)] = &[$(($file, $factor)),*];
    };
}

supplies![
    "authentic" "authentic" 1.0,
    "calibrate" "calibrate" 1.0,
    "capacity" "capacity" 1.0,
    "capacity_alert_max" "capacity_alert_max" 1.0,
    "capacity_alert_min" "capacity_alert_min" 1.0,
    "cyclecount" "cycle_count" 1.0,
    "online" "online" 1.0,
    "present" "present" 1.0,
    "time_to_empty_seconds" "time_to_empty_now" 1.0,
    "time_to_full_seconds" "time_to_full_now" 1.0,
    "current_boot" "current_boot" MICRO,
    "current_max" "current_max" MICRO,
    "current_ampere" "current_now" MICRO,
    "energy_empty" "energy_empty" MICRO,
    "energy_empty_design" "energy_empty_design" MICRO,
    "energy_full" "energy_full" MICRO,
    "energy_full_design" "energy_full_design" MICRO,
    "energy_watthour" "energy_now" MICRO,
    "voltage_boot" "voltage_boot" MICRO,
    "voltage_max" "voltage_max" MICRO,
    "voltage_max_design" "voltage_max_design" MICRO,
    "voltage_min" "voltage_min" MICRO,
    "voltage_min_design" "voltage_min_design" MICRO,
    "voltage_volt" "voltage_now" MICRO,
    "voltage_ocv" "voltage_ocv" MICRO,
    "charge_control_limit" "charge_control_limit" MICRO,
    "charge_control_limit_max" "charge_control_limit_max" MICRO,
    "charge_counter" "charge_counter" MICRO,
    "charge_empty" "charge_empty" MICRO,
    "charge_empty_design" "charge_empty_design" MICRO,
    "charge_full" "charge_full" MICRO,
    "charge_full_design" "charge_full_design" MICRO,
    "charge_ampere" "charge_now" MICRO,
    "charge_term_current" "charge_term_current" MICRO,
    "constant_charge_current" "constant_charge_current" MICRO,
    "constant_charge_current_max" "constant_charge_current_max" MICRO,
    "constant_charge_voltage" "constant_charge_voltage" MICRO,
    "constant_charge_voltage_max" "constant_charge_voltage_max" MICRO,
    "precharge_current" "precharge_current" MICRO,
    "input_current_limit" "input_current_limit" MICRO,
    "power_watt" "power_now" MICRO,
    "temp_celsius" "temp" TENTH,
    "temp_alert_max_celsius" "temp_alert_max" TENTH,
    "temp_alert_min_celsius" "temp_alert_min" TENTH,
    "temp_ambient_celsius" "temp_ambient" TENTH,
    "temp_ambient_max_celsius" "temp_ambient_max" TENTH,
    "temp_ambient_min_celsius" "temp_ambient_min" TENTH,
    "temp_max_celsius" "temp_max" TENTH,
    "temp_min_celsius" "temp_min" TENTH,
];

macro_rules! facts {
    ($($file:literal)*) => {
        /// Words of a supply: the files are called as the labels.
        const FACTS: &[&str] = &[$($file),*];
        pub(super) static INFO: [FamilyDesc; 1] = [gauge(
            "node_power_supply_info",
            "",
            "What a power supply is and how it stands; always 1.",
            &["power_supply", $($file),*],
            MAX,
        )];
    };
}

facts![
    "capacity_level" "charge_type" "health" "manufacturer" "model_name" "scope" "serial_number" "status" "technology"
    "type" "usb_type"
];

/// The collector.
pub(super) fn power_supply(roots: &Roots, ignored: Regex) -> Class {
    let place = roots.sys.join("class/power_supply");
    Class::new("powersupplyclass", place.clone(), move |scan| {
        let [info] = &INFO;
        for supply in scan.try_entries(&place)? {
            if ignored.is_match(supply.as_bytes()) {
                continue;
            }
            let folder = place.join(&supply);
            for (desc, (file, factor)) in FAMILIES.iter().zip(FILES) {
                scan.number(desc, &[&supply], folder.join(file), *factor);
            }
            scan.facts(info, &[&supply], FACTS.iter().map(|file| folder.join(file)));
        }
        Ok(())
    })
}
