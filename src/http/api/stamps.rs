//! The times of a range query are the same in each series: their text is written once.

use crate::http::json::Json;
use crate::model::Timestamp;

/// Places that are remembered: enough for any chart, and they stay in the processor's cache.
const REMEMBERED: usize = 1024;
/// `[`, sign, digits, point, three decimals, comma and quote of any time that a query may have fit.
const TEXT_BYTES: usize = 23;

/// How a point at a time begins, by the point's place in its series.
#[derive(Default)]
pub(super) struct Stamps(Vec<Stamp>);

struct Stamp {
    ts: Timestamp,
    len: u8,
    text: [u8; TEXT_BYTES],
}

impl Stamps {
    /// Writes `[seconds,`, which is the text before a value, for the point at place `i`.
    pub(super) fn open(&mut self, json: &mut Json, i: usize, ts: Timestamp) {
        if let Some(stamp) = self.0.get(i).filter(|stamp| stamp.ts == ts) {
            json.bytes(&stamp.text[..usize::from(stamp.len)]);
            return;
        }
        let start = json.as_bytes().len();
        json.raw("[").seconds(ts).raw(",");
        let written = &json.as_bytes()[start..];
        if i == self.0.len() && i < REMEMBERED && written.len() <= TEXT_BYTES {
            let mut text = [0; TEXT_BYTES];
            text[..written.len()].copy_from_slice(written);
            self.0.push(Stamp { ts, len: written.len() as u8, text });
        }
    }
}
