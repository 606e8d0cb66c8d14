//! `zoogate explain`.

use std::collections::BTreeSet;
use std::time::{Duration, SystemTime};

use serde_json::{Value, json};

use crate::workshop::{CA, CONFIG, LEAF, PASSWORD, Run, Workshop, pki};

/// RFC 3339, that many days from now.
fn in_days(days: u64) -> String {
    humantime::format_rfc3339_seconds(SystemTime::now() + Duration::from_secs(days * 86_400)).to_string()
}

/// The word of the refusal, after checking that both outputs agree and that the object has its shape.
fn refusal(shop: &Workshop, arguments: &str) -> String {
    let run = shop.zoogate(&format!("explain {arguments} --output json"));
    let report = run.json();
    assert_eq!(run.code, 1, "{run:?}");
    has_its_keys(&report);
    assert_eq!(report["verdict"], "refused");
    assert_eq!(report["identity"], Value::Null);
    assert_eq!(report["acl_ids"], json!({"x509": null, "digest": null}));
    assert_eq!(report["not_after"], Value::Null);
    assert!(report["detail"].as_str().is_some_and(|detail| detail.len() > 10), "{run:?}");
    let reason = report["reason"].as_str().expect("a reason").to_owned();

    let text = shop.zoogate(&format!("explain {arguments}"));
    assert_eq!(text.code, 1, "{text:?}");
    assert!(text.stdout.starts_with(&format!("refused       {reason}\n")), "{text:?}");
    assert!(text.stdout.contains("\nwhat to do    "), "{text:?}");
    reason
}

fn has_its_keys(report: &Value) {
    let keys: BTreeSet<&str> = report.as_object().expect("an object").keys().map(String::as_str).collect();
    let wanted = ["verdict", "reason", "detail", "identity", "acl_ids", "not_after", "rule", "shadow"];
    assert_eq!(keys, BTreeSet::from(wanted));
}

fn admitted(run: &Run) -> Value {
    let report = run.json();
    assert_eq!(run.code, 0, "{run:?}");
    has_its_keys(&report);
    assert_eq!(report["verdict"], "admitted", "{run:?}");
    assert_eq!(report["reason"], Value::Null);
    report
}

#[test]
fn an_admitted_client_is_told_with_its_ids_and_its_end() {
    let shop = pki();
    let run = shop.zoogate("explain alice.crt --trust-store root.crt --secret-file secrets --output json");
    let report = admitted(&run);
    assert_eq!(report["identity"], "CN=alice,O=Acme");
    assert_eq!(report["acl_ids"]["x509"], "CN=alice,O=Acme");
    let digest = report["acl_ids"]["digest"].as_str().unwrap();
    assert!(digest.starts_with("x509/CN=alice%2CO=Acme:"), "{digest}");
    let not_after = humantime::parse_rfc3339(report["not_after"].as_str().unwrap()).unwrap();
    let left = not_after.duration_since(SystemTime::now()).unwrap();
    assert!((Duration::from_secs(19 * 86_400)..Duration::from_secs(20 * 86_400 + 1)).contains(&left), "{left:?}");

    let text = shop.zoogate("explain alice.crt --trust-store root.crt --secret-file secrets");
    assert_eq!(text.code, 0);
    assert!(text.stdout.starts_with("admitted      CN=alice,O=Acme\nuntil         "), "{text:?}");
    assert!(text.stdout.contains("\ntrusted by    CN=Root,O=Zoo\n"), "{text:?}");
    assert!(text.stdout.contains("x509:CN=alice,O=Acme\n"), "{text:?}");
    // One id for each secret, the first one's first.
    let ids: Vec<&str> = text.stdout.split("digest:").skip(1).map(|rest| rest.lines().next().unwrap()).collect();
    assert_eq!(ids.len(), 2, "{text:?}");
    assert_eq!(ids[0], digest);
    assert_ne!(ids[1], digest);
}

#[test]
fn without_a_secret_there_is_no_digest_id() {
    let report = admitted(&pki().zoogate("explain alice.crt --trust-store root.crt --output json"));
    assert_eq!(report["acl_ids"], json!({"x509": "CN=alice,O=Acme", "digest": null}));
    assert_eq!((&report["rule"], &report["shadow"]), (&Value::Null, &Value::Null));
}

