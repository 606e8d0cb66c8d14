//! A server with native TLS moves behind a gate by what `zoogate check --zoo-cfg` says of its own zoo.cfg.
#![allow(clippy::unwrap_used, reason = "a test that can't go on stops there")]

mod support;

use std::env;
use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;

use support::clients::{java, java_client};
use support::der;
use support::gate::{Gate, zoogate};
use support::pki::{Certified, Pki, Profile, STORE_PASSWORD};
use support::run;
use support::wire::{self, CREATOR_ALL, Wire, op};
use support::zookeeper::{Factory, ZooKeeper, ZooKeeperConfig};

const ALICE: &str = "CN=alice,O=Acme,C=US";

const OK: i32 = 0;
const NO_AUTH: i32 = -102;

/// A server as an operator of native TLS has it: stores and passwords in zoo.cfg.
fn native_server(pki: &Pki) -> ZooKeeper {
    let stores = [("keyStore", pki.java_key_store("server")), ("trustStore", pki.java_trust_store())];
    let server = ZooKeeperConfig::new("3.9.5", Factory::Netty).secure(pki).provider_jar();
    let server = stores.into_iter().fold(server, |server, (store, path)| {
        server
            .line(&format!("ssl.{store}.location={}", path.display()))
            .line(&format!("ssl.{store}.type=JKS"))
            .line(&format!("ssl.{store}.password={STORE_PASSWORD}"))
    });
    server.line("X509AuthenticationProvider.superUser=CN=bob,O=Acme,C=US").start()
}

/// What a Java program sees of itself, and may do, by TLS; but for the address that it comes from.
fn java_as_alice(pki: &Pki, address: SocketAddr, root: &str) -> Vec<String> {
    let words = |outcome: &str| outcome.split(' ').filter(|id| !id.starts_with("ip:")).collect::<Vec<_>>().join(" ");
    let steps = java_client(java("3.9.5", pki, Some("alice")), address, root, None);
    steps.iter().map(|(step, outcome)| format!("{step}: {}", words(outcome)).replace(root, "/ROOT")).collect()
}

/// Does in the directory what the comments tell, which say /etc/zoogate, and returns the YAML for that place.
fn follow(yaml: &str, directory: &Path) -> String {
    let yaml = yaml.replace("/etc/zoogate", &directory.display().to_string());
    let program = Path::new(env!("CARGO_BIN_EXE_zoogate")).parent().unwrap().display();
    let path = format!("{program}:{}", env::var("PATH").unwrap());
    let commands = yaml.lines().filter_map(|line| line.strip_prefix("#       ")).filter(|line| line.starts_with('('));
    for command in commands {
        run(Command::new("sh").args(["-c", command]).env("PATH", &path));
    }
    yaml
}

/// The settings that the comments tell; those of addresses are as they should be already.
fn told_settings(yaml: &str) -> Vec<&str> {
    let lines = yaml.lines().filter_map(|line| line.strip_prefix("#       "));
    lines.filter(|line| !line.starts_with('(')).collect()
}

#[test]
fn clients_of_native_tls_are_the_same_users_behind_the_gate_that_its_zoo_cfg_makes() {
    let pki = Pki::new();
    pki.java_key_store("alice");
    let mut server = native_server(&pki);
    let address = server.secure_address();
    let native = java_as_alice(&pki, address, "/before");
    assert!(native.contains(&format!("whoami: x509:{ALICE}")), "{native:?}");
    let mut alice = Wire::tls(address, &pki.ca, &pki.alice).unwrap();
    let old_session = alice.open_new();
    assert_eq!(alice.request(op::CREATE, &wire::create("/of-alice", CREATOR_ALL, 0)).unwrap().unwrap().error, OK);

    let printed = run(zoogate(&["check", "--zoo-cfg"]).arg(server.zoo_cfg()));
    assert!(!printed.contains(STORE_PASSWORD), "{printed}");
    let yaml = follow(&printed, pki.dir());
    fs::write(pki.path("zoogate.yaml"), &yaml).unwrap();
    run(zoogate(&["check", "--config"]).arg(pki.path("zoogate.yaml")));
    let settings = told_settings(&yaml);
    assert!(settings.iter().any(|line| line.starts_with("authProvider.x509=io.zoogate.")), "{yaml}");
    assert!(yaml.contains("take secureClientPort and secureClientPortAddress out"), "{yaml}");

    server.kill();
    server.reconfigure(|zoo_cfg| {
        let kept = zoo_cfg.lines().filter(|line| !line.starts_with("secureClientPort"));
        kept.chain(settings.iter().copied()).map(|line| format!("{line}\n")).collect()
    });
    server.restart();
    let mut gate = Gate::start(&(yaml + "\nadmin:\n  address: ADMIN\nlog:\n  format: json\n"));

    assert_eq!(java_as_alice(&pki, address, "/behind"), native);
    let enter = |client: &Certified| {
        let mut wire = Wire::tls(address, &pki.ca, client).unwrap();
        wire.open_new();
        wire
    };
    let read =
        |wire: &mut Wire| wire.request(op::GET_DATA, &wire::path_and_watch("/of-alice", false)).unwrap().unwrap().error;
    let stranger = pki.ca.issue(&Profile::client(der::person("mallory")));
    let [mut alice, mut bob, mut mallory] = [&pki.alice, &pki.bob, &stranger].map(enter);
    assert_eq!([read(&mut alice), read(&mut bob), read(&mut mallory)], [OK, OK, NO_AUTH], "bob is the superuser");
    assert_eq!(alice.acl("/of-alice"), [(31, format!("x509:{ALICE}"))]);
    drop((alice, bob, mallory));

    gate.expect_log("session_refused");
    let refused = Wire::tls(address, &pki.ca, &pki.alice).unwrap().open(Some(&old_session)).unwrap();
    assert_eq!(refused.map(|session| session.timeout), Some(0), "a session from before the gate has ended");
    gate.stop();
}
