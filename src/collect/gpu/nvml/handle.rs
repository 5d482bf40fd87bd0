//! One device of the library, and the few shapes that questions about it have.

use std::ffi::{c_uint, c_void};

use super::abi::{Attributes, Code, FieldValue, Handle, Memory, MemoryV2, Pci, ProcessSample, SUCCESS, version};
use super::library::{Library, NvmlError, check, text, until_zero};
use super::units;

/// Fields of one question, four for each of eighteen NVLinks; the library takes a hundred.
pub(super) const MAX_FIELDS: usize = 72;

/// Processes of one list at most.
pub(super) const MAX_PROCESSES: usize = 4096;
/// Processes that a first question has room for.
const FIRST_PROCESSES: usize = 64;

/// Sizes that the struct of a process has had: before MIG, with it, and with protected memory (drivers 535.43 to 535.86).
/// The function's name tells the first two apart, but some drivers have a larger one under it: that is seen from what was
/// written.
const PROCESS_SIZES: [usize; 3] = [16, 24, 32];
/// Linux has no pid from here on.
const END_OF_PIDS: u32 = 1 << 22;
/// What room for processes is filled with: no pid, size or number of an instance ends in this byte.
const UNWRITTEN: u8 = 0xa5;

type Get<T> = Option<unsafe extern "C" fn(Handle, *mut T) -> Code>;
type GetOf<A, T> = Option<unsafe extern "C" fn(Handle, A, *mut T) -> Code>;
type GetOfTwo<A, B, T> = Option<unsafe extern "C" fn(Handle, A, B, *mut T) -> Code>;
type GetText = Option<unsafe extern "C" fn(Handle, *mut std::ffi::c_char, c_uint) -> Code>;
type GetProcesses = Option<unsafe extern "C" fn(Handle, *mut c_uint, *mut c_void) -> Code>;

/// A device; valid as long as its library.
#[derive(Clone, Copy)]
pub(super) struct Device<'l> {
    library: &'l Library,
    handle: Handle,
}

/// Memory of a device; `reserved` is part of `used` where the driver does not tell it apart.
pub(super) struct MemoryInfo {
    pub(super) total: Option<f64>,
    pub(super) used: Option<f64>,
    pub(super) free: Option<f64>,
    pub(super) reserved: Option<f64>,
}

/// One line of a list of processes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Process {
    pub(super) pid: u32,
    pub(super) memory: Option<f64>,
    /// GPU instance and compute instance, all ones outside of MIG.
    pub(super) instances: (u32, u32),
}

impl<'l> Device<'l> {
    pub(super) fn new(library: &'l Library, handle: Handle) -> Result<Self, NvmlError> {
        // A library that calls nothing a device must not be asked about it.
        if handle.is_null() { Err(NvmlError::GPU_NOT_FOUND) } else { Ok(Self { library, handle }) }
    }

    /// Whether it is the device that this handle means.
    pub(super) fn is(&self, handle: Handle) -> bool {
        self.handle == handle
    }

    pub(super) fn handle(&self) -> Handle {
        self.handle
    }

