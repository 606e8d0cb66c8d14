use std::path::Path;

use rcgen::{CertificateParams, DistinguishedName, DnType, KeyPair, SanType};

use super::*;
use crate::config::Config;

/// A certificate with this common name and these DNS names.
fn leaf(common_name: &str, dns: &[&str]) -> Vec<u8> {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, common_name);
    params.subject_alt_names = dns.iter().map(|name| SanType::DnsName((*name).try_into().unwrap())).collect();
    params.self_signed(&KeyPair::generate().unwrap()).unwrap().der().to_vec()
}

fn anchor(alias: Option<&str>, byte: u8) -> Anchor {
    Anchor { alias: alias.map(str::to_owned), sha256: [byte; 32], subject: String::new() }
}

/// The rules of an `identity` section.
fn rules(identity: &str) -> NameRules {
    let text = format!(
        "listen: {{ address: '0.0.0.0:2281' }}\ntls: {{ key_store: {{ path: k }}, trust_store: {{ path: t }} }}\n\
         identity: {{ secret_file: s, {identity} }}\n"
    );
    let config = Config::parse(&text, Path::new("/"), "zoogate.yaml").unwrap_or_else(|error| panic!("{error}"));
    NameRules::new(&config.identity)
}

fn identify(identity: &str, leaf: &[u8]) -> Identified {
    rules(identity).identify(leaf, &anchor(Some("ca"), 1))
}

/// The identity and the old names.
fn admitted(identity: &str, leaf: &[u8]) -> (String, Vec<String>) {
    let admitted = identify(identity, leaf).verdict.unwrap_or_else(|error| panic!("{error}"));
    (admitted.identity.to_string(), admitted.old_names.iter().map(ToString::to_string).collect())
}

fn refusal(identity: &str, leaf: &[u8]) -> Refusal {
    identify(identity, leaf).verdict.unwrap_err().refusal()
}

const APP: &str = "'RULE:CN=(.*)/$1/L'";

#[test]
fn without_rules_the_name_is_the_identity() {
    let identified = identify("from: subject", &leaf("App", &[]));
    let admitted = identified.verdict.unwrap();
    assert_eq!(admitted.identity.as_str(), "CN=App");
    assert_eq!((admitted.rule, admitted.grant.rule, admitted.old_names.len()), (None, None, 0));
    assert_eq!(identified.shadow, None);
}

#[test]
fn names_are_subjects_where_nothing_else_can_be_anyones_name() {
    assert!(rules("from: subject").are_subjects());
    for other in ["from: san_dns", "from: subject, mapping: [ DEFAULT ]", "from: subject, also_inject: [ common_name ]"]
    {
        assert!(!rules(other).are_subjects(), "{other}");
    }
}

#[test]
fn rules_make_the_identity_and_the_lists_judge_what_they_made() {
    let lists = format!("mapping: [ 'RULE:CN=x/y/', {APP} ], allow: [ 'app*' ], deny: [ 'app-2', 'CN=*' ]");
    let admitted = identify(&lists, &leaf("App-1", &[])).verdict.unwrap();
    assert_eq!((admitted.identity.as_str(), admitted.rule, admitted.grant.rule), ("app-1", Some(1), Some(0)));
    let denied = identify(&lists, &leaf("APP-2", &[])).verdict.unwrap_err();
    assert_eq!(denied.refusal(), Refusal::Denied);
    assert_eq!(denied.to_string(), "the identity is on the list identity.deny, by `app-2` (number 1)");
    assert!(matches!(&denied, NotAdmitted::Denied { identity, rule: Some(1), .. } if identity.as_str() == "app-2"));
    assert_eq!(refusal(&lists, &leaf("web", &[])), Refusal::Denied);
    assert_eq!(refusal("mapping: [ 'RULE:CN=x/y/' ]", &leaf("web", &[])), Refusal::NoIdentity);
    assert_eq!(refusal("from: san_dns, mapping: [ DEFAULT ]", &leaf("a", &["a", "b"])), Refusal::AmbiguousIdentity);
}

