//! The rule file, its cases and its runbooks.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::expressions::Families;
use crate::prometheus::promtool;
use crate::{read, repository};

pub(crate) const FILE: &str = "deploy/prometheus/zoogate.rules.yaml";
const CASES: &str = "tests/prometheus/zoogate.test.yaml";
const CASES_OF_DAYS: &str = "tests/prometheus/days.test.yaml";
const RUNBOOKS: &str = "docs/runbooks.md";

fn yaml(path: &str) -> Value {
    serde_yaml::from_str(&read(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

fn list(value: &Value) -> &Vec<Value> {
    value.as_array().unwrap_or_else(|| panic!("no list: {value}"))
}

fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value[key].as_str().unwrap_or_else(|| panic!("no {key}: {value}"))
}

/// Every rule that has this key, `alert` or `record`.
fn rules(kind: &str) -> Vec<Value> {
    let file = yaml(FILE);
    let all = list(&file["groups"]).iter().flat_map(|group| list(&group["rules"]));
    let found: Vec<Value> = all.filter(|rule| rule.get(kind).is_some()).cloned().collect();
    assert!(!found.is_empty());
    found
}

fn alerts() -> Vec<String> {
    rules("alert").iter().map(|rule| text(rule, "alert").to_owned()).collect()
}

#[test]
fn prometheus_takes_the_rules() {
    let (content, said) = promtool(&["check", "rules"], &repository(FILE));
    assert!(content && said.contains("SUCCESS") && !said.contains("duplicate"), "{said}");
}

#[test]
fn each_alert_fires_when_its_cases_say_so_and_not_otherwise() {
    for cases in [CASES, CASES_OF_DAYS] {
        let (content, said) = promtool(&["test", "rules"], &repository(cases));
        assert!(content, "{said}");
    }
}

#[test]
fn each_alert_has_a_case_that_fires_and_one_that_stays_quiet() {
    let file = yaml(CASES);
    let (mut fires, mut quiet) = (BTreeSet::new(), BTreeSet::new());
    for case in list(&file["tests"]) {
        assert!(!list(&case["input_series"]).is_empty(), "{case}");
        let checks = list(&case["alert_rule_test"]);
        let name = text(&checks[0], "alertname").to_owned();
        assert!(checks.iter().all(|check| text(check, "alertname") == name), "one alert in a case: {case}");
        let any = checks.iter().any(|check| !list(&check["exp_alerts"]).is_empty());
        if any {
            fires.insert(name)
        } else {
            quiet.insert(name)
        };
    }
    let alerts: BTreeSet<String> = alerts().into_iter().collect();
    assert_eq!(fires, alerts, "in a case that fires");
    assert_eq!(quiet, alerts, "in a case that stays quiet");
}

#[test]
fn the_rules_name_only_metrics_labels_and_values_that_exist() {
    let families = Families::golden();
    let recorded = rules("record").iter().map(|rule| text(rule, "record").to_owned()).collect();
    for rule in rules("expr") {
        let faults = families.faults(text(&rule, "expr"), &recorded);
        assert!(faults.is_empty(), "{faults:?} in {rule}");
    }
}

#[test]
fn each_alert_says_how_urgent_it_is_and_where_its_runbook_is() {
    for rule in rules("alert") {
        let name = text(&rule, "alert");
        assert!(["critical", "warning"].contains(&text(&rule["labels"], "severity")), "{name}");
        let annotations = &rule["annotations"];
        assert!(text(annotations, "summary").ends_with('.') && !text(annotations, "summary").contains("{{"), "{name}");
        assert!(text(annotations, "description").contains("{{ "), "{name}: whose?");
        assert_eq!(text(annotations, "runbook_url"), format!("{RUNBOOKS}#{}", name.to_lowercase()));
    }
}

#[test]
fn each_alert_has_its_runbook_in_the_order_of_the_rules() {
    let page = read(RUNBOOKS);
    let sections: Vec<(&str, &str)> =
        page.split("\n## ").skip(1).filter_map(|section| section.split_once('\n')).collect();
    let sections = sections.iter().filter(|(heading, _)| heading.starts_with("Zoogate"));
    let mut explained = Vec::new();
    for (heading, section) in sections {
        explained.push((*heading).to_owned());
        let parts: Vec<&str> = section.split("\n**").skip(1).collect();
        let named: Vec<&str> = parts.iter().map(|part| part.split_once(".**").expect("a part has a name").0).collect();
        assert_eq!(named, ["Meaning", "Impact", "Diagnosis", "Mitigation"], "{heading}");
        assert!(parts.iter().all(|part| part.len() > 40), "{heading}: a part says nothing");
        assert!(parts[2].contains("```sh\n"), "{heading}: no command to find out more");
    }
    assert_eq!(explained, alerts());
}

#[test]
fn the_runbooks_tell_the_severity_of_the_rules() {
    let page = read(RUNBOOKS);
    for rule in rules("alert") {
        let (name, severity) = (text(&rule, "alert"), text(&rule["labels"], "severity"));
        let row = format!("| [{name}](#{}) | {severity} |", name.to_lowercase());
        assert!(page.lines().any(|line| line.starts_with(&row)), "{row}");
    }
}

#[test]
fn the_runbooks_name_only_metrics_that_exist() {
    let families = Families::golden();
    let page = read(RUNBOOKS);
    let words = page.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    for name in words.filter(|word| word.starts_with("zoogate_")) {
        // A search may be for the beginning of several.
        assert!(families.begin_with(name), "{name}");
    }
}

/// What the runbooks have `jq` take from `/status`: the keys at its top.
pub(crate) fn keys_of_status() -> BTreeSet<String> {
    let page = read(RUNBOOKS);
    let programs = page.lines().filter(|line| line.contains("/status")).filter_map(|line| line.split_once("jq '"));
    let paths = programs.flat_map(|(_, program)| program.split(['|', '\'']).next().unwrap().split(", "));
    let keys = paths.map(|path| {
        let name = |c: char| !c.is_ascii_alphanumeric() && c != '_';
        path.strip_prefix('.').unwrap_or_else(|| panic!("{path}")).split(name).next().unwrap().to_owned()
    });
    keys.collect()
}
