use std::sync::Arc;
use std::sync::mpsc::{Receiver, sync_channel};
use std::time::Duration;

use parking_lot::Mutex;

use super::collector::by_group;
use super::{FastGpus, GpuError, GpuIdentity, GpuProcess, GpuReading, GpuReadings, GpuSource, Gpus, NvLinkReading};
use crate::collect::Reading;
use crate::collect::testing::{Interner, collect};
use crate::model::Timestamp;

type Answer = Result<GpuReadings, GpuError>;

/// A source that answers what the test says; `None` hangs until the test lets go.
struct Fake(Arc<Mutex<Option<Answer>>>, Receiver<()>);

impl GpuSource for Fake {
    fn read(&mut self, _: Timestamp) -> Answer {
        let answer = self.0.lock().clone();
        answer.unwrap_or_else(|| {
            let _ = self.1.recv();
            Err(GpuError::Failed("woken".into()))
        })
    }
}

fn reading(index: u32, uuid: &str) -> GpuReading {
    GpuReading {
        identity: GpuIdentity { index, uuid: uuid.into(), name: "Quick".into(), ..GpuIdentity::default() },
        utilization_ratio: Some(0.5),
        clocks_hertz: [None, Some(1e9), None, None],
        processes: Some(vec![
            GpuProcess { pid: 1, memory_bytes: Some(3.0), utilization_ratio: None },
            GpuProcess { pid: 2, memory_bytes: Some(4.0), utilization_ratio: Some(0.25) },
        ]),
        ..GpuReading::default()
    }
}

