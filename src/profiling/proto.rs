//! Writes pprof's `profile.proto`, gzip-compressed. Field numbers are those of github.com/google/pprof/proto/profile.proto.

use std::collections::HashMap;
use std::hash::Hash;
use std::io::Write as _;

use flate2::Compression;
use flate2::write::GzEncoder;

use super::symbols::{Frame, Symbols};
use super::{Profile, ProfileError, ValueType};

const WIRE_VARINT: u64 = 0;
const WIRE_BYTES: u64 = 2;

/// Encodes and compresses a profile, its addresses resolved to functions.
pub(super) fn encode(profile: &Profile, symbols: &mut Symbols) -> Result<Vec<u8>, ProfileError> {
    let mut tables = Tables::default();
    tables.strings.id("");
    let mut out = Message::default();
    for kind in &profile.types {
        out.message(1, &tables.value_type(*kind));
    }
    for stack in &profile.stacks {
        let part = symbols.program_part(&stack.addresses);
        let ids: Vec<u64> = part.iter().map(|address| tables.location(*address, symbols)).collect();
        if ids.is_empty() {
            continue;
        }
        let mut sample = Message::default();
        sample.packed(1, ids);
        sample.packed(2, stack.values.iter().map(|value| *value as u64));
        if let Some(thread) = stack.thread.as_deref().filter(|name| !name.is_empty()) {
            let mut label = Message::default();
            label.number(1, tables.strings.id("thread") as u64);
            label.number(2, tables.strings.id(thread) as u64);
            sample.message(3, &label);
        }
        out.message(2, &sample);
    }
    out.message(3, &tables.main_mapping());
    tables.locations_into(&mut out);
    let period_type = tables.value_type(profile.period_type);
    let comments: Vec<usize> = profile.comments.iter().map(|text| tables.strings.id(text)).collect();
    let default_type = profile.types.get(profile.default_type).map_or(0, |kind| tables.strings.id(kind.kind));
    for text in &tables.strings.0.items {
        out.bytes(6, text.as_bytes());
    }
    out.number(9, (profile.taken_at as u64).wrapping_mul(1_000_000));
    out.number(10, u64::try_from(profile.duration.as_nanos()).unwrap_or(u64::MAX));
    out.message(11, &period_type);
    out.number(12, profile.period as u64);
    out.packed(13, comments.into_iter().map(|id| id as u64));
    out.number(14, default_type as u64);
    let mut gzip = GzEncoder::new(Vec::new(), Compression::fast());
    gzip.write_all(&out.0)
        .and_then(|()| gzip.finish())
        .map_err(|error| ProfileError::failed("compress the profile", error))
}

/// Numbers items in the order in which they first appear.
#[derive(Debug)]
struct Table<T> {
    ids: HashMap<T, usize>,
    items: Vec<T>,
}

impl<T> Default for Table<T> {
    fn default() -> Self {
        Self { ids: HashMap::new(), items: Vec::new() }
    }
}

impl<T: Clone + Eq + Hash> Table<T> {
    fn id(&mut self, item: &T) -> usize {
        if let Some(id) = self.ids.get(item) {
            return *id;
        }
        let id = self.items.len();
        self.ids.insert(item.clone(), id);
        self.items.push(item.clone());
        id
    }
}

#[derive(Debug, Default)]
struct Strings(Table<String>);

impl Strings {
    fn id(&mut self, text: &str) -> usize {
        self.0.ids.get(text).copied().unwrap_or_else(|| self.0.id(&text.to_owned()))
    }
}

#[derive(Debug, Default)]
struct Tables {
    strings: Strings,
    /// Functions by name and file.
    functions: Table<(String, String, String)>,
    locations: Table<usize>,
    /// Lines of each location: function id and line number.
    lines: Vec<Vec<(u64, u64)>>,
}

impl Tables {
    fn value_type(&mut self, kind: ValueType) -> Message {
        let mut message = Message::default();
        message.number(1, self.strings.id(kind.kind) as u64);
        message.number(2, self.strings.id(kind.unit) as u64);
        message
    }

    /// Id of the location of an address; ids start at 1.
    fn location(&mut self, address: usize, symbols: &mut Symbols) -> u64 {
        let index = self.locations.id(&address);
        if index == self.lines.len() {
            let lines = symbols.at(address).iter().map(|frame| (self.function(frame), u64::from(frame.line))).collect();
            self.lines.push(lines);
        }
        index as u64 + 1
    }

    fn function(&mut self, frame: &Frame) -> u64 {
        self.functions.id(&(frame.name.clone(), frame.mangled.clone(), frame.file.clone())) as u64 + 1
    }

    /// One mapping for everything: the addresses are resolved already, so a viewer must not look for the binary.
    fn main_mapping(&mut self) -> Message {
        let name = std::env::current_exe().map(|path| path.display().to_string()).unwrap_or_default();
        let mut mapping = Message::default();
        mapping.number(1, 1);
        mapping.number(3, u64::MAX >> 1);
        mapping.number(5, self.strings.id(&name) as u64);
        for resolved in 7..=10 {
            mapping.number(resolved, 1);
        }
        mapping
    }

    fn locations_into(&mut self, out: &mut Message) {
        for (index, address) in self.locations.items.iter().enumerate() {
            let mut location = Message::default();
            location.number(1, index as u64 + 1);
            location.number(2, 1);
            location.number(3, *address as u64);
            for (function, number) in self.lines.get(index).into_iter().flatten() {
                let mut line = Message::default();
                line.number(1, *function);
                line.number(2, *number);
                location.message(4, &line);
            }
            out.message(4, &location);
        }
        for (index, (name, mangled, file)) in self.functions.items.iter().enumerate() {
            let mut function = Message::default();
            function.number(1, index as u64 + 1);
            function.number(2, self.strings.id(name) as u64);
            function.number(3, self.strings.id(mangled) as u64);
            function.number(4, self.strings.id(file) as u64);
            out.message(5, &function);
        }
    }
}

/// A protobuf message under construction.
#[derive(Debug, Default)]
struct Message(Vec<u8>);

impl Message {
    fn varint(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.0.push(value as u8 | 0x80);
            value >>= 7;
        }
        self.0.push(value as u8);
    }

    /// A number; zero is the default and is left out.
    fn number(&mut self, field: u64, value: u64) {
        if value != 0 {
            self.varint(field << 3 | WIRE_VARINT);
            self.varint(value);
        }
    }

    fn bytes(&mut self, field: u64, bytes: &[u8]) {
        self.varint(field << 3 | WIRE_BYTES);
        self.varint(bytes.len() as u64);
        self.0.extend_from_slice(bytes);
    }

    fn message(&mut self, field: u64, message: &Self) {
        self.bytes(field, &message.0);
    }

    fn packed(&mut self, field: u64, values: impl IntoIterator<Item = u64>) {
        let mut body = Self::default();
        values.into_iter().for_each(|value| body.varint(value));
        if !body.0.is_empty() {
            self.bytes(field, &body.0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Message;

    #[test]
    fn writes_protobuf() {
        let mut message = Message::default();
        message.number(1, 0);
        message.number(1, 300);
        message.bytes(2, b"ab");
        message.packed(3, [1, 128]);
        assert_eq!(message.0, [0x08, 0xac, 0x02, 0x12, 2, b'a', b'b', 0x1a, 3, 1, 0x80, 0x01]);
    }
}
