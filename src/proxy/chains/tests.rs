use std::cell::Cell;
use std::fs;
use std::time::SystemTime;

use prometheus::{Registry, TextEncoder};
use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, CertifiedIssuer, DnType, IsCa, KeyIdMethod,
    KeyPair, KeyUsagePurpose, RevokedCertParams, SerialNumber,
};
use tempfile::TempDir;

use super::*;
use crate::config::Config;
use crate::credential::IdentitySecrets;
use crate::identity::Identity;
use crate::reason::Refusal;

const HOUR: i64 = 3_600;
const SERIAL: u64 = 77;

thread_local! {
    /// How far the tests' clock is ahead of the system's, in seconds.
    static AHEAD: Cell<u64> = const { Cell::new(0) };
}

fn clock() -> UnixTime {
    UnixTime::since_unix_epoch(Duration::from_secs(UnixTime::now().as_secs() + AHEAD.get()))
}

fn pass(seconds: i64) {
    AHEAD.set(AHEAD.get() + seconds.unsigned_abs());
}

fn after(seconds: i64) -> SystemTime {
    SystemTime::now() + Duration::from_secs(seconds.unsigned_abs())
}

/// Who has this name, and nothing else.
fn named_only(name: &str) -> Authority {
    Authority {
        identity: Identity::new(name.to_owned()).unwrap(),
        old_names: Vec::new(),
        superuser: false,
        secrets: None,
        of_each: false,
    }
}

/// A CA, a client that it certified, and the chains of a gate.
struct Scene {
    directory: TempDir,
    ca: CertifiedIssuer<'static, KeyPair>,
    chain: Vec<CertificateDer<'static>>,
    verified: Option<VerifiedChain>,
    chains: Arc<Chains>,
    metrics: Arc<Metrics>,
    registry: Registry,
}

impl Scene {
    /// The client's certificate ends after so many seconds.
    fn new(rules: Revalidation, life: i64) -> Self {
        AHEAD.set(0);
        let mut params = named("ca");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let ca = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let mut client = named("alice");
        client.serial_number = Some(SerialNumber::from(SERIAL));
        client.not_after = after(life).into();
        let client = client.signed_by(&KeyPair::generate().unwrap(), &ca).unwrap();
        let directory = tempfile::tempdir().unwrap();
        let key = KeyPair::generate().unwrap();
        let server = named("server").self_signed(&key).unwrap().pem();
        fs::write(directory.path().join("server.pem"), server + &key.serialize_pem()).unwrap();
        fs::write(directory.path().join("trust.pem"), ca.pem()).unwrap();
        let registry = Registry::new();
        let chains = Arc::new(Chains { clock, ..Chains::new(rules) });
        let metrics = Arc::new(Metrics::new(&registry).unwrap());
        let chain = vec![client.der().clone()];
        let mut scene = Self { directory, chain, verified: None, ca, chains, metrics, registry };
        scene.verified = scene.snapshot("", "").tls.verifier().verify(&scene.chain, UnixTime::now()).ok();
        scene
    }

    /// What the files make, with more keys below `tls` and in `identity`.
    fn snapshot(&self, tls: &str, identity: &str) -> Arc<Snapshot> {
        let text = format!(
            "listen: {{ address: 127.0.0.1:0 }}\ntls:\n  key_store: {{ path: server.pem }}\n  \
             trust_store: {{ path: trust.pem }}\n{tls}identity:\n  inject: none\n{identity}"
        );
        let config = Config::parse(&text, self.directory.path(), "test.yaml").unwrap();
        Arc::new(Snapshot::load(&config, UnixTime::now()).unwrap())
    }

    /// A snapshot with a CRL that is due for renewal after so many seconds.
    fn with_crl(&self, next_update: i64, revoked: bool, identity: &str) -> Arc<Snapshot> {
        let entry = RevokedCertParams {
            serial_number: SerialNumber::from(SERIAL),
            revocation_time: SystemTime::now().into(),
            reason_code: None,
            invalidity_date: None,
        };
        let params = CertificateRevocationListParams {
            this_update: rcgen::date_time_ymd(2020, 1, 1),
            next_update: after(next_update).into(),
            crl_number: 1_u64.into(),
            issuing_distribution_point: None,
            revoked_certs: revoked.then_some(entry).into_iter().collect(),
            key_identifier_method: KeyIdMethod::Sha256,
        };
        let crl = params.signed_by(&self.ca).unwrap().pem().unwrap();
        fs::write(self.directory.path().join("ca.crl"), crl).unwrap();
        self.snapshot("  crls: [ ca.crl ]\n", identity)
    }

