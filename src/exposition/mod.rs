//! OpenMetrics 1.0 and text 0.0.4: encoders, content negotiation, a tolerant parser.
