//! NVML's C interface: the functions that are called, each under the names that it has had, and the structs that they fill.
//!
//! Drivers of ten years have different sets of them. The newest name comes first; one that no library has makes its values
//! absent and nothing else. Names and layouts: NVIDIA's NVML reference.

use std::ffi::{c_char, c_int, c_uint, c_void};

/// A device as the library hands it out.
pub(super) type Handle = *mut c_void;
/// What every call returns.
pub(super) type Code = c_uint;

pub(super) const SUCCESS: Code = 0;

#[repr(C)]
#[derive(Clone, Copy, Default)]
pub(super) struct Utilization {
    pub(super) gpu: c_uint,
    pub(super) memory: c_uint,
}

/// Memory of drivers before 510: what is reserved counts as used.
#[repr(C)]
#[derive(Clone, Copy, Default)]
pub(super) struct Memory {
    pub(super) total: u64,
    pub(super) free: u64,
    pub(super) used: u64,
}

#[repr(C)]
#[derive(Clone, Copy, Default)]
pub(super) struct MemoryV2 {
    pub(super) version: c_uint,
    pub(super) total: u64,
    pub(super) reserved: u64,
    pub(super) free: u64,
    pub(super) used: u64,
}

/// Place on the bus. Older versions of the call fill the first part only.
#[repr(C)]
#[derive(Clone, Copy, Default)]
pub(super) struct Pci {
    pub(super) legacy_bus_id: [u8; 16],
    pub(super) numbers: [c_uint; 5],
    pub(super) bus_id: [u8; 32],
}

#[repr(C)]
#[derive(Clone, Copy, Default)]
pub(super) struct FanSpeed {
    pub(super) version: c_uint,
    pub(super) fan: c_uint,
    pub(super) speed: c_uint,
}

#[repr(C)]
#[derive(Clone, Copy, Default)]
pub(super) struct Temperature {
    pub(super) version: c_uint,
    pub(super) sensor: c_uint,
    pub(super) celsius: c_int,
}

#[repr(C)]
#[derive(Clone, Copy, Default)]
pub(super) struct Attributes {
    pub(super) multiprocessors: c_uint,
    pub(super) others: [c_uint; 7],
    pub(super) memory_mib: u64,
}

#[repr(C)]
#[derive(Clone, Copy, Default)]
pub(super) struct ProcessSample {
    pub(super) pid: c_uint,
    pub(super) timestamp: u64,
    pub(super) sm: c_uint,
    pub(super) others: [c_uint; 3],
}

/// A value by field; which member of NVML's union it is says `kind`.
#[repr(C)]
#[derive(Clone, Copy, Default)]
pub(super) struct FieldValue {
    pub(super) field: c_uint,
    pub(super) scope: c_uint,
    pub(super) timestamp: i64,
    pub(super) latency: i64,
    pub(super) kind: c_uint,
    pub(super) code: Code,
    pub(super) value: [u8; 8],
}

#[repr(C)]
#[derive(Clone, Copy)]
pub(super) struct Event {
    pub(super) device: Handle,
    pub(super) kind: u64,
    pub(super) data: u64,
    pub(super) gpu_instance: c_uint,
    pub(super) compute_instance: c_uint,
}

/// A struct's version as later calls want it: its size, and the number above.
pub(super) const fn version(size: usize, number: u32) -> c_uint {
    size as c_uint | (number << 24)
}

/// Critical errors among the types of events.
pub(super) const EVENT_XID: u64 = 8;

/// `nvmlTemperatureSensors_t`: the chip.
pub(super) const SENSOR_GPU: c_uint = 0;
/// `nvmlClockId_t`: what applications asked for.
pub(super) const CLOCK_APPLICATION_TARGET: c_uint = 1;
/// `nvmlEccCounterType_t`: since the driver was loaded.
pub(super) const ECC_VOLATILE: c_uint = 0;
/// `nvmlEccCounterType_t`: in the GPU's life.
pub(super) const ECC_AGGREGATE: c_uint = 1;

/// Numbers of values that are asked for by field, `NVML_FI_DEV_…`.
pub(super) mod field {
    pub(in super::super) const RETIRED_SBE: u32 = 29;
    pub(in super::super) const RETIRED_DBE: u32 = 30;
    pub(in super::super) const RETIRED_PENDING: u32 = 31;
    pub(in super::super) const MEMORY_TEMP: u32 = 82;
    pub(in super::super) const NVLINK_THROUGHPUT_DATA_TX: u32 = 138;
    pub(in super::super) const NVLINK_THROUGHPUT_DATA_RX: u32 = 139;
    pub(in super::super) const REMAPPED_CORRECTED: u32 = 142;
    pub(in super::super) const REMAPPED_UNCORRECTED: u32 = 143;
    pub(in super::super) const REMAPPED_PENDING: u32 = 144;
    pub(in super::super) const REMAPPED_FAILURE: u32 = 145;
    pub(in super::super) const NVLINK_ERROR_REPLAY: u32 = 161;
    pub(in super::super) const NVLINK_ERROR_RECOVERY: u32 = 162;
    pub(in super::super) const NVLINK_ERROR_CRC: u32 = 163;
    pub(in super::super) const PCIE_TX_BYTES: u32 = 197;
    pub(in super::super) const PCIE_RX_BYTES: u32 = 198;
    pub(in super::super) const NVLINK_XMIT_BYTES: u32 = 202;
    pub(in super::super) const NVLINK_RCV_BYTES: u32 = 204;
}

