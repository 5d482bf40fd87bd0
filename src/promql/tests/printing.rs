//! print∘parse is the identity, on one line and laid out over several.

use crate::promql::parser::{Expr, parse, pretty};

use super::generate::{Generator, Style, Type};
use super::signatures;

const CASES: u64 = 20_000;

/// NaN is equal to itself here.
fn same(a: &Expr, b: &Expr) -> bool {
    a == b || format!("{a:?}") == format!("{b:?}")
}

#[test]
fn what_is_printed_means_the_same() {
    let functions = signatures();
    for seed in 0..CASES {
        let mut generator = Generator::new(seed, Style::Wild, &functions);
        let kind = generator.random.pick(&[Type::Vector, Type::Vector, Type::Vector, Type::Scalar, Type::Matrix]);
        let depth = generator.random.below(5);
        let text = generator.expression(kind, depth);
        let read = |text: &str| parse(text).unwrap_or_else(|error| panic!("seed {seed}: {error}\n{text}"));
        let expr = read(&text);
        let (printed, laid_out) = (expr.to_string(), pretty(&expr));
        let expr = expr.strip_positions();
        for again in [&printed, &laid_out] {
            let reread = read(again);
            assert_eq!(reread.to_string(), printed, "seed {seed}: printing changes {text}");
            assert_eq!(pretty(&reread), laid_out, "seed {seed}: the layout of {text} changes");
            let reread = reread.strip_positions();
            assert!(same(&reread, &expr), "seed {seed}: {text}\nprinted {again}\nwas {expr:?}\nis  {reread:?}");
        }
    }
}
