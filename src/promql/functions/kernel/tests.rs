//! Kernels against the plain definitions, window by window.

use super::{Room, Shape, is_growing};
use crate::model::{Labels, Timestamp, absent, is_absent};
use crate::promql::annotate::Notes;
use crate::promql::eval::Samples;
use crate::promql::functions::{Produced, WindowInput, window_fn};
use crate::promql::parser::{FunctionId as F, Pos, RangeMode};

const FUNCTIONS: [F; 21] = [
    F::Rate,
    F::Increase,
    F::Delta,
    F::Irate,
    F::Idelta,
    F::Changes,
    F::Resets,
    F::SumOverTime,
    F::AvgOverTime,
    F::StddevOverTime,
    F::StdvarOverTime,
    F::MinOverTime,
    F::MaxOverTime,
    F::CountOverTime,
    F::PresentOverTime,
    F::FirstOverTime,
    F::LastOverTime,
    F::TsOfFirstOverTime,
    F::TsOfLastOverTime,
    F::QuantileOverTime,
    F::PredictLinear,
];

/// Rows of 200 samples, each kind for another way through a kernel.
fn rows() -> Vec<(&'static str, Vec<f64>)> {
    let noise = |i: u32| f64::from(i.wrapping_mul(2_654_435_761) >> 16) / 655.36;
    let row = |value: &dyn Fn(u32) -> f64| (0..200).map(value).collect::<Vec<f64>>();
    vec![
        ("growing", row(&|i| f64::from(i * i) * 0.1)),
        ("from zero", row(&|i| f64::from(i.saturating_sub(150)))),
        ("constant", row(&|_| 3.25)),
        ("few falls", row(&|i| f64::from(i % 71) * 1.7)),
        ("a gauge", row(&|i| noise(i) - 20.0)),
        ("far apart", row(&|i| noise(i) * 10_f64.powi((i % 30) as i32))),
        ("huge", row(&|i| if i % 9 == 0 { f64::MAX } else { noise(i) })),
        ("with NaN", row(&|i| if i % 13 == 0 { f64::NAN } else { noise(i) })),
        ("with infinity", row(&|i| if i == 77 { f64::INFINITY } else { noise(i) })),
    ]
}

fn plain(shape: &Shape<'_>, times: &[Timestamp], values: &[f64], step: usize) -> f64 {
    let (end, start) = (shape.ends[step], shape.ends[step] - shape.range);
    let within = times.partition_point(|ts| *ts <= start)..times.partition_point(|ts| *ts <= end);
    if within.is_empty() {
        return absent();
    }
    let labels = Labels::empty();
    let input = WindowInput {
        samples: Samples { times: &times[within.clone()], values: &values[within], ..Samples::EMPTY },
        start,
        end,
        ts: shape.steps[step],
        range: shape.range,
        mode: RangeMode::Plain,
        args: [shape.arg.map_or(f64::NAN, |arg| arg[step]), f64::NAN],
        labels: &labels,
        pos: Pos::default(),
        first_arg: Pos::default(),
    };
    let apply = window_fn(shape.func).expect("has a plain definition");
    match apply(&input, &mut Notes::default()).expect("floats only") {
        Produced::Float(value) => value,
        _ => absent(),
    }
}

#[test]
fn kernels_are_what_the_functions_say() {
    let times: Vec<Timestamp> = (0..200).map(|i| 1_000 + i * 5_000 + (i % 7) * 300).collect();
    let mut room = Room::new(&|| false);
    for func in FUNCTIONS {
        // Windows that overlap, one alone, and some with gaps between them.
        for (range, every, count) in
            [(60_000, 7_000, 150), (300_000, 10_000, 100), (400_000, 1, 1), (20_000, 50_000, 21)]
        {
            let ends: Vec<Timestamp> =
                (0..count).map(|i| 20_000 + i * every + i64::from(count == 1) * 700_000).collect();
            let arg = vec![0.3; ends.len()];
            let shape = Shape { func, steps: ends.iter().map(|ts| ts + 10).collect(), ends, range, arg: Some(&arg) };
            assert!(shape.has_kernel());
            let kernel = shape.kernel(&times, &|| false).expect("has a kernel");
            for (name, values) in rows() {
                let mut found = vec![absent(); shape.ends.len()];
                kernel.row(&values, &mut room, &mut found);
                let mut quick = found.clone();
                if is_growing(&values) {
                    kernel.growing(&values, &mut room, &mut quick);
                }
                for (step, (found, quick)) in found.iter().zip(&quick).enumerate() {
                    let expected = plain(&shape, &times, &values, step);
                    let scale = expected.abs().max(if func == F::PredictLinear { 1e2 } else { 0.0 });
                    let same = |found: f64| {
                        is_absent(found) == is_absent(expected)
                            && (found.to_bits() == expected.to_bits()
                                || (found.is_nan() && expected.is_nan())
                                || (found - expected).abs() <= 1e-12 * scale)
                    };
                    assert!(same(*found) && same(*quick), "{func:?} {name} {range} step {step}: {found} {expected}");
                }
            }
        }
    }
}

#[test]
fn rows_that_look_at_each_window_can_be_stopped() {
    let times: Vec<Timestamp> = (0..4_000).map(|i| i * 1_000).collect();
    let ends: Vec<Timestamp> = times.clone();
    let arg = vec![0.5; ends.len()];
    let values: Vec<f64> = times.iter().map(|ts| if *ts == 0 { f64::INFINITY } else { (ts % 7_919) as f64 }).collect();
    for func in [F::Deriv, F::PredictLinear, F::QuantileOverTime, F::SumOverTime, F::StdvarOverTime] {
        let shape =
            Shape { func, steps: ends.clone(), ends: ends.clone(), range: 4_000_000, arg: Some(arg.as_slice()) };
        let looks = std::cell::Cell::new(0);
        let is_over = || looks.replace(looks.get() + 1) == 2;
        let kernel = shape.kernel(&times, &|| false).expect("has a kernel");
        let mut found = vec![absent(); ends.len()];
        kernel.row(&values, &mut Room::new(&is_over), &mut found);
        assert_eq!(looks.get(), 3, "{func:?}");
        assert!(!is_absent(found[2_000]) && is_absent(found[3_999]), "{func:?}");
    }
}
