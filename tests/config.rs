//! The configuration through its public door: what is refused and how that is said, what a good file means, and
//! that the page about it tells the truth.

use std::{
    collections::BTreeMap,
    env, fs,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use proptest::{prelude::*, proptest};
use zoogate::config::{
    Config, ConfigError, Inject, KEYS, KeyDefault, ListenAddress, Revocation, RevocationPolicy, UpstreamSource,
};
use zoogate::identity::mapping::{AnchorRef, Mapping};
use zoogate::identity::{Identity, Source};

const SMALLEST: &str = "
listen: { address: '0.0.0.0:2281' }
tls:
  key_store: { path: server.p12 }
  trust_store: { path: trust.pem }
identity: { secret_file: secret }
";

fn parse(text: &str) -> Result<Config, ConfigError> {
    Config::parse(text, Path::new("/etc/zoogate"), "zoogate.yaml")
}

/// The smallest file with one more line, and the problems of that.
fn problems(line: &str) -> String {
    parse(&format!("{SMALLEST}{line}\n")).map(drop).expect_err("the line is wrong").to_string()
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

#[test]
fn every_bad_file_is_refused_with_all_its_problems_and_their_lines() {
    let directory = root().join("tests/golden/config-errors");
    let mut files: Vec<PathBuf> = fs::read_dir(&directory).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|file| file.extension().is_some_and(|extension| extension == "yaml"));
    files.sort();
    assert!(files.len() >= 15, "{files:?}");
    for file in files {
        let output = Command::new(env!("CARGO_BIN_EXE_zoogate"))
            .args(["check", "--config"])
            .arg(file.file_name().unwrap())
            .current_dir(&directory)
            .env_remove("CREDENTIALS_DIRECTORY")
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(78), "{}", file.display());
        assert_eq!(output.stdout, b"", "{}", file.display());
        let said = String::from_utf8(output.stderr).unwrap();
        let golden = file.with_extension("stderr");
        if env::var_os("UPDATE").is_some() {
            fs::write(&golden, &said).unwrap();
        }
        let expected = fs::read_to_string(&golden).unwrap();
        assert_eq!(said, expected, "{}; UPDATE=1 rewrites what is expected", file.display());
        assert!(!said.contains("hunter2") && !said.contains("MC4C"), "a secret is repeated: {said}");
    }
}

#[test]
fn the_smallest_file_is_enough_and_defaults_are_careful() {
    let config = parse(SMALLEST).unwrap();
    assert_eq!(config.listen.addresses, [ListenAddress::Socket("0.0.0.0:2281".parse().unwrap())]);
    assert_eq!(config.listen.backlog, 4096);
    assert!(config.listen.proxies.is_empty());
    assert_eq!(config.listen.tcp.keepalive, Some(Duration::from_secs(60)));
    assert_eq!(config.upstream.address.to_string(), "127.0.0.1:2181");
    assert_eq!(config.upstream.source, UpstreamSource::PerClient);
    assert_eq!(config.upstream.connect_timeout, Duration::from_secs(5));
    assert_eq!(config.tls.revocation, Revocation::Chain);
    assert_eq!(config.tls.revocation_policy, RevocationPolicy::Hard);
    assert!(config.tls.crls.is_empty());
    assert!(matches!(config.identity.inject, Inject::Digest { .. }));
    assert_eq!((config.limits.connections, config.limits.handshakes), (8_000, 16_000));
    assert_eq!(config.limits.frame, 1024 * 1024 + 1024);
    assert_eq!(config.four_letter_words.allow, ["ruok", "srvr", "isro"]);
    assert_eq!(config.shutdown.delay, Duration::ZERO);
    assert_eq!(config.admin.address, Some(ListenAddress::Socket("127.0.0.1:9281".parse().unwrap())));
    assert!(config.runtime.workers >= 1 && config.runtime.handshake_workers == config.runtime.workers);
}

