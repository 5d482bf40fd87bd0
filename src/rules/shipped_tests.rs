use std::collections::BTreeSet;

use super::{RuleFile, RuleSpec, SHIPPED, duplicate_rules};

const RUNBOOK: &str = include_str!("../../docs/runbook.md");

fn shipped() -> Vec<RuleFile> {
    SHIPPED
        .iter()
        .map(|file| RuleFile::parse(file.name, file.text).unwrap_or_else(|errors| panic!("{errors}")))
        .collect()
}

fn alerts(files: &[RuleFile]) -> impl Iterator<Item = &RuleSpec> {
    let rules = files.iter().flat_map(|file| &file.groups).flat_map(|group| &group.rules);
    rules.map(|rule| &**rule).filter(|rule| rule.alert().is_some())
}

#[test]
fn every_file_of_the_folder_is_shipped() {
    let folder = std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/rules")).expect("the folder");
    let names: BTreeSet<String> =
        folder.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    let shipped: BTreeSet<String> = SHIPPED.iter().map(|file| file.name.to_owned()).collect();
    assert_eq!(names, shipped);
}

#[test]
fn alerts_say_what_a_person_needs() {
    let files = shipped();
    for rule in alerts(&files) {
        let (name, alert) = (&rule.name, rule.alert().expect("an alert"));
        assert!(!alert.hold.is_zero(), "{name} has no for");
        assert!(matches!(rule.labels.get("severity"), "critical" | "warning" | "info"), "{name}: severity");
        assert!(!rule.labels.get("category").is_empty(), "{name}: category");
        for annotation in ["summary", "description"] {
            assert!(!alert.annotations.get(annotation).is_empty(), "{name}: {annotation}");
        }
        let anchor = format!("docs/runbook.md#{}", name.to_lowercase());
        assert_eq!(alert.annotations.get("runbook_url"), anchor, "{name}");
    }
    assert!(files.iter().all(|file| duplicate_rules(file).is_empty() && file.warnings.is_empty()));
}

#[test]
fn the_runbook_has_a_section_for_each_alert_and_no_other() {
    let files = shipped();
    let names: BTreeSet<&str> = alerts(&files).map(|rule| rule.name.as_str()).collect();
    let sections: BTreeSet<&str> = RUNBOOK.lines().filter_map(|line| line.strip_prefix("### ")).collect();
    assert_eq!(sections, names);
    for section in RUNBOOK.split("\n### ").skip(1) {
        let title = section.lines().next().unwrap_or_default();
        for word in ["**Means:**", "**Check:**", "**Do:**"] {
            assert!(section.contains(word), "{title} lacks {word}");
        }
    }
    let links = RUNBOOK.split("](#").skip(1).filter_map(|rest| rest.split(')').next());
    for link in links {
        assert!(sections.iter().any(|section| section.to_lowercase() == link), "no section for #{link}");
    }
}
