//! NVIDIA's library: loaded, initialized, and shut down when it is let go of.

use std::ffi::{OsStr, c_char, c_uint};

use super::abi::{Code, Functions, Handle, SUCCESS};
use super::handle::Device;

/// Longest text that is asked for: NVML's own bound is 96 letters.
const MAX_TEXT: usize = 128;

/// What a call returned instead of a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{}", self.text())]
pub(super) struct NvmlError(pub(super) Code);

impl NvmlError {
    pub(super) const UNINITIALIZED: Self = Self(1);
    pub(super) const INVALID_ARGUMENT: Self = Self(2);
    pub(super) const NOT_SUPPORTED: Self = Self(3);
    pub(super) const INSUFFICIENT_SIZE: Self = Self(7);
    pub(super) const DRIVER_NOT_LOADED: Self = Self(9);
    pub(super) const TIMEOUT: Self = Self(10);
    /// Also for functions that this library does not have.
    pub(super) const NO_FUNCTION: Self = Self(13);
    pub(super) const GPU_IS_LOST: Self = Self(15);
    pub(super) const RESET_REQUIRED: Self = Self(16);
    pub(super) const VERSION_MISMATCH: Self = Self(18);
    pub(super) const ARGUMENT_VERSION: Self = Self(25);
    pub(super) const GPU_NOT_FOUND: Self = Self(28);

    /// Whether the driver has gone or was changed: nothing will be answered until the library is loaded anew.
    pub(super) fn is_end_of_driver(self) -> bool {
        [Self::UNINITIALIZED, Self::DRIVER_NOT_LOADED, Self::VERSION_MISMATCH].contains(&self)
    }

    /// Whether the GPU will answer nothing.
    pub(super) fn is_end_of_gpu(self) -> bool {
        self.is_end_of_driver() || [Self::GPU_IS_LOST, Self::RESET_REQUIRED, Self::GPU_NOT_FOUND].contains(&self)
    }

    /// Whether an older form of the call may be answered.
    pub(super) fn is_of_the_form(self) -> bool {
        [Self::NO_FUNCTION, Self::ARGUMENT_VERSION].contains(&self)
    }

    fn text(self) -> String {
        let text = match self.0 {
            1 => "the driver is not initialized",
            2 => "an argument is not valid",
            3 => "not supported",
            4 => "no permission",
            6 => "not found",
            7 => "the answer does not fit",
            9 => "the driver is not loaded",
            10 => "the driver timed out",
            11 => "the driver has a problem with interrupts",
            12 => "the library was not found",
            13 => "the library or the driver has no such function",
            15 => "the GPU is lost: it fell off the bus or is not reachable",
            16 => "the GPU has to be reset",
            17 => "the kernel refused the call",
            18 => "the driver and its library have different versions: restart or reload the driver",
            25 => "the driver wants another version of the argument",
            28 => "no such GPU",
            999 => "an unknown error of the driver",
            code => return format!("error {code} of the driver"),
        };
        text.to_owned()
    }
}

/// The library, initialized.
pub(super) struct Library {
    pub(super) functions: Functions,
    // Last: the functions are its.
    _library: libloading::Library,
}

impl Library {
    /// Loads and initializes a file, or a name that the loader looks for.
    ///
    /// # Errors
    /// Why it could not be loaded, as the outer error, or initialized, as the inner one.
    pub(super) fn open(name: &OsStr) -> Result<Result<Self, NvmlError>, libloading::Error> {
        // SAFETY: the library's initializers run; it is the one that the administrator named, or the driver's own.
        let library = unsafe { libloading::Library::new(name) }?;
        // SAFETY: it was asked for as NVML; the functions are kept together with it.
        let functions = unsafe { Functions::of(&library) };
        Ok(initialize(&functions).map(|()| Self { functions, _library: library }))
    }

    pub(super) fn device_count(&self) -> Result<u32, NvmlError> {
        let function = self.functions.device_count.ok_or(NvmlError::NO_FUNCTION)?;
        let mut count = 0;
        // SAFETY: the library is initialized and writes one number.
        check(unsafe { function(&mut count) }).map(|()| count)
    }

    pub(super) fn device(&self, index: u32) -> Result<Device<'_>, NvmlError> {
        let function = self.functions.device_by_index.ok_or(NvmlError::NO_FUNCTION)?;
        let mut handle: Handle = std::ptr::null_mut();
        // SAFETY: the library is initialized and writes one handle.
        check(unsafe { function(index, &mut handle) })?;
        Device::new(self, handle)
    }

    pub(super) fn driver_version(&self) -> String {
        // SAFETY: the library is initialized and writes as many letters as it is told.
        text(|to, length| self.functions.driver_version.map(|get| unsafe { get(to, length) })).unwrap_or_default()
    }

    pub(super) fn nvml_version(&self) -> String {
        // SAFETY: as above.
        text(|to, length| self.functions.nvml_version.map(|get| unsafe { get(to, length) })).unwrap_or_default()
    }

    /// `12.4`; empty where the library does not say.
    pub(super) fn cuda_version(&self) -> String {
        let mut version = 0;
        // SAFETY: the library is initialized and writes one number.
        let code = self.functions.cuda_version.map(|get| unsafe { get(&mut version) });
        match code {
            // One number: 12040.
            Some(SUCCESS) if version > 0 => format!("{}.{}", version / 1000, version % 1000 / 10),
            _ => String::new(),
        }
    }
}

impl Drop for Library {
    fn drop(&mut self) {
        // SAFETY: it was initialized; whoever borrowed it is gone. What it answers changes nothing.
        let _ = self.functions.shutdown.map(|shutdown| unsafe { shutdown() });
    }
}

fn initialize(functions: &Functions) -> Result<(), NvmlError> {
    match (functions.init, functions.init_with_flags) {
        // SAFETY: takes nothing, and may be called any number of times.
        (Some(init), _) => check(unsafe { init() }),
        // SAFETY: as above; no flags.
        (None, Some(init)) => check(unsafe { init(0) }),
        (None, None) => Err(NvmlError::NO_FUNCTION),
    }
}

pub(super) fn check(code: Code) -> Result<(), NvmlError> {
    if code == SUCCESS { Ok(()) } else { Err(NvmlError(code)) }
}

/// A text of the library. What is not text is replaced, and what cannot be shown left out.
pub(super) fn text(call: impl FnOnce(*mut c_char, c_uint) -> Option<Code>) -> Result<String, NvmlError> {
    let mut bytes = [0u8; MAX_TEXT];
    // The last byte is never offered, so the text always ends.
    let code = call(bytes.as_mut_ptr().cast(), (MAX_TEXT - 1) as c_uint);
    check(code.ok_or(NvmlError::NO_FUNCTION)?)?;
    Ok(until_zero(&bytes))
}

/// The text before the first zero byte.
pub(super) fn until_zero(bytes: &[u8]) -> String {
    let text = bytes.split(|byte| *byte == 0).next().unwrap_or_default();
    String::from_utf8_lossy(text).chars().filter(|letter| !letter.is_control()).collect::<String>().trim().to_owned()
}