#[test]
fn relative_paths_are_relative_to_the_files_directory() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("zoogate.yaml");
    let text = SMALLEST.replace("trust.pem", "/etc/pki/trust.pem").replace("server.p12", "../server.p12");
    fs::write(&file, text).unwrap();
    let config = Config::load(&file).unwrap();
    assert_eq!(config.tls.key_store.path, directory.path().join("../server.p12"));
    assert_eq!(config.tls.trust_store.as_ref().unwrap().path, Path::new("/etc/pki/trust.pem"));
    let Inject::Digest { secret_file, .. } = config.identity.inject else { panic!("{:?}", config.identity) };
    assert_eq!(secret_file, directory.path().join("secret"));
}

#[test]
fn systemds_credentials_are_found_where_the_environment_says() {
    let directory = tempfile::tempdir().unwrap();
    let text = SMALLEST.replace("path: server.p12", "path: '${CREDENTIALS_DIRECTORY}/server.p12'");
    fs::write(directory.path().join("zoogate.yaml"), text.replace("2281", "port")).unwrap();
    // The port is wrong on purpose: what is left to complain of shows what was taken.
    let complaint = |credentials: Option<&str>| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_zoogate"));
        command.args(["check", "--config", "zoogate.yaml"]).current_dir(&directory);
        match credentials {
            Some(path) => command.env("CREDENTIALS_DIRECTORY", path),
            None => command.env_remove("CREDENTIALS_DIRECTORY"),
        };
        String::from_utf8(command.output().unwrap().stderr).unwrap()
    };
    assert!(complaint(None).contains("zoogate.yaml:4: tls.key_store.path: ${CREDENTIALS_DIRECTORY} is not set"));
    let with = complaint(Some("/run/credentials/zoogate.service"));
    assert!(
        with.contains("listen.address") && with.contains(" /run/credentials/zoogate.service/server.p12: "),
        "{with}"
    );
}

#[test]
fn a_list_and_a_single_address_are_both_fine() {
    let config = parse(&SMALLEST.replace("'0.0.0.0:2281'", "['10.0.0.1:2281', '[fd00::1]:2281']")).unwrap();
    let addresses: Vec<String> = config.listen.addresses.iter().map(ListenAddress::to_string).collect();
    assert_eq!(addresses, ["10.0.0.1:2281", "[fd00::1]:2281"]);
}

#[test]
fn a_socket_of_the_service_manager_is_named() {
    let text = SMALLEST.replace("'0.0.0.0:2281'", "['fd:tls', '10.0.0.1:2281']");
    let config = parse(&format!("{text}admin: {{ address: 'fd:admin' }}\n")).unwrap();
    let passed = |name: &str| ListenAddress::Passed(name.to_owned());
    assert_eq!(config.listen.addresses, [passed("tls"), ListenAddress::Socket("10.0.0.1:2281".parse().unwrap())]);
    assert_eq!(config.admin.address, Some(passed("admin")));
    for wrong in ["'fd:'", "'fd:a:b'", "'fd:a b'", "'fd:ä'"] {
        let problems = parse(&SMALLEST.replace("'0.0.0.0:2281'", wrong)).unwrap_err().to_string();
        assert!(problems.contains("FileDescriptorName="), "{wrong}: {problems}");
    }
    let twice = parse(&SMALLEST.replace("'0.0.0.0:2281'", "['fd:tls', 'fd:tls']")).unwrap_err().to_string();
    assert!(twice.contains("is covered by"), "{twice}");
    let both = format!("{}admin: {{ address: 'fd:tls' }}\n", SMALLEST.replace("'0.0.0.0:2281'", "'fd:tls'"));
    let both = parse(&both).unwrap_err().to_string();
    assert!(both.contains("`fd:tls` is taken by `listen.address: fd:tls`"), "{both}");
}

#[test]
fn every_address_of_both_families_can_be_listened_on() {
    for both in ["['0.0.0.0:2281', '[::]:2281']", "['[::]:2281', '0.0.0.0:2281']"] {
        let config = parse(&SMALLEST.replace("'0.0.0.0:2281'", both)).unwrap();
        assert_eq!(config.listen.addresses.len(), 2);
    }
    for twice in ["['[::]:2281', '[::1]:2281']", "['0.0.0.0:2281', '127.0.0.1:2281']"] {
        let problems = parse(&SMALLEST.replace("'0.0.0.0:2281'", twice)).unwrap_err().to_string();
        assert!(problems.contains("is covered by"), "{problems}");
    }
}

