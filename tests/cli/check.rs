//! `zoogate check`.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};

use rcgen::{CertificateParams, DnType, ExtendedKeyUsagePurpose, KeyPair};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;
use sha2::{Digest, Sha256};
use zoogate::tls::hex;

use crate::workshop::{CONFIG, Run, Workshop, pki};

/// Puts a key store of a certificate from the past in the place of the server's.
pub(crate) fn expire_server(shop: &Workshop) {
    write_server(shop, |params| {
        params.not_before = rcgen::date_time_ymd(2019, 1, 1);
        params.not_after = rcgen::date_time_ymd(2020, 1, 1);
    });
}

fn write_server(shop: &Workshop, change: impl Fn(&mut CertificateParams)) {
    let mut params = CertificateParams::new(["localhost".to_owned()]).unwrap();
    params.distinguished_name.push(DnType::CommonName, "old gate");
    change(&mut params);
    let key = KeyPair::generate().unwrap();
    shop.write("server.crt", params.self_signed(&key).unwrap().pem());
    shop.write("server.key", key.serialize_pem());
}

fn configured(shop: &Workshop, upstream: &str) {
    shop.write("zoogate.yaml", CONFIG.replace("UPSTREAM", upstream));
}

#[test]
fn a_good_configuration_is_ok_and_summed_up() {
    let shop = pki();
    shop.revoke("list", "root", "alice");
    configured(&shop, "127.0.0.1:2181");
    let run = shop.zoogate("check --config zoogate.yaml");
    assert_eq!((run.code, run.stderr.as_str()), (0, ""), "{run:?}");
    assert!(run.stdout.starts_with("zoogate.yaml: ok\nthe server is CN=gate,O=Acme until 20"), "{run:?}");
    for part in ["1 trust anchor;", "revocation is not checked", "taken from subject", "1 secret)"] {
        assert!(run.stdout.contains(part), "{part}: {run:?}");
    }
    let with_crl = CONFIG.replace("UPSTREAM", "127.0.0.1:2181").replace("identity:", "  crls: list.crl\nidentity:");
    shop.write("zoogate.yaml", with_crl);
    assert!(shop.zoogate("check --config zoogate.yaml").stdout.contains("; 1 CRL;"));
}

#[test]
fn every_problem_is_told_at_once_with_its_place() {
    let shop = pki();
    shop.write("zoogate.yaml", CONFIG.replace("server.key", "alice.key").replace("root.crt", "secret"));
    shop.write("zoogate.yaml", String::from_utf8(shop.read("zoogate.yaml")).unwrap().replace("UPSTREAM", "zoo:2181"));
    shop.write("secret", "short\n");
    let run = shop.zoogate("check --config zoogate.yaml");
    assert_eq!((run.code, run.stdout.as_str()), (78, ""), "{run:?}");
    let lines: Vec<&str> = run.stderr.lines().collect();
    assert_eq!(lines.len(), 3, "{run:?}");
    assert!(
        lines[0].starts_with("zoogate.yaml:4: tls.key_store: server.crt: the private key doesn't belong"),
        "{run:?}"
    );
    assert!(lines[1].starts_with("zoogate.yaml:5: tls.trust_store: secret: "), "{run:?}");
    assert!(lines[2].starts_with("zoogate.yaml:6: identity.secret_file: secret: "), "{run:?}");
}

#[test]
fn an_expired_server_certificate_is_a_problem_of_its_own() {
    let shop = pki();
    configured(&shop, "127.0.0.1:2181");
    expire_server(&shop);
    let run = shop.zoogate("check --config zoogate.yaml");
    assert_eq!(run.code, 78);
    assert!(run.stderr.contains("tls.key_store: the server's certificate CN=old gate"), "{run:?}");
    assert!(run.stderr.contains("expired at 2020-01-01T00:00:00Z"), "{run:?}");
}

