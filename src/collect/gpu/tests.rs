use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, sync_channel};
use std::time::Duration;

use parking_lot::Mutex;

use super::{GpuError, GpuIdentity, GpuProcess, GpuReading, GpuSource, Gpus, NvmlSource};
use crate::collect::Reading;
use crate::collect::testing::{Interner, collect};
use crate::model::Timestamp;

type Answer = Result<Vec<GpuReading>, GpuError>;

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
            GpuProcess { pid: 1, memory_bytes: Some(3.0) },
            GpuProcess { pid: 2, memory_bytes: Some(4.0) },
        ]),
        ..GpuReading::default()
    }
}

#[test]
fn absent_readings_unplugging_and_a_hung_driver() {
    let answer = Arc::new(Mutex::new(Some(Ok(vec![reading(0, "GPU-a"), reading(1, "GPU-b")]))));
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
            r#"gpu_info{gpu="0", name="Quick", uuid="GPU-a"} 1"#,
            r#"gpu_process_memory_bytes{gpu="0", group="other", uuid="GPU-a"} 7"#,
            r#"gpu_processes{gpu="0", uuid="GPU-a"} 2"#,
            r#"gpu_utilization_ratio{gpu="0", uuid="GPU-a"} 0.5"#,
        ]
    );
    assert_eq!(gpus.handle().last().len(), 2);

    *answer.lock() = Some(Ok(vec![reading(0, "GPU-b")]));
    let (page, _) = collect(&mut gpus, &intern, 2_000);
    assert_eq!(page.len(), 5);
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
    *answer.lock() = Some(Ok(vec![reading(0, "GPU-b")]));
    wake.send(()).unwrap();
    gpus.set_deadline(Duration::from_secs(20));
    let recovered = (6_000..10_000_000).find(|now| collect(&mut gpus, &intern, *now).1.is_ok());
    assert!(recovered.is_some(), "the next answer in time is taken");
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
fn a_missing_library_says_so_and_is_looked_for_again() {
    let folder = tempfile::tempdir().unwrap();
    let library = folder.path().join("libnvidia-ml.so.1");
    let mut source = NvmlSource::from_libraries(vec![library.clone().into()]);
    let unavailable =
        |answer: Answer| matches!(answer, Err(GpuError::Unavailable(text)) if text.starts_with("no NVIDIA driver: "));
    assert!(unavailable(source.read(1_000)));
    if !build_stub(&library) {
        eprintln!("SKIPPED: no C compiler for the stub library");
        return;
    }
    assert!(unavailable(source.read(30_999)), "not yet");
    let gpus = source.read(31_000).unwrap();
    let [first, second] = gpus.as_slice() else { panic!("two GPUs: {gpus:?}") };
    assert_eq!((first.identity.uuid.as_str(), first.identity.name.as_str()), ("GPU-stub-0", "Stub 9000"));
    assert_eq!((first.identity.driver_version.as_str(), first.identity.cuda_version.as_str()), ("570.1", "12.4"));
    assert_eq!((first.utilization_ratio, first.memory_utilization_ratio), (Some(0.37), Some(0.12)));
    assert_eq!((first.temperature_celsius, first.power_watts), (Some(64.0), Some(123.456)));
    assert_eq!(first.energy_joules, Some(5000.0));
    assert_eq!((first.fan_ratio, second.temperature_celsius), (None, None), "not supported is absent");
    assert_eq!(first.memory_used_bytes, None, "a function that the library lacks is absent");
    // The stub drops a GPU at its hundredth call and fails altogether at its two-hundredth.
    let left =
        (0..300).map(|tick| source.read(32_000 + tick)).find(|answer| !matches!(answer, Ok(gpus) if gpus.len() == 2));
    assert_eq!(left.unwrap().unwrap().len(), 1, "one of two fell off the bus");
    let failed = (0..300).map(|tick| source.read(33_000 + tick)).find_map(Result::err);
    assert!(matches!(failed, Some(GpuError::Failed(text)) if text.contains("count of GPUs")));
    assert!(source.read(33_300).is_err(), "it is not asked again at once");
}

/// Builds NVML's C interface, as far as the test needs it.
fn build_stub(library: &Path) -> bool {
    let code = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/nvml_stub.c");
    let built = Command::new("cc").args(["-shared", "-fPIC", "-o"]).arg(library).arg(code).status();
    built.is_ok_and(|status| status.success())
}
