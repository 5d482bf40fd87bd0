//! Bounds of exponential buckets, bit by bit those of Prometheus.
//!
//! Source: `getBound` and its table in Prometheus' `model/histogram/generic.go`. The table is not rounded correctly everywhere; it is what one gets
//! by going from each bound of a schema to the one between it and the next, times the growth factor of the finer schema.

use std::sync::LazyLock;

/// Growth factors 2^(2^-schema) for schemas 1 to 8. The first is one step below √2, as in the table.
#[expect(clippy::approx_constant, reason = "it is not the constant, but one step below it")]
const FACTORS: [f64; FINEST] = [
    1.414_213_562_373_095,
    1.189_207_115_002_721,
    1.090_507_732_665_257_7,
    1.044_273_782_427_413_8,
    1.021_897_148_654_116_6,
    1.010_889_286_051_700_5,
    1.005_429_901_112_802_7,
    1.002_711_275_050_202_5,
];
const FINEST: usize = 8;

/// From 0.5 to 1 in the steps of the finest schema; coarser ones take every second, fourth, … of them.
static FRACTIONS: LazyLock<[f64; 1 << FINEST]> = LazyLock::new(|| {
    let mut all = [0.5; 1 << FINEST];
    for (schema, factor) in FACTORS.iter().enumerate() {
        let step = (1 << FINEST) >> (schema + 1);
        for at in (step..all.len()).step_by(2 * step) {
            all[at] = all[at - step] * factor;
        }
    }
    all
});

/// Upper bound of the positive exponential bucket `index`: 2^(index × 2^-schema). The bucket that reaches to the end of the numbers ends at the largest
/// one; those beyond are infinite.
pub fn exponential_bound(index: i64, schema: i32) -> f64 {
    let shift = match u32::try_from(schema) {
        Err(_) => return power(index.clamp(-4096, 4096) << schema.unsigned_abs().min(16)),
        Ok(0) => return power(index),
        Ok(shift @ 1..=8) => shift,
        Ok(_) => return (index as f64 * f64::from(-schema).exp2()).exp2(),
    };
    let part = (index & ((1 << shift) - 1)) << (FINEST as u32 - shift);
    let fraction = usize::try_from(part).ok().and_then(|part| FRACTIONS.get(part)).copied().unwrap_or(0.5);
    let exponent = index >> shift;
    if part == 0 { power(exponent) } else { 2.0 * fraction * exp2(exponent) }
}

fn power(exponent: i64) -> f64 {
    if exponent == 1024 { f64::MAX } else { exp2(exponent) }
}

fn exp2(exponent: i64) -> f64 {
    f64::from(exponent.clamp(-4096, 4096) as i32).exp2()
}

#[cfg(test)]
mod tests {
    use super::exponential_bound;

    #[test]
    #[expect(clippy::approx_constant, reason = "bounds as the table has them, one step beside the constant")]
    fn bounds_are_those_of_prometheus() {
        // Read from the API of Prometheus.
        let cases = [
            (0, 0, 1.0),
            (3, 0, 8.0),
            (-2, 0, 0.25),
            (1024, 0, f64::MAX),
            (1025, 0, f64::INFINITY),
            (1, -1, 4.0),
            (2, -4, 4_294_967_296.0),
            (-1, -4, 1.0 / 65_536.0),
            (-1, 1, 0.707_106_781_186_547_5),
            (1, 1, 1.414_213_562_373_095),
            (3, 1, 2.828_427_124_746_19),
            (-3, 2, 0.594_603_557_501_360_5),
            (-1, 2, 0.840_896_415_253_714_4),
            (-1, 3, 0.917_004_043_204_671_1),
            (-1, 8, 0.997_296_056_085_469_8),
            (-2, 8, 0.994_599_423_483_632_8),
            (255, 8, 1.994_592_112_170_939_6),
            (2048, 1, f64::MAX),
            (2049, 1, f64::INFINITY),
            (i64::MAX, 8, f64::INFINITY),
            (i64::MIN, -4, 0.0),
            (i64::MAX, -4, f64::INFINITY),
        ];
        for (index, schema, expected) in cases {
            assert_eq!(exponential_bound(index, schema).to_bits(), f64::to_bits(expected), "{index} {schema}");
        }
        for schema in -4..=8 {
            let bounds: Vec<f64> = (-600..600).map(|index| exponential_bound(index, schema)).collect();
            assert!(
                bounds.windows(2).all(|pair| pair[0] < pair[1] || pair[0] == 0.0 || pair[0] >= f64::MAX),
                "{schema}"
            );
        }
    }
}
