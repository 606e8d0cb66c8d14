//! Formats of tools that aren't at hand when the tests run: what was written by them, once (see `files/README.md`).
//! Each has a negative twin: a wrong password, damage, or the end cut off.

use std::path::{Path, PathBuf};

use zoogate::store::{KeyStorePaths, StoreFault, load_certificates, load_crls, load_key_store, load_trust_store};

use crate::keys::bench;
use crate::workshop::{PASSWORD, Workshop, fault, load, secret};

pub(crate) fn file(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/stores/files").join(name)
}

fn gate(shop: &Workshop) -> (Vec<u8>, Vec<u8>) {
    for name in ["gate.key", "gate.crt"] {
        shop.write(name, std::fs::read(file(name)).unwrap());
    }
    shop.run("openssl pkcs8 -topk8 -nocrypt -in gate.key -outform DER -out gate.pk8");
    (shop.read("gate.pk8"), shop.certificate("gate.crt"))
}

/// The stores that are read, each with its password and whether a MAC protects it.
const READ: &[(&str, Option<&str>, bool)] = &[
    ("openssl-3.5-pbmac1.p12", Some(PASSWORD), true),
    ("openssl-3.5-pbmac1-sha512.p12", Some(PASSWORD), true),
    ("openssl-3.5-pbmac1-empty.p12", None, true),
    ("go-modern2026.p12", Some(PASSWORD), true),
    ("go-modern2026-empty.p12", None, true),
    ("go-passwordless.p12", None, false),
    ("nss.p12", Some(PASSWORD), true),
    ("nss-old.p12", Some(PASSWORD), true),
    ("nss-empty.p12", None, true),
    ("bouncycastle-rc2.p12", Some(PASSWORD), true),
    ("bouncycastle-aes.p12", Some(PASSWORD), true),
    ("bouncycastle-gcm.p12", Some(PASSWORD), false),
    ("bouncycastle-rc2-no-password.p12", None, true),
    ("java-empty.p12", None, true),
];

#[test]
fn stores_of_other_tools_give_back_their_key_and_certificate() {
    let shop = Workshop::new();
    let (key, certificate) = gate(&shop);
    for (name, password, _) in READ {
        let store = load(&file(name), *password).unwrap_or_else(|error| panic!("{error}"));
        // NSS and Java leave the public half out of the key.
        shop.write("out.pk8", store.key.secret_der());
        shop.run("openssl pkey -inform DER -in out.pk8 -outform DER -out out.key");
        shop.run("openssl pkey -inform DER -in gate.pk8 -outform DER -out in.key");
        assert!(store.key.secret_der() == key || shop.read("out.key") == shop.read("in.key"), "{name}: key");
        assert_eq!(
            store.chain.iter().map(|der| der.to_vec()).collect::<Vec<_>>(),
            std::slice::from_ref(&certificate),
            "{name}"
        );
        let trusted = load_trust_store(&file(name), password.map(secret).as_ref()).unwrap();
        assert_eq!(trusted.certificates[0].certificate.to_vec(), certificate, "{name}");
    }
}

#[test]
fn stores_of_other_tools_know_a_wrong_password_and_a_missing_one() {
    for (name, password, mac) in READ {
        let is_open = *name == "go-passwordless.p12";
        match load(&file(name), Some("Changeit")) {
            Ok(_) => assert!(is_open, "{name}"),
            Err(error) => assert!(matches!(error.fault, StoreFault::WrongPassword), "{name}: {error}"),
        }
        if password.is_some() {
            assert!(matches!(fault(load(&file(name), None)), StoreFault::PasswordNeeded), "{name}");
        }
        assert!(*mac || is_open || name.contains("gcm"), "{name}");
    }
}

#[test]
fn damage_and_cuts_are_noticed_wherever_they_are() {
    let shop = Workshop::new();
    for (name, password, mac) in READ {
        let whole = std::fs::read(file(name)).unwrap();
        for at in (0..whole.len()).step_by(7) {
            assert!(load(&shop.write("cut", &whole[..at]), *password).is_err(), "{name}: cut at {at}");
        }
        // Few of those whose derivation is slow.
        let tries = if name.starts_with("nss") || name.contains("rc2") { 2 } else { 20 };
        for at in (3..whole.len()).step_by(whole.len() / tries) {
            let mut damaged = whole.clone();
            damaged[at] ^= 0x01;
            if let Ok(store) = load(&shop.write("damaged", &damaged), *password) {
                // Without a MAC and encryption the rest may change unnoticed; with one only what it doesn't cover.
                assert!(!mac || whole.len() - at < 150, "{name}: {at}");
                assert_eq!(store.chain.len(), 1, "{name}: {at}");
            }
        }
    }
}