#[test]
fn the_identity_is_read_where_from_says_and_the_x509_id_stays_the_subject() {
    let report = admitted(&pki().zoogate("explain alice.crt --trust-store root.crt --from san_dns --output json"));
    assert_eq!(report["identity"], "alice.example");
    assert_eq!(report["acl_ids"]["x509"], "CN=alice,O=Acme");
}

#[test]
fn a_chain_is_judged_as_it_is_sent() {
    let shop = pki();
    admitted(&shop.zoogate("explain bob.chain --trust-store root.crt --output json"));
    assert_eq!(refusal(&shop, "bob.crt --trust-store root.crt"), "unknown_ca");
    // DER, one certificate after the other.
    for name in ["bob", "middle"] {
        shop.run(&format!("openssl x509 -in {name}.crt -outform DER -out {name}.der"));
    }
    shop.write("chain.der", [shop.read("bob.der"), shop.read("middle.der")].concat());
    admitted(&shop.zoogate("explain chain.der --trust-store root.crt --output json"));
}

#[test]
fn a_pinned_certificate_is_trusted_by_itself() {
    let shop = pki();
    let run = shop.zoogate("explain alice.crt --trust-store alice.crt");
    assert_eq!(run.code, 0, "{run:?}");
    assert!(run.stdout.contains("trusted by    itself"), "{run:?}");
}

#[test]
fn a_client_that_is_pinned_issues_nobody_and_one_in_the_trust_store_is_warned_of() {
    let shop = pki();
    shop.run(
        "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout carol.key -out carol.crt \
              -subj /O=Zoo/CN=carol -days 30",
    );
    shop.run(
        "openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout dave.key -out dave.csr \
              -subj /O=Zoo/CN=dave",
    );
    shop.run("openssl x509 -req -in dave.csr -CA carol.crt -CAkey carol.key -set_serial 7 -days 30 -out dave.crt");

    let trusting = shop.zoogate("explain dave.crt --trust-store carol.crt");
    assert_eq!(trusting.code, 0, "{trusting:?}");
    assert!(trusting.stdout.contains("trusted are   CN=carol,O=Zoo (serial "), "{trusting:?}");
    assert!(trusting.stdout.contains("): a CA, which issues clients (tls.trust_store)\n"), "{trusting:?}");
    assert!(trusting.stderr.starts_with("warning: tls.trust_store: CN=carol,O=Zoo (serial "), "{trusting:?}");
    assert!(trusting.stderr.contains("put its file into tls.pinned_certificates"), "{trusting:?}");

    let config = CONFIG.replace("UPSTREAM", "127.0.0.1:2181");
    shop.write("zoogate.yaml", config.replace("identity:", "  pinned_certificates: carol.crt\nidentity:"));
    let itself = shop.zoogate("explain carol.crt --config zoogate.yaml");
    assert_eq!((itself.code, itself.stderr.as_str()), (0, ""), "{itself:?}");
    assert!(itself.stdout.contains("): this client alone (tls.pinned_certificates)\n"), "{itself:?}");
    assert_eq!(refusal(&shop, "dave.crt --config zoogate.yaml"), "unknown_ca");
    admitted(&shop.zoogate("explain alice.crt --config zoogate.yaml --output json"));

    let checked = shop.zoogate("check --config zoogate.yaml");
    assert_eq!((checked.code, checked.stderr.as_str()), (0, ""), "{checked:?}");
    assert!(checked.stdout.contains("1 trust anchor; 1 pinned certificate; "), "{checked:?}");
    assert!(checked.stdout.contains("\nCN=Root,O=Zoo (serial "), "{checked:?}");
    assert!(checked.stdout.contains("\nCN=carol,O=Zoo (serial "), "{checked:?}");

    // In the place of the trust store, and broken.
    let alone = config.replace("trust_store: { path: root.crt }", "pinned_certificates: [ carol.crt ]");
    assert_ne!(alone, config);
    shop.write("zoogate.yaml", &alone);
    assert_eq!(shop.zoogate("check --config zoogate.yaml").code, 0);
    assert_eq!(refusal(&shop, "alice.crt --config zoogate.yaml"), "unknown_ca");
    shop.write("zoogate.yaml", alone.replace("carol.crt", "carol.key"));
    let broken = shop.zoogate("check --config zoogate.yaml");
    assert_eq!(broken.code, 78, "{broken:?}");
    assert!(broken.stderr.contains("tls.pinned_certificates: carol.key: "), "{broken:?}");
}

