//! One column of samples ⇄ bytes. Each column gets the encoding that is smallest for it; `schema.rs` has the layout.

mod column;
mod exemplars;
mod histogram;
mod ints;
mod packed;
mod presence;
mod times;

pub(crate) use column::{FloatScratch, decode_floats_into, encode_floats};
pub(crate) use exemplars::{Stamped, decode_exemplars, encode_exemplars, put_exemplar, read_exemplar};
pub(crate) use histogram::{decode_histograms, encode_histograms, put_histogram, read_histogram};
pub(crate) use ints::PcoCodec;
pub(crate) use presence::{decode_presence, encode_presence};
pub(crate) use times::{decode_ints, encode_ints};
#[cfg(test)]
mod tests;