#[test]
fn a_rule_is_for_the_clients_of_its_issuer() {
    let bound = rules(&format!("mapping: [ {{ rule: {APP}, issuers: [ internal ] }} ]"));
    let leaf = leaf("admin", &[]);
    assert!(bound.identify(&leaf, &anchor(Some("internal"), 1)).verdict.is_ok());
    let error = bound.identify(&leaf, &anchor(Some("partner"), 2)).verdict.unwrap_err();
    assert_eq!(error.refusal(), Refusal::NoIdentity);
    assert!(bound.identify(&leaf, &anchor(None, 1)).verdict.is_err());
}

#[test]
fn the_shadow_reports_what_it_would_change_and_changes_nothing() {
    let app = leaf("App", &[]);
    let shadow = |identity: &str| {
        let identified = identify(identity, &app);
        (identified.verdict.map(|admitted| admitted.identity.to_string()).ok(), identified.shadow.unwrap())
    };
    let identity = |name: &str| Identity::new(name.to_owned()).unwrap();
    assert_eq!(shadow("mapping_shadow: DEFAULT"), (Some("CN=App".to_owned()), Shadow::Same));
    let (used, other) = shadow(&format!("mapping_shadow: {APP}"));
    assert_eq!((used.as_deref(), other), (Some("CN=App"), Shadow::Different(identity("app"))));
    let (used, other) = shadow(&format!("mapping: 'RULE:x/y/', mapping_shadow: {APP}"));
    assert_eq!((used, other), (None, Shadow::Different(identity("app"))));
    let (used, other) = shadow("mapping_shadow: 'RULE:x/y/'");
    let Shadow::Refused(reason) = other else { panic!("{other:?}") };
    assert_eq!((used.as_deref(), reason.refusal()), (Some("CN=App"), Refusal::NoIdentity));
    // Lists written for the new names come with them.
    let (_, other) = shadow(&format!("mapping_shadow: {APP}, deny: app"));
    assert!(matches!(other, Shadow::Refused(NotAdmitted::Denied { .. })), "{other:?}");
    assert_eq!(shadow("mapping: 'RULE:x/y/', mapping_shadow: 'RULE:x/y/'"), (None, Shadow::Same));
}

#[test]
fn old_names_come_along_where_the_certificate_has_them() {
    let app = leaf("App", &["app.example.org"]);
    let mapped = format!("mapping: {APP}, also_inject: [ unmapped, subject, san_dns, san_email ]");
    assert_eq!(admitted(&mapped, &app), ("app".to_owned(), vec!["CN=App".to_owned(), "app.example.org".to_owned()]));
    let before = "from: san_dns, also_inject: { from: subject, mapping: [ 'RULE:CN=(.*)/$1@old/' ] }";
    assert_eq!(admitted(before, &app), ("app.example.org".to_owned(), vec!["App@old".to_owned()]));
    // Old rules that don't match leave the client without an old name, not outside.
    let before = "from: san_dns, also_inject: { from: subject, mapping: 'RULE:OU=.*/x/' }";
    assert_eq!(admitted(before, &app), ("app.example.org".to_owned(), vec![]));
    // The name that it has anyway is not injected twice.
    assert_eq!(admitted("also_inject: [ unmapped, subject ]", &app), ("CN=App".to_owned(), vec![]));
}

#[test]
fn an_old_rule_is_for_the_clients_of_its_issuer() {
    let bound = rules(
        "from: san_dns, also_inject: { from: subject, mapping: [ \
           { rule: 'RULE:CN=(.*)/$1@internal/', issuers: [ internal ] }, \
           { rule: 'RULE:CN=(.*)/$1@partner/', issuers: [ partner ] } ] }",
    );
    let leaf = leaf("App", &["app.example.org"]);
    for (alias, old_name) in [
        (Some("internal"), Some("App@internal")),
        (Some("partner"), Some("App@partner")),
        (Some("x"), None),
        (None, None),
    ] {
        let admitted = bound.identify(&leaf, &anchor(alias, 1)).verdict.unwrap();
        assert_eq!(admitted.identity.as_str(), "app.example.org");
        let old_names: Vec<_> = admitted.old_names.iter().map(Identity::as_str).collect();
        assert_eq!(old_names, Vec::from_iter(old_name), "{alias:?}");
    }
}