#[test]
fn a_mac_is_checked_to_its_last_bit() {
    let shop = Workshop::new();
    for name in
        ["openssl-3.5-pbmac1.p12", "openssl-3.5-pbmac1-sha512.p12", "nss.p12", "bouncycastle-rc2-no-password.p12"]
    {
        let whole = std::fs::read(file(name)).unwrap();
        let password = READ.iter().find(|(read, ..)| *read == name).unwrap().1;
        // The digest is the first octet string of 20, 32 or 64 bytes behind the last algorithm without parameters.
        let null = whole.windows(2).rposition(|window| window == [5, 0]).unwrap() + 2;
        let length = usize::from(whole[null + 1]);
        assert_eq!((whole[null], [20, 32, 64].contains(&length)), (4, true), "{name}");
        for at in [null + 2, null + 1 + length] {
            let mut damaged = whole.clone();
            damaged[at] ^= 0x80;
            let refused = fault(load(&shop.write("damaged", &damaged), password));
            assert!(matches!(refused, StoreFault::WrongPassword | StoreFault::PasswordNeeded), "{name}: {refused}");
        }
    }
}

#[test]
fn a_key_of_pkcs12_may_have_a_password_of_its_own() {
    let path = file("java-other-key-password.p12");
    let load = |password: &str, key_password: Option<&str>| {
        let (password, key_password) = (secret(password), key_password.map(secret));
        let paths = KeyStorePaths { path: &path, key_path: None, password: Some(&password), key_password: None };
        load_key_store(KeyStorePaths { key_password: key_password.as_ref(), ..paths })
    };
    assert!(load(PASSWORD, Some("otherwise")).is_ok());
    assert!(matches!(fault(load(PASSWORD, None)), StoreFault::WrongKeyPassword));
    assert!(matches!(fault(load(PASSWORD, Some("Otherwise"))), StoreFault::WrongKeyPassword));
    assert!(matches!(fault(load("otherwise", Some("otherwise"))), StoreFault::WrongPassword));
    // To trust its certificate takes no key.
    assert_eq!(load_trust_store(&path, Some(&secret(PASSWORD))).unwrap().certificates.len(), 1);
}

/// Replaces the one place where this stands.
fn replaced(whole: &[u8], old: &[u8], new: &[u8]) -> Vec<u8> {
    let at = whole.windows(old.len()).position(|window| window == old).expect("it is there");
    [&whole[..at], new, &whole[at + old.len()..]].concat()
}

/// A store with another number in the place of this one, the lengths around it put right.
fn with_number(whole: &[u8], at: usize, number: u32) -> Vec<u8> {
    let old = 2 + usize::from(whole[at + 1]);
    let octets = number.to_be_bytes();
    let new = [&[2, 4][..], &octets].concat();
    let mut changed = whole.to_vec();
    for header in headers_around(whole, at) {
        let (low, carry) = changed[header].overflowing_add(u8::try_from(new.len() - old).unwrap());
        changed[header] = low;
        changed[header - 1] += u8::from(carry);
    }
    changed.splice(at..at + old, new);
    changed
}

#[test]
fn work_without_bounds_is_refused_before_it_is_done() {
    let shop = bench();
    let export = "openssl pkcs12 -export -inkey ec.key -in ec.crt -iter 300 -passout pass:changeit";
    shop.run(&format!("{export} -out mac.p12"));
    shop.run(&format!("{export} -nomac -certpbe NONE -out aes.p12"));
    shop.run(&format!("{export} -nomac -certpbe NONE -keypbe PBE-SHA1-3DES -out 3des.p12"));
    shop.write("pbmac1.p12", std::fs::read(file("openssl-3.5-pbmac1.p12")).unwrap());
    for (name, number) in [
        ("mac.p12", &[2, 2, 1, 0x2c][..]),
        ("aes.p12", &[2, 2, 1, 0x2c]),
        ("3des.p12", &[2, 2, 1, 0x2c]),
        ("pbmac1.p12", &[2, 2, 8, 0, 2, 1, 32]),
    ] {
        let whole = shop.read(name);
        let at = whole.windows(number.len()).rposition(|window| window == number).unwrap();
        for most in [10_000_001, 0x7fff_ffff] {
            let refused = fault(load(&shop.write("greedy", with_number(&whole, at, most)), Some(PASSWORD))).to_string();
            assert!(refused.contains(&format!("unreasonable amount of work: {most} iterations")), "{name}: {refused}");
        }
        // No number of iterations at all, and a negative one.
        for odd in [0, 0x8000_0000] {
            assert!(load(&shop.write("odd", with_number(&whole, at, odd)), Some(PASSWORD)).is_err(), "{name}: {odd}");
        }
    }
}

