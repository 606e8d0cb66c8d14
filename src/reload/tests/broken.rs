//! Every way in which a reload can be broken: the last good state stays, it is told once, and mending it is enough.

use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::Command;

use rcgen::{CertificateRevocationListParams, KeyIdMethod, RevokedCertParams};

use super::*;

/// A site with a PKCS#12 key store, its password, a CA that issues CRLs, and one that is in date.
struct Rich {
    site: Site,
    ca: CertifiedIssuer<'static, KeyPair>,
}

impl Rich {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let ca = issuer("ca");
        let (certificate, key) = server("first");
        for (name, content) in [
            ("server.crt", certificate.as_str()),
            ("server.key", &key),
            ("trust.pem", &ca.pem()),
            ("secret", SECRET),
            ("ca.crl", &crl(&ca, (2020, 3000))),
            ("zoogate.yaml", &yaml("").replace("identity:", "  crls: [ ca.crl ]\nidentity:")),
        ] {
            fs::write(directory.path().join(name), content).unwrap();
        }
        Self { site: Site::watch(directory), ca }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.site.directory.path().join(name)
    }

    fn content(&self, name: &str) -> Vec<u8> {
        fs::read(self.path(name)).unwrap()
    }

    /// Writes the first part of a file only.
    fn truncate(&self, name: &str) {
        let content = self.content(name);
        fs::write(self.path(name), &content[..content.len() / 2]).unwrap();
    }

    fn link(&self, name: &str, target: &str) {
        fs::remove_file(self.path(name)).unwrap();
        symlink(target, self.path(name)).unwrap();
    }
}

/// A CRL that holds between the starts of two years.
fn crl(ca: &CertifiedIssuer<'static, KeyPair>, years: (i32, i32)) -> String {
    let revoked = RevokedCertParams {
        serial_number: 7_u64.into(),
        revocation_time: date_time_ymd(2020, 1, 1),
        reason_code: None,
        invalidity_date: None,
    };
    let params = CertificateRevocationListParams {
        this_update: date_time_ymd(years.0, 1, 1),
        next_update: date_time_ymd(years.1, 1, 1),
        crl_number: 1_u64.into(),
        issuing_distribution_point: None,
        revoked_certs: vec![revoked],
        key_identifier_method: KeyIdMethod::Sha256,
    };
    params.signed_by(ca).unwrap().pem().unwrap()
}

/// The list with the extension that marks a delta CRL in the place of its number.
fn delta(ca: &CertifiedIssuer<'static, KeyPair>) -> Vec<u8> {
    let pem = crl(ca, (2020, 3000));
    let body: String = pem.lines().filter(|line| !line.starts_with("-----")).collect();
    let mut der = base64::Engine::decode(&base64::prelude::BASE64_STANDARD, body).unwrap();
    let number = der.windows(5).position(|bytes| bytes == [0x06, 0x03, 0x55, 0x1d, 0x14]).unwrap();
    der[number + 4] = 0x1b;
    der
}

fn renewed(rich: &Rich, (certificate, key): (String, String)) {
    rich.site.write("server.crt", &certificate);
    rich.site.write("server.key", &key);
}