#[test]
fn a_server_elsewhere_is_dialled_from_the_systems_address() {
    for address in ["zk1.example.com:2181", "'[::1]:2181'", "localhost.example.com:2181", "10.0.0.1:2181"] {
        let config = parse(&format!("{SMALLEST}upstream: {{ address: {address} }}\n")).unwrap();
        assert_eq!(config.upstream.source, UpstreamSource::System, "{address}");
        assert_eq!(config.upstream.address.to_string(), address.trim_matches('\''));
    }
}

#[test]
fn a_server_on_loopback_sees_its_clients_apart_whatever_it_is_called() {
    for address in ["127.0.0.1:2181", "127.8.9.10:2181", "localhost:2181", "LocalHost:2181"] {
        let config = parse(&format!("{SMALLEST}upstream: {{ address: {address} }}\n")).unwrap();
        assert_eq!(config.upstream.source, UpstreamSource::PerClient, "{address}");
        parse(&format!("{SMALLEST}upstream: {{ address: {address}, source: per_client }}\n")).unwrap();
    }
}

#[test]
fn durations_sizes_and_switches_read_as_people_write_them() {
    let more = "
limits: { frame: 4 MiB, handshake_timeout: 1500ms, open_timeout: 1m 30s }
shutdown: { delay: 0, grace: 2m }
upstream: { keepalive: off, user_timeout: 0 }
admin: { address: none }
four_letter_words: { allow: [] }
";
    let config = parse(&format!("{SMALLEST}{more}")).unwrap();
    assert_eq!(config.limits.frame, 4 << 20);
    assert_eq!(config.limits.handshake_timeout, Duration::from_millis(1500));
    assert_eq!(config.limits.open_timeout, Duration::from_secs(90));
    assert_eq!(config.shutdown.grace, Duration::from_secs(120));
    assert_eq!(config.upstream.tcp.keepalive, None);
    assert_eq!(config.upstream.tcp.user_timeout, None);
    assert_eq!(config.admin.address, None);
    assert!(config.four_letter_words.allow.is_empty());
    assert_eq!(parse(&format!("{SMALLEST}limits: {{ frame: 65536 }}")).unwrap().limits.frame, 65536);
}

/// Every key that admits `on` or `off`, with the words that it admits.
const SWITCHES: &[(&str, &[&str])] = &[
    ("acl.translate", &["on", "off"]),
    ("session.binding", &["on", "off"]),
    ("listen.keepalive", &["off"]),
    ("listen.user_timeout", &["off"]),
    ("upstream.keepalive", &["off"]),
    ("upstream.user_timeout", &["off"]),
    ("tls.expiry_warning", &["off"]),
    ("reload.interval", &["off"]),
    ("ensemble.advertise", &["off"]),
    ("log.level", &["off"]),
];

const GOOD: [(&str, &str); 5] = [
    ("listen.address", "0.0.0.0:2281"),
    ("tls.crls", "ca.crl"),
    ("tls.key_store.path", "server.p12"),
    ("tls.trust_store.path", "trust.pem"),
    ("identity.secret_file", "secret"),
];

fn with_key(path: &str, value: &str) -> Result<Config, ConfigError> {
    let mut keys = BTreeMap::from(GOOD);
    keys.insert(path, value);
    parse(&render(&keys))
}

#[test]
fn a_trust_store_is_required_unless_certificates_are_pinned() {
    let without = |keys: &[(&'static str, &'static str)]| {
        let mut all = BTreeMap::from(GOOD);
        all.remove("tls.trust_store.path");
        all.extend(keys.iter().copied());
        parse(&render(&all))
    };
    let error = without(&[]).map(drop).unwrap_err().to_string();
    assert!(error.contains("tls.trust_store.path: is required"), "{error}");
    let error = without(&[("tls.pinned_certificates", "[]")]).map(drop).unwrap_err().to_string();
    assert!(error.contains("tls.trust_store.path: is required"), "{error}");
    let config = without(&[("tls.pinned_certificates", "[ a.pem, /b.jks ]")]).unwrap();
    assert!(config.tls.trust_store.is_none());
    assert!(config.tls.pinned_certificates[0].ends_with("a.pem"), "{:?}", config.tls);
    assert_eq!(config.tls.pinned_certificates[1], Path::new("/b.jks"));
    let pinned = [("tls.pinned_certificates", "a.pem"), ("tls.trust_store.password_file", "pass")];
    let error = without(&pinned).map(drop).unwrap_err().to_string();
    assert!(error.contains("tls.trust_store.path: is required beside"), "{error}");
}