#[test]
fn an_old_name_needs_no_grant_but_no_denied_one_is_injected() {
    let app = leaf("App", &[]);
    let lists = |deny: &str| format!("mapping: {APP}, also_inject: unmapped, allow: [ app ], deny: [ {deny} ]");
    assert_eq!(admitted(&lists("'x'"), &app), ("app".to_owned(), vec!["CN=App".to_owned()]));
    assert_eq!(admitted(&lists("'CN=*'"), &app), ("app".to_owned(), vec![]));
}

#[test]
fn an_issuer_that_the_trust_store_does_not_have_once_is_a_problem() {
    let one = "01".repeat(32);
    let rules = rules(&format!(
        "mapping: [ {{ rule: 'RULE:a/b/', issuers: [ ca, '{one}' ] }}, {{ rule: DEFAULT, issuers: [ CA, twice ] }} ], \
         mapping_shadow: {{ rule: DEFAULT, issuers: '{}' }}, \
         also_inject: {{ mapping: {{ rule: DEFAULT, issuers: gone }} }}",
        "ff".repeat(32)
    ));
    let anchors = [anchor(Some("ca"), 1), anchor(Some("twice"), 2), anchor(Some("twice"), 3)];
    let problems: Vec<String> =
        rules.check_issuers(&anchors.iter().collect::<Vec<_>>()).iter().map(ToString::to_string).collect();
    let missing = "which tls.trust_store doesn't have; it has ca, twice, twice";
    assert_eq!(
        problems,
        [
            format!("identity.mapping: rule 2 is bound to `CA`, {missing}"),
            "identity.mapping: rule 2 is bound to `twice`, which tls.trust_store has more than once; name the entry by \
             its SHA-256"
                .to_owned(),
            format!("identity.mapping_shadow: rule 1 is bound to `{}`, {missing}", "ff".repeat(32)),
            format!("identity.also_inject: rule 1 is bound to `gone`, {missing}"),
        ]
    );
    let nameless = rules.check_issuers(&[&anchor(None, 1)]);
    assert!(nameless[0].message.ends_with("it has entries without aliases, to be named by SHA-256"), "{}", nameless[0]);
}

#[test]
fn what_every_ca_can_give_out_makes_a_warning_where_other_rules_are_bound() {
    const BOUND: &str = "mapping: [ { rule: DEFAULT, issuers: [ ca ] } ]";
    let warned = |identity: &str, cas: usize| {
        let warnings = rules(identity).warnings(cas);
        let start = |warning: &String| warning.split([',', ';']).next().unwrap().to_owned();
        warnings.iter().map(start).map(|start| start.split(" gives").next().unwrap().to_owned()).collect::<Vec<_>>()
    };
    let open = format!(
        "{BOUND}, also_inject: [ {{ from: subject, mapping: [ {{ rule: DEFAULT, issuers: [ ca ] }} ] }}, unmapped ]"
    );
    assert_eq!(warned(&open, 2), ["identity.also_inject: item 2"]);
    assert_eq!(warned(&open, 1), [""; 0], "there is one party");
    let partly = format!(
        "{BOUND}, also_inject: [ {{ from: common_name, mapping: [ {{ rule: DEFAULT, issuers: [ ca ] }}, DEFAULT ] }} ]"
    );
    assert_eq!(warned(&partly, 2), ["identity.also_inject: item 1"]);
    assert!(rules(&partly).warnings(2)[0].contains("{ from: common_name,"));
    let rules_too = "mapping: [ 'RULE:a/b/', { rule: 'RULE:c/d/', issuers: [ ca ] }, DEFAULT ]";
    assert_eq!(warned(rules_too, 2), ["identity.mapping: some rules are bound to issuers"]);
    assert!(rules(rules_too).warnings(2)[0].contains("(rule 1, 3)"));
    for quiet in ["mapping: [ DEFAULT ], also_inject: [ unmapped ]", BOUND, "also_inject: [ common_name ]"] {
        assert_eq!(warned(quiet, 2), [""; 0], "{quiet}");
    }
}
