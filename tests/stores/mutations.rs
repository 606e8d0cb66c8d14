//! Damaged stores are refused, or read as something else; they never end the process nor fill its memory.

use std::sync::OnceLock;

use proptest::prelude::*;
use proptest::sample::Index;
use zoogate::store::{KeyStorePaths, load_certificates, load_crls, load_key_store, load_trust_store};

use crate::keys::bench;
use crate::workshop::{PASSWORD, Workshop, secret};

/// One small store of each kind, without whatever would notice the damage at once: PKCS#12 without MAC, and JKS
/// read without the store's password.
fn victims() -> &'static [Vec<u8>] {
    static VICTIMS: OnceLock<Vec<Vec<u8>>> = OnceLock::new();
    VICTIMS.get_or_init(|| {
        let shop = bench();
        let export = "openssl pkcs12 -export -inkey ec.key -in ec.crt -name gate -passout pass:changeit -iter 1";
        let import = "keytool -importkeystore -noprompt -srckeystore mac.p12 -srcstoretype PKCS12 \
                      -srcstorepass changeit -deststorepass changeit";
        for command in [
            format!("{export} -out mac.p12"),
            format!("{export} -nomac -out new.p12"),
            format!("{export} -nomac -legacy -out old.p12"),
            format!("{export} -nomac -keypbe NONE -certpbe NONE -out open.p12"),
            format!("{import} -destkeystore store.jks -deststoretype JKS"),
            format!("{import} -destkeystore store.jceks -deststoretype JCEKS -J-Djdk.jceks.iterationCount=10000"),
            "openssl pkcs8 -topk8 -iter 1 -in ec.key -passout pass:changeit -out sealed.pem".into(),
            "openssl x509 -in ec.crt -outform DER -out ec.der".into(),
        ] {
            shop.run(&command);
        }
        shop.write("sealed-and-certificate.pem", [shop.read("sealed.pem"), shop.read("ec.crt")].concat());
        shop.write("plain.pem", [shop.read("ec.key"), shop.read("ec.crt")].concat());
        let names = ["new.p12", "old.p12", "open.p12", "mac.p12", "store.jks", "store.jceks", "ec.der", "plain.pem"];
        shop.run("openssl crl2pkcs7 -nocrl -certfile ec.crt -outform DER -out bundle.p7b");
        shop.write("pbmac1.p12", std::fs::read(crate::formats::file("openssl-3.5-pbmac1.p12")).unwrap());
        names
            .into_iter()
            .chain(["sealed-and-certificate.pem", "bundle.p7b", "pbmac1.p12"])
            .map(|name| shop.read(name))
            .collect()
    })
}

#[derive(Debug, Clone)]
enum Damage {
    CutTo(Index),
    Flip(Index, u8),
    Overwrite(Index, [u8; 4]),
    Remove(Index, usize),
}

impl Damage {
    fn apply(&self, mut data: Vec<u8>) -> Vec<u8> {
        let length = data.len();
        match self {
            Self::CutTo(at) => data.truncate(at.index(length)),
            Self::Flip(at, mask) => data[at.index(length)] ^= mask,
            Self::Overwrite(at, bytes) => {
                let start = at.index(length);
                data.iter_mut().skip(start).zip(bytes).for_each(|(old, new)| *old = *new);
            }
            Self::Remove(at, count) => {
                let start = at.index(length);
                data.drain(start..length.min(start + count));
            }
        }
        data
    }
}

fn damage() -> impl Strategy<Value = Damage> {
    // Lengths in particular are made huge, negative or zero.
    let number = prop_oneof![Just([0xff; 4]), Just([0x7f, 0xff, 0xff, 0xff]), Just([0; 4]), any::<[u8; 4]>()];
    prop_oneof![
        any::<Index>().prop_map(Damage::CutTo),
        (any::<Index>(), 1u8..).prop_map(|(at, mask)| Damage::Flip(at, mask)),
        (any::<Index>(), number).prop_map(|(at, bytes)| Damage::Overwrite(at, bytes)),
        (any::<Index>(), 1usize..40).prop_map(|(at, count)| Damage::Remove(at, count)),
    ]
}

/// The most memory that this process has had, in KiB.
fn peak_memory() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
    line.split_ascii_whitespace().nth(1).unwrap().parse().unwrap()
}

fn load_every_way(path: &std::path::Path) {
    let password = secret(PASSWORD);
    // With a key password alone, JKS is opened without the check of its integrity.
    for (password, key_password) in [(Some(&password), None), (None, Some(&password))] {
        let _ = load_key_store(KeyStorePaths { path, key_path: None, password, key_password });
        let _ = load_trust_store(path, password);
    }
    let _ = load_certificates(path);
    let _ = load_crls(path);
}

#[test]
fn undamaged_victims_are_read() {
    let shop = Workshop::new();
    let password = secret(PASSWORD);
    for victim in victims().iter().filter(|victim| victim[..2] != [0x30, 0x82] || victim[4] == 2) {
        let path = shop.write("victim", victim);
        load_key_store(KeyStorePaths { path: &path, key_path: None, password: Some(&password), key_password: None })
            .unwrap();
    }
}

#[test]
fn damaged_stores_neither_panic_nor_take_much_memory() {
    let shop = Workshop::new();
    victims();
    let before = peak_memory();
    let config = ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() };
    proptest!(config, |(which in any::<Index>(), damages in prop::collection::vec(damage(), 1..3))| {
        let victim = which.get(victims()).clone();
        let damaged = damages.iter().fold(victim, |data, damage| {
            if data.is_empty() { data } else { damage.apply(data) }
        });
        load_every_way(&shop.write("victim", damaged));
    });
    let grown = peak_memory() - before;
    assert!(grown < 200 << 10, "{grown} KiB for stores of some 2 KiB");
}
