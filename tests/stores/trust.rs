//! Trust stores: every certificate that is meant to be trusted comes out, under its alias.

use std::path::Path;

use zoogate::store::{StoreFault, load_certificates, load_trust_store};

use crate::keys::bench;
use crate::workshop::{PASSWORD, Workshop, fault, secret};

/// Aliases and certificates of a store, in its order.
fn trusted(path: &Path, password: Option<&str>) -> Vec<(Option<String>, Vec<u8>)> {
    let store = load_trust_store(path, password.map(secret).as_ref()).unwrap_or_else(|error| panic!("{error}"));
    store.certificates.into_iter().map(|trusted| (trusted.alias, trusted.certificate.to_vec())).collect()
}

/// The two roots, which have one subject, under these aliases, sorted by alias.
fn roots(shop: &Workshop, aliases: [Option<&str>; 2]) -> Vec<(Option<String>, Vec<u8>)> {
    let certificates = ["root.crt", "twin.crt"].map(|name| shop.certificate(name));
    aliases.into_iter().map(|alias| alias.map(str::to_owned)).zip(certificates).collect()
}

fn import(shop: &Workshop, options: &str) {
    for (alias, file) in [("ca-old", "root.crt"), ("ca-new", "twin.crt")] {
        shop.run(&format!(
            "keytool -importcert -noprompt -alias {alias} -file {file} -keystore store -storepass changeit {options}"
        ));
    }
}

#[test]
fn javas_trust_stores_give_both_authorities_of_one_name_with_their_aliases() {
    let open = "-J-Dkeystore.pkcs12.certProtectionAlgorithm=NONE -J-Dkeystore.pkcs12.macAlgorithm=NONE";
    for (options, password) in [
        ("-storetype PKCS12", Some(PASSWORD)),
        ("-storetype PKCS12 -J-Dkeystore.pkcs12.legacy", Some(PASSWORD)),
        (&format!("-storetype PKCS12 {open}"), None),
        (&format!("-storetype PKCS12 {open}"), Some("any password")),
        ("-storetype JKS", Some(PASSWORD)),
        ("-storetype JKS", None),
        ("-storetype JCEKS", Some(PASSWORD)),
        ("-storetype JCEKS", None),
    ] {
        let shop = bench();
        import(&shop, options);
        let mut found = trusted(&shop.path("store"), password);
        // Java's stores are hash tables, and have no order.
        found.sort();
        found.reverse();
        assert_eq!(found, roots(&shop, [Some("ca-old"), Some("ca-new")]), "{options}");
    }
}

#[test]
fn a_store_of_certificates_by_openssl_is_a_trust_store() {
    let shop = bench();
    shop.write("roots.pem", [shop.read("root.crt"), shop.read("twin.crt")].concat());
    shop.run("openssl pkcs12 -export -nokeys -in roots.pem -passout pass:changeit -out unnamed.p12");
    assert_eq!(trusted(&shop.path("unnamed.p12"), Some(PASSWORD)), roots(&shop, [None, None]));
    shop.run(
        "openssl pkcs12 -export -nokeys -in roots.pem -caname old -caname new -passout pass:changeit -out named.p12",
    );
    assert_eq!(trusted(&shop.path("named.p12"), Some(PASSWORD)), roots(&shop, [Some("old"), Some("new")]));
}

#[test]
fn pem_and_der_files_are_trust_stores() {
    let shop = bench();
    shop.write("roots.pem", ["root.crt", "ec.key", "twin.crt"].map(|name| shop.read(name)).concat());
    assert_eq!(trusted(&shop.path("roots.pem"), None), roots(&shop, [None, None]));
    shop.write("roots.der", [shop.certificate("root.crt"), shop.certificate("twin.crt")].concat());
    assert_eq!(trusted(&shop.path("roots.der"), None), roots(&shop, [None, None]));
}

