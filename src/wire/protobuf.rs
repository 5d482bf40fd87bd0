//! The encoding of protobuf messages (protobuf.dev/programming-guides/encoding), read in place.

use super::WireError;

type Result<T> = std::result::Result<T, WireError>;

/// A message, or what is left of it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Message<'a> {
    bytes: &'a [u8],
    /// Offset of `bytes` in the page.
    base: usize,
}

/// A field of a message.
#[derive(Debug, Clone, Copy)]
pub(super) struct Field<'a> {
    pub(super) number: u32,
    value: Value<'a>,
    /// Where it begins in the page.
    pub(super) at: usize,
}

#[derive(Debug, Clone, Copy)]
enum Value<'a> {
    Varint(u64),
    Fixed64([u8; 8]),
    Fixed32,
    Bytes(Message<'a>),
}

impl<'a> Message<'a> {
    /// A whole page.
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, base: 0 }
    }

    pub(super) fn offset(&self) -> usize {
        self.base
    }

    /// The next message of a page where each has its length before it.
    pub(super) fn delimited(&mut self) -> Result<Option<Message<'a>>> {
        if self.bytes.is_empty() {
            return Ok(None);
        }
        let length = self.varint()?;
        self.take(length).map(Some)
    }

    /// The next field.
    pub(super) fn field(&mut self) -> Result<Option<Field<'a>>> {
        if self.bytes.is_empty() {
            return Ok(None);
        }
        let at = self.base;
        let tag = self.varint()?;
        let number = u32::try_from(tag >> 3).ok().filter(|number| *number > 0);
        let number = number.ok_or_else(|| WireError::new(at, "expected the number of a field"))?;
        let value = match tag & 7 {
            0 => Value::Varint(self.varint()?),
            1 => Value::Fixed64(self.fixed()?),
            2 => {
                let length = self.varint()?;
                Value::Bytes(self.take(length)?)
            }
            5 => {
                self.fixed::<4>()?;
                Value::Fixed32
            }
            kind => return Err(WireError::new(at, format!("expected a wire type of 0, 1, 2 or 5, found {kind}"))),
        };
        Ok(Some(Field { number, value, at }))
    }

    /// Base 128, lowest digits first; ten bytes at most.
    fn varint(&mut self) -> Result<u64> {
        let mut value = 0u64;
        for (place, byte) in self.bytes.iter().take(10).enumerate() {
            // The tenth byte has room for one bit.
            if place == 9 && *byte > 1 {
                break;
            }
            value |= u64::from(byte & 0x7f) << (7 * place);
            if byte & 0x80 == 0 {
                self.skip(place + 1);
                return Ok(value);
            }
        }
        let problem =
            if self.bytes.len() < 10 { "the page ends within a number" } else { "expected a number of 64 bits" };
        Err(WireError::new(self.base, problem))
    }

    fn fixed<const N: usize>(&mut self) -> Result<[u8; N]> {
        let Some(bytes) = self.bytes.first_chunk::<N>() else {
            return Err(WireError::new(self.base, "the page ends within a number"));
        };
        let bytes = *bytes;
        self.skip(N);
        Ok(bytes)
    }

    fn take(&mut self, length: u64) -> Result<Message<'a>> {
        let part = usize::try_from(length).ok().and_then(|length| self.bytes.get(..length));
        let Some(bytes) = part else {
            let left = self.bytes.len();
            return Err(WireError::new(self.base, format!("expected {length} bytes, {left} are left")));
        };
        let part = Message { bytes, base: self.base };
        self.skip(bytes.len());
        Ok(part)
    }

    fn skip(&mut self, count: usize) {
        self.bytes = self.bytes.get(count..).unwrap_or_default();
        self.base += count;
    }
}

impl<'a> Field<'a> {
    fn unlike(&self, expected: &str) -> WireError {
        WireError::new(self.at, format!("expected {expected} in field {}", self.number))
    }

    /// A `double`.
    pub(super) fn double(&self) -> Result<f64> {
        match self.value {
            Value::Fixed64(bytes) => Ok(f64::from_le_bytes(bytes)),
            _ => Err(self.unlike("a double")),
        }
    }

    /// A `uint64`, `uint32` or enum.
    pub(super) fn unsigned(&self) -> Result<u64> {
        match self.value {
            Value::Varint(value) => Ok(value),
            _ => Err(self.unlike("a whole number")),
        }
    }

    /// An `int64` or `int32`.
    pub(super) fn signed(&self) -> Result<i64> {
        self.unsigned().map(u64::cast_signed)
    }

    /// A `sint32`.
    pub(super) fn zigzag32(&self) -> Result<i32> {
        let value = zigzag(self.unsigned()?);
        i32::try_from(value).map_err(|_| self.unlike("a number of 32 bits"))
    }

    /// A `string`.
    pub(super) fn text(&self) -> Result<&'a str> {
        let message = self.message()?;
        std::str::from_utf8(message.bytes)
            .map_err(|error| WireError::new(message.base + error.valid_up_to(), "expected UTF-8"))
    }

    /// A message within the message.
    pub(super) fn message(&self) -> Result<Message<'a>> {
        match self.value {
            Value::Bytes(message) => Ok(message),
            _ => Err(self.unlike("text or a message")),
        }
    }

    /// Repeated `double`, one by one or packed.
    pub(super) fn doubles(&self, out: &mut Vec<f64>) -> Result<()> {
        let Value::Bytes(mut packed) = self.value else {
            out.push(self.double()?);
            return Ok(());
        };
        while !packed.bytes.is_empty() {
            out.push(f64::from_le_bytes(packed.fixed()?));
        }
        Ok(())
    }

    /// Repeated `sint64`, one by one or packed.
    pub(super) fn zigzags(&self, out: &mut Vec<i64>) -> Result<()> {
        let Value::Bytes(mut packed) = self.value else {
            out.push(zigzag(self.unsigned()?));
            return Ok(());
        };
        while !packed.bytes.is_empty() {
            out.push(zigzag(packed.varint()?));
        }
        Ok(())
    }
}

fn zigzag(value: u64) -> i64 {
    (value >> 1).cast_signed() ^ -((value & 1).cast_signed())
}