#[test]
fn a_switch_is_read_in_every_spelling_of_yaml() {
    let on = ["on", "On", "ON", "true", "True", "TRUE", "yes", "Yes", "YES", "'on'", "\"true\"", "'yes'"];
    let off = ["off", "Off", "OFF", "false", "False", "FALSE", "no", "No", "NO", "'off'", "\"false\"", "'no'"];
    for (path, admitted) in SWITCHES {
        for (spellings, word) in [(on, "on"), (off, "off")] {
            let plain = with_key(path, word);
            assert_eq!(plain.is_ok(), admitted.contains(&word), "{path}: {word}");
            for spelling in spellings {
                match (&plain, with_key(path, spelling)) {
                    // The same configuration, whatever the spelling.
                    (Ok(plain), Ok(read)) => {
                        assert_eq!(format!("{plain:?}"), format!("{read:?}"), "{path}: {spelling}")
                    }
                    (Err(_), Err(error)) => assert!(error.to_string().contains(path), "{error}"),
                    (_, read) => panic!("{path}: {spelling}: {read:?}"),
                }
            }
        }
        for neither in ["'onn'", "y", "'o ff'", "[off]", "{ off: on }"] {
            let error = with_key(path, neither).map(drop).expect_err("neither on nor off").to_string();
            assert!(error.contains(path), "{error}");
        }
    }
}

#[test]
fn every_key_that_admits_off_is_among_the_switches_and_no_other_takes_a_boolean() {
    for key in KEYS {
        let listed = SWITCHES.iter().any(|(path, _)| *path == key.path);
        assert_eq!(with_key(key.path, "off").is_ok() && with_key(key.path, "false").is_ok(), listed, "{}", key.path);
        for boolean in ["true", "false"] {
            assert!(listed || with_key(key.path, boolean).is_err(), "{}: {boolean}", key.path);
        }
    }
}

#[test]
fn a_byte_order_mark_at_the_head_is_no_part_of_the_configuration() {
    let marked = format!("\u{feff}{}", SMALLEST.trim_start());
    assert_eq!(parse(&marked).unwrap().listen.addresses.len(), 1);
    let wrong = parse(&format!("{marked}limits: {{ frame: a lot }}\n")).unwrap_err().to_string();
    assert!(wrong.starts_with("zoogate.yaml:6: limits.frame: "), "{wrong}");
    // Only there: elsewhere it is a part of a word.
    let inside = parse(&marked.replace("tls:", "\u{feff}tls:")).unwrap_err().to_string();
    assert!(inside.contains("unknown key") || inside.contains("not valid YAML"), "{inside}");
}

#[test]
fn without_injection_no_secret_is_needed() {
    let config = parse(&SMALLEST.replace("secret_file: secret", "inject: none")).unwrap();
    assert_eq!(config.identity.inject, Inject::None);
}