    pub(super) fn library(&self) -> &'l Library {
        self.library
    }

    /// A value, or why there is none.
    pub(super) fn ask<T: Default>(&self, function: Get<T>) -> Result<T, NvmlError> {
        let mut value = T::default();
        // SAFETY: the device is one of this initialized library, and the library writes one value of this type.
        let code = function.map(|get| unsafe { get(self.handle, &mut value) });
        check(code.ok_or(NvmlError::NO_FUNCTION)?).map(|()| value)
    }

    pub(super) fn get<T: Default>(&self, function: Get<T>) -> Option<T> {
        self.ask(function).ok()
    }

    /// A struct whose first members say what is wanted.
    pub(super) fn fill<T>(&self, function: Get<T>, mut asked: T) -> Option<T> {
        // SAFETY: as above; the struct says its version.
        let code = function.map(|get| unsafe { get(self.handle, &mut asked) })?;
        (code == SUCCESS).then_some(asked)
    }

    /// A value of a part or kind.
    pub(super) fn ask_of<A, T: Default>(&self, function: GetOf<A, T>, which: A) -> Result<T, NvmlError> {
        let mut value = T::default();
        // SAFETY: as above.
        let code = function.map(|get| unsafe { get(self.handle, which, &mut value) });
        check(code.ok_or(NvmlError::NO_FUNCTION)?).map(|()| value)
    }

    pub(super) fn get_of<A, T: Default>(&self, function: GetOf<A, T>, which: A) -> Option<T> {
        self.ask_of(function, which).ok()
    }

    pub(super) fn get_of_two<A, B, T: Default>(&self, function: GetOfTwo<A, B, T>, a: A, b: B) -> Option<T> {
        let mut value = T::default();
        // SAFETY: as above.
        let code = function.map(|get| unsafe { get(self.handle, a, b, &mut value) })?;
        (code == SUCCESS).then_some(value)
    }

    /// Two numbers at once.
    pub(super) fn pair(&self, function: GetOf<*mut c_uint, c_uint>) -> Option<(u32, u32)> {
        let (mut first, mut second) = (0, 0);
        // SAFETY: as above, with two numbers.
        let code = function.map(|get| unsafe { get(self.handle, &mut first, &mut second) })?;
        (code == SUCCESS).then_some((first, second))
    }

    pub(super) fn text(&self, function: GetText) -> Result<String, NvmlError> {
        // SAFETY: as above; the library writes as many letters as it is told.
        text(|to, length| function.map(|get| unsafe { get(self.handle, to, length) }))
    }

    /// Sessions of the encoder.
    pub(super) fn encoder_sessions(&self) -> Option<u32> {
        let (mut sessions, mut frames, mut latency) = (0, 0, 0);
        let function = self.library.functions.encoder_stats;
        // SAFETY: as above, with three numbers.
        let code = function.map(|get| unsafe { get(self.handle, &mut sessions, &mut frames, &mut latency) })?;
        (code == SUCCESS).then_some(sessions)
    }

    /// Place on the PCI bus; empty where the library does not say.
    pub(super) fn pci_bus_id(&self) -> String {
        let functions = &self.library.functions;
        let id = |pci: Pci| {
            let id = until_zero(&pci.bus_id);
            if id.is_empty() { until_zero(&pci.legacy_bus_id) } else { id }
        };
        // The older forms have numbers of their own where the newest one has the longer text.
        let older_id = |pci: Pci| {
            let id = until_zero(&pci.legacy_bus_id);
            if id.is_empty() { until_zero(&pci.bus_id) } else { id }
        };
        self.get(functions.pci).map(id).or_else(|| self.get(functions.pci_older).map(older_id)).unwrap_or_default()
    }

    /// Memory by the newest form that the driver knows.
    pub(super) fn memory(&self) -> Result<MemoryInfo, NvmlError> {
        let asked = MemoryV2 { version: version(size_of::<MemoryV2>(), 2), ..MemoryV2::default() };
        let mut value = asked;
        // SAFETY: as above; the library writes one struct of the stated version.
        let code = self.library.functions.memory_v2.map(|get| unsafe { get(self.handle, &mut value) });
        let answer = check(code.unwrap_or(NvmlError::NO_FUNCTION.0));
        let (memory, reserved) = match answer {
            Ok(()) => {
                let MemoryV2 { total, free, used, reserved, .. } = value;
                (Memory { total, free, used }, units::bytes(reserved))
            }
            Err(error) if error.is_of_the_form() => (self.ask(self.library.functions.memory)?, None),
            Err(error) => return Err(error),
        };
        let total = units::bytes(memory.total);
        let within = |bytes: u64| units::bytes(bytes).filter(|bytes| total.is_none_or(|total| *bytes <= total));
        Ok(MemoryInfo { total, used: within(memory.used), free: within(memory.free), reserved })
    }

    /// Values of fields as (id, scope), in their order; `None` for each that the device does not have.
    pub(super) fn fields(&self, wanted: &[(u32, u32)]) -> [Option<f64>; MAX_FIELDS] {
        let mut values = [None; MAX_FIELDS];
        let Some(get) = self.library.functions.fields else { return values };
        let mut asked = [FieldValue::default(); MAX_FIELDS];
        let count = wanted.len().min(MAX_FIELDS);
        for (value, (field, scope)) in asked.iter_mut().zip(wanted) {
            // One that the library leaves alone has no value.
            *value =
                FieldValue { field: *field, scope: *scope, code: NvmlError::NO_FUNCTION.0, ..FieldValue::default() };
        }
        // SAFETY: as above; the library writes `count` structs at most, and the array has room for them.
        if unsafe { get(self.handle, count as i32, asked.as_mut_ptr()) } == SUCCESS {
            values.iter_mut().zip(asked.iter().take(count)).for_each(|(value, field)| *value = field_value(field));
        }
        values
    }

    /// A list of processes, by the function under one of its later names, or else under its first one.
    pub(super) fn processes(&self, later: GetProcesses, first: GetProcesses) -> Result<Vec<Process>, NvmlError> {
        let [size_first, size_later, largest] = PROCESS_SIZES;
        let named = if later.is_some() { size_later } else { size_first };
        let get = later.or(first).ok_or(NvmlError::NO_FUNCTION)?;
        let mut room = FIRST_PROCESSES;
        loop {
            // Eight bytes each, for their alignment.
            let mut to = vec![u64::from_ne_bytes([UNWRITTEN; 8]); room * largest / 8];
            let mut count = room as c_uint;
            // SAFETY: as above; the library writes `count` structs at most, of no more than the largest size.
            let answer = check(unsafe { get(self.handle, &mut count, to.as_mut_ptr().cast()) });
            let needed = usize::try_from(count).unwrap_or(usize::MAX);
            match answer {
                Ok(()) => {
                    let bytes: Vec<u8> = to.iter().flat_map(|word| word.to_ne_bytes()).collect();
                    return Ok(read_processes(&bytes, needed.min(room), named));
                }
                // More may have come meanwhile.
                Err(NvmlError::INSUFFICIENT_SIZE) if room < MAX_PROCESSES => {
                    room = needed.saturating_add(FIRST_PROCESSES).max(room * 2).min(MAX_PROCESSES);
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// Samples of processes since a time of the driver's clock.
    pub(super) fn process_samples(&self, since: u64) -> Option<Vec<ProcessSample>> {
        let get = self.library.functions.process_utilization?;
        let mut count = 0;
        // SAFETY: as above; without room the library says how many there are.
        let code = unsafe { get(self.handle, std::ptr::null_mut(), &mut count, since) };
        if code != NvmlError::INSUFFICIENT_SIZE.0 && code != SUCCESS {
            return None;
        }
        if count == 0 {
            return Some(Vec::new());
        }
        count = count.min(MAX_PROCESSES as c_uint);
        let mut samples = vec![ProcessSample::default(); count as usize];
        // SAFETY: as above; the library writes `count` structs at most, and there is room for them.
        let code = unsafe { get(self.handle, samples.as_mut_ptr(), &mut count, since) };
        samples.truncate(count as usize);
        (code == SUCCESS).then_some(samples)
    }

    /// Streaming multiprocessors of a MIG device.
    pub(super) fn multiprocessors(&self) -> Option<u32> {
        self.get::<Attributes>(self.library.functions.attributes).map(|attributes| attributes.multiprocessors)
    }

    /// One of its MIG devices; places without one answer that there is none.
    pub(super) fn mig(&self, index: u32) -> Result<Self, NvmlError> {
        let mut handle: Handle = std::ptr::null_mut();
        // SAFETY: as above; the library writes one handle.
        let code = self.library.functions.mig_by_index.map(|get| unsafe { get(self.handle, index, &mut handle) });
        check(code.ok_or(NvmlError::NO_FUNCTION)?)?;
        Self::new(self.library, handle)
    }
}

/// The processes that a library wrote. `named` is the size of the struct that goes with the function's name.
fn read_processes(bytes: &[u8], count: usize, named: usize) -> Vec<Process> {
    const NOBODY: u32 = u32::from_ne_bytes([UNWRITTEN; 4]);
    let written = bytes.iter().rposition(|byte| *byte != UNWRITTEN).map_or(0, |last| last + 1);
    let is_pid = |entry: &[u8]| word(entry, 0).is_some_and(|pid| pid == NOBODY || (1..END_OF_PIDS).contains(&pid));
    let is_sound = |size: &usize| bytes.chunks_exact(*size).take(count).all(is_pid);
    let mut sizes = PROCESS_SIZES.into_iter().filter(|size| *size >= named);
    // Libraries that clear the room, or count fewer than they wrote, have written more than the structs.
    let size = sizes.clone().find(|size| written <= size * count && is_sound(size)).or_else(|| sizes.find(is_sound));
    let read = |entry: &[u8]| {
        let memory = u64::from_ne_bytes(entry.get(8..16)?.try_into().ok()?);
        let instances = (word(entry, 16).unwrap_or(u32::MAX), word(entry, 20).unwrap_or(u32::MAX));
        let pid = word(entry, 0).filter(|pid| *pid != NOBODY)?;
        Some(Process { pid, memory: units::bytes(memory), instances })
    };
    bytes.chunks_exact(size.unwrap_or(named)).take(count).filter_map(read).collect()
}

fn word(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_ne_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

/// A field's value by its type, where the driver had one.
fn field_value(field: &FieldValue) -> Option<f64> {
    if field.code != SUCCESS {
        return None;
    }
    let [a, b, c, d, ..] = field.value;
    let (long, word) = (field.value, [a, b, c, d]);
    let number = match field.kind {
        0 => f64::from_ne_bytes(long),
        1 => units::known(u32::from_ne_bytes(word))?,
        2 | 3 => units::known_long(u64::from_ne_bytes(long))?,
        4 => i64::from_ne_bytes(long) as f64,
        5 => f64::from(i32::from_ne_bytes(word)),
        6 => f64::from(u16::from_ne_bytes([a, b])),
        _ => return None,
    };
    // Below zero is how signed ones say that there is no value.
    (number.is_finite() && number >= 0.0).then_some(number)
}

#[cfg(test)]
mod tests {
    use super::{PROCESS_SIZES, Process, UNWRITTEN, read_processes};

    #[test]
    fn processes_of_every_size_of_the_struct() {
        for size in PROCESS_SIZES {
            for count in [0, 1, 2, 5] {
                let mut bytes = vec![UNWRITTEN; 64 * 32];
                let instances = if size == 16 { (u32::MAX, u32::MAX) } else { (3, 0) };
                for (number, entry) in bytes.chunks_exact_mut(size).take(count).enumerate() {
                    entry[..4].copy_from_slice(&(number as u32 + 7).to_ne_bytes());
                    entry[8..16].copy_from_slice(&(number as u64 * 1000).to_ne_bytes());
                    if size > 16 {
                        entry[16..20].copy_from_slice(&3u32.to_ne_bytes());
                        entry[20..24].copy_from_slice(&0u32.to_ne_bytes());
                        entry[24..].fill(0);
                    }
                }
                let expected: Vec<Process> = (0..count)
                    .map(|n| Process { pid: n as u32 + 7, memory: Some(n as f64 * 1000.0), instances })
                    .collect();
                let named = size.min(24);
                assert_eq!(read_processes(&bytes, count, named), expected, "{count} of {size} bytes");
                if size == 24 {
                    assert_eq!(read_processes(&bytes, count, 16), expected, "{count} under the first name");
                }
            }
        }
    }

    #[test]
    fn what_was_written_beside_the_processes_changes_nothing() {
        const GIB: u64 = 1 << 30;
        let entry = |pid: u32, memory: u64| {
            let mut entry = [0; 24];
            entry[..4].copy_from_slice(&pid.to_ne_bytes());
            entry[8..16].copy_from_slice(&memory.to_ne_bytes());
            entry[16..].fill(0xff);
            entry
        };
        let all = [entry(7, 3 * GIB), entry(8, 5 * GIB), entry(9, GIB), entry(10, 2 * GIB)].concat();
        for (name, wrote, filled_with, count, expected) in [
            ("cleared room", 2, 0, 2, &[7, 8][..]),
            ("more written than counted, as long as the larger struct's", 4, UNWRITTEN, 3, &[7, 8, 9]),
            ("more written than counted", 4, UNWRITTEN, 2, &[7, 8]),
            ("fewer written than counted", 2, UNWRITTEN, 3, &[7, 8]),
            ("nothing written", 0, UNWRITTEN, 2, &[]),
        ] {
            let mut bytes = vec![filled_with; 64 * 32];
            bytes[..wrote * 24].copy_from_slice(&all[..wrote * 24]);
            let pids: Vec<u32> = read_processes(&bytes, count, 24).iter().map(|process| process.pid).collect();
            assert_eq!(pids, expected, "{name}");
        }
    }
}