#[test]
fn absent_readings_unplugging_and_a_hung_driver() {
    let answer = Arc::new(Mutex::new(Some(Ok(vec![reading(0, "GPU-a"), reading(1, "GPU-b")].into()))));
    let (wake, sleeper) = sync_channel(4);
    let shared = (answer.clone(), Mutex::new(Some(sleeper)));
    let make = move || -> Box<dyn GpuSource> { Box::new(Fake(shared.0.clone(), shared.1.lock().take().unwrap())) };
    let mut gpus = Gpus::with_source(None, make);
    // The first tick may wait for a busy machine's thread; the hung one below must not.
    gpus.set_deadline(Duration::from_secs(20));
    let intern = Interner::default();
    let (page, result) = collect(&mut gpus, &intern, 1_000);
    assert_eq!(result.unwrap(), Reading::Complete);
    let found: Vec<String> =
        page.iter().filter(|(n, _)| n.contains("GPU-a")).map(|(n, v)| format!("{n} {v}")).collect();
    assert_eq!(
        found,
        [
            r#"gpu_clock_hertz{clock="sm", gpu="0", uuid="GPU-a"} 1000000000"#,
            r#"gpu_info{gpu="0", name="Quick", uuid="GPU-a", vendor="nvidia"} 1"#,
            r#"gpu_process_memory_bytes{gpu="0", group="other", uuid="GPU-a"} 7"#,
            r#"gpu_process_utilization_ratio{gpu="0", group="other", uuid="GPU-a"} 0.25"#,
            r#"gpu_processes{gpu="0", uuid="GPU-a"} 2"#,
            r#"gpu_utilization_ratio{gpu="0", uuid="GPU-a"} 0.5"#,
        ]
    );
    assert_eq!(gpus.handle().last().len(), 2);

    *answer.lock() = Some(Ok(vec![reading(0, "GPU-b")].into()));
    let (page, _) = collect(&mut gpus, &intern, 2_000);
    assert_eq!(page.len(), 6);
    assert!(page.contains_key(r#"gpu_utilization_ratio{gpu="0", uuid="GPU-b"}"#), "it moved to the first place");

    *answer.lock() = Some(Err(GpuError::Unavailable("no driver".into())));
    let (page, result) = collect(&mut gpus, &intern, 3_000);
    assert!(page.is_empty() && gpus.handle().last().is_empty());
    assert_eq!(result.unwrap(), Reading::Unavailable("no driver".into()));

    *answer.lock() = None;
    gpus.set_deadline(Duration::from_millis(1));
    for now in [4_000, 5_000] {
        let (page, result) = collect(&mut gpus, &intern, now);
        assert!(page.is_empty() && result.unwrap_err().reason.contains("has not answered for"));
    }
    *answer.lock() = Some(Ok(vec![reading(0, "GPU-b")].into()));
    wake.send(()).unwrap();
    gpus.set_deadline(Duration::from_secs(20));
    let recovered = (6_000..10_000_000).find(|now| collect(&mut gpus, &intern, *now).1.is_ok());
    assert!(recovered.is_some(), "the next answer in time is taken");
}

#[test]
fn links_move_with_their_gpu() {
    let with_link = |index, uuid| GpuReading {
        nvlinks: vec![NvLinkReading { link: 0, up: Some(true), ..NvLinkReading::default() }],
        ..reading(index, uuid)
    };
    let answer = Arc::new(Mutex::new(Ok(vec![with_link(0, "GPU-a"), with_link(1, "GPU-b")].into())));
    struct Now(Arc<Mutex<Answer>>);
    impl GpuSource for Now {
        fn read(&mut self, _: Timestamp) -> Answer {
            self.0.lock().clone()
        }
    }
    let shared = answer.clone();
    let mut gpus = Gpus::with_source(None, move || Box::new(Now(shared.clone())));
    gpus.set_deadline(Duration::from_secs(20));
    let intern = Interner::default();
    collect(&mut gpus, &intern, 1_000).1.unwrap();
    *answer.lock() = Ok(vec![with_link(0, "GPU-b")].into());
    let page = collect(&mut gpus, &intern, 2_000).0;
    assert!(page.keys().all(|name| name.contains("gpu=\"0\"")), "{page:?}");
    assert!(page.contains_key(r#"gpu_nvlink_up{gpu="0", link="0", uuid="GPU-b"}"#));
}

#[test]
fn a_hung_driver_costs_one_thread() {
    let made = Arc::new(Mutex::new(0));
    let (wake, sleeper) = sync_channel::<()>(1);
    let shared = (made.clone(), Mutex::new(Some(sleeper)));
    let make = move || -> Box<dyn GpuSource> {
        *shared.0.lock() += 1;
        Box::new(Fake(Arc::default(), shared.1.lock().take().unwrap()))
    };
    let mut gpus = Gpus::with_source(None, make);
    gpus.set_deadline(Duration::from_millis(1));
    for now in 0..200 {
        let result = collect(&mut gpus, &Interner::default(), now * 1000).1;
        assert!(result.unwrap_err().reason.contains("has not answered for"));
        gpus.handle().sample(now * 1000);
    }
    assert_eq!(*made.lock(), 1);
    // Letting go of it waits for nobody.
    drop(gpus);
    drop(wake);
}

#[test]
fn looks_for_gpus_are_bounded() {
    let (wake, sleeper) = sync_channel::<()>(1);
    let sleeper = Arc::new(Mutex::new(sleeper));
    struct Hung(Arc<Mutex<Receiver<()>>>);
    impl GpuSource for Hung {
        fn read(&mut self, _: Timestamp) -> Answer {
            let _ = self.0.lock().recv();
            Err(GpuError::Failed("woken".into()))
        }
    }
    let make = || -> super::lane::MakeSource {
        let sleeper = Arc::clone(&sleeper);
        Box::new(move || Box::new(Hung(Arc::clone(&sleeper))))
    };
    let look = || super::look(vec![make()], 0, Duration::from_millis(1)).detail;
    let details: Vec<String> = (0..20).map(|_| look()).collect();
    assert!(details[0].contains("has not answered for"), "{details:?}");
    assert!(details[19].contains("still wait"), "{details:?}");
    assert!(details.iter().filter(|detail| detail.contains("has not answered for")).count() <= super::MAX_LOOKS);
    drop(wake);
    while look().contains("still wait") {
        std::thread::yield_now();
    }
}

#[test]
fn a_source_that_panics_is_started_again_later() {
    struct Bad;
    impl GpuSource for Bad {
        fn read(&mut self, _: Timestamp) -> Answer {
            panic!("on purpose")
        }
    }
    let made = Arc::new(Mutex::new(0));
    let count = made.clone();
    let mut gpus = Gpus::with_source(None, move || {
        *count.lock() += 1;
        Box::new(Bad)
    });
    gpus.set_deadline(Duration::from_secs(20));
    for (now, expected) in [(0, 1), (1_000, 1), (31_000, 2)] {
        let result = collect(&mut gpus, &Interner::default(), now).1;
        assert!(result.unwrap_err().reason.contains("has ended"));
        assert_eq!(*made.lock(), expected);
    }
}

#[test]
fn fast_values_come_between_ticks_and_never_block() {
    let answer = Arc::new(Mutex::new(Some(Ok(vec![reading(0, "GPU-a")].into()))));
    let (wake, sleeper) = sync_channel(4);
    let shared = (answer.clone(), Mutex::new(Some(sleeper)));
    let make = move || -> Box<dyn GpuSource> { Box::new(Fake(shared.0.clone(), shared.1.lock().take().unwrap())) };
    let mut gpus = Gpus::with_source(None, make);
    gpus.set_deadline(Duration::from_secs(20));
    let handle = gpus.handle();
    assert_eq!(handle.sample(500), [], "nothing before the first tick");
    collect(&mut gpus, &Interner::default(), 1_000).1.unwrap();
    let first = (1_100..10_000_000).map(|now| handle.sample(now)).find(|readings| !readings.is_empty()).unwrap();
    assert_eq!((&*first[0].gpu, &*first[0].uuid, first[0].utilization_ratio), ("0", "GPU-a", Some(0.5)));
    assert!(first[0].at >= 1_100);

    *answer.lock() = None;
    // The driver hangs in one of these; all return at once, and the last one's values are as old as they say.
    let all: Vec<_> = (0..1000).map(|step| handle.sample(20_000_000 + step)).collect();
    let last = &all[999];
    assert!(last[0].at < 20_000_999);
    wake.send(()).unwrap();
    drop(gpus);
    assert_eq!(handle.sample(30_000_000), [], "nothing after the collector has gone");
}

#[test]
fn a_driver_that_fails_takes_nothing_from_another() {
    struct Good;
    impl GpuSource for Good {
        fn read(&mut self, _: Timestamp) -> Answer {
            Ok(GpuReadings { gpus: vec![reading(0, "GPU-a")], trouble: Some("GPU 1: lost".into()) })
        }
    }
    struct Bad;
    impl GpuSource for Bad {
        fn read(&mut self, _: Timestamp) -> Answer {
            Err(GpuError::Failed("on purpose".into()))
        }
    }
    let mut gpus = Gpus::with_lanes(None, vec![Box::new(|| Box::new(Bad)), Box::new(|| Box::new(Good))], &[]);
    gpus.set_deadline(Duration::from_secs(20));
    let (page, result) = collect(&mut gpus, &Interner::default(), 0);
    assert_eq!(page.len(), 6);
    assert_eq!(result.unwrap(), Reading::Degraded("on purpose; GPU 1: lost".into()));
}

#[test]
fn memory_and_use_by_worker_group() {
    let process = |pid, memory_bytes, utilization_ratio| GpuProcess { pid, memory_bytes, utilization_ratio };
    let processes = [
        process(1, Some(10.0), Some(0.25)),
        process(2, Some(20.0), Some(0.5)),
        process(3, Some(5.0), None),
        process(4, None, None),
        process(5, Some(1.0), None),
        process(u32::MAX, Some(7.0), None),
    ];
    let group_of = |pid: i32| match pid {
        1 | 2 => Some("train".to_owned()),
        4 | 5 => Some("secret".to_owned()),
        _ => None,
    };
    let found: Vec<_> = by_group(&processes, group_of).into_iter().collect();
    let expected = [
        ("other", [Some(12.0), None]),
        // One of its processes does not tell: the sum would be too small.
        ("secret", [None, None]),
        ("train", [Some(30.0), Some(0.75)]),
    ];
    assert_eq!(found, expected.map(|(group, sums)| (group.to_owned(), sums)));
}

#[test]
fn the_live_view_gets_the_ring_s_series() {
    struct Steady;
    impl GpuSource for Steady {
        fn read(&mut self, _: Timestamp) -> Answer {
            Ok(vec![reading(0, "GPU-a")].into())
        }
    }
    let mut gpus = Gpus::with_source(None, || Box::new(Steady));
    gpus.set_deadline(Duration::from_secs(20));
    let mut fast = FastGpus::new(gpus.handle());
    let intern = Interner::default();
    assert!(collect(&mut fast, &intern, 500).0.is_empty(), "nothing before the first tick");
    let ring = collect(&mut gpus, &intern, 1_000).0;
    let page = (1_100..1_000_000).map(|now| collect(&mut fast, &intern, now).0).find(|page| !page.is_empty()).unwrap();
    let (name, value) = page.first_key_value().unwrap();
    assert_eq!((page.len(), ring.get(name)), (1, Some(value)));
}
