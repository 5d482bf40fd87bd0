//! What the runtimes and threads of this process are doing.

use std::fmt::Write as _;

use tokio::runtime::Handle;

/// A runtime with the name under which it is reported.
#[derive(Debug, Clone)]
pub struct RuntimeHandle {
    /// For example `http`.
    pub name: &'static str,
    /// Its handle.
    pub handle: Handle,
}

/// Runtime figures and threads as text.
///
/// tokio names its tasks only in builds with `tokio_unstable`; in others it gives counts and busy times.
pub fn tasks_text(runtimes: &[RuntimeHandle]) -> String {
    let mut out = String::new();
    for runtime in runtimes {
        let metrics = runtime.handle.metrics();
        let _ = writeln!(
            out,
            "runtime {}: {} tasks alive, {} workers, {} waiting in the global queue",
            runtime.name,
            metrics.num_alive_tasks(),
            metrics.num_workers(),
            metrics.global_queue_depth()
        );
        #[cfg(target_has_atomic = "64")]
        for worker in 0..metrics.num_workers() {
            let _ = writeln!(
                out,
                "  worker {worker}: busy {:.3} s, parked {} times",
                metrics.worker_total_busy_duration(worker).as_secs_f64(),
                metrics.worker_park_count(worker)
            );
        }
    }
    threads_into(&mut out);
    out
}

/// Name, state and CPU ticks of each thread, from `/proc/self/task`; nothing where there is no such folder.
fn threads_into(out: &mut String) {
    let Ok(folder) = std::fs::read_dir("/proc/self/task") else { return };
    let mut threads: Vec<(u64, String)> = folder
        .flatten()
        .filter_map(|entry| {
            let id = entry.file_name().to_str()?.parse().ok()?;
            let stat = std::fs::read_to_string(entry.path().join("stat")).ok()?;
            Some((id, describe_thread(&stat)?))
        })
        .collect();
    threads.sort_unstable();
    let _ = writeln!(out, "threads: {}", threads.len());
    for (id, text) in threads {
        let _ = writeln!(out, "  {id} {text}");
    }
}

/// Fields of proc(5): the name in parentheses, then state (3), utime (14) and stime (15).
fn describe_thread(stat: &str) -> Option<String> {
    let (head, rest) = stat.rsplit_once(')')?;
    let name = head.split_once('(')?.1;
    let fields: Vec<&str> = rest.split_whitespace().collect();
    Some(format!("{name}: state {}, user {} ticks, system {} ticks", fields.first()?, fields.get(11)?, fields.get(12)?))
}

#[cfg(test)]
mod tests {
    use super::{RuntimeHandle, describe_thread, tasks_text};

    #[test]
    fn reads_a_thread_with_a_strange_name() {
        let stat = "12 (a (b) c) S 1 2 3 4 5 6 7 8 9 10 77 33 0";
        assert_eq!(describe_thread(stat).as_deref(), Some("a (b) c: state S, user 77 ticks, system 33 ticks"));
        assert_eq!(describe_thread("12"), None);
    }

    #[tokio::test]
    async fn counts_tasks() {
        let handle = tokio::runtime::Handle::current();
        let text = tasks_text(&[RuntimeHandle { name: "test", handle }]);
        assert!(text.starts_with("runtime test: "), "{text}");
    }
}
