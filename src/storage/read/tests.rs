//! Selections against the ring as it was before.
