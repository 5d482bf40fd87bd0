//! Rule files, groups, recording and alerting, as Prometheus does it.
