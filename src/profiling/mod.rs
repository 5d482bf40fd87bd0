//! CPU, heap and task profiles: one at a time, bounded.