#[test]
fn time_is_what_at_says() {
    let shop = pki();
    let (soon, late) = (in_days(19), in_days(21));
    admitted(&shop.zoogate(&format!("explain alice.crt --trust-store root.crt --at {soon} --output json")));
    assert_eq!(refusal(&shop, &format!("alice.crt --trust-store root.crt --at {late}")), "expired");
    assert_eq!(refusal(&shop, "alice.crt --trust-store root.crt --at 2020-01-01T00:00:00Z"), "not_yet_valid");
    assert_eq!(refusal(&shop, "alice.crt --trust-store root.crt --at 1970-01-01T01:00:00+01:00"), "not_yet_valid");
    assert_eq!(refusal(&shop, "alice.crt --trust-store root.crt --at 9999-12-31T23:59:59-23:59"), "expired");
}

#[test]
fn revocation_is_told_by_crls_while_they_are_current() {
    let shop = pki();
    shop.revoke("list", "root", "alice");
    assert_eq!(refusal(&shop, "alice.crt --trust-store root.crt --crl list.crl"), "revoked");
    admitted(&shop.zoogate("explain server.crt --trust-store root.crt --crl list.crl --output json"));
    let late = in_days(3);
    let arguments = format!("server.crt --trust-store root.crt --crl list.crl --at {late}");
    assert_eq!(refusal(&shop, &arguments), "revocation_unknown");
    // A second list for the CA in between; in DER.
    assert_eq!(refusal(&shop, "bob.chain --trust-store root.crt --crl list.crl"), "revocation_unknown");
    shop.revoke("lower", "middle", "bob");
    shop.run("openssl crl -in lower.crl -outform DER -out lower.der");
    assert_eq!(refusal(&shop, "bob.chain --trust-store root.crt --crl list.crl --crl lower.der"), "revoked");
}

#[test]
fn each_kind_of_bad_certificate_has_its_reason() {
    let shop = pki();
    let judged = |name: &str| refusal(&shop, &format!("{name}.crt --trust-store root.crt"));
    let chained = |leaf: &str, ca: &str| {
        shop.write("chained.crt", [shop.read(&format!("{leaf}.crt")), shop.read(&format!("{ca}.crt"))].concat());
        judged("chained")
    };
    shop.issue(("web", "/CN=web"), "root", "extendedKeyUsage=serverAuth\n");
    assert_eq!(judged("web"), "bad_usage");
    shop.issue(("odd", "/CN=odd"), "root", "1.2.3.4=critical,DER:0500\n");
    assert_eq!(judged("odd"), "unsupported_extension");
    shop.issue_with_key(("weak", "/CN=weak"), "root", (LEAF, "rsa:1024"));
    assert_eq!(judged("weak"), "weak_key");
    shop.issue(("lame", "/CN=lame"), "root", "basicConstraints=critical,CA:TRUE\nkeyUsage=critical,cRLSign\n");
    shop.issue(("victim", "/CN=victim"), "lame", LEAF);
    assert_eq!(chained("victim", "lame"), "bad_ca");
    shop.issue(("narrow", "/CN=narrow"), "root", &format!("{CA}nameConstraints=critical,permitted;DNS:zoo.example\n"));
    shop.issue(("outside", "/CN=outside"), "narrow", LEAF);
    assert_eq!(chained("outside", "narrow"), "name_constraints");
    shop.run("openssl x509 -in alice.crt -outform DER -out alice.der");
    let mut forged = shop.read("alice.der");
    *forged.last_mut().unwrap() ^= 1;
    shop.write("forged.crt", forged);
    assert_eq!(judged("forged"), "bad_signature");
}

#[test]
fn a_certificate_without_one_clear_name_is_refused() {
    let shop = pki();
    assert_eq!(refusal(&shop, "alice.crt --trust-store root.crt --from san_uri"), "no_identity");
    shop.issue(("two", "/CN=two"), "root", "subjectAltName=DNS:a.example,DNS:b.example\n");
    assert_eq!(refusal(&shop, "two.crt --trust-store root.crt --from san_dns"), "ambiguous_identity");
}

