use std::path::Path;

use proptest::prelude::*;

use super::*;
use crate::config::{Config, Inject};
use crate::zk::dynamic_config::Which;

fn printed(zoo_cfg: &str, flags: &str) -> String {
    let page = page_of(Path::new("/nowhere/zoo.cfg"), zoo_cfg.as_bytes(), flags);
    page.unwrap_or_else(|error| panic!("{error}")).print("zoo.cfg")
}

fn config(zoo_cfg: &str, flags: &str) -> Config {
    let text = printed(zoo_cfg, flags);
    Config::parse(&text, Path::new("/etc/zoogate"), "zoogate.yaml").unwrap_or_else(|error| panic!("{error}\n{text}"))
}

/// Where clients come, and where ZooKeeper is.
fn addresses(zoo_cfg: &str) -> (String, String) {
    let config = config(zoo_cfg, "");
    (config.listen.addresses[0].to_string(), config.upstream.address.to_string())
}

#[test]
fn the_gate_takes_over_the_port_of_tls_and_zookeeper_is_on_loopback() {
    for (zoo_cfg, listen, upstream) in [
        ("clientPort=2181", "0.0.0.0:2281", "127.0.0.1:2181"),
        ("clientPort=2281", "0.0.0.0:2282", "127.0.0.1:2281"),
        ("clientPort=2181\nclientPortAddress=10.0.0.5", "0.0.0.0:2281", "127.0.0.1:2181"),
        ("clientPort=2181\nclientPortAddress=::1", "0.0.0.0:2281", "[::1]:2181"),
        ("clientPort=2181\nclientPortAddress=localhost", "0.0.0.0:2281", "127.0.0.1:2181"),
        ("clientPort=2181\nclientPortAddress=127.0.0.2", "0.0.0.0:2281", "127.0.0.2:2181"),
        ("clientPort=2181\nsecureClientPort=2182", "0.0.0.0:2182", "127.0.0.1:2181"),
        ("secureClientPort=2181", "0.0.0.0:2181", "127.0.0.1:12181"),
        ("secureClientPort=2281\nsecureClientPortAddress=::", "[::]:2281", "127.0.0.1:2181"),
        ("secureClientPort=2281\nsecureClientPortAddress=10.0.0.5", "10.0.0.5:2281", "127.0.0.1:2181"),
        ("secureClientPort=2281\nsecureClientPortAddress=zk1", "0.0.0.0:2281", "127.0.0.1:2181"),
        ("clientPort=2181\nclient.portUnification=true", "0.0.0.0:2181", "127.0.0.1:12181"),
        ("clientPort=2181\nclientPortAddress=10.0.0.5\nclient.portUnification=TRUE", "10.0.0.5:2181", "127.0.0.1:2181"),
        ("clientPort=60000\nclient.portUnification=true", "0.0.0.0:60000", "127.0.0.1:2181"),
        ("clientPort=2181\nadmin.serverPort=2281\nserver.1=a:2282:2283", "0.0.0.0:2284", "127.0.0.1:2181"),
        ("server.1=a:1:2;127.0.0.1:2191;2291\ndataDir=/d", "0.0.0.0:2291", "127.0.0.1:2191"),
        ("clientPort=9281", "0.0.0.0:2281", "127.0.0.1:9281"),
        ("secureClientPort=9281\nclientPort=9282", "0.0.0.0:9281", "127.0.0.1:9282"),
        ("dataDir=/d\nserver.1=a:1:2;2191\nserver.2=b:1:2;2191", "0.0.0.0:2281", "127.0.0.1:2191"),
        ("dataDir=/d\nserver.1=a:1:2;127.0.0.1:2191", "0.0.0.0:2281", "127.0.0.1:2191"),
    ] {
        assert_eq!(addresses(zoo_cfg), (listen.to_owned(), upstream.to_owned()), "{zoo_cfg}");
    }
}

#[test]
fn the_administration_avoids_ports_that_are_taken() {
    let admin = |zoo_cfg: &str| config(zoo_cfg, "").admin.address?.socket().map(|address| address.port());
    assert_eq!(admin("clientPort=1"), Some(9281));
    assert_eq!(admin("clientPort=9281"), Some(9282));
    assert_eq!(admin("secureClientPort=9281\nmetricsProvider.httpPort=9282\nadmin.serverPort=9283"), Some(9284));
}

