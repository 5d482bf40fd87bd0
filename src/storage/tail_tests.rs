//! Relaxed durability: a process that dies loses nothing that was committed, a machine at most one interval.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use super::testing::{Bench, Random};
use super::{Durability, StateTable, verify};

fn relaxed() -> Bench {
    let mut bench = Bench::new();
    (bench.config.durability, bench.config.relaxed_interval) = (Durability::Relaxed, Duration::from_secs(7));
    bench.kill_and_open();
    bench
}

fn tail(bench: &Bench) -> PathBuf {
    bench.config.path.join("ring.tail")
}

/// Ticks of three series, a second apart, with a commit each.
fn run(bench: &Bench, seconds: std::ops::Range<i64>) {
    for n in seconds {
        bench.clock.set(n * 1000);
        bench.tick(n * 1000, &[(1, n as f64), (2, 5.0), (3 + n as u64 % 2, -(n as f64))]);
        bench.ring().state_put(StateTable::Alerts, b"newest", n.to_string().as_bytes());
        bench.ring().commit().unwrap();
        bench.maintain(n * 1000);
    }
}

/// The seconds that are there; each must be whole.
fn seconds(bench: &Bench) -> Vec<i64> {
    let mut words: Vec<String> = bench.dump(0, 1 << 40).split(' ').map(str::to_owned).collect();
    words.retain(|word| !word.is_empty());
    let mut all: Vec<i64> =
        words.iter().filter_map(|word| word.strip_prefix("1@")?.split("000=").next()?.parse().ok()).collect();
    all.sort_unstable();
    let mut expected: Vec<String> = all
        .iter()
        .flat_map(|n| {
            let ts = n * 1000;
            [format!("1@{ts}={n}"), format!("2@{ts}=5"), format!("{}@{ts}={}", 3 + n % 2, -n)]
        })
        .collect();
    words.sort_unstable();
    expected.sort_unstable();
    assert_eq!(words, expected);
    all
}

#[test]
fn a_kill_costs_nothing_that_was_committed() {
    let mut random = Random::new(3);
    let mut bench = relaxed();
    let mut now = 1;
    for _ in 0..40 {
        let until = now + 1 + random.below(19) as i64;
        run(&bench, now..until);
        now = until;
        // Not committed: gone.
        bench.tick(now * 1000 - 500, &[(9, 1.0)]);
        bench.kill_and_open();
        assert_eq!(seconds(&bench), (1..now).collect::<Vec<_>>());
        let newest = bench.ring().state_get(StateTable::Alerts, b"newest").unwrap();
        assert_eq!(newest, Some((now - 1).to_string().into_bytes()));
    }
    bench.ring().shutdown().unwrap();
    bench.ring = None;
    assert_eq!(verify(&bench.config.path, &mut |_, _| {}).unwrap().findings, []);
}

#[test]
fn a_power_cut_costs_an_interval_at_most() {
    let mut bench = relaxed();
    run(&bench, 1..20);
    bench.ring = None;
    let (ring, whole) = (bench.config.path.join("ring.redb"), fs::read(tail(&bench)).unwrap());
    let file = fs::read(&ring).unwrap();
    assert!(whole.len() > 100, "{}", whole.len());
    let (mut shortest, mut longest) = (usize::MAX, 0);
    let mut check = |bytes: &[u8], context: &str| {
        fs::write(&ring, &file).unwrap();
        fs::write(tail(&bench), bytes).unwrap();
        bench.open();
        let found = seconds(&bench);
        let expected: Vec<i64> = (1..=found.len() as i64).collect();
        assert!(found == expected && found.len() >= 19 - 7, "{context}: {found:?}");
        (shortest, longest) = (shortest.min(found.len()), longest.max(found.len()));
        // It goes on from there.
        bench.tick(25_000, &[(1, 25.0), (2, 5.0), (4, -25.0)]);
        bench.ring().commit().unwrap();
        bench.kill_and_open();
        assert_eq!(seconds(&bench).len(), found.len() + 1, "{context}");
        bench.ring = None;
    };
    for cut in (0..=whole.len()).rev().step_by(5) {
        check(&whole[..cut], &format!("cut at {cut}"));
    }
    for at in (0..whole.len()).step_by(7) {
        let mut bytes = whole.clone();
        bytes[at] ^= 1 << (at % 8);
        check(&bytes, &format!("flipped at {at}"));
    }
    assert!(shortest < longest && longest == 19, "{shortest} {longest}");
}

#[test]
fn the_tail_of_another_ring_does_not_fit() {
    let mut bench = relaxed();
    run(&bench, 1..6);
    bench.ring = None;
    fs::remove_file(bench.config.path.join("ring.redb")).unwrap();
    bench.open();
    assert_eq!(seconds(&bench), [] as [i64; 0]);
    run(&bench, 10..12);
    bench.kill_and_open();
    assert_eq!(seconds(&bench), [10, 11]);
}