#[test]
fn names_and_lists_of_identities_read_as_people_write_them() {
    let names = r#"
  from: san_uri
  mapping:
    - 'RULE:^spiffe:\/\/([^\/]+)\/(.*)$/$2@$1/L'
    - { rule: DEFAULT, issuers: [ old-ca, "0707070707070707070707070707070707070707070707070707070707070707" ] }
  mapping_shadow: DEFAULT
  also_inject: [ unmapped, subject, { from: subject, mapping: 'RULE:^CN=(.*)$/$1/' }, { mapping: [ DEFAULT ] } ]
  allow: [ '*@example.org', 'spiffe://*' ]
  deny: [ 'eve@*' ]
  super: [ 'ops@example.org' ]
"#;
    let text = SMALLEST.replace(
        "identity: { secret_file: secret }",
        &format!("identity:\n  inject: x509\n  secret_file: secret{names}"),
    );
    let identity = parse(&text).unwrap_or_else(|error| panic!("{error}\n{text}")).identity;
    let sha256 = [7; 32];
    let apply = |mapping: &Option<Mapping>, name, alias| {
        let anchor = AnchorRef { alias, sha256: &sha256 };
        mapping.as_ref().unwrap().apply(name, anchor).map(|mapped| (mapped.identity.to_string(), mapped.rule))
    };
    let name = "spiffe://Example.org/Web";
    assert_eq!(apply(&identity.mapping, name, None).unwrap(), ("web@example.org".to_owned(), 0));
    assert_eq!(apply(&identity.mapping, "x", None).unwrap(), ("x".to_owned(), 1));
    assert_eq!(apply(&identity.mapping_shadow, "x", None).unwrap().0, "x");
    let old: Vec<(Source, bool)> = identity.also_inject.iter().map(|old| (old.from, old.mapping.is_some())).collect();
    let (uri, subject) = (Source::SanUri, Source::Subject);
    assert_eq!(old, [(uri, false), (subject, false), (subject, true), (uri, true)]);
    assert_eq!(apply(&identity.also_inject[2].mapping, "CN=web", None).unwrap().0, "web");
    let allowed = |name: &str| identity.policy.decide(&Identity::new(name.to_owned()).unwrap()).is_ok();
    assert!(allowed("web@example.org") && !allowed("eve@example.org") && !allowed("web@example.com"));
    assert_eq!(identity.superusers, [Identity::new("ops@example.org".to_owned()).unwrap()]);
}

#[test]
fn without_rules_and_lists_names_are_as_they_are() {
    let identity = parse(SMALLEST).unwrap().identity;
    assert!(identity.mapping.is_none() && identity.mapping_shadow.is_none() && identity.also_inject.is_empty());
    assert!(identity.policy.decide(&Identity::new("anyone".to_owned()).unwrap()).is_ok());
    let old: String = (0..9).map(|_| "unmapped, ").collect();
    let many = SMALLEST.replace("secret_file: secret", &format!("secret_file: secret, also_inject: [ {old} ]"));
    let error = parse(&many).unwrap_err().to_string();
    assert_eq!(error, "zoogate.yaml:6: identity.also_inject: has more than 8 names");
}

#[test]
fn a_name_or_wildcard_that_leads_back_to_our_own_port_is_a_loop() {
    for address in ["localhost:2281", "127.0.0.1:2281", "127.1.2.3:2281"] {
        let said = problems(&format!("upstream: {{ address: {address} }}"));
        assert!(said.starts_with("zoogate.yaml:7: upstream.address: ") && said.contains("itself"), "{said}");
    }
    parse(&format!("{SMALLEST}upstream: {{ address: 'zk1:2281' }}")).unwrap();
}

#[test]
fn gates_tell_their_own_port_unless_another_address_is_written() {
    let ensemble = |line: &str| parse(&format!("{SMALLEST}{line}\n")).unwrap().ensemble.unwrap();
    assert_eq!((ensemble("").port, ensemble("").addresses.len()), (2281, 0));
    let written = ensemble("ensemble: { port: 443, addresses: [ '1=zk1.example.com:2281', '2 = [fd00::2]:2282' ] }");
    let addresses = [(1, "zk1.example.com:2281".to_owned()), (2, "[fd00::2]:2282".to_owned())];
    assert_eq!((written.port, written.addresses), (443, BTreeMap::from(addresses)));
    assert!(parse(&format!("{SMALLEST}ensemble: {{ advertise: off }}\n")).unwrap().ensemble.is_none());
}

#[test]
fn names_of_the_admin_address_are_host_names_without_a_port() {
    let hosts = |line: &str| parse(&format!("{SMALLEST}{line}\n")).unwrap().admin.hosts;
    assert_eq!(hosts(""), Vec::<String>::new());
    assert_eq!(hosts("admin: { hosts: Zk1.Example.Com. }"), ["zk1.example.com"]);
    assert_eq!(hosts("admin: { hosts: [zk1, '*.zk.svc'] }"), ["zk1", "*.zk.svc"]);
    for (written, expected) in [
        ("zk1:9281", "`zk1:9281` has a port; write `zk1`, which holds for every port"),
        ("10.0.0.1", "`10.0.0.1` is an address; those need not be listed"),
        ("'::1'", "`::1` is an address; those need not be listed"),
        ("'*'", "`*` is no host name"),
        ("'a.*.b'", "`a.*.b` is no host name"),
        ("'*.'", "`*.` is no host name"),
        ("http://zk1", "`http://zk1` is no host name"),
        ("'a..b'", "`a..b` is no host name"),
    ] {
        let said = problems(&format!("admin: {{ hosts: [{written}] }}"));
        assert!(said.contains(&format!("admin.hosts[0]: {expected}")), "{said}");
    }
}

