//! Calls of the library that its wrapper does not offer: values by field and scope (one NVLink), numbers of MIG
//! instances.

use std::ffi::OsStr;

use nvml_wrapper::Device;
use nvml_wrapper_sys::bindings::{NvmlLib, nvmlFieldValue_t, nvmlReturn_t};

/// Fields of one question, four for each of eighteen NVLinks; the library takes a hundred.
pub(super) const MAX_FIELDS: usize = 72;

const SUCCESS: nvmlReturn_t = 0;

/// The library once more: the loader hands out the same one, so the wrapper's devices are valid in it.
pub(super) struct Raw {
    lib: NvmlLib,
}

impl Raw {
    /// Loads the library that the wrapper has loaded already.
    pub(super) fn open(library: &OsStr) -> Option<Self> {
        // SAFETY: the wrapper has loaded and initialized this very file before, so its initializers have run; symbols
        // that it lacks become errors at their use.
        let lib = unsafe { NvmlLib::new(library) }.ok()?;
        Some(Self { lib })
    }

    /// Values of fields as (id, scope), in their order; `None` for each that the device does not have.
    pub(super) fn fields(&self, device: &Device<'_>, wanted: &[(u32, u32)]) -> [Option<f64>; MAX_FIELDS] {
        let mut values = [None; MAX_FIELDS];
        let Ok(get) = self.lib.nvmlDeviceGetFieldValues.as_ref() else { return values };
        // SAFETY: the struct is plain integers and a union of numbers, for all of which zero bits are valid.
        let mut asked: [nvmlFieldValue_t; MAX_FIELDS] = unsafe { std::mem::zeroed() };
        let count = wanted.len().min(MAX_FIELDS);
        for (field, (id, scope)) in asked.iter_mut().zip(wanted) {
            (field.fieldId, field.scopeId) = (*id, *scope);
        }
        // SAFETY: the device is one of this library, initialized for as long as the borrow lives; the library writes
        // `count` structs at most, and the array has room for them.
        let result = unsafe { get(device.handle(), count as i32, asked.as_mut_ptr()) };
        if result == SUCCESS {
            for (value, field) in values.iter_mut().zip(asked.iter().take(count)) {
                *value = field_value(field);
            }
        }
        values
    }

    /// Numbers of the GPU instance and the compute instance of a MIG device.
    pub(super) fn instances(&self, device: &Device<'_>) -> (Option<u32>, Option<u32>) {
        let (mut gpu, mut compute) = (0, 0);
        // SAFETY: the device is one of this library, and the library writes one number.
        let gpu_result =
            self.lib.nvmlDeviceGetGpuInstanceId.as_ref().map(|get| unsafe { get(device.handle(), &mut gpu) });
        // SAFETY: as above.
        let compute_result =
            self.lib.nvmlDeviceGetComputeInstanceId.as_ref().map(|get| unsafe { get(device.handle(), &mut compute) });
        let told =
            |result: Result<nvmlReturn_t, _>, value| result.ok().filter(|code: &u32| *code == SUCCESS).map(|_| value);
        (told(gpu_result.map_err(drop), gpu), told(compute_result.map_err(drop), compute))
    }
}

/// A field's value by its type, where the driver had one.
fn field_value(field: &nvmlFieldValue_t) -> Option<f64> {
    if field.nvmlReturn != SUCCESS {
        return None;
    }
    let value = field.value;
    // SAFETY: every bit pattern is valid for every member of the union; the type says which one the driver wrote.
    let number = unsafe {
        match field.valueType {
            0 => value.dVal,
            1 => f64::from(value.uiVal),
            2 => value.ulVal as f64,
            3 => value.ullVal as f64,
            4 => value.sllVal as f64,
            5 => f64::from(value.siVal),
            6 => f64::from(value.usVal),
            _ => return None,
        }
    };
    number.is_finite().then_some(number)
}
