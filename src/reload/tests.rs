mod broken;
mod writers;

use std::cell::Cell;
use std::fs;
use std::os::unix::fs::symlink;

use prometheus::{Encoder, Registry, TextEncoder};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, date_time_ymd};
use tempfile::TempDir;

use super::*;

const SECRET: &str = "a-secret-of-thirty-two-bytes-or-more";

thread_local! {
    /// How far the tests' clock is ahead of the system's, in seconds.
    static AHEAD: Cell<u64> = const { Cell::new(0) };
}

fn clock() -> UnixTime {
    UnixTime::since_unix_epoch(Duration::from_secs(UnixTime::now().as_secs() + AHEAD.get()))
}

/// A directory with everything that a snapshot is loaded from, and the reloader that watches it.
struct Site {
    directory: TempDir,
    reloader: Reloader,
    snapshots: watch::Receiver<Arc<Snapshot>>,
    registry: Registry,
}

impl Site {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let (certificate, key) = server("first");
        for (name, content) in [
            ("server.crt", certificate.as_str()),
            ("server.key", &key),
            ("trust.pem", &authority("one")),
            ("secret", SECRET),
            ("zoogate.yaml", &yaml("")),
        ] {
            fs::write(directory.path().join(name), content).unwrap();
        }
        Self::watch(directory)
    }

    fn watch(directory: TempDir) -> Self {
        let config = Config::load(&directory.path().join("zoogate.yaml")).unwrap();
        let contents = Contents::read(&config);
        let registry = Registry::new();
        let metrics = Arc::new(Metrics::new(&registry).unwrap());
        let (sender, snapshots) = watch::channel(Arc::new(Snapshot::load(&config, UnixTime::now()).unwrap()));
        AHEAD.set(0);
        let reloader = Reloader { clock, settling: Duration::ZERO, ..Reloader::new(config, contents, sender, metrics) };
        Self { directory, reloader, snapshots, registry }
    }

    fn write(&self, name: &str, content: &str) {
        fs::write(self.directory.path().join(name), content).unwrap();
    }

    /// The server's certificate and a part of its name, after a look.
    fn look(&mut self) -> String {
        self.reloader.look(false);
        self.serves()
    }

    fn serves(&self) -> String {
        self.snapshots.borrow().tls.certificates()[0].common_name.clone()
    }

    /// Makes what is wrong as old as it must be before anybody hears of it.
    fn let_time_pass(&mut self) {
        let trouble = self.reloader.trouble.as_mut().expect("something is wrong");
        trouble.lasts_since = Instant::now().checked_sub(TORN).unwrap();
    }

    fn metric(&self, series: &str) -> i64 {
        let mut text = Vec::new();
        TextEncoder::new().encode(&self.registry.gather(), &mut text).unwrap();
        let text = String::from_utf8(text).unwrap();
        let line = text.lines().find(|line| line.strip_prefix(series).is_some_and(|rest| rest.starts_with(' ')));
        line.unwrap_or_else(|| panic!("no {series}")).rsplit_once(' ').unwrap().1.parse().unwrap()
    }

    fn generations(&self, material: &str) -> (i64, i64) {
        let of = |of: &str| self.metric(&format!("zoogate_material_generation{{material=\"{material}\",of=\"{of}\"}}"));
        (of("disk"), of("loaded"))
    }
}

fn yaml(more: &str) -> String {
    format!(
        "listen: {{ address: 127.0.0.1:2281 }}\ntls:\n  key_store: {{ path: server.crt, key_path: server.key }}\n  \
         trust_store: {{ path: trust.pem }}\nidentity:\n  secret_file: secret\n{more}"
    )
}

fn server(name: &str) -> (String, String) {
    server_between(name, (1975, 4000))
}

/// A server's certificate that is valid from the start of a year to that of another.
fn server_between(name: &str, years: (i32, i32)) -> (String, String) {
    let mut params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
    params.distinguished_name.push(DnType::CommonName, name);
    (params.not_before, params.not_after) = (date_time_ymd(years.0, 1, 1), date_time_ymd(years.1, 1, 1));
    let key = KeyPair::generate().unwrap();
    (params.self_signed(&key).unwrap().pem(), key.serialize_pem())
}

fn authority(name: &str) -> String {
    issuer(name).pem()
}

fn issuer(name: &str) -> CertifiedIssuer<'static, KeyPair> {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.distinguished_name.push(DnType::CommonName, name);
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

