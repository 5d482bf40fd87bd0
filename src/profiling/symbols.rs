//! From addresses to function names, with each address resolved once a profile.

use std::collections::HashMap;
use std::ffi::c_void;

/// One function at an address; an address has several when calls were inlined, innermost first.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Frame {
    pub(super) name: String,
    pub(super) mangled: String,
    pub(super) file: String,
    pub(super) line: u32,
}

/// Resolves addresses and remembers them. The debug information that it loads is given back when it is dropped.
#[derive(Debug, Default)]
pub(super) struct Symbols(HashMap<usize, Vec<Frame>>);

impl Symbols {
    /// The functions at a return address; an unknown address is its own name.
    pub(super) fn at(&mut self, address: usize) -> &[Frame] {
        self.0.entry(address).or_insert_with(|| resolve(address))
    }

    /// The part of a stack that belongs to the program. What took the sample is no part of it: in a CPU profile the
    /// signal handler and the trampoline that called it, in a heap profile the allocator itself.
    pub(super) fn program_part<'a>(&mut self, addresses: &'a [usize]) -> &'a [usize] {
        let mut last = |is_sampler: fn(&str) -> bool| {
            addresses.iter().rposition(|address| self.at(*address).iter().any(|frame| is_sampler(&frame.name)))
        };
        let skip = match last(|name| name.contains("perf_signal_handler")) {
            Some(handler) => handler + 2,
            None => last(is_allocator).map_or(0, |allocator| allocator + 1),
        };
        addresses.get(skip..).unwrap_or_default()
    }
}

fn is_allocator(name: &str) -> bool {
    [
        "_rjem_",
        "<tikv_jemallocator::",
        "__rustc::__rust_alloc",
        "__rustc::__rust_realloc",
        "__rust_alloc",
        "__rust_realloc",
    ]
    .iter()
    .any(|start| name.starts_with(start))
}

impl Drop for Symbols {
    fn drop(&mut self) {
        if !self.0.is_empty() {
            backtrace::clear_symbol_cache();
        }
    }
}

fn resolve(address: usize) -> Vec<Frame> {
    let mut frames = Vec::new();
    backtrace::resolve(address as *mut c_void, |symbol| {
        let Some(name) = symbol.name() else { return };
        frames.push(Frame {
            name: format!("{name:#}"),
            mangled: String::from_utf8_lossy(name.as_bytes()).into_owned(),
            file: symbol.filename().map(|path| path.display().to_string()).unwrap_or_default(),
            line: symbol.lineno().unwrap_or(0),
        });
    });
    if frames.is_empty() {
        let name = format!("{address:#x}");
        frames.push(Frame { name: name.clone(), mangled: name, file: String::new(), line: 0 });
    }
    frames
}

/// Most addresses that one symbol request may ask for.
const MAX_ASKED: usize = 10_000;

/// Answers pprof's symbol protocol: `0x10+0x20` gives a line `0x10 name` for each address; without addresses, how many
/// symbols there are (only whether it is zero matters).
pub fn symbol_names(request: &str) -> String {
    let request = request.trim();
    if request.is_empty() {
        return "num_symbols: 1\n".to_owned();
    }
    let mut symbols = Symbols::default();
    let mut out = String::new();
    for word in request.split(['+', ' ']).filter(|word| !word.is_empty()).take(MAX_ASKED) {
        let Ok(address) = usize::from_str_radix(word.trim_start_matches("0x"), 16) else { continue };
        let name = symbols.at(address).first().map_or("", |frame| frame.name.as_str());
        out.push_str(&format!("{address:#x} {name}\n"));
    }
    out
}

/// The command line with nul bytes between its words, as pprof asks for it.
pub fn cmdline() -> String {
    let words: Vec<String> = std::env::args_os().map(|word| word.to_string_lossy().into_owned()).collect();
    words.join("\0")
}