/// Whoever audits certificates feeds odd ones, and the gate gets them too.
#[test]
fn what_is_no_certificate_inside_pem_or_der_is_refused_and_not_unreadable() {
    let shop = pki();
    shop.write("odd.pem", "-----BEGIN CERTIFICATE-----\nMAMCAQE=\n-----END CERTIFICATE-----\n");
    assert_eq!(refusal(&shop, "odd.pem --trust-store root.crt"), "malformed");
    shop.write("odd.der", [0x30, 3, 2, 1, 1]);
    assert_eq!(refusal(&shop, "odd.der --trust-store root.crt"), "malformed");
    // Behind the client's own certificate, it does no harm.
    shop.write("tail.pem", [shop.read("alice.crt"), shop.read("odd.pem")].concat());
    admitted(&shop.zoogate("explain tail.pem --trust-store root.crt --output json"));
}

#[test]
fn unreadable_files_exit_65_and_are_all_named() {
    let shop = pki();
    shop.write("noise", "no certificate\n");
    shop.write("cut.der", [0x30, 0x82, 9, 9, 0x30]);
    shop.write("short", "too short\n");
    shop.write("nothing", "");
    for (arguments, named) in [
        ("nowhere.crt --trust-store root.crt", "nowhere.crt: "),
        ("noise --trust-store root.crt", "noise: "),
        ("cut.der --trust-store root.crt", "cut.der: "),
        ("alice.key --trust-store root.crt", "alice.key: holds no certificate"),
        ("alice.crt --trust-store noise", "noise: "),
        ("alice.crt --trust-store root.crt --trust-store-password-file nowhere", "nowhere: "),
        ("alice.crt --trust-store root.crt --trust-store-password-file nothing", "nothing: "),
        ("alice.crt --trust-store root.crt --crl alice.crt", "alice.crt: "),
        ("alice.crt --trust-store root.crt --secret-file short", "short: "),
    ] {
        let run = shop.zoogate(&format!("explain {arguments} --output json"));
        assert_eq!(run.code, 65, "{arguments}: {run:?}");
        assert!(run.stderr.starts_with(named), "{arguments}: {run:?}");
        assert_eq!(run.stdout, "");
    }
    let run = shop.zoogate("explain noise --trust-store cut.der --crl nowhere --secret-file short");
    assert_eq!(run.code, 65);
    for name in ["noise: ", "cut.der: ", "nowhere: ", "short: "] {
        assert!(run.stderr.lines().any(|line| line.starts_with(name)), "{name}: {run:?}");
    }
}

#[test]
fn trust_stores_of_java_are_read() {
    let shop = pki();
    shop.write("other", "another-word");
    for kind in ["PKCS12", "JKS"] {
        shop.run(&format!(
            "keytool -importcert -noprompt -alias zoo -file root.crt -keystore {kind} -storetype {kind} \
             -storepass {PASSWORD}"
        ));
        let arguments = format!("alice.crt --trust-store {kind} --trust-store-password-file");
        let run = shop.zoogate(&format!("explain {arguments} password"));
        assert_eq!(run.code, 0, "{run:?}");
        assert!(run.stdout.contains("CN=Root,O=Zoo (alias zoo)\n"), "{run:?}");
        let run = shop.zoogate(&format!("explain {arguments} other"));
        assert_eq!(run.code, 65, "{run:?}");
        assert!(run.stderr.contains("the password is wrong"), "{run:?}");
    }
}

#[test]
fn a_configuration_gives_verifier_and_identity() {
    let shop = pki();
    shop.revoke("list", "root", "server");
    let config = CONFIG.replace("UPSTREAM", "127.0.0.1:2181");
    let config = config.replace("identity: {", "  crls: [ list.crl ]\nidentity: { from: common_name,");
    shop.write("zoogate.yaml", config.replace("secret }", "secret, digest_algorithm: SHA-256 }"));
    let by_config = admitted(&shop.zoogate("explain alice.crt --config zoogate.yaml --output json"));
    assert_eq!(by_config["identity"], "alice");
    let by_options = "--trust-store root.crt --from common_name --secret-file secret --digest-algorithm SHA-256";
    let by_options = admitted(&shop.zoogate(&format!("explain alice.crt {by_options} --output json")));
    assert_eq!(by_config["acl_ids"], by_options["acl_ids"]);
    assert_eq!(refusal(&shop, "server.crt --config zoogate.yaml"), "revoked");
}

