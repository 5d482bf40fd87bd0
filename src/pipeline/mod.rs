//! Batch → registry, storage and live: the one place of backpressure.