    fn enter(&self) -> Share {
        self.enter_as("CN=alice")
    }

    fn enter_as(&self, name: &str) -> Share {
        self.enter_with(&named_only(name))
    }

    fn enter_with(&self, authority: &Authority) -> Share {
        self.chains.enter(&self.chain, authority, self.verified.as_ref().unwrap())
    }

    fn judge(&self, snapshot: &Snapshot, trigger: RevalidationTrigger) {
        self.chains.judge(snapshot, trigger, &self.metrics);
    }

    /// How often connections were judged: kept, closed, observed.
    fn judged(&self) -> [u64; 3] {
        let text = TextEncoder::new().encode_to_string(&self.registry.gather()).unwrap();
        ["kept", "closed", "observed"].map(|result| {
            let of = format!("zoogate_connections_revalidated_total{{result=\"{result}\"");
            let values = text.lines().filter(|line| line.starts_with(&of));
            values.map(|line| line.rsplit_once(' ').unwrap().1.parse::<u64>().unwrap()).sum()
        })
    }
}

fn named(name: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    params
}

fn rules() -> Revalidation {
    Revalidation { enforce: true, margin: Duration::ZERO, warning: None }
}

fn ending(share: &Share) -> Option<Ending> {
    *share.over().borrow()
}

use RevalidationTrigger::{Expiry, Reload};

#[test]
fn a_chain_is_judged_once_when_its_last_second_is_over() {
    let scene = Scene::new(rules(), HOUR);
    let snapshot = scene.snapshot("", "");
    let (share, again) = (scene.enter(), scene.enter());
    pass(HOUR - 5);
    scene.judge(&snapshot, Expiry);
    assert_eq!((ending(&share), scene.judged()), (None, [0, 0, 0]), "nothing is due");
    pass(10);
    scene.judge(&snapshot, Expiry);
    scene.judge(&snapshot, Expiry);
    assert_eq!(scene.judged(), [0, 2, 0]);
    assert_eq!([ending(&share), ending(&again)], [Some(Ending::CertificateExpired); 2]);
}

#[test]
fn the_margin_ends_who_came_before_it_and_lets_who_comes_back_live_to_the_end() {
    let scene = Scene::new(Revalidation { margin: Duration::from_secs(600), ..rules() }, HOUR);
    let snapshot = scene.snapshot("", "");
    let early = scene.enter();
    pass(HOUR - 600 + 5);
    let late = scene.enter();
    scene.judge(&snapshot, Expiry);
    assert_eq!(ending(&early), Some(Ending::CertificateExpired));
    // The one that came back before the first look shares its entry; this one comes after.
    assert_eq!(ending(&late), Some(Ending::CertificateExpired));
    let back = scene.enter();
    scene.judge(&snapshot, Expiry);
    scene.judge(&snapshot, Reload);
    assert_eq!(ending(&back), None, "it would be cut again and again");
    pass(600);
    scene.judge(&snapshot, Expiry);
    assert_eq!(ending(&back), Some(Ending::CertificateExpired));
}

#[test]
fn the_margin_is_not_for_crls() {
    let scene = Scene::new(Revalidation { margin: Duration::from_secs(7_200), ..rules() }, 10 * HOUR);
    let share = scene.enter();
    scene.judge(&scene.with_crl(HOUR, false, ""), Reload);
    assert_eq!((ending(&share), scene.judged()), (None, [1, 0, 0]));
}

#[test]
fn an_overdue_crl_ends_no_live_connection_but_those_that_it_lists() {
    let scene = Scene::new(rules(), 10 * HOUR);
    let (good, listed) = (scene.with_crl(HOUR, false, ""), scene.with_crl(HOUR, true, ""));
    let denied = scene.with_crl(HOUR, false, "  deny: [ 'CN=alice' ]\n");
    pass(2 * HOUR);
    let share = scene.enter();
    assert_eq!(good.tls.verifier().verify(&scene.chain, clock()).unwrap_err().refusal, Refusal::RevocationUnknown);
    scene.judge(&good, Reload);
    assert_eq!((ending(&share), scene.judged()), (None, [1, 0, 0]));
    scene.judge(&listed, Reload);
    assert_eq!(ending(&share), Some(Ending::CertificateRevoked));
    let share = scene.enter();
    scene.judge(&denied, Reload);
    assert_eq!(ending(&share), Some(Ending::NoLongerAdmitted), "all else is judged as ever");
}

