//! What is refused, and with which words.

use std::path::PathBuf;

use zoogate::store::{KeyStorePaths, StoreFault, load_key_store};

use crate::keys::bench;
use crate::workshop::{PASSWORD, Workshop, fault, load, secret};

#[test]
fn each_kind_of_key_store_tells_a_wrong_password_from_a_missing_one() {
    let export = "openssl pkcs12 -export -inkey server.key -in chain.pem -name gate -passout pass:changeit";
    let import = "keytool -importkeystore -noprompt -srckeystore in.p12 -srcstoretype PKCS12 -srcstorepass changeit \
                  -destkeystore store -deststorepass changeit";
    for commands in [
        vec![format!("{export} -out store")],
        vec![format!("{export} -legacy -out store")],
        vec![format!("{export} -nomac -out store")],
        vec![format!("{export} -out in.p12"), format!("{import} -deststoretype JKS")],
        vec![format!("{export} -out in.p12"), format!("{import} -deststoretype JCEKS")],
        vec!["openssl pkcs8 -topk8 -in server.key -passout pass:changeit -out store".into()],
    ] {
        let shop = bench();
        commands.iter().for_each(|command| shop.run(command));
        let path = if shop.read("store").starts_with(b"-----") {
            shop.write("store", [shop.read("store"), shop.read("chain.pem")].concat())
        } else {
            shop.path("store")
        };
        assert!(load(&path, Some(PASSWORD)).is_ok(), "{commands:?}");
        assert!(matches!(fault(load(&path, Some("Changeit"))), StoreFault::WrongPassword), "{commands:?}");
        assert!(matches!(fault(load(&path, None)), StoreFault::PasswordNeeded), "{commands:?}");
    }
}

#[test]
fn a_key_with_another_password_than_its_store_is_named_as_the_trouble() {
    for kind in ["JKS", "JCEKS"] {
        let shop = bench();
        shop.run("openssl pkcs12 -export -inkey ec.key -in ec.crt -name gate -passout pass:changeit -out in.p12");
        shop.run(&format!(
            "keytool -importkeystore -noprompt -srckeystore in.p12 -srcstoretype PKCS12 -srcstorepass changeit \
             -destkeystore store -deststorepass changeit -deststoretype {kind} -srcalias gate -destkeypass otherwise"
        ));
        let (path, password) = (shop.path("store"), secret(PASSWORD));
        let load = |key_password: Option<&str>| {
            let key_password = key_password.map(secret);
            let paths = KeyStorePaths { path: &path, key_path: None, password: Some(&password), key_password: None };
            load_key_store(KeyStorePaths { key_password: key_password.as_ref(), ..paths })
        };
        assert!(matches!(fault(load(None)), StoreFault::WrongKeyPassword), "{kind}");
        assert!(matches!(fault(load(Some("Otherwise"))), StoreFault::WrongKeyPassword), "{kind}");
        assert!(load(Some("otherwise")).is_ok(), "{kind}");
    }
}

/// Runs the command that an error's text gives between backquotes.
fn follow(shop: &Workshop, advice: &str, old: &str, more: &str) {
    let command = advice.split('`').nth(1).unwrap_or_else(|| panic!("no command in {advice}"));
    assert!(command.starts_with("openssl "), "{command}");
    shop.run(&format!("{} {more}", command.replace("OLD.pem", old).replace("NEW.pem", "new.pem")));
}

#[test]
fn old_key_encryption_is_refused_with_a_command_that_mends_it() {
    let passwords = "-passin pass:changeit -passout pass:changeit";
    for make in [
        "openssl rsa -traditional -aes128 -in server.key -passout pass:changeit -out old.pem",
        "openssl rsa -traditional -des3 -in server.key -passout pass:changeit -out old.pem",
        "openssl pkcs8 -topk8 -v1 PBE-SHA1-3DES -in server.key -passout pass:changeit -out old.pem",
        "openssl pkcs8 -topk8 -v1 PBE-MD5-DES -provider legacy -provider default -in server.key \
         -passout pass:changeit -out old.pem",
        "openssl pkcs8 -topk8 -v1 PBE-SHA1-RC2-40 -provider legacy -provider default -in server.key \
         -passout pass:changeit -out old.pem",
    ] {
        let shop = bench();
        shop.run(make);
        let refused = fault(load(&shop.path("old.pem"), Some(PASSWORD)));
        assert!(matches!(refused, StoreFault::OldEncryption { .. }), "{make}: {refused}");
        follow(&shop, &refused.to_string(), "old.pem", passwords);
        shop.write("all.pem", [shop.read("new.pem"), shop.read("server.crt")].concat());
        let store = load(&shop.path("all.pem"), Some(PASSWORD)).unwrap_or_else(|error| panic!("{make}: {error}"));
        assert_eq!(store.key.secret_der(), shop.read("server.pk8"), "{make}");
    }
}

