//! `rules`, `alerts`, `alertmanagers`.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;

use crate::http::edge::Edge;
use crate::http::envelope::{Notes, success};
use crate::http::error::{ApiError, ErrorKind};
use crate::http::json::Json;
use crate::http::params::Params;
use crate::http::times::rfc3339;
use crate::model::{Alert, AlertState, Matcher};
use crate::promql::parser::parse_selector;
use crate::rules::{AlertSpec, GroupView, RuleView};

/// Which rules are wanted.
struct Filter<'a> {
    recording: bool,
    alerting: bool,
    names: Vec<&'a str>,
    groups: Vec<&'a str>,
    files: Vec<&'a str>,
    selectors: Vec<Vec<Matcher>>,
}

impl<'a> Filter<'a> {
    fn read(params: &'a Params) -> Result<Self, ApiError> {
        let kind = params.get("type").map(str::to_ascii_lowercase);
        let (recording, alerting) = match kind.as_deref() {
            None => (true, true),
            Some("alert") => (false, true),
            Some("record") => (true, false),
            Some(other) => {
                return Err(ApiError::parameter(
                    "type",
                    format!("not supported value {other:?}: expected alert or record"),
                ));
            }
        };
        let selector = |text| parse_selector(text).map_err(|error| ApiError::parameter("match[]", error));
        Ok(Self {
            recording,
            alerting,
            names: params.all("rule_name[]").collect(),
            groups: params.all("rule_group[]").collect(),
            files: params.all("file[]").collect(),
            selectors: params.all("match[]").map(selector).collect::<Result<_, _>>()?,
        })
    }

    fn wants_group(&self, group: &GroupView) -> bool {
        let within = |list: &[&str], item: &str| list.is_empty() || list.contains(&item);
        within(&self.groups, &group.spec.name) && within(&self.files, &group.spec.file)
    }

    fn wants(&self, rule: &RuleView) -> bool {
        let kind = if rule.spec.alert().is_some() { self.alerting } else { self.recording };
        let named = self.names.is_empty() || self.names.contains(&rule.spec.name.as_str());
        let selected = |matchers: &Vec<Matcher>| {
            matchers.iter().all(|matcher| matcher.matches(rule.spec.labels.get(&matcher.name)))
        };
        kind && named && (self.selectors.is_empty() || self.selectors.iter().any(selected))
    }
}

/// The rules by group, filtered and paged.
pub(in crate::http) async fn rules(State(edge): State<Arc<Edge>>, params: Params) -> Result<Response, ApiError> {
    let filter = Filter::read(&params)?;
    let with_alerts = !params.flag("exclude_alerts")?;
    let limit = params.count("group_limit")?;
    let from = params.get("group_next_token");
    if from.is_some() && limit.is_none() {
        return Err(ApiError::parameter(
            "group_limit",
            "group_limit needs to be set in order to paginate over the groups",
        ));
    }
    let mut groups = edge.rules.groups();
    for group in &mut groups {
        group.rules.retain(|rule| filter.wants(rule));
    }
    groups.retain(|group| filter.wants_group(group) && !group.rules.is_empty());
    let (groups, next) = page(groups, limit, from)?;
    Ok(success(&Notes::default(), |json| {
        json.raw("{\"groups\":[");
        for (i, group) in groups.iter().enumerate() {
            json.raw(if i > 0 { "," } else { "" });
            write_group(json, group, with_alerts);
        }
        json.raw("]");
        if let Some(token) = &next {
            json.raw(",\"groupNextToken\":").text(token);
        }
        json.raw("}");
    }))
}

/// The token of a group: where the next page begins.
fn token(group: &GroupView) -> String {
    format!("{};{}", group.spec.file, group.spec.name)
}

fn page(
    mut groups: Vec<GroupView>,
    limit: Option<usize>,
    from: Option<&str>,
) -> Result<(Vec<GroupView>, Option<String>), ApiError> {
    if let Some(from) = from {
        let message = "invalid group_next_token. Were rule groups changed?";
        let start = groups.iter().position(|group| token(group) == from);
        groups.drain(..start.ok_or_else(|| ApiError::new(ErrorKind::BadData, message))?);
    }
    let next = limit.and_then(|limit| groups.get(limit)).map(token);
    groups.truncate(limit.unwrap_or(usize::MAX));
    Ok((groups, next))
}

