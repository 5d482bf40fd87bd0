//! What means something else in the language's third version: each entry says why, and must still differ.

use super::ask::{Client, Said};
use super::data::BASE;
use crate::support::encode;

/// An instant query that the two answer differently, by design.
pub(super) struct Exception {
    pub(super) expression: &'static str,
    /// Milliseconds since the base.
    pub(super) at: i64,
    /// The answers, as [`Said::line`] writes them.
    pub(super) theirs: &'static str,
    pub(super) ours: &'static str,
    pub(super) reason: &'static str,
}

impl Exception {
    /// What is not as the entry says.
    pub(super) fn check(&self, theirs: &mut Client, ours: &mut Client) -> Option<String> {
        let time = format!("{}.{:03}", BASE + self.at / 1000, self.at % 1000);
        let path = format!("query?query={}&time={time}", encode(self.expression));
        let (their, own) = (theirs.ask(&path).line(), ours.ask(&path).line());
        let right = their == self.theirs && own == self.ours && their != own;
        (!right).then(|| format!("exception {} ({}): {their} / {own}", self.expression, self.reason))
    }
}

/// Single expressions.
pub(super) const EXCEPTIONS: &[Exception] = &[];

/// A whole class of expressions whose answers become alike when theirs are changed in one place.
pub(super) struct Adjusted {
    pub(super) applies: fn(&str) -> bool,
    pub(super) change: fn(&mut Said),
    pub(super) reason: &'static str,
}

/// Classes of expressions.
pub(super) const ADJUSTED: [Adjusted; 1] = [Adjusted {
    applies: |expression| expression.contains("atan2"),
    change: |said| {
        if let Said::Result { series, .. } = said {
            series.iter_mut().for_each(|(labels, _)| drop(labels.remove("__name__")));
        }
    },
    reason: "atan2 kept the metric's name in version 2",
}];

/// Changes their answer by the first rule that applies, and says which.
pub(super) fn adjust(expression: &str, theirs: &mut Said) -> Option<usize> {
    let rule = ADJUSTED.iter().position(|rule| (rule.applies)(expression))?;
    (ADJUSTED[rule].change)(theirs);
    Some(rule)
}
