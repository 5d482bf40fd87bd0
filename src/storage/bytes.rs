//! Little-endian numbers, varints and byte-wise XOR: the alphabet of every record on disk.

/// A record that ends early or says something impossible.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(crate) struct FormatError(pub(crate) &'static str);

pub(crate) fn put_u32(out: &mut Vec<u8>, value: u32) {
    out.extend_from_slice(&value.to_le_bytes());
}

pub(crate) fn put_u64(out: &mut Vec<u8>, value: u64) {
    out.extend_from_slice(&value.to_le_bytes());
}

pub(crate) fn put_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

pub(crate) fn put_signed(out: &mut Vec<u8>, value: i64) {
    put_varint(out, zigzag(value));
}

pub(crate) fn put_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    put_varint(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

/// One control byte (leading zero bytes × 16 + trailing zero bytes), then the bytes between; zero is one byte 0x80.
pub(crate) fn put_xor(out: &mut Vec<u8>, bits: u64) {
    if bits == 0 {
        out.push(0x80);
        return;
    }
    let lead = bits.leading_zeros() / 8;
    let trail = bits.trailing_zeros() / 8;
    out.push((lead << 4 | trail) as u8);
    let body = (bits >> (trail * 8)).to_le_bytes();
    out.extend_from_slice(&body[..(8 - lead - trail) as usize]);
}

pub(crate) const fn zigzag(value: i64) -> u64 {
    ((value << 1) ^ (value >> 63)) as u64
}

pub(crate) const fn unzigzag(value: u64) -> i64 {
    (value >> 1) as i64 ^ -((value & 1) as i64)
}

/// Reads a record from front to back; every step checks that the bytes are there.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    pub(crate) fn rest(&self) -> &'a [u8] {
        self.rest
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    pub(crate) fn take(&mut self, len: usize) -> Result<&'a [u8], FormatError> {
        let (head, tail) = self.rest.split_at_checked(len).ok_or(FormatError("the record ends early"))?;
        self.rest = tail;
        Ok(head)
    }

    pub(crate) fn u8(&mut self) -> Result<u8, FormatError> {
        let (&byte, tail) = self.rest.split_first().ok_or(FormatError("the record ends early"))?;
        self.rest = tail;
        Ok(byte)
    }

    pub(crate) fn u32(&mut self) -> Result<u32, FormatError> {
        let (head, tail) = self.rest.split_first_chunk().ok_or(FormatError("the record ends early"))?;
        self.rest = tail;
        Ok(u32::from_le_bytes(*head))
    }

    pub(crate) fn u64(&mut self) -> Result<u64, FormatError> {
        let (head, tail) = self.rest.split_first_chunk().ok_or(FormatError("the record ends early"))?;
        self.rest = tail;
        Ok(u64::from_le_bytes(*head))
    }

    pub(crate) fn i64(&mut self) -> Result<i64, FormatError> {
        Ok(self.u64()? as i64)
    }

    pub(crate) fn f64(&mut self) -> Result<f64, FormatError> {
        Ok(f64::from_bits(self.u64()?))
    }

    pub(crate) fn varint(&mut self) -> Result<u64, FormatError> {
        let mut value = 0u64;
        for shift in (0..64).step_by(7) {
            let byte = self.u8()?;
            value |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Ok(value);
            }
        }
        Err(FormatError("a number has too many bytes"))
    }

    pub(crate) fn varint_u32(&mut self) -> Result<u32, FormatError> {
        u32::try_from(self.varint()?).map_err(|_| FormatError("a number is too large"))
    }

    /// A count of things of which each takes at least `bits` bits of what is left: bounds allocations.
    pub(crate) fn count(&mut self, bits: usize) -> Result<usize, FormatError> {
        let count = self.varint()?;
        let most = (self.rest.len() as u64) * 8 / bits.max(1) as u64;
        if count > most {
            return Err(FormatError("a count is larger than its record"));
        }
        Ok(count as usize)
    }

    pub(crate) fn signed(&mut self) -> Result<i64, FormatError> {
        Ok(unzigzag(self.varint()?))
    }

    pub(crate) fn bytes(&mut self) -> Result<&'a [u8], FormatError> {
        let len = self.varint()?;
        self.take(usize::try_from(len).map_err(|_| FormatError("a length is too large"))?)
    }

    pub(crate) fn str(&mut self) -> Result<&'a str, FormatError> {
        std::str::from_utf8(self.bytes()?).map_err(|_| FormatError("text is not UTF-8"))
    }

    pub(crate) fn xor(&mut self) -> Result<u64, FormatError> {
        let control = self.u8()?;
        if control == 0x80 {
            return Ok(0);
        }
        let (lead, trail) = (usize::from(control >> 4), usize::from(control & 0xf));
        let len = 8usize.checked_sub(lead + trail).ok_or(FormatError("a XOR control byte is impossible"))?;
        let body = match self.rest.first_chunk::<8>() {
            // A load and a mask: copying so few bytes by their number takes several times as long.
            Some(eight) => {
                self.rest = &self.rest[len..];
                u64::from_le_bytes(*eight) & u64::MAX.checked_shr(64 - len as u32 * 8).unwrap_or(0)
            }
            None => {
                let mut body = [0u8; 8];
                body[..len].copy_from_slice(self.take(len)?);
                u64::from_le_bytes(body)
            }
        };
        // `trail` is at most 7 here unless the record is damaged.
        body.checked_shl(trail as u32 * 8).ok_or(FormatError("a XOR control byte is impossible"))
    }
}

