//! Key stores: the key is the source's, byte for byte, and the chain begins with its certificate.

use std::path::PathBuf;

use zoogate::store::{KeyStorePaths, load_key_store};

use crate::workshop::{PASSWORD, Workshop, load, pki, secret};

/// A store: how it is made in the directory of `pki()` plus its own name, and what must come out.
struct Case {
    name: &'static str,
    /// `OUT` is the store.
    commands: &'static [&'static str],
    password: Option<&'static str>,
    key_password: Option<&'static str>,
    /// A key file of `pki()`, whose PKCS#8 form must come out.
    key: &'static str,
    /// Certificates of `pki()`, in the order that must come out.
    chain: &'static [&'static str],
}

const FULL: &[&str] = &["server.crt", "intermediate.crt", "root.crt"];
const EXPORT: &str =
    "openssl pkcs12 -export -inkey server.key -in chain.pem -name gate -passout pass:changeit -out OUT";

/// From a PKCS#12 store of OpenSSL's into one of Java's.
macro_rules! import {
    ($source:literal, $options:literal) => {
        concat!(
            "keytool -importkeystore -noprompt -srckeystore ",
            $source,
            " -srcstoretype PKCS12 -srcstorepass changeit -destkeystore OUT -deststorepass changeit ",
            $options
        )
    };
}