/// A configuration whose `identity` has these keys too, and a trust store with the alias `zoo`.
fn mapped(shop: &Workshop, identity: &str) {
    if !shop.path("trust").exists() {
        shop.run(&format!(
            "keytool -importcert -noprompt -alias zoo -file root.crt -keystore trust -storetype PKCS12 \
             -storepass {PASSWORD}"
        ));
    }
    let config = CONFIG.replace("UPSTREAM", "127.0.0.1:2181");
    let config = config.replace("{ path: root.crt }", "{ path: trust, password_file: password }");
    shop.write("mapped.yaml", config.replace("secret_file: secret", &format!("secret_file: secret, {identity}")));
}

const APP: &str = "mapping: [ 'RULE:CN=(x),O=Acme/$1/', { rule: 'RULE:CN=([^,]+),O=Acme/app-$1/', issuers: [zoo] } ]";

#[test]
fn the_rule_that_matched_is_told_with_what_was_made_of_the_name() {
    let shop = pki();
    mapped(&shop, &format!("{APP}, allow: [x, 'app-*'], also_inject: [ unmapped ]"));
    let report = admitted(&shop.zoogate("explain alice.crt --config mapped.yaml --output json"));
    assert_eq!(report["identity"], "app-alice");
    assert_eq!(report["rule"], "RULE:CN=([^,]+),O=Acme/app-$1/");
    assert_eq!(report["acl_ids"]["x509"], "CN=alice,O=Acme");
    let digest = report["acl_ids"]["digest"].as_str().unwrap();
    assert!(digest.starts_with("x509/app-alice:"), "{digest}");

    let text = shop.zoogate("explain alice.crt --config mapped.yaml").stdout;
    for line in [
        "\nname          CN=alice,O=Acme\n",
        "\nby rule       RULE:CN=([^,]+),O=Acme/app-$1/ (number 2 of 2)\n",
        "\n              which holds for clients of zoo\n",
        "\nallowed by    identity.allow, number 2\n",
        "\nold names     digest:x509/CN=alice%2CO=Acme:",
    ] {
        assert!(text.contains(line), "{line}\n{text}");
    }
}

#[test]
fn a_name_that_no_rule_matches_is_refused_without_a_rule() {
    let shop = pki();
    mapped(&shop, "mapping: [ 'RULE:CN=bob,.*/b/' ], mapping_shadow: [ DEFAULT ]");
    assert_eq!(refusal(&shop, "alice.crt --config mapped.yaml"), "no_identity");
    let report = shop.zoogate("explain alice.crt --config mapped.yaml --output json").json();
    assert_eq!(report["rule"], Value::Null);
    assert_eq!(report["shadow"]["result"], "different");
    let text = shop.zoogate("explain alice.crt --config mapped.yaml").stdout;
    assert!(text.contains("\nin the shadow identity.mapping_shadow would let it in, as CN=alice,O=Acme\n"), "{text}");
}

#[test]
fn a_denied_identity_is_told_with_the_list_that_denies_it() {
    let shop = pki();
    let detail = || {
        assert_eq!(refusal(&shop, "alice.crt --config mapped.yaml"), "denied");
        let report = shop.zoogate("explain alice.crt --config mapped.yaml --output json").json();
        assert_eq!(report["rule"], "RULE:CN=([^,]+),O=Acme/app-$1/");
        report["detail"].as_str().unwrap().to_owned()
    };
    mapped(&shop, &format!("{APP}, deny: [ bob, 'app-*' ]"));
    assert_eq!(detail(), "app-alice: the identity is on the list identity.deny, by `app-*` (number 2)");
    let text = shop.zoogate("explain alice.crt --config mapped.yaml").stdout;
    assert!(text.contains("\nby rule       RULE:") && text.contains("else take `app-*` off `identity.deny`"), "{text}");
    mapped(&shop, &format!("{APP}, allow: [ bob ]"));
    assert_eq!(detail(), "app-alice: the identity is not on the list identity.allow");
    let text = shop.zoogate("explain alice.crt --config mapped.yaml").stdout;
    assert!(text.contains("else put `app-alice` on `identity.allow`"), "{text}");
}