/// Appends the CRC-32 (IEEE) of everything before it.
pub(crate) fn seal_crc(record: &mut Vec<u8>) {
    let crc = crc32fast::hash(record);
    put_u32(record, crc);
}

/// The record without its CRC-32, if that is right.
pub(crate) fn check_crc(record: &[u8]) -> Result<&[u8], FormatError> {
    let (body, crc) = record.split_last_chunk::<4>().ok_or(FormatError("the record is shorter than its checksum"))?;
    if crc32fast::hash(body) == u32::from_le_bytes(*crc) { Ok(body) } else { Err(FormatError("the checksum is wrong")) }
}

#[cfg(test)]
mod tests {
    use super::{Reader, check_crc, put_signed, put_varint, put_xor, seal_crc};

    #[test]
    fn numbers_come_back() {
        let cases = [0u64, 1, 127, 128, 0x80, 1 << 63, u64::MAX, 0xff00, 0x00ff_0000_0000_0000, 5 << 56];
        for case in cases {
            let mut out = Vec::new();
            put_varint(&mut out, case);
            put_signed(&mut out, case as i64);
            put_xor(&mut out, case);
            let mut reader = Reader::new(&out);
            assert_eq!(reader.varint(), Ok(case));
            assert_eq!(reader.signed(), Ok(case as i64));
            assert_eq!(reader.xor(), Ok(case));
            assert!(reader.is_empty());
        }
    }

    #[test]
    fn every_width_of_xor_comes_back_whatever_follows() {
        for lead in 0..8 {
            for trail in 0..8 - lead {
                let bits = (u64::MAX >> (lead * 8)) & (u64::MAX << (trail * 8)) & 0x9abc_def1_2345_6789;
                for behind in 0..10 {
                    let mut out = Vec::new();
                    put_xor(&mut out, bits);
                    out.resize(out.len() + behind, 0xff);
                    let mut reader = Reader::new(&out);
                    assert_eq!((reader.xor(), reader.rest().len()), (Ok(bits), behind), "{bits:x}");
                }
                let mut out = Vec::new();
                put_xor(&mut out, bits);
                out.pop();
                assert!(Reader::new(&out).xor().is_err(), "{bits:x} ends early");
            }
        }
        for impossible in [0x90u8, 0x45, 0x18, 0xff] {
            assert!(Reader::new(&[[impossible].as_slice(), &[7; 20]].concat()).xor().is_err(), "{impossible:x}");
        }
    }

    #[test]
    fn a_flipped_bit_is_seen() {
        let mut record = b"watchfire".to_vec();
        seal_crc(&mut record);
        assert_eq!(check_crc(&record), Ok(&b"watchfire"[..]));
        for i in 0..record.len() {
            record[i] ^= 4;
            assert!(check_crc(&record).is_err());
            record[i] ^= 4;
        }
    }
}
