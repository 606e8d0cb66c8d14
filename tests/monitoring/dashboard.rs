//! The dashboard: what it asks for exists, and Grafana can lay it out.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;

use serde_json::Value;
use tempfile::TempDir;

use crate::expressions::{Families, metrics};
use crate::prometheus::promtool;
use crate::read;

/// Panels of current Grafana; `graph`, `singlestat`, `table-old` and others are gone.
const KINDS: [&str; 6] = ["row", "timeseries", "stat", "heatmap", "table", "state-timeline"];

fn dashboard() -> Value {
    serde_json::from_str(&read("deploy/grafana/zoogate.json")).unwrap()
}

fn list(value: &Value) -> &Vec<Value> {
    value.as_array().unwrap_or_else(|| panic!("no list: {value}"))
}

/// Every panel that is no heading of a row.
fn panels() -> Vec<Value> {
    let panels: Vec<Value> =
        list(&dashboard()["panels"]).iter().filter(|panel| panel["type"] != "row").cloned().collect();
    assert!(panels.len() > 30, "{}", panels.len());
    panels
}

/// Every expression of a panel, with Grafana's variables replaced by what they may stand for.
fn expressions() -> Vec<String> {
    let dashboard = dashboard();
    let panels = panels();
    let targets = panels.iter().flat_map(|panel| list(&panel["targets"]));
    let annotations = list(&dashboard["annotations"]["list"]).iter().filter(|asked| asked.get("expr").is_some());
    let plain = |asked: &Value| {
        let text = asked["expr"].as_str().unwrap_or_else(|| panic!("{asked}"));
        text.replace("$__rate_interval", "5m").replace("$job", "zoogate").replace("$instance", ".+")
    };
    targets.chain(annotations).map(plain).collect()
}

#[test]
fn prometheus_can_parse_every_expression() {
    let dir = TempDir::with_prefix("zoogate-dashboard-").unwrap();
    let file = dir.path().join("dashboard.rules.yaml");
    let mut text = "groups:\n  - name: dashboard\n    rules:\n".to_owned();
    for (number, expression) in expressions().iter().enumerate() {
        assert!(!expression.contains('$'), "a variable is left: {expression}");
        let quoted = serde_json::to_string(expression).unwrap();
        let _ = writeln!(text, "      - {{ record: \"panel:{number}\", expr: {quoted} }}");
    }
    fs::write(&file, text).unwrap();
    let (content, said) = promtool(&["check", "rules"], &file);
    assert!(content, "{said}");
}

#[test]
fn it_names_only_metrics_labels_and_values_that_exist() {
    let families = Families::golden();
    for expression in expressions() {
        let faults = families.faults(&expression, &BTreeSet::new());
        assert!(faults.is_empty(), "{faults:?} in {expression}");
    }
}

#[test]
fn it_shows_what_somebody_who_was_paged_looks_for() {
    let families = Families::golden();
    let named: BTreeSet<String> = expressions().iter().flat_map(|expression| metrics(expression)).collect();
    let shown: BTreeSet<&str> = named.iter().map(|name| families.family(name)).collect();
    for family in [
        "zoogate_tls_handshake_failures_total",
        "zoogate_tls_handshake_duration_seconds",
        "zoogate_connections",
        "zoogate_connections_closed_total",
        "zoogate_certificate_not_after_timestamp_seconds",
        "zoogate_client_certificates_expiring",
        "zoogate_client_certificates_renewal_due",
        "zoogate_crl_next_update_timestamp_seconds",
        "zoogate_upstream_state",
        "zoogate_requests_total",
        "zoogate_request_duration_seconds",
        "zoogate_session_openings_total",
        "zoogate_sessions_refused_total",
        "zoogate_auth_injections_total",
        "zoogate_reload_total",
        "zoogate_material_generation",
        "zoogate_connections_revalidated_total",
    ] {
        assert!(shown.contains(family), "{family}");
    }
}

#[test]
fn every_panel_has_a_place_an_id_a_title_and_a_unit_of_its_own() {
    let dashboard = dashboard();
    let (mut ids, mut titles, mut cells) = (BTreeSet::new(), BTreeSet::new(), BTreeMap::new());
    for panel in list(&dashboard["panels"]) {
        let title = panel["title"].as_str().unwrap();
        assert!(ids.insert(panel["id"].as_u64().unwrap()), "{title}: id");
        assert!(titles.insert(title), "{title}: title");
        assert!(KINDS.contains(&panel["type"].as_str().unwrap()), "{title}: {}", panel["type"]);
        let [x, y, w, h] = ["x", "y", "w", "h"].map(|key| panel["gridPos"][key].as_u64().unwrap());
        assert!(w > 0 && h > 0 && x + w <= 24, "{title}: {}", panel["gridPos"]);
        for cell in (x..x + w).flat_map(|column| (y..y + h).map(move |line| (column, line))) {
            let other = cells.insert(cell, title);
            assert!(other.is_none(), "{title} and {other:?}");
        }
        if panel["type"] != "row" {
            assert!(panel["fieldConfig"]["defaults"]["unit"].as_str().is_some_and(|unit| !unit.is_empty()), "{title}");
        }
    }
}

#[test]
fn it_works_with_any_data_source_job_and_instance() {
    let dashboard = dashboard();
    let variables: Vec<&str> =
        list(&dashboard["templating"]["list"]).iter().map(|variable| variable["name"].as_str().unwrap()).collect();
    assert_eq!(variables, ["datasource", "job", "instance"]);
    assert!(dashboard["id"].is_null(), "an id is that of one Grafana");
    assert!(dashboard["schemaVersion"].as_u64().unwrap() >= 39);
    for panel in panels() {
        let targets = list(&panel["targets"]);
        assert!(!targets.is_empty(), "{panel}");
        for asked in targets.iter().chain([&panel]) {
            assert_eq!(asked["datasource"]["uid"], "${datasource}", "{}", panel["title"]);
        }
        for target in targets {
            let expression = target["expr"].as_str().unwrap();
            // Each selector is bound to them, not only one of an expression.
            let selectors = expression.matches('{').count();
            for bound in ["job=~\"$job", "instance=~\"$instance"] {
                assert_eq!(expression.matches(bound).count(), selectors, "{expression}");
            }
            assert!(selectors > 0, "{expression}");
        }
    }
}
