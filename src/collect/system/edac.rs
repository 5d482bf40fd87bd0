//! Errors that memory controllers counted, from `/sys/devices/system/edac/mc`.

use super::class::Class;
use super::roots::Roots;
use crate::collect::catalogue::counter;
use crate::model::FamilyDesc;

/// Memory controllers and rows of the largest machines.
const MAX: u32 = 4096;
const CONTROLLER: &[&str] = &["controller"];
const ROW: &[&str] = &["controller", "csrow"];

pub(super) static FAMILIES: [FamilyDesc; 4] = [
    counter("node_edac_correctable_errors_total", "", "Memory errors that were corrected.", CONTROLLER, MAX),
    counter("node_edac_uncorrectable_errors_total", "", "Memory errors beyond correction.", CONTROLLER, MAX),
    counter("node_edac_csrow_correctable_errors_total", "", "Corrected memory errors of one csrow.", ROW, MAX),
    counter("node_edac_csrow_uncorrectable_errors_total", "", "Uncorrected memory errors of one csrow.", ROW, MAX),
];

/// The collector.
pub(super) fn edac(roots: &Roots) -> Class {
    let place = roots.sys.join("devices/system/edac/mc");
    Class::new("edac", place.clone(), move |scan| {
        let [corrected, uncorrected, row_corrected, row_uncorrected] = &FAMILIES;
        for name in scan.try_entries(&place)? {
            let Some(controller) = numbered(&name, "mc") else { continue };
            let folder = place.join(&name);
            scan.number(corrected, &[controller], folder.join("ce_count"), 1.0);
            scan.number(uncorrected, &[controller], folder.join("ue_count"), 1.0);
            scan.number(row_corrected, &[controller, "unknown"], folder.join("ce_noinfo_count"), 1.0);
            scan.number(row_uncorrected, &[controller, "unknown"], folder.join("ue_noinfo_count"), 1.0);
            for entry in scan.entries(&folder) {
                let Some(row) = numbered(&entry, "csrow") else { continue };
                scan.number(row_corrected, &[controller, row], folder.join(&entry).join("ce_count"), 1.0);
                scan.number(row_uncorrected, &[controller, row], folder.join(&entry).join("ue_count"), 1.0);
            }
        }
        Ok(())
    })
}

/// The digits behind `start`.
pub(super) fn numbered<'n>(name: &'n str, start: &str) -> Option<&'n str> {
    let digits = name.strip_prefix(start)?;
    (!digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit())).then_some(digits)
}