#[test]
fn an_old_name_and_the_rights_of_a_superuser_end_when_they_are_withdrawn() {
    let scene = Scene::new(rules(), HOUR);
    let (alice, old) = (named_only("CN=alice"), Identity::new("CN=old".to_owned()).unwrap());
    let plain = scene.enter_with(&alice);
    let renamed = scene.enter_with(&Authority { old_names: vec![old], ..alice.clone() });
    let superuser = scene.enter_with(&Authority { superuser: true, ..alice });
    scene.judge(&scene.snapshot("", ""), Reload);
    let no_longer = Some(Ending::NoLongerAdmitted);
    assert_eq!([ending(&plain), ending(&renamed), ending(&superuser)], [None, no_longer, no_longer]);
}

#[test]
fn a_chain_that_a_new_snapshot_lets_live_longer_or_shorter_ends_then() {
    // As if another path had been found before: the certificate itself ends in an hour.
    for before in [HOUR / 2, 10 * HOUR] {
        let scene = Scene::new(rules(), HOUR);
        let (verified, snapshot) = (scene.verified.clone().unwrap(), scene.snapshot("", ""));
        let not_after = verified.not_after;
        let other = VerifiedChain { not_after: not_after - HOUR + before, ..verified };
        let share = scene.chains.enter(&scene.chain, &named_only("CN=alice"), &other);
        assert_eq!(share.until().load(Ordering::Relaxed), other.not_after);
        scene.judge(&snapshot, Reload);
        assert_eq!(share.until().load(Ordering::Relaxed), not_after, "what is shown of it");
        pass(HOUR - 5);
        scene.judge(&snapshot, Expiry);
        assert_eq!((ending(&share), scene.judged()), (None, [1, 0, 0]), "nothing is due");
        scene.judge(&snapshot, Reload);
        assert_eq!((ending(&share), scene.judged()), (None, [2, 0, 0]), "before its end");
        pass(10);
        scene.judge(&snapshot, Expiry);
        assert_eq!((ending(&share), scene.judged()), (Some(Ending::CertificateExpired), [2, 1, 0]), "{before}");
    }
}

#[test]
fn who_only_observes_hears_of_each_end_and_closes_nothing() {
    let scene = Scene::new(Revalidation { enforce: false, ..rules() }, HOUR);
    let share = scene.enter();
    let revoked = scene.with_crl(10 * HOUR, true, "");
    scene.judge(&revoked, Reload);
    scene.judge(&revoked, Expiry);
    assert_eq!(scene.judged(), [0, 0, 1]);
    pass(HOUR + 5);
    scene.judge(&revoked, Expiry);
    scene.judge(&revoked, Expiry);
    assert_eq!((ending(&share), scene.judged()), (None, [0, 0, 2]));
}

const OLD: &str = "an-old-secret-of-thirty-two-bytes-or-more";
const NEW: &str = "a-new-secret-of-thirty-two-bytes-or-more!";

/// A client of a gate that has these secrets, and what such a gate has loaded.
fn with_secrets(scene: &Scene, secrets: &[&str]) -> (Authority, Arc<Snapshot>) {
    fs::write(scene.directory.path().join("secret"), secrets.join("\n")).unwrap();
    let snapshot = scene.snapshot("", "  secret_file: secret\n");
    let secrets = IdentitySecrets::parse(secrets.join("\n").as_bytes()).unwrap();
    (Authority { secrets: Some(Arc::new(secrets)), of_each: true, ..named_only("CN=alice") }, snapshot)
}

/// A client that connected when there was the old secret only.
fn connected_under_old(scene: &Scene) -> (Authority, Share) {
    let (authority, _) = with_secrets(scene, &[OLD]);
    let share = scene.enter_with(&authority);
    (authority, share)
}