#[test]
fn what_will_surprise_someone_is_a_warning() {
    let shop = pki();
    configured(&shop, "127.0.0.1:2181");
    write_server(&shop, |params| params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth]);
    let run = shop.zoogate("check --config zoogate.yaml");
    assert_eq!(run.code, 0, "{run:?}");
    assert!(run.stderr.starts_with("warning: ") && run.stderr.contains("serverAuth"), "{run:?}");
    assert!(run.stdout.starts_with("zoogate.yaml: ok\n"), "{run:?}");
}

#[test]
fn rules_that_leave_open_what_others_bind_are_a_warning() {
    let shop = pki();
    configured(&shop, "127.0.0.1:2181");
    shop.run("openssl req -x509 -newkey rsa:2048 -nodes -days 30 -subj /O=Partner/CN=CA -keyout partner.key -out partner.pem");
    let partner = CertificateDer::from_pem_slice(&shop.read("partner.pem")).unwrap();
    let sha256 = hex(&Sha256::digest(&partner));
    shop.write("both.pem", [shop.read("root.crt"), shop.read("partner.pem")].concat());
    let identity = format!(
        "identity:\n  secret_file: secret\n  mapping:\n    \
         - {{ rule: 'RULE:CN=(.*)/$1/', issuers: [ '{sha256}' ] }}\n    - DEFAULT"
    );
    let config = CONFIG.replace("UPSTREAM", "127.0.0.1:2181").replace("root.crt", "both.pem");
    shop.write("zoogate.yaml", config.replace("identity: { secret_file: secret }", &identity));
    let run = shop.zoogate("check --config zoogate.yaml");
    assert_eq!(run.code, 0, "{run:?}");
    assert!(run.stderr.starts_with("warning: identity.mapping: some rules are bound"), "{run:?}");
}

#[test]
fn a_crl_that_is_overdue_is_a_warning_with_its_consequence() {
    let shop = pki();
    shop.revoke("list", "root", "alice");
    shop.run(
        "openssl ca -config list.cnf -gencrl -crl_lastupdate 20190101000000Z -crl_nextupdate 20200101000000Z \
         -out list.crl",
    );
    let config = CONFIG.replace("UPSTREAM", "127.0.0.1:2181").replace("identity:", "  crls: list.crl\nidentity:");
    for (policy, consequence) in [("hard", "are refused"), ("soft", "are not checked for revocation")] {
        let policy = format!("  crls: list.crl\n  revocation_policy: {policy}\n");
        shop.write("zoogate.yaml", config.replace("  crls: list.crl\n", &policy));
        let run = shop.zoogate("check --config zoogate.yaml");
        assert_eq!(run.code, 0, "{run:?}");
        assert!(run.stderr.starts_with("warning: tls.crls: list.crl: the CRL of Root "), "{run:?}");
        assert!(run.stderr.contains("by 2020-01-01T00:00:00Z") && run.stderr.contains(consequence), "{run:?}");
    }
}

/// A server that answers words, one a connection, and hangs up on all else.
fn zookeeper(listen: &str, answers: &'static [(&str, &str)]) -> SocketAddr {
    let listener = TcpListener::bind(listen).unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let mut word = [0; 4];
            if stream.read_exact(&mut word).is_ok()
                && let Some((_, answer)) = answers.iter().find(|(known, _)| known.as_bytes() == word)
            {
                // A client that has gone away is its own affair.
                let _ = stream.write_all(answer.as_bytes());
            }
        }
    });
    address
}

fn checked(shop: &Workshop, upstream: &str) -> Run {
    configured(shop, upstream);
    shop.zoogate("check --config zoogate.yaml --upstream")
}

const SRVR: (&str, &str) = (
    "srvr",
    "Zookeeper version: 3.9.5-0123456789abcdef, built on 2026-01-01 00:00 UTC\nLatency min/avg/max: 0/0.0/0\n\
     Mode: standalone\nNode count: 5\n",
);
const REFUSED_CONF: (&str, &str) = ("conf", "conf is not executed because it is not in the whitelist.\n");
const CONF: (&str, &str) = (
    "conf",
    "clientPort=2181\nsecureClientPort=-1\ndataDir=/d\ntickTime=2000\nmaxClientCnxns=60\nserverId=1\nmembership: \n\
     server.1=zoo:2888:3888:participant;127.0.0.1:2181\n",
);