#[test]
fn an_openssl_trusted_certificate_is_refused_with_a_command_that_mends_it() {
    let shop = bench();
    shop.run("openssl x509 -in root.crt -trustout -addtrust clientAuth -out old.pem");
    let load = |name: &str| zoogate::store::load_trust_store(&shop.path(name), None);
    let refused = fault(load("old.pem"));
    follow(&shop, &refused.to_string(), "old.pem", "");
    assert_eq!(load("new.pem").unwrap().certificates[0].certificate.to_vec(), shop.certificate("root.crt"));
}

#[test]
fn keys_that_tls_cannot_sign_with_are_refused_by_name() {
    let shop = bench();
    shop.run("openssl dsaparam -out dsa.params 1024");
    for (make, kind) in [
        ("gendsa -out key.pem dsa.params", "DSA"),
        ("genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:1024 -out key.pem", "RSA of 1024 bits"),
        ("genrsa -traditional -out key.pem 1536", "RSA of 1536 bits"),
        ("genpkey -algorithm RSA-PSS -pkeyopt rsa_keygen_bits:2048 -out key.pem", "RSA restricted to PSS"),
        ("genpkey -algorithm ed448 -out key.pem", "Ed448"),
        ("genpkey -algorithm x25519 -out key.pem", "X25519"),
        ("genpkey -algorithm EC -pkeyopt ec_paramgen_curve:secp256k1 -out key.pem", "EC on secp256k1"),
        ("ecparam -genkey -noout -name brainpoolP256r1 -out key.pem", "EC on brainpoolP256r1"),
        (
            "genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-224 -pkeyopt ec_param_enc:explicit -out key.pem",
            "EC with curve parameters spelt out",
        ),
    ] {
        shop.run(&format!("openssl {make}"));
        let path = shop.write("all.pem", [shop.read("key.pem"), shop.read("ec.crt")].concat());
        let refused = fault(load(&path, None));
        assert!(matches!(&refused, StoreFault::UnsupportedKey(_)), "{make}: {refused}");
        assert!(refused.to_string().contains(kind), "{make}: {refused}");
    }
}

#[test]
fn several_keys_are_refused_by_their_names() {
    let shop = bench();
    for kind in ["PKCS12", "JKS"] {
        for alias in ["first", "second"] {
            shop.run(&format!(
                "keytool -genkeypair -alias {alias} -dname CN={alias} -keyalg EC -storetype {kind} -keystore {kind} \
                 -storepass changeit"
            ));
        }
        let StoreFault::SeveralKeys(mut names) = fault(load(&shop.path(kind), Some(PASSWORD))) else { panic!() };
        names.sort();
        assert_eq!(names, ["first", "second"], "{kind}");
    }
    let path = shop.write("two.pem", ["ec.crt", "ec.key", "ed.key"].map(|name| shop.read(name)).concat());
    assert!(matches!(fault(load(&path, None)), StoreFault::SeveralKeys(lines) if lines.len() == 2));
}

#[test]
fn a_store_without_a_key_or_without_its_certificate_is_refused() {
    let shop = bench();
    shop.run("openssl pkcs12 -export -nokeys -in root.crt -passout pass:changeit -out trust.p12");
    shop.run(
        "keytool -importcert -noprompt -alias ca -file root.crt -keystore trust.jks -storetype JKS -storepass changeit",
    );
    for name in ["trust.p12", "trust.jks", "chain.pem"] {
        assert!(matches!(fault(load(&shop.path(name), Some(PASSWORD))), StoreFault::NoKey), "{name}");
    }
    shop.run("openssl pkcs12 -export -nocerts -inkey ec.key -passout pass:changeit -out bare.p12");
    for name in ["bare.p12", "ec.key"] {
        assert!(matches!(fault(load(&shop.path(name), Some(PASSWORD))), StoreFault::NoCertificateForKey), "{name}");
    }
}