#[test]
fn who_lacks_a_secret_comes_back_for_it_once() {
    let scene = Scene::new(rules(), HOUR);
    let (_, share) = connected_under_old(&scene);
    let (after, rotated) = with_secrets(&scene, &[OLD, NEW]);
    let back = scene.enter_with(&after);
    let over = share.over();
    scene.judge(&rotated, Reload);
    assert_eq!([ending(&share), ending(&back)], [Some(Ending::SecretRotated), None]);
    assert_eq!((over.has_changed().unwrap(), scene.judged()), (true, [1, 1, 0]));
    let mut again = share.over();
    again.borrow_and_update();
    scene.judge(&rotated, Reload);
    assert!(!again.has_changed().unwrap(), "its turn is not put off");
}

#[test]
fn who_would_lose_its_session_by_coming_back_stays() {
    let scene = Scene::new(rules(), HOUR);
    let (_, share) = connected_under_old(&scene);
    let (_, replaced) = with_secrets(&scene, &[NEW]);
    scene.judge(&replaced, Reload);
    assert_eq!((ending(&share), scene.judged()), (None, [1, 0, 0]));
    scene.judge(&with_secrets(&scene, &[NEW, OLD]).1, Reload);
    assert_eq!(ending(&share), Some(Ending::SecretRotated), "the old one is back");
}

#[test]
fn who_is_to_come_back_and_is_revoked_meanwhile_is_revoked() {
    let scene = Scene::new(rules(), HOUR);
    let (_, share) = connected_under_old(&scene);
    scene.judge(&with_secrets(&scene, &[NEW, OLD]).1, Reload);
    scene.judge(&scene.with_crl(HOUR, true, ""), Reload);
    assert_eq!(ending(&share), Some(Ending::CertificateRevoked));
}

#[test]
fn who_would_be_refused_for_an_overdue_crl_is_not_sent_away_to_come_back() {
    let scene = Scene::new(rules(), 10 * HOUR);
    let (_, share) = connected_under_old(&scene);
    with_secrets(&scene, &[OLD, NEW]);
    let rotated = scene.with_crl(HOUR, false, "  secret_file: secret\n");
    pass(2 * HOUR);
    scene.judge(&rotated, Reload);
    assert_eq!((ending(&share), scene.judged()), (None, [1, 0, 0]));
    scene.judge(&scene.with_crl(4 * HOUR, false, "  secret_file: secret\n"), Reload);
    assert_eq!(ending(&share), Some(Ending::SecretRotated), "the CRL is there");
}

#[test]
fn what_was_asked_of_a_connection_is_withdrawn_when_it_would_be_wrong_or_needless() {
    for after in [&[NEW][..], &[OLD]] {
        let scene = Scene::new(rules(), HOUR);
        let (_, share) = connected_under_old(&scene);
        scene.judge(&with_secrets(&scene, &[NEW, OLD]).1, Reload);
        assert_eq!(ending(&share), Some(Ending::SecretRotated));
        scene.judge(&with_secrets(&scene, after).1, Reload);
        assert_eq!((ending(&share), scene.judged()), (None, [1, 1, 0]), "{after:?}");
    }
}

#[test]
fn who_is_to_come_back_is_told_and_counted_once_and_shares_what_comes_then() {
    let scene = Scene::new(rules(), HOUR);
    let (before, share) = connected_under_old(&scene);
    let (_, rotated) = with_secrets(&scene, &[OLD, NEW]);
    scene.judge(&rotated, Reload);
    let late = scene.enter_with(&before);
    scene.judge(&rotated, Reload);
    assert_eq!(scene.judged(), [0, 1, 0]);
    scene.judge(&scene.with_crl(HOUR, true, ""), Reload);
    assert_eq!([ending(&share), ending(&late)], [Some(Ending::CertificateRevoked); 2]);
    scene.judge(&rotated, Reload);
    assert_eq!(ending(&share), Some(Ending::CertificateRevoked), "that is not taken back");
}

#[test]
fn who_has_been_told_to_end_is_not_judged_and_counted_again() {
    let scene = Scene::new(rules(), HOUR);
    let share = scene.enter();
    let revoked = scene.with_crl(HOUR, true, "");
    scene.judge(&revoked, Reload);
    scene.judge(&revoked, Reload);
    scene.judge(&scene.with_crl(HOUR, false, ""), Reload);
    assert_eq!((ending(&share), scene.judged()), (Some(Ending::CertificateRevoked), [0, 1, 0]));
}

