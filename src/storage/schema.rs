//! The formats on disk, byte by byte. Format version 3; a file of an earlier version is read as it is, and says 3 from then
//! on. Version 1 had no packed integers and no merged segments, version 2 no rollups and no exemplars.
//!
//! The ring is one redb file, `ring.redb`, with six tables. Numbers are little-endian; `varint` is LEB128 of a u64;
//! `svarint` is a varint of the zigzag form; `xor` is a control byte (leading zero bytes × 16 + trailing zero bytes;
//! 0x80 for zero) and the bytes between, least significant first; `bytes` is a varint length and that many bytes;
//! `crc` is the CRC-32 (IEEE) of all bytes of the record before it. Times are milliseconds since the Unix epoch.
//!
//! | table | key | value |
//! |---|---|---|
//! | `meta` | text | `format`: u32 format version; `run`: u32, counts openings; `window_ms`: i64; `tail`: u64, generation of the tail that counts; `raw_from`: i64, retention has taken raw samples before this; `foreign_rows`: i64 end and i64 length of windows of another length |
//! | `rows` | window start i64, number u64 | piece of a record of rows |
//! | `directory` | segment u64 | directory record |
//! | `segments` | segment u64, piece u32 | piece of a segment's stream, crc |
//! | `series` | epoch u32, first id u32 | block of the series table |
//! | `state` | table u8, key bytes | bytes of the room that owns the table |
//!
//! # Rows
//! A value of `rows` is u8 "more pieces follow" and a piece; the pieces of a record are joined in number order:
//! u8 version 1, u32 run, rows back to back, crc. Series and groups are numbered within a run. A row is one of:
//!
//! *Tick*: u8 1, varint group, varint (ts − window), u8 flags, varint columns; if flag 1 (full) for each column a
//! varint (0 free, else (series + 1) × 2 + "labels follow") and labels (varint count, then bytes name, bytes value
//! each); if flag 2 a bitmap of the columns that have a float (else as in the row before); a bitmap of the columns
//! that changed; for each of those an xor of its bits with the last ones (0 after a full row); if flag 4 varint count and
//! (varint column, histogram) each; if flag 8 varint count and (varint column, svarint start timestamp) each (else as
//! in the row before). The first row of a group in a window, and the one after its columns changed, is full.
//! Absent means: bit not set. A stale marker is a value like others. Equal means: bit set, not changed.
//!
//! *Irregular*: u8 2, varint series × 2 + "labels follow", labels, varint count, then for each sample svarint (ts − the
//! one before; the first − window), svarint start timestamp, u8 0 and xor of the value or u8 1 and a histogram.
//!
//! *Exemplar*: u8 3, varint series × 2 + "labels follow", labels, svarint (ts − window), xor of the value, its labels as in
//! segments. A row is only written for an exemplar that the head took: never one that it has.
//!
//! # Directory record
//! Windows of one span may be merged into one segment. It has a number of its own, the series table of those that it was
//! made of (which all have the same), the first window's start and the last one's end. Segments count in the order of
//! their windows, then of their numbers: of two samples of one series at one time the later segment's is right.
//!
//! u8 version 2, i64 window start, i64 window end, i64 first sample, i64 last sample, u32 epoch, u32 series, u64 samples,
//! u64 stream length, u64 offset of the index, u8 tier (0 raw samples, 1 minutes, 2 hours, 3 days), u64 content, crc. Where the
//! segment has exemplars i64 first and i64 last time of them and u64 how many stand before the crc: late ones are older than the
//! window, so they count neither for its first nor for its last sample. Content
//! is the largest number of a segment whose samples may be in it: rollups are made anew when there is a larger one.
//! Version 1 ended after the offset: a raw segment, its content its own number.
//!
//! # Rollups
//! A segment of a tier has the buckets of one span, an hour of minutes, a day of hours, thirty days of days, in one slice. Its
//! times are the ends of all buckets of the span; first and last sample of its directory record are the ends of the first
//! and last bucket that a series has, samples counts the buckets of all series. Each series has one column of kind 0:
//! presence, varint flags, and, if any bucket is present, parts with a varint length each, of as many entries as buckets are
//! present: *Integers* the counts; *Integers* first times (− the bucket's start); *Integers* last times (the end − it); if flag
//! 2 *Integers* stale (1: a stale marker follows the last sample); *Floats* last values; if flag 4 *Floats* first values (else the last);
//! if flag 8 *Floats* least values (else, with flag 16 the last, without it the first); if flag 32 *Floats* largest values (else,
//! with flag 64 the first, without it the last); if flag 128 *Floats* sums (else count × last); if flag 256 *Floats* what a counter
//! lost by resets within the bucket (else 0). Flag 1: the series has start timestamps or native histograms, of which
//! buckets know nothing.
//!
//! # Segment stream
//! Columns back to back, then the index. It is cut into pieces of 65,400 bytes, the rest into pieces of 32,632,
//! 16,248, 8,056 and 3,960 bytes and a last one. The index: bytes of pco's header; varint slices; for each slice varint ticks,
//! svarint first time, varint (last − first), varint length of its time column, varint columns, and for each column
//! varint (id − the one before), varint (length × 4 + kind). Kinds: 0 floats, 1 histograms, 2 start timestamps; 3 is not
//! used. Columns lie in the stream in this order, a slice's time column first. Where there are exemplars, more follows: svarint
//! base, varint columns, and for each varint (id − the one before), varint length; they lie behind all slices. Who knows nothing of
//! exemplars does not read on, and finds everything else.
//!
//! *Integers* (times, start timestamps): u8 0, svarint first, svarint step; or u8 1, svarint first, `ints` of the
//! differences to it. `ints`: u8 0, u8 order 0 to 2, svarint differences of that order; or u8 1 and pco's chunk and page of i64;
//! or u8 2, u8 order 0 to 2, and the differences of that order in *packed* blocks of 128, the last one with what is left:
//! u8 width w (0 to 56), u8 outliers, svarint base, the lowest w bits of each (difference − base) from the least significant
//! bit on, the last byte filled with zeros, and for each outlier u8 its place in the block and svarint h: h × 2^w is added
//! to what stands there. The first values of differences stand for themselves.
//!
//! *Floats*: u8 tag; if tag has 0x40 (holes) presence; then by tag & 0x3f: 0 constant: xor of the bits; 1 runs: varint
//! length and xor with the run before, until the column is full; 2 scaled: if tag has 0x80 varint exceptions and (varint index −
//! the one before, f64) each; u8 decimal scale s, svarint a, varint g, `ints` n: the values are (a + g × n) ÷ 10^s;
//! 3 pco's chunk and page of f64; 4 xor with the value before, each.
//! *Presence*: u8 0 all; 1 and varint run lengths, absent first; 2 and a bitmap.
//!
//! *Histograms*: presence, then each: u8 reset hint (0 unknown, 1 reset, 2 not reset, 3 gauge) + 0x80 when the layout is that of
//! the one before; layout: svarint schema, xor zero threshold, for positive and negative: varint spans, (svarint offset,
//! varint length) each, varint buckets; varint custom bounds, xor each; then counts: zero count, count, xor of the
//! sum with that before, buckets; a count is varint (zigzag of the difference × 2) when both are whole, else varint 1 and xor.
//! In rows each histogram stands alone: its layout is always written.
//!
//! *Exemplars* of a series, ascending in time: varint count, then each: svarint (time − the one before; the first − base), labels;
//! then the values as *floats*. Labels: varint 0 (names of the one before) or 1 + number of names, and each name: varint code, 0
//! `trace_id`, 1 `span_id`, 2 `traceID`, 3 `spanID`, 4 `traceId`, 5 `spanId`, 6 `TraceID`, 7 `request_id`, from 16 on length + 16 and
//! the letters; then each value: varint n × 4 + form: 0 text, the first n bytes of the one before it under the same names, then
//! bytes; 1 n hexadecimal digits in small letters, two a byte, the first on top; 2 a UUID in small letters, 16 bytes; 3 as the one before.
//!
//! # Series table
//! Each epoch (the first 144 numbers of segments, the next 144, …) has a table of its own, so that it goes with its last segment. A block: u8 version 1, varint
//! count, for each label set varint bytes shared with the one before and bytes of the rest, where a label set is its names and
//! values, each followed by 0xff; crc.

//!
//! # Tail
//! With relaxed durability there is a second file, `ring.tail`: rows since the last commit with fsync. Its records count up to the first that is not
//! whole, or says another generation than `meta` does; the next process writes them into `rows` and adds one to the generation, as every
//! commit with fsync does. A record is `bytes` of: varint generation; u8 0, u32 run, svarint window, rows; or u8 1, u8 table, u8 "there is a value",
//! `bytes` key, value of `state`; crc.

/// Format of the file as a whole; a file with a larger one is refused.
pub(crate) const FORMAT: u32 = 3;
/// Version of a record of rows.
pub(crate) const RECORD_VERSION: u8 = 1;
/// Rows that are not in the ring's file yet, in its directory.
pub(crate) const TAIL_NAME: &str = "ring.tail";
/// The ring's file in its directory.
pub(crate) const FILE_NAME: &str = "ring.redb";
/// Segments that share a series table.
pub(crate) const EPOCH_SEGMENTS: u32 = 144;
