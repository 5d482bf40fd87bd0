//! A small writer of protobuf for tests.

#[derive(Default, Clone)]
pub(super) struct Wire(pub(super) Vec<u8>);

impl Wire {
    fn varint(mut self, mut value: u64) -> Self {
        while value >= 0x80 {
            self.0.push((value as u8 & 0x7f) | 0x80);
            value >>= 7;
        }
        self.0.push(value as u8);
        self
    }

    pub(super) fn uint(self, number: u32, value: u64) -> Self {
        self.varint(u64::from(number) << 3).varint(value)
    }

    pub(super) fn sint(self, number: u32, value: i64) -> Self {
        self.uint(number, ((value << 1) ^ (value >> 63)).cast_unsigned())
    }

    pub(super) fn double(self, number: u32, value: f64) -> Self {
        let mut this = self.varint(u64::from(number) << 3 | 1);
        this.0.extend_from_slice(&value.to_le_bytes());
        this
    }

    pub(super) fn bytes(self, number: u32, bytes: &[u8]) -> Self {
        let mut this = self.varint(u64::from(number) << 3 | 2).varint(bytes.len() as u64);
        this.0.extend_from_slice(bytes);
        this
    }

    pub(super) fn message(self, number: u32, message: Wire) -> Self {
        self.bytes(number, &message.0)
    }

    /// With its length before it, as a page has its families.
    pub(super) fn delimited(self) -> Vec<u8> {
        let mut out = Wire::default().varint(self.0.len() as u64);
        out.0.extend_from_slice(&self.0);
        out.0
    }
}

/// A family with these metrics.
pub(super) fn family(name: &str, kind: u64, metrics: &[Wire]) -> Vec<u8> {
    let start = Wire::default().bytes(1, name.as_bytes()).uint(3, kind);
    metrics.iter().fold(start, |family, metric| family.message(4, metric.clone())).delimited()
}

pub(super) fn label(name: &str, value: &str) -> Wire {
    Wire::default().bytes(1, name.as_bytes()).bytes(2, value.as_bytes())
}
