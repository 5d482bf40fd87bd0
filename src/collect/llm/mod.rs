//! Model servers: their metrics under common names.