#[test]
fn the_line_is_that_of_the_key_or_of_the_lists_element() {
    let said = problems("four_letter_words:\n  allow:\n    - ruok\n    -\n      nope");
    assert!(said.starts_with("zoogate.yaml:11: four_letter_words.allow[1]: `nope` is no four-letter word"), "{said}");
    let said = problems("limits:\n\n  # longest request\n  frame:\n    a lot");
    assert!(said.starts_with("zoogate.yaml:10: limits.frame: is not a size"), "{said}");
}

#[test]
fn a_flood_of_problems_is_cut_short() {
    let flood: String = (0..5000).map(|n| format!("key{n}: 1\n")).collect();
    let error = parse(&format!("{SMALLEST}{flood}")).unwrap_err();
    assert_eq!(error.problems.len(), 101);
    assert_eq!(error.problems[99].line, Some(106));
    assert_eq!(error.problems[100].message, "and 4900 more problems");
}

#[test]
fn a_file_that_is_missing_too_long_or_not_text_is_refused_by_name() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("zoogate.yaml");
    let said = |file: &Path| Config::load(file).unwrap_err().to_string();
    assert!(said(&file).starts_with(&format!("{}: can't be read: ", file.display())), "{}", said(&file));
    assert!(said(directory.path()).contains("can't be read"));
    fs::write(&file, b"listen: \xff\n").unwrap();
    assert!(said(&file).contains("is not UTF-8"));
    let utf16 = |bytes: fn(u16) -> [u8; 2]| SMALLEST.encode_utf16().flat_map(bytes).collect::<Vec<u8>>();
    for (mark, text) in [
        (&b"\xff\xfe"[..], utf16(u16::to_le_bytes)),
        (&b"\xfe\xff"[..], utf16(u16::to_be_bytes)),
        (&b""[..], utf16(u16::to_le_bytes)),
    ] {
        fs::write(&file, [mark, &text].concat()).unwrap();
        assert!(said(&file).contains("is UTF-16 text"), "{}", said(&file));
    }
    fs::write(&file, "# padding\n".repeat(110_000)).unwrap();
    assert!(said(&file).contains("is longer than 1 MiB"));
}

#[test]
fn the_page_has_a_row_for_every_key_with_its_default_and_no_other() {
    let page = fs::read_to_string(root().join("docs/configuration.md")).unwrap();
    let rows: Vec<Vec<&str>> = page
        .lines()
        .filter(|line| line.starts_with("| `"))
        .map(|line| line.trim_matches('|').split('|').map(str::trim).collect())
        .collect();
    let documented: Vec<[&str; 3]> = rows.iter().map(|row| [row[0], row[1], row[2]]).collect();
    let defined: Vec<[String; 3]> = KEYS
        .iter()
        .map(|key| {
            let default = match key.default {
                KeyDefault::Required => "required".to_owned(),
                KeyDefault::Unset => "unset".to_owned(),
                KeyDefault::Written(text) => format!("`{text}`"),
                KeyDefault::Depends(words) => words.to_owned(),
            };
            [format!("`{}`", key.path), default, if key.reloads { "yes" } else { "no" }.to_owned()]
        })
        .collect();
    assert_eq!(documented, defined);
    assert!(rows.iter().all(|row| row.len() == 4 && !row[3].is_empty()), "a row without a meaning");
}

#[test]
fn the_pages_examples_are_valid() {
    let page = fs::read_to_string(root().join("docs/configuration.md")).unwrap();
    let examples: Vec<&str> = page.split("```yaml\n").skip(1).map(|rest| rest.split("```").next().unwrap()).collect();
    assert!(examples.len() >= 2);
    for example in examples {
        // As outside of systemd, where the directory of credentials is not known.
        let example = example.replace("${CREDENTIALS_DIRECTORY}", "/run/credentials/zoogate.service");
        if let Err(error) = parse(&example) {
            panic!("{error}\n{example}");
        }
    }
}