#[test]
fn clients_are_told_of_gates_where_servers_tell_of_themselves() {
    let advertise = |zoo_cfg: &str| config(zoo_cfg, "").ensemble.map(|ensemble| ensemble.which);
    assert_eq!(advertise("dataDir=/d\nserver.1=a:1:2;2191"), Some(Which::All));
    for told_already in ["server.1=a:1:2;127.0.0.1:2191", "clientPort=1\nserver.1=a:1:2"] {
        assert_eq!(advertise(&format!("dataDir=/d\n{told_already}")), Some(Which::Loopback));
    }
}

#[test]
fn a_second_provider_of_x509_is_taken_out() {
    let stock = "secureClientPort=1\nauthProvider.1=org.apache.zookeeper.server.auth.X509AuthenticationProvider";
    assert!(printed(stock, "").contains("take authProvider.1 out"));
}

/// Sections used to be printed as often as their keys came apart.
#[test]
fn keys_of_a_section_stand_together() {
    let converted = config("clientPortListenBacklog=7\nssl.keyStore.location=0", "");
    assert_eq!(converted.listen.backlog, 7);
}

#[test]
fn what_the_server_must_change_is_told_and_nothing_else() {
    let server = |zoo_cfg: &str| {
        let text = printed(zoo_cfg, "");
        text.split_once("In ZooKeeper's settings").map(|(_, rest)| rest.to_owned())
    };
    let open = server("clientPort=2181").expect("an open port");
    assert!(open.contains("#       clientPortAddress=127.0.0.1\n") && !open.contains("clientPort=2"), "{open}");
    assert_eq!(server("clientPort=2181\nclientPortAddress=127.0.0.1"), None);
    let secure = server("clientPort=2181\nclientPortAddress=127.0.0.1\nsecureClientPort=2281").expect("TLS");
    assert!(secure.contains("take secureClientPort out") && !secure.contains("clientPortAddress="), "{secure}");
    let ours = "authProvider.x509=io.zoogate.zookeeper.GateAuthenticationProvider";
    assert!(secure.contains(ours), "{secure}");
    let equipped = format!("clientPort=2181\nclientPortAddress=127.0.0.1\nsecureClientPort=2281\n{ours}");
    assert!(!server(&equipped).expect("TLS").contains(ours));
    let dynamic = server("server.1=a:1:2:participant;2191\ndataDir=/d").expect("an open port");
    assert!(dynamic.contains("#       reconfig -add server.1=a:1:2:participant;127.0.0.1:2191\n"), "{dynamic}");
    assert!(!dynamic.contains("take clientPort"), "{dynamic}");
    let both = server("server.1=a:1:2;2191\nserver.2=b:1:2;127.0.0.1:2191\nclientPort=2191").expect("an open port");
    assert!(both.contains("take clientPort and") && both.contains("server.1=a:1:2;") && !both.contains("server.2"));
    assert_eq!(server("server.1=a:1:2:participant;127.0.0.1:2191\ndataDir=/d"), None);
    assert!(server("clientPort=2181\nclientPortAddress=::1").expect("one source").contains("maxClientCnxns=0"));
    assert_eq!(server("clientPort=2181\nclientPortAddress=::1\nmaxClientCnxns=0"), None);
}

#[test]
fn identities_stay_those_that_acls_name() {
    let inject = |zoo_cfg: &str| config(zoo_cfg, "").identity.inject;
    assert!(matches!(inject("clientPort=1"), Inject::Digest { .. }));
    assert!(matches!(inject("secureClientPort=1"), Inject::X509 { .. }));
    assert!(matches!(inject("secureClientPort=1\nssl.clientAuth=none"), Inject::Digest { .. }));
    assert!(matches!(inject("clientPort=1\nDigestAuthenticationProvider.enabled=false"), Inject::X509 { .. }));
    let hashed = inject("clientPort=1\nDigestAuthenticationProvider.digestAlg=SHA3-256");
    assert!(matches!(hashed, Inject::Digest { algorithm, .. } if algorithm.as_str() == "sha3-256"), "{hashed:?}");
    let superuser = "secureClientPort=1\nX509AuthenticationProvider.superUser=CN=it's \\\\\"root\\\\\"\\, O=\\u00c9";
    let names = config(superuser, "").identity.superusers;
    assert_eq!(names.iter().map(|name| name.as_str()).collect::<Vec<_>>(), ["CN=it's \\\"root\\\", O=É"]);
}

