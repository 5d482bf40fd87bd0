//! One profile at a time: whoever holds the [`Turn`] may profile.

use std::fmt;
use std::sync::Arc;

use parking_lot::Mutex;

use super::ProfileError;
use crate::clock::Stopwatch;

/// The profiles that exclude each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// CPU samples, as protobuf or as a flame graph.
    Cpu,
    /// Heap in use, or allocated so far.
    Heap,
    /// Spans over time.
    Trace,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Cpu => "CPU",
            Self::Heap => "heap",
            Self::Trace => "trace",
        })
    }
}

#[derive(Debug, Clone, Default)]
pub(super) struct Gate(Arc<Mutex<Option<(Kind, Stopwatch)>>>);

/// The right to profile; given back when dropped, also when the client goes away in the middle.
#[derive(Debug)]
pub struct Turn(Gate);

impl Gate {
    pub(super) fn enter(&self, kind: Kind) -> Result<Turn, ProfileError> {
        let mut running = self.0.lock();
        match *running {
            Some((running, since)) => Err(ProfileError::Busy { running, since_s: since.elapsed().as_secs() }),
            None => {
                *running = Some((kind, Stopwatch::start()));
                Ok(Turn(self.clone()))
            }
        }
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        *self.0.0.lock() = None;
    }
}