#[test]
fn what_has_changed_is_used_once_it_has_held_still() {
    let mut site = Site::new();
    site.reloader.settling = SETTLING;
    let trusted = |site: &Site| site.snapshots.borrow().tls.certificates().len() - 1;
    let (one, two) = (authority("one"), authority("two"));
    site.write("trust.pem", &one);
    assert!(!site.reloader.look(false), "looked at again soon");
    let since =
        |site: &mut Site| site.reloader.fresh.as_mut().unwrap().1 = Instant::now().checked_sub(SETTLING).unwrap();
    since(&mut site);
    site.write("trust.pem", &(one + &two));
    assert!(!site.reloader.look(true), "half a bundle is passed over, even if somebody asks");
    assert_eq!(site.metric("zoogate_reload_total{material=\"trust_store\",result=\"ok\"}"), 0);
    since(&mut site);
    assert!(site.reloader.look(false));
    assert_eq!(trusted(&site), 2);
}

#[test]
fn a_renewed_certificate_is_served_and_an_unchanged_file_is_no_renewal() {
    let mut site = Site::new();
    let same = fs::read_to_string(site.directory.path().join("server.crt")).unwrap();
    site.write("server.crt", &same);
    let before = Arc::clone(&site.snapshots.borrow());
    assert_eq!(site.look(), "first");
    assert!(Arc::ptr_eq(&before, &site.snapshots.borrow()), "nothing was loaded");

    let (certificate, key) = server("second");
    site.write("server.crt", &certificate);
    site.write("server.key", &key);
    assert_eq!(site.look(), "second");
    assert_eq!(site.metric("zoogate_reload_total{material=\"key_store\",result=\"ok\"}"), 1);
    assert_eq!(site.metric("zoogate_reload_total{material=\"trust_store\",result=\"ok\"}"), 0);
    assert_eq!(site.generations("key_store"), (2, 2));
}

#[test]
fn a_torn_pair_is_waited_for_in_silence() {
    let mut site = Site::new();
    let (certificate, key) = server("second");
    site.write("server.crt", &certificate);
    assert_eq!(site.look(), "first");
    assert_eq!(site.metric("zoogate_last_reload_successful"), 1);
    assert_eq!(site.generations("key_store"), (2, 1));
    site.write("server.key", &key);
    assert_eq!(site.look(), "second");
    assert_eq!(site.metric("zoogate_reload_total{material=\"key_store\",result=\"failed\"}"), 0);
    assert_eq!(site.generations("key_store"), (3, 3));
}

#[test]
fn what_can_not_be_used_is_told_once_and_the_last_good_stays() {
    let mut site = Site::new();
    site.write("trust.pem", "not a certificate");
    let failures = "zoogate_reload_total{material=\"trust_store\",result=\"failed\"}";
    site.look();
    assert_eq!(site.metric(failures), 0, "it may be half written");
    site.let_time_pass();
    for _ in 0..3 {
        site.look();
    }
    assert_eq!((site.metric(failures), site.metric("zoogate_last_reload_successful")), (1, 0));
    site.write("trust.pem", "not a certificate either");
    site.look();
    assert_eq!(site.metric(failures), 1, "another generation, which may be half written as well");
    site.let_time_pass();
    site.look();
    assert_eq!(site.metric(failures), 2);
    assert_eq!(site.serves(), "first");

    site.write("trust.pem", &authority("two"));
    site.look();
    assert_eq!(site.metric("zoogate_last_reload_successful"), 1);
    assert_eq!(site.snapshots.borrow().tls.certificates()[1].common_name, "two");
    assert_eq!(site.generations("trust_store"), (4, 4));
}

#[test]
fn whoever_asks_hears_at_once() {
    let mut site = Site::new();
    site.write("secret", "too short");
    site.reloader.look(true);
    assert_eq!(site.metric("zoogate_reload_total{material=\"secret\",result=\"failed\"}"), 1);
    site.write("secret", SECRET);
    site.look();
    assert_eq!(site.metric("zoogate_last_reload_successful"), 1, "the file is the one in use again");
    assert_eq!(site.generations("secret"), (3, 3));
}

#[test]
fn a_swapped_link_to_a_directory_is_noticed() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path();
    for (version, name) in [("..1", "first"), ("..2", "second")] {
        fs::create_dir(path.join(version)).unwrap();
        let (certificate, key) = server(name);
        fs::write(path.join(version).join("tls.crt"), certificate).unwrap();
        fs::write(path.join(version).join("tls.key"), key).unwrap();
    }
    symlink("..1", path.join("..data")).unwrap();
    symlink("..data/tls.crt", path.join("server.crt")).unwrap();
    symlink("..data/tls.key", path.join("server.key")).unwrap();
    for (name, content) in [("trust.pem", authority("one")), ("secret", SECRET.to_owned()), ("zoogate.yaml", yaml(""))]
    {
        fs::write(path.join(name), content).unwrap();
    }
    let mut site = Site::watch(directory);
    assert_eq!(site.look(), "first");
    let path = site.directory.path();
    symlink("..2", path.join("..data_tmp")).unwrap();
    fs::rename(path.join("..data_tmp"), path.join("..data")).unwrap();
    assert_eq!(site.look(), "second");
}

