//! The exported families are public interface: they equal the golden list and the page that documents them, and
//! satisfy Prometheus' own linter.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use prometheus::{Registry, TextEncoder};
use zoogate::metrics::{CertificateRole, CertificateValidity, CrlValidity, Metrics};

/// A registry in which every family has a series, also those that come with what is loaded.
fn registry() -> Registry {
    let registry = Registry::new();
    let metrics = Metrics::new(&registry).expect("a fresh registry takes every family");
    metrics.set_certificates(&[CertificateValidity {
        role: CertificateRole::Server,
        subject_cn: "zk1 \"quoted\" \\ \n second line".into(),
        issuer_cn: "ca".into(),
        serial: "0a".into(),
        not_before: 1_600_000_000,
        not_after: 1_900_000_000,
    }]);
    metrics.set_crls(&[CrlValidity {
        issuer_cn: "ca".into(),
        path: "/etc/zoogate/ca.crl".into(),
        this_update: 1_700_000_000,
        next_update: Some(1_800_000_000),
        number: Some(1.0),
        entries: 0,
    }]);
    registry
}

/// Type, labels and help of each family, by name.
fn families() -> BTreeMap<String, (String, BTreeSet<String>, String)> {
    let families = registry().gather().into_iter().map(|family| {
        let kind = format!("{:?}", family.get_field_type()).to_lowercase();
        let series = family.get_metric();
        let labels = series.iter().flat_map(|metric| metric.get_label()).map(|label| label.name().to_owned()).collect();
        (family.name().to_owned(), (kind, labels, family.help().to_owned()))
    });
    families.collect()
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

#[test]
fn families_equal_the_golden_list() {
    let path = root().join("tests/golden/metrics.txt");
    let actual: String = families()
        .into_iter()
        .map(|(name, (kind, labels, help))| {
            let labels = labels.into_iter().collect::<Vec<_>>().join(",");
            format!("{name} {kind} {{{labels}}} {help}\n")
        })
        .collect();
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(&path, &actual).unwrap();
    }
    let golden = std::fs::read_to_string(&path).unwrap();
    assert_eq!(actual, golden, "run with UPDATE=1 if the change is meant, and tell users in CHANGELOG.md");
}

#[test]
fn the_documentation_lists_exactly_the_families_there_are() {
    let page = std::fs::read_to_string(root().join("docs/metrics.md")).unwrap();
    let documented: BTreeMap<_, _> = page.lines().filter_map(documented_family).collect();
    let actual: BTreeMap<_, _> =
        families().into_iter().map(|(name, (kind, labels, _help))| (name, (kind, labels))).collect();
    assert_eq!(documented, actual);
}

/// Reads a row `| \`name\` | type | \`label\`, \`label\` | …`.
fn documented_family(line: &str) -> Option<(String, (String, BTreeSet<String>))> {
    let cells: Vec<&str> = line.strip_prefix("| `")?.split('|').map(str::trim).collect();
    let [name, kind, labels, _meaning, stability, ..] = cells[..] else { panic!("too few cells: {line}") };
    if !["counter", "gauge", "histogram"].contains(&kind) {
        return None;
    }
    assert!(["stable", "unstable"].contains(&stability), "no stability: {line}");
    let labels = labels.split(", ").filter(|label| *label != "–").map(|label| label.trim_matches('`').to_owned());
    Some((name.trim_end_matches('`').to_owned(), (kind.to_owned(), labels.collect())))
}

#[test]
fn the_documentation_explains_every_value_of_a_closed_label() {
    let page = std::fs::read_to_string(root().join("docs/metrics.md")).unwrap();
    // Values that the operator's files or the build choose. Reasons are explained where the log's are.
    let open = ["version", "revision", "subject_CN", "issuer_CN", "serial_number", "filepath", "reason"];
    for family in registry().gather() {
        for label in family.get_metric().iter().flat_map(|metric| metric.get_label()) {
            let documented = page.contains(&format!("`{}`", label.value()));
            assert!(open.contains(&label.name()) || documented, "{} of {}", label.value(), family.name());
        }
    }
}

#[test]
fn promtool_finds_nothing_to_say() {
    let text = TextEncoder::new().encode_to_string(&registry().gather()).unwrap();
    let mut check = Command::new(promtool())
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    check.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    let output = check.wait_with_output().unwrap();
    let said = [output.stdout, output.stderr].concat();
    assert!(output.status.success() && said.is_empty(), "{}", String::from_utf8_lossy(&said));
}

/// `PROMTOOL` if it is set, else what `make setup` has put there.
fn promtool() -> PathBuf {
    let path = std::env::var_os("PROMTOOL").map_or_else(|| root().join("target/prometheus/promtool"), PathBuf::from);
    assert!(path.is_file(), "no promtool at {}; run `make setup`, which fetches it", path.display());
    path
}