#[test]
fn an_initial_vector_of_another_length_is_damage() {
    let shop = bench();
    shop.run("openssl pkcs8 -topk8 -v2 des3 -in ec.key -passout pass:changeit -outform DER -out whole");
    let mut key = shop.read("whole");
    // The last octets of the identifier of triple DES, and the vector.
    let at = 3 + key.windows(5).position(|window| window == [0x0d, 3, 7, 4, 8]).unwrap();
    for header in headers_around(&key.clone(), at) {
        let (low, borrow) = key[header].overflowing_sub(4);
        key[header] = low;
        key[header - 1] -= u8::from(borrow);
    }
    key[at + 1] = 4;
    key.drain(at + 2..at + 6);
    shop.write("short", key);
    for name in ["whole", "short"] {
        shop.run(&format!("openssl base64 -in {name} -out body"));
        let label = "ENCRYPTED PRIVATE KEY-----\n";
        let pem = format!("-----BEGIN {label}{}-----END {label}", String::from_utf8(shop.read("body")).unwrap());
        let path = shop.write("all.pem", [pem.into_bytes(), shop.read("ec.crt")].concat());
        match load(&path, Some(PASSWORD)) {
            Ok(_) => assert_eq!(name, "whole"),
            Err(error) => assert!(name == "short" && matches!(error.fault, StoreFault::Malformed(_)), "{error}"),
        }
    }
}

/// Where the last octets of the lengths of those elements are that hold what is at a place.
fn headers_around(der: &[u8], place: usize) -> Vec<usize> {
    let (mut found, mut at) = (Vec::new(), 0);
    while at < place {
        let (last, length) = match der[at + 1] {
            short @ 0..=0x7f => (at + 1, usize::from(short)),
            long => {
                let last = at + 1 + usize::from(long & 0x7f);
                (last, der[at + 2..=last].iter().fold(0, |length, octet| length << 8 | usize::from(*octet)))
            }
        };
        if last + 1 + length > place {
            found.push(last);
            at = last + 1;
        } else {
            at = last + 1 + length;
        }
    }
    found
}

#[test]
fn a_jks_of_go_programs_names_the_kind_of_its_certificates_otherwise() {
    use sha1::{Digest, Sha1};
    let shop = bench();
    shop.run(
        "keytool -importcert -noprompt -alias ca -file root.crt -keystore store -storetype JKS -storepass changeit",
    );
    let whole = shop.read("store");
    for (kind, read) in [("X509", true), ("x509", true), ("x.509", true), ("X.509v3", false), ("PGP", false)] {
        let named = [&[0, u8::try_from(kind.len()).unwrap()][..], kind.as_bytes()].concat();
        let content = replaced(&whole[..whole.len() - 20], b"\0\x05X.509", &named);
        let password: Vec<u8> = PASSWORD.encode_utf16().flat_map(u16::to_be_bytes).collect();
        let digest =
            Sha1::new().chain_update(password).chain_update(b"Mighty Aphrodite").chain_update(&content).finalize();
        let path = shop.write("renamed", [&content[..], &digest].concat());
        match load_trust_store(&path, Some(&secret(PASSWORD))) {
            Ok(store) => {
                assert!(read, "{kind}");
                assert_eq!(store.certificates[0].certificate.to_vec(), shop.certificate("root.crt"));
                // Java has the last word on which kinds there are.
                shop.run("keytool -exportcert -rfc -alias ca -keystore renamed -storepass changeit -file exported");
                assert_eq!(shop.certificate("exported"), shop.certificate("root.crt"));
            }
            Err(error) => assert!(!read && error.to_string().contains(kind), "{kind}: {error}"),
        }
        assert!(matches!(fault(load_trust_store(&path, Some(&secret("wrong")))), StoreFault::WrongPassword), "{kind}");
    }
}