#[test]
fn every_default_in_the_table_is_what_an_absent_key_means() {
    // Writing each default out must change nothing.
    let absent = format!("{:?}", parse(SMALLEST).unwrap());
    for key in KEYS {
        let KeyDefault::Written(default) = key.default else { continue };
        let (section, word) = key.path.split_once('.').unwrap();
        assert!(!word.contains('.'), "{}", key.path);
        let line = format!("{word}: {default}");
        let present = match section {
            "tls" if word.starts_with("revocation") => continue,
            "tls" => SMALLEST.replace("tls:\n", &format!("tls:\n  {line}\n")),
            "listen" | "identity" => SMALLEST.replace(&format!("{section}: {{"), &format!("{section}: {{ {line},")),
            _ => format!("{SMALLEST}{section}: {{ {line} }}\n"),
        };
        assert_eq!(format!("{:?}", parse(&present).unwrap()), absent, "{}", key.path);
    }
}

/// A file with these keys, each value in flow style.
fn render(keys: &BTreeMap<&str, &str>) -> String {
    let mut text = String::new();
    let mut above: Vec<&str> = Vec::new();
    for (path, value) in keys {
        let words: Vec<&str> = path.split('.').collect();
        let shared = above.iter().zip(&words).take_while(|(a, b)| a == b).count();
        for (depth, word) in words.iter().enumerate().skip(shared) {
            let value = if depth + 1 == words.len() { *value } else { "" };
            text += &format!("{}{word}: {value}\n", "  ".repeat(depth));
        }
        above = words;
    }
    text
}

#[test]
fn a_value_of_any_odd_kind_is_refused_at_its_own_line_or_means_something() {
    let odd = [
        "",
        "~",
        "true",
        "-1",
        "1.5",
        "99999999999999999999999",
        "''",
        "'\\u0000'",
        "\"\\e[2J\"",
        "{ a: b }",
        "[]",
        "[[x]]",
        "[~]",
        "!tag x",
        "!!int x",
        "'18446744073709551616s'",
        "99999999999y",
        "4294967297KiB",
        "'::'",
        "':'",
        "'[::1]'",
        "127.0.0.1:99999",
        "&anchor x",
        "1e400",
        ".nan",
        "🦓",
    ];
    let good = [
        ("listen.address", "0.0.0.0:2281"),
        ("tls.crls", "ca.crl"),
        ("tls.key_store.path", "server.p12"),
        ("tls.trust_store.path", "trust.pem"),
        ("identity.secret_file", "secret"),
    ];
    let mut refused = 0;
    for key in KEYS {
        for value in odd {
            let mut keys = BTreeMap::from(good);
            keys.insert(key.path, value);
            let text = render(&keys);
            let Err(error) = parse(&text) else { continue };
            refused += 1;
            let word = key.path.rsplit('.').next().unwrap();
            for problem in error.problems {
                let line = text.lines().nth(problem.line.unwrap() - 1).unwrap();
                let here = problem.path.starts_with(key.path) || problem.path.is_empty();
                assert!(here && line.trim_start().starts_with(word), "{problem} in\n{text}");
                assert!(!problem.to_string().contains(char::is_control), "{problem:?}");
            }
        }
    }
    assert!(refused > KEYS.len() * odd.len() / 2, "{refused}");
}

proptest! {
    #[test]
    fn no_text_makes_the_parser_panic(text in "[-a-z0-9:,\\[\\]{}#&*!|>'\"%@`~ \t\n.?<]{0,200}") {
        let _ = parse(&text).map_err(|error| error.to_string());
    }

    #[test]
    fn no_damage_to_a_good_file_makes_the_parser_panic(at in 0..SMALLEST.len(), with in "[-:,\\[{\\]}'\" \t\n&*!~]{1,3}") {
        let damaged = format!("{}{with}{}", &SMALLEST[..at], &SMALLEST[at..]);
        if let Err(error) = parse(&damaged) {
            prop_assert!(!error.problems.is_empty());
        }
    }
}
