//! Finished bodies: one rendering and one compression a tick, however many clients ask.

use std::io::Write;

use bytes::Bytes;
use parking_lot::Mutex;

use super::negotiate::Format;

#[derive(Default)]
struct Cached {
    tick: u64,
    plain: Option<Bytes>,
    gzip: Option<Bytes>,
}

/// The bodies of the newest tick, by format.
#[derive(Default)]
pub struct BodyCache {
    formats: [Mutex<Cached>; 2],
}

impl BodyCache {
    /// Nothing is cached.
    pub fn new() -> Self {
        Self::default()
    }

    /// The body for `tick`; `render` is called only when this tick has not been rendered in this format. Clients that ask at the same time wait for
    /// the one rendering.
    pub fn get(&self, format: Format, compressed: bool, tick: u64, render: impl FnOnce(&mut Vec<u8>)) -> Bytes {
        let mut cached = self.formats[format as usize].lock();
        if cached.tick != tick || cached.plain.is_none() {
            *cached = Cached { tick, plain: None, gzip: None };
        }
        let plain = cached.plain.get_or_insert_with(|| {
            let mut out = Vec::new();
            render(&mut out);
            out.into()
        });
        if !compressed {
            return plain.clone();
        }
        let plain = plain.clone();
        cached.gzip.get_or_insert_with(|| gzip(&plain).into()).clone()
    }
}

/// Compresses at level 1: a page is read once and thrown away.
pub fn gzip(body: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::with_capacity(body.len() / 8), flate2::Compression::fast());
    encoder.write_all(body).expect("a Vec takes every write");
    encoder.finish().expect("a Vec takes every write")
}

#[cfg(test)]
mod tests {
    use super::BodyCache;
    use crate::exposition::Format;
    use std::io::Read;

    #[test]
    fn renders_once_a_tick() {
        let cache = BodyCache::new();
        let mut renderings = 0;
        let mut get = |format, compressed, tick| {
            cache.get(format, compressed, tick, |out| {
                renderings += 1;
                out.extend_from_slice(b"a 1\n");
            })
        };
        assert_eq!(get(Format::Text, false, 0), "a 1\n");
        let packed = get(Format::Text, true, 0);
        let mut text = String::new();
        flate2::read::GzDecoder::new(&packed[..]).read_to_string(&mut text).expect("gzip");
        assert_eq!(text, "a 1\n");
        get(Format::OpenMetrics, true, 0);
        get(Format::Text, true, 1);
        get(Format::Text, false, 1);
        assert_eq!(renderings, 3);
    }
}
