//! The ring against a plain map: thousands of random runs of everything that can happen to it.

use std::collections::BTreeMap;
use std::time::Duration;

use super::Querier;
use super::testing::{Bench, Random, labels, of, select};
use crate::model::{Batch, GroupId, Irregular, IrregularSample, Labels, Matcher, Timestamp, stale_marker};

/// What the ring must answer.
type Model = BTreeMap<(u64, Timestamp), u64>;

/// Short runs, and how many steps each has.
const SHORT: (u64, u64) = (2000, 24);
/// Long runs, which see more of merging and retention.
const LONG: (u64, u64) = (120, 90);

/// Random ticks, pushes, late samples, commits, seals, retirements, kills and queries, for many seeds.
#[test]
fn the_ring_is_a_map() {
    let mut gone = 0;
    for (cases, steps) in [LONG, SHORT] {
        for seed in 0..cases {
            let mut case = Case::new(seed, steps);
            (0..steps).for_each(|step| case.step(step));
            gone += case.end();
        }
    }
    assert!(gone > 1000, "retention took samples: {gone}");
}

/// What takes old samples away in a case.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Retention {
    Nothing,
    Time,
    Size,
}

struct Case {
    name: String,
    random: Random,
    bench: Bench,
    retention: Retention,
    /// Everything, and what was committed.
    model: Model,
    durable: Model,
    /// Samples that retention took.
    gone: usize,
    now: Timestamp,
    groups: u64,
}

impl Case {
    fn new(seed: u64, steps: u64) -> Self {
        let mut random = Random::new(seed * 1000 + steps);
        let mut bench = Bench::new();
        let retention = [Retention::Nothing, Retention::Nothing, Retention::Time, Retention::Size][(seed % 4) as usize];
        bench.config.merged_span = Duration::from_secs([0, 20, 30][(seed % 3) as usize]);
        match retention {
            Retention::Nothing => {}
            Retention::Time => bench.config.retention_time = Duration::from_secs(30),
            // A few small segments, 40 KB, beside what the file takes for itself and keeps free.
            Retention::Size => bench.config.retention_size_bytes = (1 << 20) + (96 << 10),
        }
        bench.kill_and_open();
        let now: Timestamp = 1_000_000 + random.below(20_000) as i64;
        bench.clock.set(now);
        let groups = 1 + random.below(3);
        let (model, durable) = (Model::new(), Model::new());
        let name = format!("seed {seed} of {steps} steps, {retention:?}");
        Self { name, random, bench, retention, model, durable, gone: 0, now, groups }
    }

    /// Older samples are refused, or may have gone.
    fn horizon(&self) -> Timestamp {
        match self.retention {
            Retention::Nothing => Timestamp::MIN,
            Retention::Time => self.now - 30_000,
            Retention::Size => self.now - 26_000,
        }
    }

    fn step(&mut self, step: u64) {
        match self.random.below(20) {
            0..=9 => self.tick(),
            10 | 11 => self.push(),
            12 | 13 => self.commit(),
            14 | 15 => self.maintain(self.now),
            16 => {
                // Sealing commits on its own what it covers: make both the same before the kill.
                self.commit();
                self.bench.kill_and_open();
                self.model = self.durable.clone();
            }
            _ => self.query(&format!("step {step}")),
        }
    }

    fn tick(&mut self) {
        let random = &mut self.random;
        self.now += 200 + random.below(1500) as i64;
        self.bench.clock.set(self.now);
        let group = random.below(self.groups);
        let late = if random.below(8) == 0 { random.below(25_000) as i64 } else { 0 };
        let mut batch = Batch::new(GroupId(group as u32), self.now - late);
        for i in group * 6..group * 6 + 8 {
            let unseen = sealed(self.now, self.now - late) && self.model.contains_key(&(i, self.now - late));
            if random.below(5) == 0 || unseen {
                continue;
            }
            let value = value(random);
            batch.floats.push((of(&self.bench.names, &labels(i)), f64::from_bits(value)));
            self.model.entry((i, self.now - late)).or_insert(value);
        }
        self.bench.ring().append(&batch).unwrap();
    }