#[test]
fn what_other_rules_would_change_is_told_beside_what_is() {
    let shop = pki();
    let nothing = json!({"result": "same", "identity": "CN=alice,O=Acme", "reason": null, "detail": null});
    let other = json!({"result": "different", "identity": "ALICE", "reason": null, "detail": null});
    let cases = [("DEFAULT", nothing), ("'RULE:CN=([^,]+),.*/$1/U'", other)];
    for (rule, expected) in cases {
        mapped(&shop, &format!("mapping_shadow: [ {rule} ]"));
        let report = admitted(&shop.zoogate("explain alice.crt --config mapped.yaml --output json"));
        assert_eq!((&report["identity"], &report["shadow"]), (&json!("CN=alice,O=Acme"), &expected));
        assert_eq!(report["rule"], Value::Null);
    }
    let text = shop.zoogate("explain alice.crt --config mapped.yaml").stdout;
    assert!(text.contains("\nin the shadow identity.mapping_shadow would make it ALICE\n"), "{text}");
    mapped(&shop, "mapping_shadow: [ 'RULE:CN=bob,.*/b/' ]");
    let report = admitted(&shop.zoogate("explain alice.crt --config mapped.yaml --output json"));
    assert_eq!((&report["shadow"]["result"], &report["shadow"]["reason"]), (&json!("refused"), &json!("no_identity")));
    assert!(report["shadow"]["detail"].as_str().unwrap().contains("no mapping rule matches"), "{report}");
}

#[test]
fn the_x509_id_is_the_identity_where_the_gate_speaks_that_scheme() {
    let shop = pki();
    for more in ["inject: x509", "inject: digest, mapping_shadow: [ DEFAULT ] }\nacl: { translate: on"] {
        mapped(&shop, &format!("{APP}, {more}"));
        let report = admitted(&shop.zoogate("explain alice.crt --config mapped.yaml --output json"));
        assert_eq!(report["acl_ids"]["x509"], "app-alice", "{more}");
        // Whose rule is bound to an issuer is not named by itself.
        assert_eq!(shop.zoogate("identity alice.crt --config mapped.yaml").code, 1);
        mapped(&shop, &format!("mapping: [ 'RULE:CN=([^,]+),.*/app-$1/' ], {more}"));
        let run = shop.zoogate("identity alice.crt --config mapped.yaml");
        assert_eq!(run.stdout.lines().last(), Some("x509:app-alice"), "{run:?}");
    }
}

#[test]
fn the_servers_own_expired_certificate_keeps_no_client_unexplained() {
    let shop = pki();
    shop.write("zoogate.yaml", CONFIG.replace("UPSTREAM", "127.0.0.1:2181"));
    crate::check::expire_server(&shop);
    assert_eq!(shop.zoogate("check --config zoogate.yaml").code, 78);
    admitted(&shop.zoogate("explain alice.crt --config zoogate.yaml --output json"));
    shop.write("server.key", "");
    admitted(&shop.zoogate("explain alice.crt --config zoogate.yaml --output json"));
}

#[test]
fn a_bad_configuration_exits_78() {
    let shop = pki();
    let config = CONFIG.replace("UPSTREAM", "127.0.0.1:2181");
    shop.write("unknown.yaml", format!("{config}lisen: 1\n"));
    shop.write("missing.yaml", config.replace("root.crt", "nowhere.crt"));
    for (config, said) in [
        ("unknown.yaml", "unknown.yaml:7: lisen: unknown key"),
        ("missing.yaml", "missing.yaml:5: tls.trust_store: nowhere.crt: "),
    ] {
        let run = shop.zoogate(&format!("explain alice.crt --config {config}"));
        assert_eq!(run.code, 78, "{run:?}");
        assert!(run.stderr.starts_with(said), "{run:?}");
        assert_eq!(run.stdout, "");
    }
}

#[test]
fn a_hostile_subject_can_not_play_with_the_terminal() {
    let shop = pki();
    shop.issue(("evil", "/O=\u{202e}Acme/CN=a\u{1b}[2Jb\u{9b}1mc"), "root", LEAF);
    let (good, bad) = ("evil.crt --trust-store root.crt --secret-file secret", "evil.crt --trust-store stranger.crt");
    for arguments in [good, bad] {
        for output in ["text", "json"] {
            let run = shop.zoogate(&format!("explain {arguments} --output {output}"));
            let all = [run.stdout.as_str(), &run.stderr].concat();
            assert!(!all.chars().any(|c| c != '\n' && (c.is_control() || c == '\u{202e}')), "{run:?}");
        }
    }
    let report = admitted(&shop.zoogate(&format!("explain {good} --output json")));
    assert_eq!(report["identity"], "CN=a\u{1b}[2Jb\u{9b}1mc,O=\u{202e}Acme");
}