#[test]
fn a_key_that_is_not_the_certificates_is_refused() {
    let shop = bench();
    let path = shop.write("other.pem", [shop.read("ec.key"), shop.read("chain.pem")].concat());
    let refused = fault(load(&path, None));
    assert!(matches!(&refused, StoreFault::KeyMismatch { subject } if subject.contains("server")), "{refused}");
    // Of one kind too, where only the numbers differ.
    let path = shop.write("twin.pem", [shop.read("root.key"), shop.read("twin.crt")].concat());
    assert!(matches!(fault(load(&path, None)), StoreFault::KeyMismatch { .. }));
}

#[test]
fn of_two_files_the_one_at_fault_is_named() {
    let shop = bench();
    let load = |path: &str, key: &str| {
        let (path, key_path): (PathBuf, PathBuf) = (shop.path(path), shop.path(key));
        load_key_store(KeyStorePaths { path: &path, key_path: Some(&key_path), password: None, key_password: None })
            .unwrap_err()
    };
    shop.run("openssl genpkey -algorithm ed448 -out ed448.key");
    shop.run("openssl pkcs12 -export -inkey ec.key -in ec.crt -passout pass: -out ec.p12");
    for (certificates, key, at_fault) in [
        ("chain.pem", "missing.key", "missing.key"),
        ("missing.pem", "server.key", "missing.pem"),
        ("chain.pem", "root.crt", "root.crt"),
        ("chain.pem", "ed448.key", "ed448.key"),
        ("chain.pem", "server.pk8", "server.pk8"),
        ("server.key", "server.key", "server.key"),
        ("ec.p12", "ec.key", "ec.p12"),
    ] {
        let error = load(certificates, key);
        assert_eq!(error.path, shop.path(at_fault), "{error}");
    }
}

#[test]
fn damaged_pem_is_refused_with_its_line() {
    let shop = bench();
    let plain = String::from_utf8(shop.read("ec.key")).unwrap();
    for (text, line) in [
        (plain.replace("-----END PRIVATE KEY-----\n", ""), "line 1"),
        (plain.replace("-----END PRIVATE KEY-----", "-----END CERTIFICATE-----"), "line 1"),
        (plain.replacen("-----\n", "----\n", 1), "line 1"),
        (plain.replacen('\n', "\n!", 1), "line 1"),
        (format!("text\n{}", plain.replacen("-----BEGIN PRIVATE KEY-----\n", "", 1)), ""),
        (format!("-----END PRIVATE KEY-----\n{plain}"), "line 1"),
    ] {
        let refused = fault(load(&shop.write("damaged.pem", &text), None));
        assert!(matches!(refused, StoreFault::Malformed(_) | StoreFault::Unrecognised), "{text}{refused}");
        assert!(refused.to_string().contains(line), "{text}{refused}");
    }
}

#[test]
fn what_is_no_store_is_refused_as_such() {
    let shop = Workshop::new();
    let load = |content: &[u8]| fault(load(&shop.write("file", content), None));
    assert!(matches!(load(b""), StoreFault::Empty));
    assert!(matches!(load(b"keystore: here\n"), StoreFault::Unrecognised));
    assert!(matches!(load(b"\xff\xfe-\0-\0"), StoreFault::Unsupported(text) if text.contains("UTF-16")));
    assert!(matches!(load(&[0x30, 0x80, 2, 1, 3]), StoreFault::Unsupported(text) if text.contains("openssl pkcs12")));
    assert!(matches!(fault(crate::workshop::load(&shop.path(""), None)), StoreFault::Unreadable(_)));
    assert!(matches!(load(&vec![b'x'; (16 << 20) + 1]), StoreFault::TooLarge { limit } if limit == 16 << 20));
}

#[test]
fn a_password_that_pkcs12_or_java_cannot_hold_is_refused_without_being_shown() {
    let shop = bench();
    shop.run("openssl pkcs12 -export -inkey ec.key -in ec.crt -passout pass:changeit -out store.p12");
    shop.run(
        "keytool -importcert -noprompt -alias ca -file root.crt -keystore store.jks -storetype JKS -storepass changeit",
    );
    for name in ["store.p12", "store.jks"] {
        let password = zoogate::secret::Secret::new(b"changeit\xff".to_vec());
        let refused = fault(zoogate::store::load_trust_store(&shop.path(name), Some(&password)));
        assert!(matches!(refused, StoreFault::PasswordText(_)), "{name}: {refused}");
    }
}
