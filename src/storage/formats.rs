//! Files of earlier format versions open and answer as on the day they were written.

use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use super::schema::FORMAT;
use super::testing::{Random, SeriesTable, everything, labels, of};
use super::{Config, ExemplarSeries, Progress, Querier, Ring, StateTable};
use crate::clock::{Clock, ManualClock};
use crate::model::{
    Batch, Exemplar, GroupId, Histogram, Irregular, IrregularSample, Labels, Span, Timestamp, Value, stale_marker,
};

/// Names a file that is to be made of what this build writes: how a fixture of a new format comes about.
const WRITE: &str = "WATCHFIRE_WRITE_RING_FIXTURE";

fn fixture(version: u32) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/fixtures/ring-v{version}.redb.gz"))
}

fn config(dir: &Path) -> Config {
    Config {
        path: dir.to_path_buf(),
        window: Duration::from_secs(60),
        merged_span: Duration::from_secs(120),
        seal_delay: Duration::from_secs(1),
        head_span: Duration::from_secs(30),
        ..Config::default()
    }
}

/// A value of each kind that the codecs tell apart; `None` is a hole.
fn value(series: u64, second: i64, random: &mut Random) -> Option<f64> {
    Some(match series {
        0 => 42.5,
        1 => (second / 25) as f64,
        2 => 1e6 + (second * 3) as f64,
        3 => (second * 97 % 1000) as f64 / 100.0,
        4 => random.unit(),
        5 if second % 3 == 1 => return None,
        5 => second as f64,
        6 if second == 40 => stale_marker(),
        6 if second > 40 && second < 70 => return None,
        6 => 7.0 + second as f64 * 0.25,
        7 => f64::from_bits(random.next() | 1 << 62),
        8 if second % 7 == 0 => f64::NAN,
        8 => -0.0,
        _ if second < 110 => return None,
        _ => series as f64,
    })
}

fn histogram(count: f64) -> Arc<Histogram> {
    Arc::new(Histogram {
        schema: 2,
        zero_threshold: 1e-9,
        zero_count: 1.0,
        count,
        sum: count * 1.5,
        positive_spans: vec![Span { offset: -1, length: 2 }],
        positive: vec![count - 2.0, 1.0],
        ..Histogram::default()
    })
}

/// 150 seconds: two sealed windows (merged since format 2), and rows; late samples, pushes, histograms and start timestamps among them.
fn fill(ring: &Ring, names: &SeriesTable, clock: &ManualClock) {
    let mut random = Random::new(41);
    for second in 0..150i64 {
        let ts = second * 1000;
        clock.set(ts);
        let mut batch = Batch::new(GroupId(1), ts);
        for series in 0..10 {
            if let Some(value) = value(series, second, &mut random) {
                batch.floats.push((of(names, &labels(series)), value));
            }
        }
        batch.start_ts.push((of(names, &labels(2)), second / 50 * 50_000 - 7));
        batch.histograms.push((of(names, &labels(20)), histogram(3.0 + (second * second) as f64)));
        if second % 13 == 5 {
            let trace = format!("{:032x}", second * 0x1234_5678_9abc);
            let exemplar = Exemplar { labels: Labels::from_pairs(&[("trace_id", &trace)]), value: 0.25, ts: None };
            batch.exemplars.push((of(names, &labels(2)), exemplar));
        }
        ring.append(&batch).unwrap();
        let push = |series: u64, ts: Timestamp, value: Value| Irregular {
            series: of(names, &labels(series)),
            samples: vec![IrregularSample { ts, start_ts: 5, value }],
        };
        if second % 10 == 3 {
            let late = push(3, ts - 1500, 0.125.into());
            let both = [push(30, ts + 1, 3.5.into()), push(31, ts, Value::Histogram(histogram(9.0))), late];
            ring.append_irregular(&both).unwrap();
        }
        if second == 130 {
            // Its window is sealed already.
            ring.append_irregular(&[push(1, 20_500, 99.0.into())]).unwrap();
        }
        ring.commit().unwrap();
        while ring.maintain(ts).unwrap() == Progress::More {}
    }
    ring.state_put(StateTable::Alerts, b"key", b"value");
    ring.commit().unwrap();
}

/// Since format 3.
fn exemplars(ring: &Ring) -> Vec<ExemplarSeries> {
    ring.exemplars(&[], 0, 1 << 40).unwrap()
}

#[test]
fn files_of_earlier_versions_answer() {
    let dir = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap();
    let open = |name: &str, now: Timestamp| {
        let (clock, names): (_, Arc<SeriesTable>) = (ManualClock::new(now), Arc::default());
        let config = config(&dir.path().join(name));
        (Ring::open(config, Clock::Manual(clock.clone()), names.clone()).unwrap(), names, clock)
    };
    let (fresh, names, clock) = open("fresh", 0);
    fill(&fresh, &names, &clock);
    let (expected, explained) = (everything(&fresh), exemplars(&fresh));
    assert_eq!(explained[0].exemplars.len(), 12);
    assert!(expected.len() > 1400, "{}", expected.len());
    fresh.shutdown().unwrap();
    if let Some(target) = std::env::var_os(WRITE) {
        let whole = std::fs::read(dir.path().join("fresh/ring.redb")).unwrap();
        let mut packer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
        packer.write_all(&whole).unwrap();
        std::fs::write(target, packer.finish().unwrap()).unwrap();
    }
    for version in 1..=FORMAT {
        let packed = std::fs::read(fixture(version)).unwrap();
        let mut whole = Vec::new();
        flate2::read::GzDecoder::new(&packed[..]).read_to_end(&mut whole).unwrap();
        let name = format!("v{version}");
        std::fs::create_dir(dir.path().join(&name)).unwrap();
        std::fs::write(dir.path().join(&name).join("ring.redb"), whole).unwrap();
        for step in ["opened", "sealed", "opened again"] {
            let (ring, _, clock) = open(&name, 150_000);
            let stats = ring.stats();
            assert!(stats.segments >= 1 && (stats.replayed_rows > 0 || step == "opened again"), "{step}: {stats:?}");
            assert_eq!(everything(&ring), expected, "version {version}, {step}");
            assert_eq!(
                exemplars(&ring),
                if version < 3 { vec![] } else { explained.clone() },
                "version {version}, {step}"
            );
            assert_eq!(ring.state_get(StateTable::Alerts, b"key").unwrap(), Some(b"value".to_vec()));
            if step == "sealed" {
                clock.set(400_000);
                while ring.maintain(400_000).unwrap() == Progress::More {}
                assert_eq!(everything(&ring), expected, "version {version}, sealed");
            }
            ring.shutdown().unwrap();
        }
    }
}
