//! Go text/template as rules and notifications use it.