#[test]
fn a_server_on_loopback_is_told_with_version_and_mode_and_without_warnings() {
    let shop = pki();
    for answers in [&[SRVR, REFUSED_CONF], &[SRVR, CONF]] {
        let address = zookeeper("127.0.0.1:0", answers);
        let run = checked(&shop, &address.to_string());
        assert_eq!((run.code, run.stderr.as_str()), (0, ""), "{run:?}");
        let told = format!("\nZooKeeper 3.9.5 at {address}: standalone");
        assert!(run.stdout.contains(&told), "{run:?}");
    }
}

#[test]
fn a_port_that_is_open_to_the_world_is_a_warning() {
    let shop = pki();
    let port = zookeeper("0.0.0.0:0", &[SRVR, REFUSED_CONF]).port();
    for host in ["127.0.0.1", "localhost"] {
        let run = checked(&shop, &format!("{host}:{port}"));
        assert_eq!(run.code, 0, "{run:?}");
        let warning = format!("warning: ZooKeeper's port is open on 0.0.0.0:{port}: ");
        assert!(run.stderr.contains(&warning) && run.stderr.contains("clientPortAddress=127.0.0.1"), "{run:?}");
    }
}

#[test]
fn a_client_address_in_the_dynamic_configuration_is_a_warning() {
    const OPEN: (&str, &str) =
        ("conf", "clientPort=2181\nserverId=1\nserver.1=zoo:2888:3888:participant;0.0.0.0:2181\n");
    let address = zookeeper("127.0.0.1:0", &[SRVR, OPEN]);
    let run = checked(&pki(), &address.to_string());
    assert_eq!(run.code, 0, "{run:?}");
    assert!(run.stderr.starts_with("warning: ZooKeeper's client address is 0.0.0.0:2181: "), "{run:?}");
}

#[test]
fn a_limit_that_counts_all_clients_as_one_is_a_warning() {
    const UNLIMITED: (&str, &str) = ("conf", "clientPort=2181\nmaxClientCnxns=0\nserverId=1\n");
    let shop = pki();
    for (answers, said) in [
        (&[SRVR, CONF], Some("its maxClientCnxns=60")),
        (&[SRVR, REFUSED_CONF], Some("maxClientCnxns (60 by default)")),
        (&[SRVR, UNLIMITED], None),
    ] {
        let address = zookeeper("127.0.0.1:0", answers);
        configured(&shop, &format!("{address}, source: system"));
        let run = shop.zoogate("check --config zoogate.yaml --upstream");
        assert_eq!(run.code, 0, "{run:?}");
        match said {
            Some(said) => {
                assert!(run.stderr.starts_with("warning: upstream.source: ") && run.stderr.contains(said), "{run:?}")
            }
            None => assert_eq!(run.stderr, "", "{run:?}"),
        }
    }
}

#[test]
fn a_server_that_does_not_serve_is_a_warning() {
    const LOST: &str = "This ZooKeeper instance is not currently serving requests\n";
    let address = zookeeper("127.0.0.1:0", &[("srvr", LOST), ("conf", LOST)]);
    let run = checked(&pki(), &format!("{address}, source: system"));
    assert_eq!(run.code, 0, "{run:?}");
    assert_eq!(run.stderr, format!("warning: ZooKeeper is not_serving: {LOST}"));
    assert!(run.stdout.ends_with(&format!("\nZooKeeper of unknown version at {address}: not_serving\n")), "{run:?}");
}

#[test]
fn nobody_there_exits_69() {
    let shop = pki();
    let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let nobody = checked(&shop, &address.to_string());
    let mute = checked(&shop, &zookeeper("127.0.0.1:0", &[]).to_string());
    for run in [nobody, mute] {
        assert_eq!(run.code, 69, "{run:?}");
        assert!(run.stdout.starts_with("zoogate.yaml: ok\n"), "{run:?}");
        assert!(run.stderr.starts_with("upstream.address: ZooKeeper does not answer at 127.0.0.1:"), "{run:?}");
    }
}