#[test]
fn limits_and_words_are_those_of_the_server() {
    let converted =
        config("clientPort=1\nmaxCnxns=500\n4lw.commands.whitelist=mntr, ruok,stmk,huh", "-Djute.maxbuffer=0x400000");
    assert_eq!((converted.limits.connections, converted.limits.frame), (500, 0x40_0400));
    assert_eq!(converted.four_letter_words.allow, ["mntr", "ruok"]);
    assert_eq!(config("clientPort=1\n4lw.commands.whitelist=", "").four_letter_words.allow.len(), 3);
    assert_eq!(config("clientPort=1\njute.maxbuffer=4194304", "").limits.frame, 1025 * 1024);
    for (text, number) in [("10", Some(10)), ("0x10", Some(16)), ("010", Some(8)), ("0", Some(0)), ("-1", None)] {
        let settings = printed("clientPort=1", &format!("-Djute.maxbuffer={text}"));
        let frame = number.map(|number: u32| format!("frame: {}", (number + 1024).max(1024)));
        assert_eq!(frame.is_some_and(|frame| settings.contains(&frame)), number.is_some(), "{text}: {settings}");
    }
}

#[test]
fn a_file_that_is_no_zoo_cfg_is_told() {
    let refusal = |text: &[u8]| page_of(Path::new("x"), text, "").map(|_| ()).unwrap_err().to_string();
    for text in [&b""[..], b"listen:\n  address: 1", b"hello world", b"# clientPort=1"] {
        assert!(refusal(text).contains("is it a zoo.cfg?"));
    }
    let placed = |text: &[u8]| page_of(Path::new("x"), text, "").map(|_| ()).unwrap_err().in_file(Path::new("a.cfg"));
    assert_eq!(placed(b"tickTime=1\n\nclientPort=many"), "a.cfg:3: clientPort: `many` is no port");
    assert!(placed(b"#\nclientPort=\\u00").starts_with("a.cfg:2: `\\u` without"));
    assert_eq!(placed(b"clientPort\0"), "a.cfg: is no text");
}

/// Everything that the code looks at, with values that are odd.
fn odd_zoo_cfg() -> impl Strategy<Value = String> {
    let key = prop::sample::select(vec![
        "clientPort",
        "clientPortAddress",
        "secureClientPort",
        "secureClientPortAddress",
        "dataDir",
        "server.1",
        "client.portUnification",
        "ssl.keyStore.location",
        "ssl.keyStore.password",
        "ssl.keyStore.passwordPath",
        "ssl.keyStore.type",
        "ssl.trustStore.location",
        "ssl.trustStore.password",
        "ssl.clientAuth",
        "ssl.crl",
        "ssl.ocsp",
        "ssl.ciphersuites",
        "X509AuthenticationProvider.superUser",
        "4lw.commands.whitelist",
        "maxCnxns",
        "DigestAuthenticationProvider.digestAlg",
        "authProvider.x509",
        "ssl.authProvider",
        "clientPortListenBacklog",
    ]);
    let value = prop_oneof![
        "[0-9]{1,5}".prop_map(String::from),
        Just("true".to_owned()),
        Just("none".to_owned()),
        Just("127.0.0.1".to_owned()),
        Just("a:1:2;9281".to_owned()),
        "[a-z/.]{1,9}",
        "[ -~é'\"{}#:,\\[\\]&*!|>%@`\u{202e}$~-]{1,12}",
    ];
    let line = (key, value).prop_map(|(key, value)| format!("{key}={}", value.replace('\\', "\\\\")));
    prop::collection::vec(line, 1..12).prop_map(|lines| lines.join("\n"))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn whatever_is_printed_is_a_configuration(zoo_cfg in odd_zoo_cfg()) {
        if let Ok(page) = page_of(Path::new("/nowhere/zoo.cfg"), zoo_cfg.as_bytes(), "") {
            let text = page.print("zoo.cfg");
            let result = Config::parse(&text, Path::new("/etc/zoogate"), "zoogate.yaml");
            prop_assert!(result.is_ok(), "{}\n{text}\n{zoo_cfg}", result.expect_err("it is not"));
        }
    }

    #[test]
    fn no_password_is_ever_printed(word in "[a-zA-Z0-9!]{12,20}", key_first: bool, flag: bool) {
        let lines = format!("ssl.keyStore.password={word}\nssl.trustStore.password: {word}");
        let stores = "ssl.keyStore.location=/k.jks\nssl.trustStore.location=/t.jks\nsecureClientPort=1";
        let zoo_cfg = match (flag, key_first) {
            (true, _) => stores.to_owned(),
            (false, true) => format!("{lines}\n{stores}"),
            (false, false) => format!("{stores}\n{lines}"),
        };
        let flags = format!("-Dzookeeper.ssl.keyStore.password={word}");
        let text = printed(&zoo_cfg, if flag { &flags } else { "" });
        prop_assert!(!text.contains(&word), "{text}");
        prop_assert!(text.contains("password_file: /etc/zoogate/key_store.pass"));
    }
}
