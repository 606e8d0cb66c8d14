//! Which metrics and labels an expression of Prometheus names, and whether there are such.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

use regex::Regex;
use zoogate::reason::CloseReason;

use crate::read;

/// Not zoogate's own: of Prometheus, and of ZooKeeper.
const OTHERS: [&str; 3] = ["up", "ALERTS", "non_mtls_remote_conn_count"];

/// Labels that Prometheus adds.
const ADDED: [&str; 4] = ["job", "instance", "namespace", "le"];

static STRING: LazyLock<Regex> = LazyLock::new(|| Regex::new(r#""[^"]*""#).unwrap());
static SELECTOR: LazyLock<Regex> = LazyLock::new(|| Regex::new(r"([a-zA-Z_:][\w:]*)\s*\{([^}]*)\}").unwrap());
static MATCHER: LazyLock<Regex> = LazyLock::new(|| Regex::new(r#"(\w+)\s*(=~|!~|!=|=)\s*"([^"]*)""#).unwrap());
static NO_METRIC: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"\{[^}]*\}|\[[^\]]*\]|\b(by|without|on|ignoring|group_left|group_right)\s*\([^)]*\)").unwrap()
});
static NAME: LazyLock<Regex> = LazyLock::new(|| Regex::new(r"([a-zA-Z_:][\w:]*)\s*(\()?").unwrap());

/// What `tests/golden/metrics.txt` says: labels and type of each family.
pub(crate) struct Families(BTreeMap<String, (String, BTreeSet<String>)>);

impl Families {
    pub(crate) fn golden() -> Self {
        let golden = read("tests/golden/metrics.txt");
        let families = golden.lines().map(|line| {
            let (name, rest) = line.split_once(' ').unwrap();
            let (kind, rest) = rest.split_once(" {").unwrap();
            let labels = rest.split_once('}').unwrap().0.split(',').map(str::to_owned).collect();
            (name.to_owned(), (kind.to_owned(), labels))
        });
        Self(families.collect())
    }

    /// Labels of a sample of this name; of a histogram's samples too.
    fn labels(&self, sample: &str) -> Option<&BTreeSet<String>> {
        let of_histogram = ["_bucket", "_sum", "_count"]
            .iter()
            .find_map(|suffix| self.0.get(sample.strip_suffix(suffix)?).filter(|(kind, _)| kind == "histogram"));
        let whole = self.0.get(sample).filter(|(kind, _)| kind != "histogram");
        whole.or(of_histogram).map(|(_, labels)| labels)
    }

    /// Whether some sample's name begins so.
    pub(crate) fn begin_with(&self, name: &str) -> bool {
        self.labels(name).is_some() || self.0.keys().any(|family| family.starts_with(name))
    }

    /// The family of a sample.
    pub(crate) fn family<'a>(&self, sample: &'a str) -> &'a str {
        let base = ["_bucket", "_sum", "_count"].iter().find_map(|suffix| sample.strip_suffix(suffix));
        base.filter(|base| self.0.contains_key(*base)).unwrap_or(sample)
    }

    /// What is wrong with an expression: metrics, labels and values that don't exist. `recorded` are names of rules.
    pub(crate) fn faults(&self, expression: &str, recorded: &BTreeSet<String>) -> Vec<String> {
        let mut faults = Vec::new();
        for name in metrics(expression) {
            if self.labels(&name).is_none() && !recorded.contains(&name) && !OTHERS.contains(&name.as_str()) {
                faults.push(format!("no metric {name}"));
            }
        }
        for selector in SELECTOR.captures_iter(expression) {
            let Some(labels) = self.labels(&selector[1]) else { continue };
            for matcher in MATCHER.captures_iter(&selector[2]) {
                if ADDED.contains(&&matcher[1]) {
                    continue;
                }
                if !labels.contains(&matcher[1]) {
                    faults.push(format!("{} has no label {}", &selector[1], &matcher[1]));
                }
                let unknown = matcher[3].split('|').filter(|value| !is_value(value));
                faults.extend(unknown.map(|value| format!("{} of {} is never {value}", &matcher[1], &selector[1])));
            }
        }
        faults
    }
}

/// Whether some label has this value: the page of metrics, or that of close reasons, knows it.
fn is_value(value: &str) -> bool {
    static PAGE: LazyLock<String> = LazyLock::new(|| read("docs/metrics.md"));
    PAGE.contains(&format!("`{value}`")) || CloseReason::all().any(|reason| reason.as_str() == value)
}

/// The names of all samples in an expression.
pub(crate) fn metrics(expression: &str) -> BTreeSet<String> {
    const WORDS: [&str; 5] = ["and", "or", "unless", "bool", "offset"];
    let without_strings = STRING.replace_all(expression, "");
    let bare = NO_METRIC.replace_all(&without_strings, " ");
    // Numbers with an exponent, or a unit, are no names.
    let names = NAME.captures_iter(&bare).filter(|name| {
        let start = name.get(1).unwrap().start();
        !bare[..start].ends_with(|c: char| c.is_ascii_digit() || c == '.')
    });
    let names = names.filter(|name| name.get(2).is_none() && !WORDS.contains(&&name[1]));
    names.map(|name| name[1].to_owned()).collect()
}

#[test]
fn what_does_not_exist_is_found() {
    let families = Families::golden();
    let recorded = BTreeSet::from(["job:known:sum".to_owned()]);
    let faults = |expression| families.faults(expression, &recorded);
    let none: [&str; 0] = [];
    assert_eq!(faults("sum without (state) (zoogate_connections) > 2e3 and on (job) job:known:sum == 0"), none);
    assert_eq!(faults("rate(zoogate_requests_total{opcode=\"create\", job=~\"a|b\"}[5m] offset 1d)"), none);
    assert_eq!(
        faults("job:unknown:sum or zoogate_connection"),
        ["no metric job:unknown:sum", "no metric zoogate_connection"]
    );
    assert_eq!(faults("zoogate_connections_sum"), ["no metric zoogate_connections_sum"]);
    assert_eq!(
        faults("zoogate_session_opening_duration_seconds"),
        ["no metric zoogate_session_opening_duration_seconds"]
    );
    assert_eq!(faults("zoogate_upstream_up{state=\"leader\"}"), ["zoogate_upstream_up has no label state"]);
    assert_eq!(
        faults("zoogate_connections{state=~\"opening|openning\"}"),
        ["state of zoogate_connections is never openning"]
    );
}