#[test]
fn who_has_expired_is_told_that_and_not_to_come_back() {
    let scene = Scene::new(rules(), HOUR);
    let (before, _) = with_secrets(&scene, &[OLD]);
    let margin = Revalidation { margin: Duration::from_secs(600), ..rules() };
    let scene = Scene { chains: Arc::new(Chains { clock, ..Chains::new(margin) }), ..scene };
    let share = scene.enter_with(&before);
    pass(HOUR - 60);
    scene.judge(&with_secrets(&scene, &[OLD, NEW]).1, Reload);
    assert_eq!(ending(&share), Some(Ending::CertificateExpired));
}

#[test]
fn nobody_is_made_to_come_back_where_nothing_is_enforced() {
    let scene = Scene::new(Revalidation { enforce: false, ..rules() }, HOUR);
    let (_, share) = connected_under_old(&scene);
    scene.judge(&with_secrets(&scene, &[OLD, NEW]).1, Reload);
    assert_eq!((ending(&share), scene.judged()), (None, [0, 0, 1]));
}

#[test]
fn nothing_is_left_of_chains_without_connections() {
    let scene = Scene::new(rules(), HOUR);
    let snapshot = scene.snapshot("", "");
    let old: Vec<_> = (0..100).map(|n| scene.enter_as(&format!("CN={n}"))).collect();
    scene.judge(&snapshot, Reload);
    // Each has another name by now, so the old entries end, and new ones take their places.
    assert_eq!(scene.judged(), [0, 100, 0]);
    let new: Vec<_> = (0..100).map(|n| scene.enter_as(&format!("CN={n}"))).collect();
    assert_eq!(scene.chains.lock().len(), 100);
    drop(old);
    assert_eq!(scene.chains.lock().len(), 100, "the new ones stay");
    drop(new);
    assert!(scene.chains.lock().is_empty());
}

#[tokio::test]
async fn chains_that_keep_coming_do_not_put_off_the_end_of_others() {
    let scene = Scene::new(rules(), 2);
    let (_snapshots, current) = watch::channel(scene.snapshot("", ""));
    let watching = tokio::spawn(Arc::clone(&scene.chains).watch(current, Arc::clone(&scene.metrics)));
    let share = scene.enter();
    let mut others = Vec::new();
    // Far more often than once a second.
    for n in 0..60 {
        tokio::time::sleep(Duration::from_millis(100)).await;
        if ending(&share).is_some() {
            break;
        }
        let verified = VerifiedChain { not_after: i64::MAX, ..scene.verified.clone().unwrap() };
        others.push(scene.chains.enter(&scene.chain, &named_only(&format!("CN={n}")), &verified));
    }
    assert_eq!(ending(&share), Some(Ending::CertificateExpired));
    watching.abort();
}

#[tokio::test]
async fn certificates_end_also_when_nothing_is_reloaded_any_more() {
    let scene = Scene::new(rules(), 2);
    let (snapshots, current) = watch::channel(scene.snapshot("", ""));
    let watching = tokio::spawn(Arc::clone(&scene.chains).watch(current, Arc::clone(&scene.metrics)));
    let share = scene.enter();
    drop(snapshots);
    let over = async {
        while ending(&share).is_none() {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), over).await.expect("an end");
    assert!(!watching.is_finished());
    watching.abort();
}

#[test]
fn a_crl_that_is_not_valid_yet_since_the_clock_was_set_back_ends_no_live_connection() {
    let scene = Scene::new(rules(), HOUR);
    let share = scene.enter();
    let params = CertificateRevocationListParams {
        this_update: after(300).into(),
        next_update: after(7200).into(),
        crl_number: 1_u64.into(),
        issuing_distribution_point: None,
        revoked_certs: vec![],
        key_identifier_method: KeyIdMethod::Sha256,
    };
    fs::write(scene.directory.path().join("ca.crl"), params.signed_by(&scene.ca).unwrap().pem().unwrap()).unwrap();
    let snapshot = scene.snapshot("  crls: [ ca.crl ]\n", "");
    scene.judge(&snapshot, Reload);
    assert_eq!(ending(&share), None, "nothing is known against it");
}