    fn push(&mut self) {
        let (random, now, model) = (&mut self.random, self.now, &mut self.model);
        let i = random.below(20);
        let samples: Vec<IrregularSample> = (0..1 + random.below(4))
            .map(|_| ((now - random.below(40_000) as i64).max(now - 9_000), value(random)))
            .filter(|(ts, _)| !(sealed(now, *ts) && model.contains_key(&(i, *ts))))
            .collect::<Vec<_>>()
            .into_iter()
            .map(|(ts, value)| {
                model.entry((i, ts)).or_insert(value);
                IrregularSample { ts, start_ts: 0, value: f64::from_bits(value).into() }
            })
            .collect();
        let series = of(&self.bench.names, &labels(i));
        self.bench.ring().append_irregular(&[Irregular { series, samples }]).unwrap();
    }

    fn commit(&mut self) {
        self.bench.ring().commit().unwrap();
        self.durable = self.model.clone();
    }

    fn maintain(&mut self, now: Timestamp) {
        self.now = now;
        self.bench.maintain(now);
        if self.retention == Retention::Nothing {
            return;
        }
        // What is gone must have been old, and never comes back.
        let there: Model = select(self.bench.ring(), &[], Timestamp::MIN, 1 << 40, false)
            .into_iter()
            .map(|(labels, ts, value)| ((number(&labels), ts), value.to_bits()))
            .collect();
        let (horizon, name, mut gone) = (self.horizon(), &self.name, 0);
        self.model.retain(|key, _| {
            let found = there.contains_key(key);
            assert!(found || key.1 < horizon, "{name}: {key:?} is gone, and not older than {horizon}");
            gone += usize::from(!found);
            found
        });
        self.durable.retain(|key, _| there.contains_key(key));
        self.gone += gone;
    }

    /// Seals everything and opens it again; says how many samples retention took.
    fn end(mut self) -> usize {
        self.maintain(self.now + 20_000);
        self.query("at the end");
        self.commit();
        self.bench.kill_and_open();
        self.query("reopened");
        self.gone
    }

    fn query(&mut self, context: &str) {
        let random = &mut self.random;
        let start = self.now - random.below(100_000) as i64;
        let end = start + random.below(60_000) as i64;
        let odd = random.below(3) == 0;
        let matchers = if odd { vec![Matcher::equal("odd", "yes")] } else { vec![] };
        let last_only = random.below(3) == 0;
        let context = format!("{}, {context}: {start}..={end} last_only {last_only}", self.name);
        let mut expected: BTreeMap<u64, Vec<(Timestamp, u64)>> = BTreeMap::new();
        let matching = |(i, ts): &(u64, Timestamp)| (start..=end).contains(ts) && (!odd || i % 2 == 1);
        for ((i, ts), bits) in self.model.iter().filter(|(key, _)| matching(key)) {
            let list = expected.entry(*i).or_default();
            if last_only {
                list.clear();
            }
            list.push((*ts, *bits));
        }
        let mut found: BTreeMap<u64, Vec<(Timestamp, u64)>> = BTreeMap::new();
        for (labels, ts, value) in select(self.bench.ring(), &matchers, start, end, last_only) {
            found.entry(number(&labels)).or_default().push((ts, value.to_bits()));
        }
        assert_eq!(found, expected, "{context}");
        let series: Vec<u64> = self.bench.ring().series(&matchers, start, end).unwrap().iter().map(number).collect();
        let mut keys: Vec<u64> = expected.keys().copied().collect();
        keys.sort_by_key(|i| labels(*i));
        assert_eq!(series, keys, "{context}: series");
    }
}

/// Whether a time may be in a sealed window. After a restart memory does not have it, and a sample whose time is taken there
/// is not compared: the later one counts.
fn sealed(now: Timestamp, ts: Timestamp) -> bool {
    ts < (now - 1000).div_euclid(10_000) * 10_000
}

fn number(labels: &Labels) -> u64 {
    labels.get("i").parse().unwrap()
}

fn value(random: &mut Random) -> u64 {
    match random.below(12) {
        0 => stale_marker().to_bits(),
        1 => f64::NAN.to_bits(),
        2 => (-0.0f64).to_bits(),
        3 => random.unit().to_bits(),
        4..=7 => 4.0f64.to_bits(),
        _ => (random.below(100) as f64).to_bits(),
    }
}