/// What is done to the files, the material that it spoils, and words of the message.
type Case = (&'static str, fn(&Rich), &'static str, &'static str);

const KEY_STORES: &[Case] = &[
    ("a truncated certificate", |rich| rich.truncate("server.crt"), "key_store", "server.crt"),
    ("a truncated key", |rich| rich.truncate("server.key"), "key_store", "server.key"),
    ("an empty certificate file", |rich| rich.site.write("server.crt", ""), "key_store", "server.crt"),
    ("an empty key file", |rich| rich.site.write("server.key", ""), "key_store", "server.key"),
    ("no key file", |rich| fs::remove_file(rich.path("server.key")).unwrap(), "key_store", "No such file"),
    ("the key of another", |rich| rich.site.write("server.key", &server("other").1), "key_store", "doesn't belong"),
    ("the certificate of another", |rich| rich.site.write("server.crt", &server("x").0), "key_store", "doesn't belong"),
    ("expired", |rich| renewed(rich, server_between("second", (2000, 2001))), "key_store", "expired at 2001-01-01"),
    ("early", |rich| renewed(rich, server_between("second", (3000, 3001))), "key_store", "not valid before 3000-01-01"),
    ("an issuer's old certificate beside it", broken_chain, "key_store", "was not signed by the issuer of that name"),
    ("a directory", |rich| directory(rich, "server.key"), "key_store", "directory"),
    ("a dangling link", |rich| rich.link("server.crt", "nowhere"), "key_store", "No such file"),
    ("a link to itself", |rich| rich.link("server.crt", "server.crt"), "key_store", "symbolic link"),
    ("not readable", |rich| not_readable(rich, "server.key"), "key_store", "server.key"),
    ("an expired intermediate", expired_intermediate, "key_store", "an intermediate of its chain is out of date"),
    ("a pipe", |rich| pipe(rich, "server.key"), "key_store", "is no regular file"),
    ("a device without end", |rich| rich.link("server.key", "/dev/zero"), "key_store", "server.key"),
];

const TRUST_AND_CRLS: &[Case] = &[
    ("an empty trust store", |rich| rich.site.write("trust.pem", ""), "trust_store", "trust.pem"),
    ("only a comment", |rich| rich.site.write("trust.pem", "# to be filled in\n"), "trust_store", "trust.pem"),
    ("a truncated trust store", |rich| rich.truncate("trust.pem"), "trust_store", "trust.pem"),
    ("no certificate but a key", |rich| rich.site.write("trust.pem", &server("x").1), "trust_store", "trust.pem"),
    ("no trust store", |rich| fs::remove_file(rich.path("trust.pem")).unwrap(), "trust_store", "No such file"),
    ("a directory", |rich| directory(rich, "trust.pem"), "trust_store", "directory"),
    (
        "another CA of that name",
        |rich| rich.site.write("trust.pem", &authority("ca")),
        "trust_store",
        "does not verify",
    ),
    ("a truncated CRL", |rich| rich.truncate("ca.crl"), "crls", "ca.crl"),
    ("an empty CRL", |rich| rich.site.write("ca.crl", ""), "crls", "ca.crl"),
    ("no CRL", |rich| fs::remove_file(rich.path("ca.crl")).unwrap(), "crls", "No such file"),
    ("a certificate for a CRL", |rich| rich.site.write("ca.crl", &rich.ca.pem()), "crls", "ca.crl"),
    (
        "a delta CRL",
        |rich| fs::write(rich.path("ca.crl"), delta(&rich.ca)).unwrap(),
        "crls",
        "it is a delta CRL of CN=ca",
    ),
    (
        "a CRL of another key",
        |rich| rich.site.write("ca.crl", &crl(&issuer("ca"), (2020, 3000))),
        "crls",
        "does not verify",
    ),
    ("a stale CRL", |rich| rich.site.write("ca.crl", &crl(&rich.ca, (2020, 2021))), "crls", "is out of date"),
    (
        "an older CRL",
        |rich| rich.site.write("ca.crl", &crl(&rich.ca, (2019, 3000))),
        "crls",
        "is older than the one in use",
    ),
    ("a DER CRL behind a PEM one", der_behind_pem, "crls", "is no text, beside PEM"),
    ("an early CRL", |rich| rich.site.write("ca.crl", &crl(&rich.ca, (2999, 3000))), "crls", "is out of date"),
];

const SECRET_AND_CONFIG: &[Case] = &[
    ("a short secret", |rich| rich.site.write("secret", "short"), "secret", "secret"),
    ("an empty secret", |rich| rich.site.write("secret", ""), "secret", "secret"),
    ("nine secrets", |rich| rich.site.write("secret", &nine_secrets()), "secret", "secret"),
    ("a secret of a megabyte", |rich| rich.site.write("secret", &"x".repeat(1 << 20)), "secret", "too large"),
    ("no secret", |rich| fs::remove_file(rich.path("secret")).unwrap(), "secret", "no such file"),
    ("a directory", |rich| directory(rich, "secret"), "secret", "directory"),
    ("a pipe", |rich| pipe(rich, "secret"), "secret", "is no regular file"),
    ("a pipe", |rich| pipe(rich, "zoogate.yaml"), "config", "is no regular file"),
    ("bad YAML", |rich| rich.site.write("zoogate.yaml", "listen: ["), "config", "zoogate.yaml"),
    ("an unknown key", |rich| appended(rich, "limts: { connections: 7 }\n"), "config", "limts"),
    ("an empty configuration", |rich| rich.site.write("zoogate.yaml", ""), "config", "listen.address"),
    ("half a configuration", |rich| rich.truncate("zoogate.yaml"), "config", "zoogate.yaml"),
    (
        "a file that is not there",
        |rich| rich.site.write("zoogate.yaml", &yaml("").replace("trust.pem", "gone.pem")),
        "config",
        "gone.pem",
    ),
    ("no configuration", |rich| fs::remove_file(rich.path("zoogate.yaml")).unwrap(), "config", "zoogate.yaml"),
];

fn nine_secrets() -> String {
    (0..9).map(|n| format!("{SECRET}-{n}\n")).collect()
}

fn appended(rich: &Rich, more: &str) {
    let text = String::from_utf8(rich.content("zoogate.yaml")).unwrap();
    rich.site.write("zoogate.yaml", &(text + more));
}

fn directory(rich: &Rich, name: &str) {
    fs::remove_file(rich.path(name)).unwrap();
    fs::create_dir(rich.path(name)).unwrap();
}

/// Whoever opens it waits for a writer.
fn pipe(rich: &Rich, name: &str) {
    fs::remove_file(rich.path(name)).unwrap();
    assert!(Command::new("mkfifo").arg(rich.path(name)).status().unwrap().success());
}

fn der_behind_pem(rich: &Rich) {
    let both = [&rich.content("ca.crl")[..], &delta(&rich.ca)].concat();
    fs::write(rich.path("ca.crl"), both).unwrap();
}

fn expired_intermediate(rich: &Rich) {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.distinguished_name.push(DnType::CommonName, "intermediate");
    (params.not_before, params.not_after) = (date_time_ymd(2000, 1, 1), date_time_ymd(2001, 1, 1));
    let signer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
    let key = KeyPair::generate().unwrap();
    let leaf = CertificateParams::new(vec!["localhost".to_owned()]).unwrap().signed_by(&key, &signer).unwrap();
    renewed(rich, (leaf.pem() + &signer.pem(), key.serialize_pem()));
}

fn not_readable(rich: &Rich, name: &str) {
    fs::set_permissions(rich.path(name), fs::Permissions::from_mode(0o0)).unwrap();
    if fs::read(rich.path(name)).is_ok() {
        // Root reads everything.
        directory(rich, name);
    }
}

/// A leaf, and a certificate of its issuer's name that has another key.
fn broken_chain(rich: &Rich) {
    let (signer, other) = (issuer("intermediate"), issuer("intermediate"));
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
    params.distinguished_name.push(DnType::CommonName, "second");
    let leaf = params.signed_by(&key, &signer).unwrap();
    renewed(rich, (leaf.pem() + &other.pem(), key.serialize_pem()));
}

#[track_caller]
fn stays_as_it_was(&(what, break_it, material, words): &Case) {
    let mut rich = Rich::new();
    let names = ["server.crt", "server.key", "trust.pem", "ca.crl", "secret", "zoogate.yaml"];
    let good = names.map(|name| (name, rich.content(name)));
    let before = Arc::clone(&rich.site.snapshots.borrow());
    let failed = format!("zoogate_reload_total{{material=\"{material}\",result=\"failed\"}}");
    break_it(&rich);

    rich.site.look();
    assert_eq!(rich.site.metric(&failed), 0, "{what}: it may be half written");
    assert_eq!(rich.site.metric("zoogate_last_reload_successful"), 1, "{what}");
    let (disk, loaded) = rich.site.generations(material);
    assert_eq!((disk, loaded), (2, 1), "{what}: an alert can see that something older is in use");
    rich.site.let_time_pass();
    (0..3).for_each(|_| drop(rich.site.look()));
    assert_eq!(rich.site.metric(&failed), 1, "{what}: told once");
    assert_eq!(rich.site.metric("zoogate_last_reload_successful"), 0, "{what}");
    let problem = rich.site.reloader.report().borrow().problem.clone().expect("a problem");
    let messages = problem.messages.join("\n");
    assert!(messages.contains(words), "{what}: {words} is not in {messages}");
    assert_eq!(problem.materials.iter().map(|material| material.as_str()).collect::<Vec<_>>(), [material]);
    assert!(Arc::ptr_eq(&before, &rich.site.snapshots.borrow()), "{what}: the last good state stays");

    for (name, content) in good {
        let path = rich.path(name);
        let _ = fs::remove_dir(&path);
        let _ = fs::remove_file(&path);
        fs::write(path, content).unwrap();
    }
    rich.site.look();
    assert_eq!(rich.site.metric("zoogate_last_reload_successful"), 1, "{what}: mended");
    assert_eq!(rich.site.reloader.report().borrow().problem, None, "{what}: mended");
    assert_eq!(rich.site.generations(material), (3, 3), "{what}: mended");
}

#[test]
fn a_broken_key_store_changes_nothing() {
    KEY_STORES.iter().for_each(stays_as_it_was);
}

#[test]
fn a_broken_trust_store_or_crl_changes_nothing() {
    TRUST_AND_CRLS.iter().for_each(stays_as_it_was);
}

#[test]
fn a_broken_secret_or_configuration_changes_nothing() {
    SECRET_AND_CONFIG.iter().for_each(stays_as_it_was);
}

#[test]
fn a_crl_whose_time_ran_out_in_use_does_not_keep_a_renewed_certificate_out() {
    let mut rich = Rich::new();
    AHEAD.set(32_503_680_000 - UnixTime::now().as_secs() + 5);
    let (certificate, key) = server_between("second", (2000, 3500));
    renewed(&rich, (certificate, key));
    assert_eq!(rich.site.look(), "second");
    rich.site.write("ca.crl", &crl(&rich.ca, (2020, 2999)));
    rich.site.look();
    assert_eq!(rich.site.metric("zoogate_reload_total{material=\"crls\",result=\"ok\"}"), 1, "no worse than the other");
}

#[test]
fn a_crl_out_of_date_is_not_taken_where_its_issuer_had_none() {
    for years in [(2020, 2021), (2999, 3000)] {
        let mut rich = Rich::new();
        let before = Arc::clone(&rich.site.snapshots.borrow());
        rich.site.write("other.crl", &crl(&issuer("other"), years));
        let text = String::from_utf8(rich.content("zoogate.yaml")).unwrap();
        rich.site.write("zoogate.yaml", &text.replace("[ ca.crl ]", "[ ca.crl, other.crl ]"));
        rich.site.reloader.look(true);
        let problem = rich.site.reloader.report().borrow().problem.clone().expect("a problem");
        let messages = problem.messages.join("\n");
        assert!(messages.contains("other.crl: CRL 1 of CN=other is out of date"), "{messages}");
        assert!(Arc::ptr_eq(&before, &rich.site.snapshots.borrow()), "none says more than this one");
        rich.site.write("other.crl", &crl(&issuer("other"), (2020, 3000)));
        rich.site.reloader.look(true);
        assert_eq!(rich.site.reloader.report().borrow().problem, None);
        assert_eq!(rich.site.snapshots.borrow().crls().len(), 2);
    }
}

#[test]
fn a_password_that_opens_nothing_changes_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| directory.path().join(name);
    let (certificate, key) = server("first");
    let text =
        yaml("").replace("{ path: server.crt, key_path: server.key }", "{ path: server.p12, password_file: password }");
    let trust = authority("one");
    for (name, content) in [
        ("server.crt", certificate.as_str()),
        ("server.key", &key),
        ("trust.pem", &trust),
        ("secret", SECRET),
        ("password", "right"),
        ("zoogate.yaml", &text),
    ] {
        fs::write(path(name), content).unwrap();
    }
    let made = Command::new("openssl")
        .args(["pkcs12", "-export", "-passout", "pass:right", "-in"])
        .arg(path("server.crt"))
        .arg("-inkey")
        .arg(path("server.key"))
        .arg("-out")
        .arg(path("server.p12"))
        .status();
    assert!(made.unwrap().success());
    let mut site = Site::watch(directory);
    let failed = "zoogate_reload_total{material=\"key_store\",result=\"failed\"}";
    for (round, password) in ["mistaken", "", "right\nand more"].into_iter().enumerate() {
        site.write("password", password);
        site.look();
        site.let_time_pass();
        site.look();
        assert_eq!(site.metric(failed), 1 + round as i64, "{password:?}");
        let messages = site.reloader.report().borrow().problem.clone().unwrap().messages.join("\n");
        assert!(messages.contains("password"), "{messages}");
        assert!(!messages.contains("mistaken"), "a password is shown: {messages}");
    }
    site.write("password", "right\n");
    site.look();
    assert_eq!(site.metric("zoogate_last_reload_successful"), 1);
    assert_eq!(site.metric("zoogate_reload_total{material=\"key_store\",result=\"ok\"}"), 1);
}