#[test]
fn of_a_key_entry_only_its_own_certificate_is_trusted_as_in_java() {
    let shop = bench();
    shop.run("openssl pkcs12 -export -inkey server.key -in chain.pem -name gate -passout pass:changeit -out gate.p12");
    for kind in ["PKCS12", "JKS"] {
        let file = format!("store.{kind}");
        shop.run(&format!(
            "keytool -importkeystore -noprompt -srckeystore gate.p12 -srcstoretype PKCS12 -srcstorepass changeit \
             -destkeystore {file} -deststoretype {kind} -deststorepass changeit"
        ));
        shop.run(&format!(
            "keytool -importcert -noprompt -alias other -file twin.crt -keystore {file} -storepass changeit"
        ));
        let mut found: Vec<_> = trusted(&shop.path(&file), Some(PASSWORD)).into_iter().map(|(_, der)| der).collect();
        found.sort();
        let mut expected = vec![shop.certificate("server.crt"), shop.certificate("twin.crt")];
        expected.sort();
        assert_eq!(found, expected, "{kind}");
    }
}

#[test]
fn a_wrong_password_and_a_missing_one_are_told_apart() {
    for kind in ["PKCS12", "PKCS12 -J-Dkeystore.pkcs12.legacy", "JKS", "JCEKS"] {
        let shop = bench();
        import(&shop, &format!("-storetype {kind}"));
        let load = |password: Option<&str>| load_trust_store(&shop.path("store"), password.map(secret).as_ref());
        assert!(matches!(fault(load(Some("changeit "))), StoreFault::WrongPassword), "{kind}");
        if kind.starts_with("PKCS12") {
            assert!(matches!(fault(load(None)), StoreFault::PasswordNeeded), "{kind}");
        }
    }
}

#[test]
fn a_store_without_certificates_is_refused_as_empty() {
    let shop = bench();
    for kind in ["PKCS12", "JKS", "JCEKS"] {
        shop.run(&format!(
            "keytool -importcert -noprompt -alias ca -file root.crt -keystore {kind} -storetype {kind} \
             -storepass changeit"
        ));
        shop.run(&format!("keytool -delete -alias ca -keystore {kind} -storepass changeit"));
        let load = load_trust_store(&shop.path(kind), Some(&secret(PASSWORD)));
        assert!(matches!(fault(load), StoreFault::NoCertificates), "{kind}");
    }
    assert!(matches!(fault(load_trust_store(&shop.path("ec.key"), None)), StoreFault::NoCertificates));
    assert!(matches!(fault(load_certificates(&shop.path("ec.key"))), StoreFault::NoCertificates));
}

#[test]
fn certificates_are_loaded_in_the_order_of_the_file() {
    let shop = bench();
    let expected = ["server.crt", "intermediate.crt", "root.crt"].map(|name| shop.certificate(name));
    let load =
        |name: &str| load_certificates(&shop.path(name)).unwrap().iter().map(|der| der.to_vec()).collect::<Vec<_>>();
    assert_eq!(load("chain.pem"), expected);
    shop.write("chain.der", expected.concat());
    assert_eq!(load("chain.der"), expected);
}

#[test]
fn a_store_in_place_of_a_certificate_is_refused_with_the_way_to_export_it() {
    let shop = bench();
    import(&shop, "-storetype JKS");
    let StoreFault::Unsupported(advice) = fault(load_certificates(&shop.path("store"))) else { panic!() };
    assert!(advice.contains("keytool -exportcert -rfc"), "{advice}");
}

#[test]
fn secret_keys_are_refused_in_jceks_and_skipped_in_pkcs12() {
    let shop = bench();
    for kind in ["JCEKS", "PKCS12"] {
        shop.run(&format!(
            "keytool -genseckey -alias hush -keyalg AES -keysize 128 -keystore {kind} -storetype {kind} \
             -storepass changeit"
        ));
        shop.run(&format!(
            "keytool -importcert -noprompt -alias ca -file root.crt -keystore {kind} -storepass changeit"
        ));
    }
    let load = load_trust_store(&shop.path("JCEKS"), Some(&secret(PASSWORD)));
    let StoreFault::Unsupported(reason) = fault(load) else { panic!("the secret key went unnoticed") };
    assert!(reason.contains("\"hush\""), "{reason}");
    assert_eq!(trusted(&shop.path("PKCS12"), Some(PASSWORD)), [(Some("ca".to_owned()), shop.certificate("root.crt"))]);
}
