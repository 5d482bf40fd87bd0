//! Which rules of a group read what earlier ones write.

use crate::model::METRIC_NAME;
use crate::promql::WrittenNames;
use crate::promql::parser::{Expr, FunctionId, VectorSelector};

use super::alerting::{ALERTS, ALERTS_FOR_STATE};
use super::spec::{GroupSpec, RuleSpec};

/// For each rule of the group: whether it can read a series that an earlier rule of the group writes.
pub(super) fn reads_earlier(group: &GroupSpec) -> Vec<bool> {
    let mut written: Vec<&str> = Vec::new();
    let mut reads = Vec::with_capacity(group.rules.len());
    for rule in &group.rules {
        let may_query = rule.alert().is_some_and(|alert| {
            let mut texts = alert.label_texts.iter().chain(&alert.annotation_texts);
            texts.any(|(_, text)| text.may_query())
        });
        reads.push(!written.is_empty() && (may_query || reads_any(&rule.expr, &written)));
        written.extend(outputs(rule));
    }
    reads
}

/// Whether two rules of the group write to series of the same name.
pub(super) fn share_outputs(group: &GroupSpec) -> bool {
    let mut names: Vec<(&str, bool)> = group.rules.iter().map(|r| (r.name.as_str(), r.alert().is_some())).collect();
    names.sort_unstable();
    names.windows(2).any(|pair| pair[0] == pair[1])
        || names.iter().any(|(name, alert)| !alert && matches!(*name, ALERTS | ALERTS_FOR_STATE))
}

/// Names of the series that the group's recording rules write.
pub(super) fn recorded_names(group: &GroupSpec) -> WrittenNames {
    let mut names = WrittenNames::new();
    group.rules.iter().filter(|rule| rule.alert().is_none()).for_each(|rule| names.insert(&rule.name));
    names
}

fn outputs(rule: &RuleSpec) -> Vec<&str> {
    match rule.alert() {
        Some(_) => vec![ALERTS, ALERTS_FOR_STATE],
        None => vec![&rule.name],
    }
}

fn reads_any(expr: &Expr, names: &[&str]) -> bool {
    let selects = |selector: &VectorSelector| names.iter().any(|name| can_select(selector, name));
    expr.walk().any(|node| match node {
        // `info` also reads series that its arguments do not name.
        Expr::Call(call) => call.func.id == FunctionId::Info,
        Expr::Vector(selector) => selects(selector),
        Expr::Matrix(matrix) => selects(&matrix.selector),
        _ => false,
    })
}

fn can_select(selector: &VectorSelector, name: &str) -> bool {
    selector.matchers.iter().filter(|matcher| matcher.name == METRIC_NAME).all(|matcher| matcher.matches(name))
}

#[cfg(test)]
mod tests {
    use super::{reads_earlier, share_outputs};
    use crate::rules::RuleFile;

    #[test]
    fn finds_readers_of_earlier_rules() {
        let rules: &[(&str, bool)] = &[
            ("{record: a, expr: b + x}", false),
            ("{record: b, expr: sum(a) by (l)}", true),
            ("{record: c, expr: x}", false),
            ("{record: d, expr: 'rate({__name__=~\"a|z\"}[5m])'}", true),
            ("{record: e, expr: 'max_over_time((x + c)[5m:1m])'}", true),
            ("{record: f, expr: '{job=\"x\"}'}", true),
            ("{alert: A, expr: x > 1}", false),
            ("{alert: B, expr: 'ALERTS{alertname=\"A\"}'}", true),
            ("{record: g, expr: 'topk(scalar(b), x)'}", true),
            ("{record: h, expr: 'info(x)'}", true),
        ];
        let list: String = rules.iter().map(|(rule, _)| format!("  - {rule}\n")).collect();
        let file = RuleFile::parse("r.yml", &format!("groups:\n- name: g\n  rules:\n{list}")).expect("good");
        let expected: Vec<bool> = rules.iter().map(|(_, reads)| *reads).collect();
        assert_eq!(reads_earlier(&file.groups[0]), expected);
        assert!(!share_outputs(&file.groups[0]));
    }
}