fn write_group(json: &mut Json, group: &GroupView, with_alerts: bool) {
    json.raw("{\"name\":").text(&group.spec.name).raw(",\"file\":").text(&group.spec.file).raw(",\"rules\":[");
    for (i, rule) in group.rules.iter().enumerate() {
        json.raw(if i > 0 { "," } else { "" });
        write_rule(json, rule, with_alerts);
    }
    json.raw("],\"interval\":").float(group.interval.as_secs_f64());
    json.raw(",\"limit\":").number(group.spec.limit);
    json.raw(",\"evaluationTime\":").float(group.evaluation_time.as_secs_f64());
    json.raw(",\"lastEvaluation\":").text(&rfc3339(group.last_evaluation)).raw("}");
}

fn write_rule(json: &mut Json, rule: &RuleView, with_alerts: bool) {
    let spec = &rule.spec;
    json.raw("{\"name\":").text(&spec.name).raw(",\"query\":").text(&spec.query);
    json.raw(",\"labels\":").labels(&spec.labels);
    json.raw(",\"health\":").text(rule.health.as_str());
    if let Some(reason) = &rule.last_error {
        json.raw(",\"lastError\":").text(reason);
    }
    json.raw(",\"evaluationTime\":").float(rule.evaluation_time.as_secs_f64());
    json.raw(",\"lastEvaluation\":").text(&rfc3339(rule.last_evaluation));
    json.raw(",\"line\":").number(spec.mark.line);
    match spec.alert() {
        None => _ = json.raw(",\"type\":\"recording\""),
        Some(alert) => write_alerting(json, rule, alert, with_alerts),
    }
    json.raw("}");
}

fn write_alerting(json: &mut Json, rule: &RuleView, alert: &AlertSpec, with_alerts: bool) {
    let state = rule.state.unwrap_or(AlertState::Inactive);
    json.raw(",\"type\":\"alerting\",\"state\":").text(&state.to_string());
    json.raw(",\"duration\":").float(alert.hold.as_secs_f64());
    json.raw(",\"keepFiringFor\":").float(alert.keep_firing_for.as_secs_f64());
    json.raw(",\"annotations\":").labels(&alert.annotations).raw(",\"alerts\":");
    write_alerts(json, rule.alerts.iter().filter(|_| with_alerts));
}

fn write_alerts<'a>(json: &mut Json, alerts: impl IntoIterator<Item = &'a Alert>) {
    json.raw("[");
    for (i, alert) in alerts.into_iter().enumerate() {
        json.raw(if i > 0 { ",{\"labels\":" } else { "{\"labels\":" }).labels(&alert.labels);
        json.raw(",\"annotations\":").labels(&alert.annotations);
        json.raw(",\"state\":").text(&alert.state.to_string());
        json.raw(",\"activeAt\":").text(&rfc3339(alert.active_at));
        if alert.keep_firing_since > 0 {
            json.raw(",\"keepFiringSince\":").text(&rfc3339(alert.keep_firing_since));
        }
        // Go's 'e' format with all digits: 1e+00.
        json.raw(",\"value\":").text(&go_exponent(alert.value)).raw("}");
    }
    json.raw("]");
}

/// `strconv.FormatFloat(value, 'e', -1, 64)`, which Prometheus uses here.
fn go_exponent(value: f64) -> String {
    if !value.is_finite() {
        return crate::model::format_float(value);
    }
    let text = format!("{value:e}");
    let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    match exponent.strip_prefix('-') {
        Some(digits) => format!("{mantissa}e-{digits:0>2}"),
        None => format!("{mantissa}e+{exponent:0>2}"),
    }
}

/// Alerts that are pending or firing.
pub(in crate::http) async fn alerts(State(edge): State<Arc<Edge>>) -> Response {
    let groups = edge.rules.groups();
    let alerts = groups
        .iter()
        .flat_map(|group| &group.rules)
        .flat_map(|rule| &rule.alerts)
        .filter(|alert| alert.state != AlertState::Inactive);
    success(&Notes::default(), |json| {
        json.raw("{\"alerts\":");
        write_alerts(json, alerts);
        json.raw("}");
    })
}

/// Receivers of alerts: none in this version.
pub(in crate::http) async fn alertmanagers() -> Response {
    success(&Notes::default(), |json| {
        json.raw("{\"activeAlertmanagers\":[],\"droppedAlertmanagers\":[]}");
    })
}

#[cfg(test)]
mod tests {
    use super::go_exponent;

    #[test]
    fn alert_values_as_go_writes_them() {
        for (value, expected) in
            [(1.0, "1e+00"), (0.25, "2.5e-01"), (1234.5, "1.2345e+03"), (f64::NAN, "NaN"), (0.0, "0e+00")]
        {
            assert_eq!(go_exponent(value), expected);
        }
    }
}
