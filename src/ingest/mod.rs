//! What is pushed to watchfire: metric events.
