use super::*;

const MIN: i64 = 60_000;

fn found(names: &str) -> Vec<Found> {
    let alert = |name: &str| Found {
        labels: Labels::from_pairs(&[("alertname", "T"), ("l", name)]),
        annotations: Annotations::Ready(Labels::empty()),
        value: 1.0,
    };
    names.split_whitespace().map(alert).collect()
}

/// All alerts with the first letter of their state, resolved ones included.
fn states(states: &AlertStates) -> String {
    let mut list: Vec<String> = states
        .alerts
        .values()
        .map(|tracked| format!("{}:{}", tracked.alert.labels.get("l"), &tracked.alert.state.to_string()[..1]))
        .collect();
    list.sort();
    list.join(" ")
}

/// What is sent: `a!` as firing, `a.` as resolved.
fn sent(alerts: &[Alert]) -> String {
    let word = |alert: &Alert| format!("{}{}", alert.labels.get("l"), if alert.resolved_at == 0 { '!' } else { '.' });
    alerts.iter().map(word).collect::<Vec<_>>().join(" ")
}

/// (name of the case, timing, [(minute, results, states after, sent)])
type Case<'a> = (&'a str, AlertTiming, &'a [(i64, &'a str, &'a str, &'a str)]);

#[test]
fn lives_of_alerts() {
    let timing =
        |hold: i64, keep: i64, limit: usize| AlertTiming { hold_ms: hold * MIN, keep_firing_ms: keep * MIN, limit };
    let cases: &[Case<'_>] = &[
        (
            "pending, firing, resolved, forgotten after 15 minutes",
            timing(2, 0, 0),
            &[
                (0, "", "", ""),
                (1, "a", "a:p", ""),
                (2, "a", "a:p", ""),
                (3, "a", "a:f", "a!"),
                // The resend delay of one minute has not passed by a strict comparison.
                (4, "a", "a:f", ""),
                (5, "a", "a:f", "a!"),
                (6, "", "a:i", "a."),
                (8, "", "a:i", "a."),
                (21, "", "a:i", "a."),
                (22, "", "", ""),
            ],
        ),
        (
            "pending alerts that end are forgotten",
            timing(5, 0, 0),
            &[(1, "a", "a:p", ""), (2, "", "", ""), (3, "a", "a:p", ""), (7, "a", "a:p", ""), (8, "a", "a:f", "a!")],
        ),
        (
            "zero for fires at once",
            timing(0, 0, 0),
            &[(1, "a b", "a:f b:f", "a! b!"), (2, "b", "a:i b:f", "a."), (3, "a b", "a:f b:f", "a! b!")],
        ),
        (
            "keep_firing_for bridges gaps",
            timing(0, 3, 0),
            &[
                (1, "a", "a:f", "a!"),
                (2, "", "a:f", ""),
                (4, "", "a:f", "a!"),
                // Back in time: the three minutes begin anew.
                (5, "a", "a:f", ""),
                (6, "", "a:f", "a!"),
                (8, "", "a:f", "a!"),
                (9, "", "a:i", "a."),
            ],
        ),
        ("keep_firing_for does not hold pending alerts", timing(2, 5, 0), &[(1, "a", "a:p", ""), (2, "", "", "")]),
        (
            "a resolved alert that comes back is a new one",
            timing(1, 0, 0),
            &[
                (1, "a", "a:p", ""),
                (2, "a", "a:f", "a!"),
                (3, "", "a:i", "a."),
                (4, "a", "a:p", ""),
                (5, "a", "a:f", "a!"),
            ],
        ),
        (
            "resolved alerts do not count for the limit",
            timing(0, 0, 2),
            &[(1, "a b", "a:f b:f", "a! b!"), (2, "", "a:i b:i", "a. b."), (3, "c d", "a:i b:i c:f d:f", "c! d!")],
        ),
    ];
    for (name, timing, steps) in cases {
        let mut rule = AlertStates::default();
        for (minute, results, expected, expected_sent) in *steps {
            rule.step(minute * MIN, found(results), timing).expect("no duplicates, no limit");
            assert_eq!(states(&rule), *expected, "{name}, minute {minute}");
            let due = rule.take_due(minute * MIN, MIN, 15_000);
            assert_eq!(sent(&due), *expected_sent, "{name}, sent in minute {minute}");
            assert!(due.iter().all(|alert| alert.valid_until == (minute + 4) * MIN));
        }
    }
}

#[test]
fn errors_and_what_they_leave() {
    let timing = AlertTiming { limit: 1, ..AlertTiming::default() };
    let mut rule = AlertStates::default();
    rule.step(MIN, found("a"), &timing).expect("one alert");
    assert_eq!(rule.step(2 * MIN, found("b b"), &timing), Err(StepError::Duplicate));
    assert_eq!(states(&rule), "a:f", "a duplicate changes nothing");
    let error = rule.step(3 * MIN, found("a b"), &timing).expect_err("over the limit");
    assert_eq!(error.to_string(), "exceeded limit of 1 with 2 alerts");
    assert!(rule.is_empty(), "the limit drops everything");
}

#[test]
fn series_of_alerts() {
    let timing = AlertTiming { hold_ms: MIN, ..AlertTiming::default() };
    let mut rule = AlertStates::default();
    let printed = |rule: &AlertStates| {
        let mut list: Vec<String> = rule.samples().map(|(labels, value)| format!("{labels} {value}")).collect();
        list.sort();
        list
    };
    rule.step(90_500, found("a"), &timing).expect("fine");
    assert_eq!(
        printed(&rule),
        [r#"ALERTS_FOR_STATE{alertname="T", l="a"} 90"#, r#"ALERTS{alertname="T", alertstate="pending", l="a"} 1"#]
    );
    rule.step(150_500, found("a"), &timing).expect("fine");
    assert!(printed(&rule)[1].contains(r#"alertstate="firing""#));
    assert_eq!((rule.active()[0].active_at, rule.active()[0].fired_at), (90_500, 150_500));
    rule.step(160_500, found(""), &timing).expect("fine");
    assert!(printed(&rule).is_empty() && rule.active().is_empty() && rule.state() == AlertState::Inactive);
}