const fn case(name: &'static str, commands: &'static [&'static str]) -> Case {
    Case { name, commands, password: Some(PASSWORD), key_password: None, key: "server", chain: FULL }
}

#[rustfmt::skip]
const CASES: &[Case] = &[
    case("openssl-3.p12", &[EXPORT]),
    case("openssl-1.p12", &["openssl pkcs12 -export -legacy -inkey server.key -in chain.pem -passout pass:changeit -out OUT"]),
    case("openssl-3des.p12", &["openssl pkcs12 -export -keypbe PBE-SHA1-3DES -certpbe PBE-SHA1-3DES -macalg sha1 -inkey server.key -in chain.pem -passout pass:changeit -out OUT"]),
    case("openssl-plain-certs.p12", &["openssl pkcs12 -export -keypbe AES-128-CBC -certpbe NONE -macalg sha512 -inkey server.key -in chain.pem -passout pass:changeit -out OUT"]),
    case("openssl-no-mac.p12", &["openssl pkcs12 -export -nomac -inkey server.key -in chain.pem -passout pass:changeit -out OUT"]),
    Case { password: None, ..case("openssl-nothing-encrypted.p12", &["openssl pkcs12 -export -nomac -keypbe NONE -certpbe NONE -inkey server.key -in chain.pem -passout pass: -out OUT"]) },
    Case { password: None, ..case("openssl-empty-password.p12", &["openssl pkcs12 -export -inkey server.key -in chain.pem -passout pass: -out OUT"]) },
    Case { password: Some("Schlüssel 鍵"), ..case("openssl-unicode.p12", &["openssl pkcs12 -export -inkey server.key -in chain.pem -passout pass:Schlüssel~鍵 -out OUT"]) },
    Case { key: "ec", chain: &["ec.crt"], ..case("openssl-ec.p12", &["openssl pkcs12 -export -inkey ec.key -in ec.crt -passout pass:changeit -out OUT"]) },
    Case { key: "ed", chain: &["ed.crt"], ..case("openssl-ed25519.p12", &["openssl pkcs12 -export -inkey ed.key -in ed.crt -passout pass:changeit -out OUT"]) },

    case("keytool-17.p12", &[EXPORT_IN, import!("in.p12", "-deststoretype PKCS12")]),
    case("keytool-8.p12", &[EXPORT_IN, import!("in.p12", "-deststoretype PKCS12 -J-Dkeystore.pkcs12.legacy")]),
    case("keytool.jks", &[EXPORT_IN, import!("in.p12", "-deststoretype JKS")]),
    Case { key_password: Some("otherwise"), ..case("keytool-key-password.jks", &[EXPORT_IN, import!("in.p12", "-deststoretype JKS -srcalias gate -destkeypass otherwise")]) },
    Case { password: None, key_password: Some("otherwise"), ..case("keytool-only-key-password.jks", &[EXPORT_IN, import!("in.p12", "-deststoretype JKS -srcalias gate -destkeypass otherwise")]) },
    case("keytool.jceks", &[EXPORT_IN, import!("in.p12", "-deststoretype JCEKS")]),
    Case { key_password: Some("otherwise"), ..case("keytool-key-password.jceks", &[EXPORT_IN, import!("in.p12", "-deststoretype JCEKS -srcalias gate -destkeypass otherwise")]) },
    Case { key: "ec", chain: &["ec.crt"], ..case("keytool-ec.jks", &["openssl pkcs12 -export -inkey ec.key -in ec.crt -name gate -passout pass:changeit -out in.p12", import!("in.p12", "-deststoretype JKS")]) },
    // A trusted certificate beside the key is no part of its chain.
    Case { key: "ec", chain: &["ec.crt"], ..case("keytool-mixed.p12", &[
        "openssl pkcs12 -export -inkey ec.key -in ec.crt -name gate -passout pass:changeit -out in.p12",
        import!("in.p12", "-deststoretype PKCS12"),
        "keytool -importcert -noprompt -alias ca -file root.crt -keystore OUT -storepass changeit",
        "keytool -genseckey -alias aes -keyalg AES -keysize 128 -keystore OUT -storepass changeit",
    ]) },
    Case { key: "ec", chain: &["ec.crt"], ..case("keytool-mixed.jks", &[
        "openssl pkcs12 -export -inkey ec.key -in ec.crt -name gate -passout pass:changeit -out in.p12",
        import!("in.p12", "-deststoretype JKS"),
        "keytool -importcert -noprompt -alias ca -file root.crt -keystore OUT -storepass changeit",
    ]) },

    // What OpenSSL 3.0 writes by default, then its other ciphers, digests and derivations.
    Case { key: "server", ..case("encrypted.pem", &["openssl pkcs8 -topk8 -in server.key -passout pass:changeit -out OUT"]) },
    Case { key: "server", ..case("encrypted-3des.pem", &["openssl pkcs8 -topk8 -v2 des3 -in server.key -passout pass:changeit -out OUT"]) },
    Case { key: "server", ..case("encrypted-sha1.pem", &["openssl pkcs8 -topk8 -v2 aes-128-cbc -v2prf hmacWithSHA1 -in server.key -passout pass:changeit -out OUT"]) },
    Case { key: "server", ..case("encrypted-sha512.pem", &["openssl pkcs8 -topk8 -v2 aes-192-cbc -v2prf hmacWithSHA512 -in server.key -passout pass:changeit -out OUT"]) },
    Case { key: "server", ..case("encrypted-scrypt.pem", &["openssl pkcs8 -topk8 -scrypt -in server.key -passout pass:changeit -out OUT"]) },
    Case { password: None, key: "server", ..case("plain.pem", &["openssl pkcs8 -topk8 -nocrypt -in server.key -out OUT"]) },
    Case { password: None, key: "ed", chain: &["ed.crt"], ..case("ed25519.pem", &["openssl pkcs8 -topk8 -nocrypt -in ed.key -out OUT"]) },
];
const EXPORT_IN: &str =
    "openssl pkcs12 -export -inkey server.key -in chain.pem -name gate -passout pass:changeit -out in.p12";

#[test]
fn each_kind_of_key_store_gives_back_its_key_and_chain() {
    for case in CASES {
        let shop = bench();
        for command in case.commands {
            shop.run(&command.replace("OUT", case.name));
        }
        if case.name.ends_with(".pem") {
            let chain: Vec<u8> = case.chain.iter().flat_map(|name| shop.read(name)).collect();
            shop.write(case.name, [shop.read(case.name), chain].concat());
        }
        let (path, password, key_password) =
            (shop.path(case.name), case.password.map(secret), case.key_password.map(secret));
        let store = load_key_store(KeyStorePaths {
            path: &path,
            key_path: None,
            password: password.as_ref(),
            key_password: key_password.as_ref(),
        })
        .unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(store.key.secret_der(), pki().read(&format!("{}.pk8", case.key)), "{}: key", case.name);
        let expected: Vec<_> = case.chain.iter().map(|name| pki().certificate(name)).collect();
        let chain: Vec<_> = store.chain.iter().map(|certificate| certificate.to_vec()).collect();
        assert_eq!(chain, expected, "{}: chain", case.name);
    }
}

#[test]
fn a_key_that_keytool_generated_is_read_from_each_of_its_stores() {
    for (kind, algorithm) in [
        ("PKCS12", "EC -groupname secp384r1"),
        ("JKS", "EC -groupname secp521r1"),
        ("JCEKS", "EC -groupname secp256r1"),
        ("JKS", "Ed25519"),
        ("PKCS12", "RSA -keysize 3072"),
    ] {
        let shop = Workshop::new();
        shop.run(&format!(
            "keytool -genkeypair -alias gate -dname CN=gate -keyalg {algorithm} -storetype {kind} -keystore store \
             -storepass changeit"
        ));
        let store = load(&shop.path("store"), Some(PASSWORD)).unwrap_or_else(|error| panic!("{algorithm}: {error}"));
        // Java leaves the public half out of EC keys, so OpenSSL must have the last word on what the key is.
        shop.write("key.pk8", store.key.secret_der());
        shop.write("cert.der", &store.chain[0]);
        shop.run("openssl pkey -inform DER -in key.pk8 -pubout -out of-key.pub");
        shop.run("openssl x509 -inform DER -in cert.der -pubkey -noout -out of-certificate.pub");
        assert_eq!(shop.read("of-key.pub"), shop.read("of-certificate.pub"), "{algorithm} in {kind}");
    }
}

#[test]
fn pkcs1_and_sec1_keys_are_read_as_they_are() {
    let shop = bench();
    shop.run("openssl rsa -traditional -in server.key -out pkcs1.pem");
    shop.run("openssl rsa -traditional -in server.key -outform DER -out pkcs1.der");
    shop.run("openssl ec -in ec.key -out sec1.pem");
    shop.run("openssl ec -in ec.key -outform DER -out sec1.der");
    // As `openssl ecparam -genkey` writes it, with its parameters in front.
    shop.run("openssl ecparam -name prime256v1 -out parameters.pem");
    for (certificate, key, expected) in [("server", "pkcs1", "pkcs1.der"), ("ec", "sec1", "sec1.der")] {
        let parts =
            ["parameters.pem", &format!("{key}.pem"), &format!("{certificate}.crt")].map(|name| shop.read(name));
        let store = load(&shop.write("one.pem", parts.concat()), None).unwrap();
        assert_eq!(store.key.secret_der(), shop.read(expected));
    }
}

#[test]
fn certificates_and_key_may_be_in_two_pem_files() {
    let shop = bench();
    let load = |path: &str, key: &str| {
        let (path, key_path) = (shop.path(path), shop.path(key));
        load_key_store(KeyStorePaths { path: &path, key_path: Some(&key_path), password: None, key_password: None })
    };
    let store = load("chain.pem", "server.key").unwrap();
    assert_eq!((store.chain.len(), store.key.secret_der()), (3, &shop.read("server.pk8")[..]));

    // The certificate may be DER then, and a key in the certificates' file doesn't count.
    shop.run("openssl x509 -in server.crt -outform DER -out server.der");
    assert_eq!(load("server.der", "server.key").unwrap().chain.len(), 1);
    shop.write("both.pem", [shop.read("ec.key"), shop.read("chain.pem")].concat());
    assert_eq!(load("both.pem", "server.key").unwrap().key.secret_der(), shop.read("server.pk8"));
}

#[test]
fn a_chain_in_the_wrong_order_is_put_right_and_strangers_are_left_out() {
    let shop = bench();
    let parts = ["root.crt", "twin.crt", "ec.crt", "intermediate.crt", "server.key", "server.crt", "root.crt"];
    let path = shop.write("jumbled.pem", parts.map(|name| shop.read(name)).concat());
    let chain: Vec<_> = load(&path, None).unwrap().chain.iter().map(|certificate| certificate.to_vec()).collect();
    assert_eq!(chain, FULL.iter().map(|name| shop.certificate(name)).collect::<Vec<_>>());
}

#[test]
fn of_two_issuers_with_one_name_the_one_with_the_right_key_is_taken() {
    let shop = bench();
    let parts = ["server.key", "server.crt", "intermediate.crt", "twin.crt", "root.crt"];
    let path = shop.write("twins.pem", parts.map(|name| shop.read(name)).concat());
    let store = load(&path, None).unwrap();
    assert_eq!(store.chain[2].to_vec(), shop.certificate("root.crt"));
    assert_eq!(store.chain.len(), 3);
}

#[test]
fn pem_is_read_with_any_line_end_and_with_text_around() {
    let shop = bench();
    let plain = String::from_utf8([shop.read("server.key"), shop.read("chain.pem")].concat()).unwrap();
    let with_text = plain.replace("-----BEGIN CERT", "Bag Attributes\n    localKeyID: 01\n0 s:CN = x\n-----BEGIN CERT");
    for (what, text) in [
        ("CRLF", plain.replace('\n', "\r\n")),
        ("CR", plain.replace('\n', "\r")),
        ("no last newline", plain.trim_end().to_owned()),
        ("byte order mark", format!("\u{feff}{plain}")),
        ("text around", format!("0 some words\n{with_text}\nmore words, and no newline")),
        ("spaces at line ends", plain.replace('\n', "  \n")),
        ("one long line", plain.replace('\n', " ").replace("----- ", "-----\n").replace(" -----", "\n-----")),
    ] {
        let store = load(&shop.write("variant", text), None).unwrap_or_else(|error| panic!("{what}: {error}"));
        assert_eq!((store.chain.len(), store.key.secret_der()), (3, &shop.read("server.pk8")[..]), "{what}");
    }
}

#[test]
fn the_content_decides_and_not_the_name() {
    let shop = bench();
    shop.run(&EXPORT.replace("OUT", "store.pem"));
    assert_eq!(load(&shop.path("store.pem"), Some(PASSWORD)).unwrap().chain.len(), 3);
    let path: PathBuf = shop.write("store.jks", [shop.read("server.key"), shop.read("server.crt")].concat());
    assert_eq!(load(&path, None).unwrap().chain.len(), 1);
}

#[test]
fn debugging_output_shows_no_key() {
    let shop = bench();
    let path = shop.write("all.pem", [shop.read("ec.key"), shop.read("ec.crt")].concat());
    assert_eq!(format!("{:?}", load(&path, None).unwrap()), "KeyStore { certificates: 1, .. }");
}

/// A directory of one's own with the files of `pki()`.
pub(crate) fn bench() -> Workshop {
    let shop = Workshop::new();
    for entry in std::fs::read_dir(pki().path("")).unwrap() {
        let entry = entry.unwrap();
        std::fs::copy(entry.path(), shop.path(&entry.file_name().to_string_lossy())).unwrap();
    }
    shop
}