#[test]
fn pkcs7_bundles_are_read_in_every_form_that_windows_and_openssl_write() {
    let shop = bench();
    shop.run("openssl crl2pkcs7 -nocrl -certfile chain.pem -outform DER -out bundle.der");
    shop.run("openssl crl2pkcs7 -nocrl -certfile chain.pem -out bundle.pem");
    let pem = String::from_utf8(shop.read("bundle.pem")).unwrap();
    shop.write("cms.pem", pem.replace("PKCS7", "CMS"));
    shop.write("old.pem", pem.replace("PKCS7", "PKCS #7 SIGNED DATA"));
    shop.write("certutil.pem", pem.replace("PKCS7", "CERTIFICATE"));
    let der = shop.read("bundle.der");
    // The outermost sequence with an indefinite length: BER.
    assert_eq!(der[..2], [0x30, 0x82]);
    shop.write("bundle.ber", [&[0x30, 0x80][..], &der[4..], &[0, 0]].concat());
    let chain = ["server.crt", "intermediate.crt", "root.crt"].map(|name| shop.certificate(name));
    for name in ["bundle.der", "bundle.pem", "cms.pem", "old.pem", "certutil.pem", "bundle.ber"] {
        let mut found: Vec<_> = load_certificates(&shop.path(name)).unwrap().iter().map(|der| der.to_vec()).collect();
        found.sort();
        let mut expected = chain.to_vec();
        expected.sort();
        assert_eq!(found, expected, "{name}");
        assert_eq!(load_trust_store(&shop.path(name), None).unwrap().certificates.len(), 3, "{name}");
        let (path, key_path) = (shop.path(name), shop.path("server.key"));
        let paths = KeyStorePaths { path: &path, key_path: Some(&key_path), password: None, key_password: None };
        assert_eq!(load_key_store(paths).unwrap().chain[0].to_vec(), chain[0], "{name}");
    }
    // Cut short, and not a bundle at all.
    let cut = shop.write("cut", &der[..der.len() - 9]);
    assert!(load_trust_store(&cut, None).is_err());
    shop.run("openssl crl2pkcs7 -nocrl -out empty.pem");
    assert!(matches!(fault(load_trust_store(&shop.path("empty.pem"), None)), StoreFault::NoCertificates));
    shop.write("text", "words");
    shop.run("openssl smime -encrypt -aes128 -in text -outform PEM -out secret.pem server.crt");
    let refused = fault(load_trust_store(&shop.path("secret.pem"), None));
    assert!(refused.to_string().contains("no bundle of certificates"), "{refused}");
}

#[test]
fn revocation_lists_are_read_from_bundles() {
    let shop = bench();
    shop.write("index", "");
    shop.write("ca.cnf", "[ca]\ndefault_ca = a\n[a]\ndatabase = index\ndefault_md = sha256\ndefault_crl_days = 9\n");
    shop.run("openssl ca -config ca.cnf -gencrl -keyfile root.key -cert root.crt -out list.pem");
    shop.run("openssl crl -in list.pem -outform DER -out list.der");
    shop.run("openssl crl2pkcs7 -in list.pem -certfile root.crt -out bundle.pem");
    shop.run("openssl crl2pkcs7 -in list.pem -certfile root.crt -outform DER -out bundle.der");
    for name in ["bundle.pem", "bundle.der"] {
        assert_eq!(load_crls(&shop.path(name)).unwrap(), [shop.read("list.der")], "{name}");
    }
    shop.run("openssl crl2pkcs7 -nocrl -certfile root.crt -outform DER -out none.der");
    assert!(matches!(fault(load_crls(&shop.path("none.der"))), StoreFault::NoCrls));
    let refused = fault(load_trust_store(&shop.path("list.der"), None));
    assert!(refused.to_string().contains("certificate revocation list"), "{refused}");
}

#[test]
fn a_chain_in_javas_pkipath_form_is_read() {
    let shop = bench();
    let chain = ["root.crt", "intermediate.crt", "server.crt"].map(|name| shop.certificate(name));
    let body = chain.concat();
    let length = u16::try_from(body.len()).unwrap().to_be_bytes();
    let path = shop.write("chain.pkipath", [&[0x30, 0x82][..], &length, &body].concat());
    assert_eq!(load_certificates(&path).unwrap().iter().map(|der| der.to_vec()).collect::<Vec<_>>(), chain);
    let key_path = shop.path("server.key");
    let paths = KeyStorePaths { path: &path, key_path: Some(&key_path), password: None, key_password: None };
    assert_eq!(load_key_store(paths).unwrap().chain[0].to_vec(), chain[2]);
    let more = shop.write("more", [&shop.read("chain.pkipath")[..], &[0x30, 0]].concat());
    assert!(load_trust_store(&more, None).is_err());
}
