//! Every bound in one place: what is limited, to how much, and why that much.

use std::time::Duration;

/// Series that are alive at once, by default; a fleet page of 10,000 fits a hundred times over.
pub const MAX_SERIES: u32 = 1_000_000;
/// Series of one metric name that are alive at once, by default: a label that never repeats its values takes a twentieth of
/// all places, and meets this limit, which is named in the log, before the columns of its group in memory are full (65,536).
pub const MAX_FAMILY_SERIES: u32 = 50_000;
/// The most that a configuration may allow for either: a thousand bytes each are 10 GB.
pub const MOST_SERIES: u32 = 10_000_000;
/// Metric names that the log names because the table as a whole is full; further ones are only counted.
pub const MAX_NAMED_REFUSALS: usize = 100;
/// Bytes of an HTTP request body (events, forms).
pub const MAX_BODY_BYTES: usize = 16 << 20;
/// Bytes of a scraped page after decompression; vLLM's and SGLang's pages reach a few MiB.
pub const MAX_SCRAPE_BYTES: usize = 16 << 20;
/// Bytes of a page that a scrape job may ask for with `body_size_limit`.
pub const MOST_SCRAPE_BYTES: usize = 256 << 20;
/// Targets of all scrape jobs: a task each.
pub const MAX_TARGETS: usize = 10_000;
/// Label name and value lengths in bytes, as Prometheus' defaults for pushes suggest.
pub const MAX_LABEL_BYTES: usize = 4096;
/// Characters of a PromQL query.
pub const MAX_QUERY_BYTES: usize = 256 << 10;
/// Nodes on the longest path through a PromQL expression's tree: ten thousand terms of a chain (`a + a + …` is a tree of
/// that height) and as many parentheses. Walks map more stack as they need it; this bounds how much.
pub const MAX_QUERY_DEPTH: usize = 20_000;
/// Parts (numbers, operators, parentheses) of one duration expression such as `[5m + step()]`.
pub const MAX_DURATION_PARTS: usize = 256;
/// Samples that one query may hold, as Prometheus' `--query.max-samples`.
pub const MAX_QUERY_SAMPLES: usize = 50_000_000;
/// Points of a range query, as Prometheus' API.
pub const MAX_RANGE_POINTS: i64 = 11_000;
/// Bytes of a request's URL; longer queries go into the body of a POST. It is what the HTTP library takes.
pub const MAX_URL_BYTES: usize = 65_534;
/// Bytes of a request's head, URL and headers together.
pub const MAX_HEAD_BYTES: usize = 400 << 10;
/// Queries that run at once; others wait for a place.
pub const MAX_CONCURRENT_QUERIES: usize = 20;
/// Most queries that `--query.max-concurrency` may allow: each takes a thread while it runs.
pub const MOST_CONCURRENT_QUERIES: usize = 512;
/// Wall time of a query.
pub const QUERY_TIMEOUT: Duration = Duration::from_secs(120);
/// How far back an instant selector looks.
pub const LOOKBACK: Duration = Duration::from_secs(300);
/// Bytes of what PromQL's operators remember about label sets: groups, match pairs, output labels. Two hundred rules that
/// each aggregate ten thousand series into a hundred fit.
pub const MAX_LABEL_MEMO_BYTES: usize = 32 << 20;
/// Bytes of decoded indexes of segments that are kept: ten of 100,000 series each, at 32 bytes a series. A single one may
/// take half of it; what is larger is decoded at each query.
pub const MAX_INDEX_CACHE_BYTES: usize = 32 << 20;
/// Bytes of decoded timestamps of segments that are kept: some three hundred columns of an hour at 1 Hz.
pub const MAX_TIMES_CACHE_BYTES: usize = 8 << 20;
/// Pages, streams and sockets that follow live data at once.
pub const MAX_LIVE_SUBSCRIBERS: usize = 64;
/// Messages that wait for one slow subscriber before the oldest are dropped: more than three seconds at 10 Hz, where nine
/// fast batches and some twenty others come a second.
pub const LIVE_QUEUE: usize = 128;
/// The fastest that anything is sampled for the live view, in Hz: CPU time is counted in hundredths of a second, so a
/// faster reading would show little more than their grain.
pub const MAX_LIVE_HZ: u32 = 10;
/// Batches that wait for storage: a few seconds of every collector and target.
pub const STORAGE_QUEUE: usize = 1024;
/// Longest CPU profile.
pub const MAX_PROFILE: Duration = Duration::from_secs(120);
/// Processes that one tick looks at.
pub const MAX_PROCESSES: usize = 65_536;