#[test]
fn rules_are_read_again_and_what_needs_a_restart_stays() {
    let mut site = Site::new();
    site.write("zoogate.yaml", &yaml("  deny: [ 'CN=eve' ]\nlimits: { connections: 7 }\n"));
    site.look();
    assert!(site.reloader.config.identity.policy.denies(&crate::identity::Identity::new("CN=eve".to_owned()).unwrap()));
    assert_eq!(site.reloader.config.limits.connections, 8000);
    assert_eq!(site.metric("zoogate_reload_total{material=\"config\",result=\"ok\"}"), 1);

    site.write("zoogate.yaml", &yaml("  inject: x509\n"));
    site.look();
    assert_eq!(site.reloader.config.identity.inject.scheme(), "digest");
    site.write("zoogate.yaml", "listen: [");
    site.reloader.look(true);
    assert_eq!(site.metric("zoogate_reload_total{material=\"config\",result=\"failed\"}"), 1);
}

#[test]
fn a_file_of_another_name_is_watched_from_then_on() {
    let mut site = Site::new();
    let (certificate, key) = server("second");
    site.write("other.pem", &format!("{certificate}{key}"));
    site.write("zoogate.yaml", &yaml("").replace("path: server.crt, key_path: server.key", "path: other.pem"));
    assert_eq!(site.look(), "second");
    let (certificate, key) = server("third");
    site.write("other.pem", &format!("{certificate}{key}"));
    assert_eq!(site.look(), "third");
}

#[test]
fn what_changes_without_rest_is_told_all_the_same() {
    let mut site = Site::new();
    for round in 0..3 {
        site.write("trust.pem", &format!("not a certificate, {round}"));
        site.look();
    }
    let failures = "zoogate_reload_total{material=\"trust_store\",result=\"failed\"}";
    assert_eq!(site.metric(failures), 0);
    site.reloader.trouble.as_mut().unwrap().silent_since = Instant::now().checked_sub(RESTLESS).unwrap();
    for round in 3..6 {
        site.write("trust.pem", &format!("not a certificate, {round}"));
        site.look();
    }
    assert_eq!(site.metric(failures), 1, "once a minute");
}

#[test]
fn a_torn_pair_beside_an_old_trouble_is_waited_for_in_silence() {
    let mut site = Site::new();
    site.write("trust.pem", "not a certificate");
    site.look();
    site.let_time_pass();
    site.look();
    let (certificate, key) = server("second");
    site.write("server.crt", &certificate);
    site.look();
    site.write("server.key", &key);
    site.write("trust.pem", &authority("two"));
    assert_eq!(site.look(), "second");
    assert_eq!(site.metric("zoogate_reload_total{material=\"key_store\",result=\"failed\"}"), 0);
}

#[test]
fn a_certificate_of_a_clock_that_is_ahead_is_taken_when_its_time_comes() {
    let mut site = Site::new();
    let (certificate, key) = server_between("early", (3000, 3001));
    site.write("server.crt", &certificate);
    site.write("server.key", &key);
    assert_eq!(site.look(), "first");
    site.let_time_pass();
    assert_eq!(site.look(), "first");
    assert_eq!(site.metric("zoogate_last_reload_successful"), 0);
    AHEAD.set(32_503_680_000 - UnixTime::now().as_secs() + 5);
    assert_eq!(site.look(), "early", "the start of the year 3000");
    assert_eq!(site.metric("zoogate_last_reload_successful"), 1);
}

#[test]
fn the_files_of_a_changed_configuration_are_counted_as_what_they_are() {
    let mut site = Site::new();
    site.write("other.pem", &authority("other"));
    site.write("zoogate.yaml", &yaml("").replace("trust.pem", "other.pem"));
    site.look();
    assert_eq!(site.snapshots.borrow().tls.certificates()[1].common_name, "other");
    assert_eq!(site.metric("zoogate_reload_total{material=\"trust_store\",result=\"ok\"}"), 1);
    assert_eq!(site.generations("trust_store"), (2, 2));
    let before = Arc::clone(&site.snapshots.borrow());
    site.look();
    assert!(Arc::ptr_eq(&before, &site.snapshots.borrow()), "nothing is left to do");
}

#[test]
fn what_needs_a_restart_is_told_as_long_as_it_does() {
    let mut site = Site::new();
    assert_eq!(site.metric("zoogate_config_needs_restart"), 0);
    site.write("zoogate.yaml", &yaml("limits: { connections: 7 }\n"));
    site.look();
    assert_eq!(site.reloader.report().borrow().needs_restart, ["limits"]);
    site.write("secret", &format!("{SECRET}-2"));
    site.look();
    assert_eq!(site.reloader.report().borrow().needs_restart, ["limits"]);
    assert_eq!(site.metric("zoogate_config_needs_restart"), 1);
    site.write("zoogate.yaml", &yaml(""));
    site.look();
    assert!(site.reloader.report().borrow().needs_restart.is_empty());
    assert_eq!(site.metric("zoogate_config_needs_restart"), 0);
}