/// A struct of functions, and how each is found.
macro_rules! functions {
    ($($field:ident: [$($symbol:literal),+] ($($argument:ty),*);)*) => {
        /// The functions of a library; `None` where it has none under any name.
        pub(super) struct Functions {
            $(pub(super) $field: Option<unsafe extern "C" fn($($argument),*) -> Code>,)*
        }

        impl Functions {
            /// Looks every function up.
            ///
            /// # Safety
            /// The library must be NVML or have its interface, and the pointers die with it.
            pub(super) unsafe fn of(library: &libloading::Library) -> Self {
                Self {
                    $($field: [$($symbol),+].into_iter().find_map(|symbol: &str| {
                        // SAFETY: by this function's contract a symbol of this name has this signature.
                        unsafe { library.get(symbol.as_bytes()) }.ok().map(|found: libloading::Symbol<'_, _>| *found)
                    }),)*
                }
            }
        }
    };
}

type Text = *mut c_char;
type Number = *mut c_uint;
type Long = *mut u64;

functions! {
    init: ["nvmlInit_v2", "nvmlInit"]();
    init_with_flags: ["nvmlInitWithFlags"](c_uint);
    shutdown: ["nvmlShutdown"]();
    driver_version: ["nvmlSystemGetDriverVersion"](Text, c_uint);
    nvml_version: ["nvmlSystemGetNVMLVersion"](Text, c_uint);
    cuda_version: ["nvmlSystemGetCudaDriverVersion_v2", "nvmlSystemGetCudaDriverVersion"](*mut c_int);
    device_count: ["nvmlDeviceGetCount_v2", "nvmlDeviceGetCount"](Number);
    device_by_index: ["nvmlDeviceGetHandleByIndex_v2", "nvmlDeviceGetHandleByIndex"](c_uint, *mut Handle);
    uuid: ["nvmlDeviceGetUUID"](Handle, Text, c_uint);
    name: ["nvmlDeviceGetName"](Handle, Text, c_uint);
    vbios_version: ["nvmlDeviceGetVbiosVersion"](Handle, Text, c_uint);
    pci: ["nvmlDeviceGetPciInfo_v3"](Handle, *mut Pci);
    pci_older: ["nvmlDeviceGetPciInfo_v2", "nvmlDeviceGetPciInfo"](Handle, *mut Pci);
    utilization: ["nvmlDeviceGetUtilizationRates"](Handle, *mut Utilization);
    memory_v2: ["nvmlDeviceGetMemoryInfo_v2"](Handle, *mut MemoryV2);
    memory: ["nvmlDeviceGetMemoryInfo"](Handle, *mut Memory);
    bar1: ["nvmlDeviceGetBAR1MemoryInfo"](Handle, *mut Memory);
    temperature: ["nvmlDeviceGetTemperature"](Handle, c_uint, Number);
    temperature_later: ["nvmlDeviceGetTemperatureV"](Handle, *mut Temperature);
    temperature_threshold: ["nvmlDeviceGetTemperatureThreshold"](Handle, c_uint, Number);
    power: ["nvmlDeviceGetPowerUsage"](Handle, Number);
    power_limit: ["nvmlDeviceGetEnforcedPowerLimit"](Handle, Number);
    power_requested_limit: ["nvmlDeviceGetPowerManagementLimit"](Handle, Number);
    power_default_limit: ["nvmlDeviceGetPowerManagementDefaultLimit"](Handle, Number);
    power_limits: ["nvmlDeviceGetPowerManagementLimitConstraints"](Handle, Number, Number);
    energy: ["nvmlDeviceGetTotalEnergyConsumption"](Handle, Long);
    fan_v2: ["nvmlDeviceGetFanSpeed_v2"](Handle, c_uint, Number);
    fan: ["nvmlDeviceGetFanSpeed"](Handle, Number);
    fan_rpm: ["nvmlDeviceGetFanSpeedRPM"](Handle, *mut FanSpeed);
    clock: ["nvmlDeviceGetClockInfo"](Handle, c_uint, Number);
    max_clock: ["nvmlDeviceGetMaxClockInfo"](Handle, c_uint, Number);
    clock_by_id: ["nvmlDeviceGetClock"](Handle, c_uint, c_uint, Number);
    application_clock: ["nvmlDeviceGetApplicationsClock"](Handle, c_uint, Number);
    performance_state: ["nvmlDeviceGetPerformanceState", "nvmlDeviceGetPowerState"](Handle, Number);
    throttle_reasons: [
        "nvmlDeviceGetCurrentClocksEventReasons",
        "nvmlDeviceGetCurrentClocksThrottleReasons"
    ](Handle, Long);
    pcie_generation: ["nvmlDeviceGetCurrPcieLinkGeneration"](Handle, Number);
    pcie_max_generation: ["nvmlDeviceGetMaxPcieLinkGeneration"](Handle, Number);
    pcie_width: ["nvmlDeviceGetCurrPcieLinkWidth"](Handle, Number);
    pcie_max_width: ["nvmlDeviceGetMaxPcieLinkWidth"](Handle, Number);
    pcie_replays: ["nvmlDeviceGetPcieReplayCounter"](Handle, Number);
    pcie_throughput: ["nvmlDeviceGetPcieThroughput"](Handle, c_uint, Number);
    ecc_mode: ["nvmlDeviceGetEccMode"](Handle, Number, Number);
    ecc_errors: ["nvmlDeviceGetTotalEccErrors"](Handle, c_uint, c_uint, Long);
    compute_mode: ["nvmlDeviceGetComputeMode"](Handle, Number);
    persistence_mode: ["nvmlDeviceGetPersistenceMode"](Handle, Number);
    encoder: ["nvmlDeviceGetEncoderUtilization"](Handle, Number, Number);
    decoder: ["nvmlDeviceGetDecoderUtilization"](Handle, Number, Number);
    encoder_stats: ["nvmlDeviceGetEncoderStats"](Handle, Number, Number, Number);
    fields: ["nvmlDeviceGetFieldValues"](Handle, c_int, *mut FieldValue);
    nvlink_state: ["nvmlDeviceGetNvLinkState"](Handle, c_uint, Number);
    nvlink_errors: ["nvmlDeviceGetNvLinkErrorCounter"](Handle, c_uint, c_uint, Long);
    mig_mode: ["nvmlDeviceGetMigMode"](Handle, Number, Number);
    mig_count: ["nvmlDeviceGetMaxMigDeviceCount"](Handle, Number);
    mig_by_index: ["nvmlDeviceGetMigDeviceHandleByIndex"](Handle, c_uint, *mut Handle);
    gpu_instance: ["nvmlDeviceGetGpuInstanceId"](Handle, Number);
    compute_instance: ["nvmlDeviceGetComputeInstanceId"](Handle, Number);
    attributes: ["nvmlDeviceGetAttributes_v2", "nvmlDeviceGetAttributes"](Handle, *mut Attributes);
    compute_processes: [
        "nvmlDeviceGetComputeRunningProcesses_v3",
        "nvmlDeviceGetComputeRunningProcesses_v2"
    ](Handle, Number, *mut c_void);
    compute_processes_first: ["nvmlDeviceGetComputeRunningProcesses"](Handle, Number, *mut c_void);
    graphics_processes: [
        "nvmlDeviceGetGraphicsRunningProcesses_v3",
        "nvmlDeviceGetGraphicsRunningProcesses_v2"
    ](Handle, Number, *mut c_void);
    graphics_processes_first: ["nvmlDeviceGetGraphicsRunningProcesses"](Handle, Number, *mut c_void);
    mps_processes: [
        "nvmlDeviceGetMPSComputeRunningProcesses_v3",
        "nvmlDeviceGetMPSComputeRunningProcesses_v2"
    ](Handle, Number, *mut c_void);
    mps_processes_first: ["nvmlDeviceGetMPSComputeRunningProcesses"](Handle, Number, *mut c_void);
    process_utilization: ["nvmlDeviceGetProcessUtilization"](Handle, *mut ProcessSample, Number, u64);
    event_types: ["nvmlDeviceGetSupportedEventTypes"](Handle, Long);
    event_set: ["nvmlEventSetCreate"](*mut Handle);
    event_register: ["nvmlDeviceRegisterEvents"](Handle, u64, Handle);
    event_wait: ["nvmlEventSetWait_v2", "nvmlEventSetWait"](Handle, *mut Event, c_uint);
    event_free: ["nvmlEventSetFree"](Handle);
}

#[cfg(test)]
mod tests {
    use std::mem::size_of;

    use super::*;

    #[test]
    fn structs_are_as_large_as_the_library_s() {
        for (name, found, expected) in [
            ("utilization", size_of::<Utilization>(), 8),
            ("memory", size_of::<Memory>(), 24),
            ("memory v2", size_of::<MemoryV2>(), 40),
            ("pci", size_of::<Pci>(), 68),
            ("fan", size_of::<FanSpeed>(), 12),
            ("temperature", size_of::<Temperature>(), 12),
            ("attributes", size_of::<Attributes>(), 40),
            ("sample", size_of::<ProcessSample>(), 32),
            ("field", size_of::<FieldValue>(), 40),
            ("event", size_of::<Event>(), 32),
        ] {
            assert_eq!(found, expected, "{name}");
        }
    }
}
