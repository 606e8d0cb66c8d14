//! PEM as programs and people leave it: read where no doubt is left, else refused with what is wrong and where.

use zoogate::store::{StoreFault, load_certificates, load_crls, load_trust_store};

use crate::keys::bench;
use crate::workshop::{Workshop, fault, load};

fn text(shop: &Workshop, name: &str) -> String {
    String::from_utf8(shop.read(name)).unwrap()
}

#[test]
fn what_is_outside_the_blocks_does_not_matter() {
    let shop = bench();
    let (root, twin) = (text(&shop, "root.crt"), text(&shop, "twin.crt"));
    for (what, content) in [
        ("a control character in a friendly name", format!("friendlyName: a \u{13} b\n{root}{twin}")),
        ("DEL", format!("\u{7f}\n{root}between \u{7f}\n{twin}")),
        ("DOS' end of file", format!("{root}{twin}\u{1a}")),
        ("DOS' end of file in the middle", format!("{root}\u{1a}\n{twin}")),
        ("NULs at the end", format!("{root}{twin}\0\0\0\0")),
        ("a second byte order mark", format!("\u{feff}{root}\u{feff}{twin}")),
        ("three marks in a row", format!("\u{feff}\u{feff}\u{feff}{root}{twin}\u{feff}")),
        ("a mark before END", format!("{}{twin}", root.replace("-----END", "\u{feff}-----END"))),
        ("a block that is commented out", format!("{root}# {}\n{twin}", root.trim_end().replace('\n', "\n# "))),
        ("a zero and a number", format!("0\u{81}\u{82}0 words\n{root}0\n{twin}")),
    ] {
        let path = shop.write("variant", &content);
        let found = load_certificates(&path).unwrap_or_else(|error| panic!("{what}: {error}"));
        let found: Vec<_> = found.iter().map(|der| der.to_vec()).collect();
        assert_eq!(found, [shop.certificate("root.crt"), shop.certificate("twin.crt")], "{what}");
    }
    // In Latin-1, where it is one byte.
    let latin1 = [b"# \xfcber\n".to_vec(), root.into_bytes()].concat();
    assert_eq!(load_certificates(&shop.write("latin1", latin1)).unwrap().len(), 1);
}

#[test]
fn inside_a_block_a_control_character_is_damage() {
    let shop = bench();
    for odd in ["\u{13}", "\0", "\u{feff}", "\u{7f}"] {
        let damaged = text(&shop, "root.crt").replacen("-----\n", &format!("-----\n{odd}"), 1);
        let refused = fault(load_trust_store(&shop.write("damaged", damaged), None));
        assert!(matches!(&refused, StoreFault::Malformed(what) if what.contains("line 1")), "{refused}");
    }
}

#[test]
fn der_among_pem_is_never_passed_over() {
    let shop = bench();
    let (pem, der) = (shop.read("root.crt"), shop.certificate("twin.crt"));
    let ber = [&[0x30, 0x80, 6, 9][..], &der].concat();
    for (what, parts) in [
        ("behind", vec![&pem[..], &der]),
        ("in front", vec![&der, b"\n", &pem]),
        ("between", vec![&pem, &der, b"\n", &pem]),
        ("behind NULs", vec![&pem, b"\0\0\0\x1a", &der]),
        ("behind a word", vec![&pem, b"next: ", &der]),
        ("a bundle in BER", vec![&pem, &ber]),
    ] {
        let path = shop.write("mixed", parts.concat());
        for refused in [fault(load_trust_store(&path, None)), fault(load_crls(&path))] {
            assert!(refused.to_string().contains("is no text, beside PEM"), "{what}: {refused}");
        }
    }
}

#[test]
fn lines_that_have_lost_their_shape_are_named() {
    let shop = bench();
    let (root, twin) = (text(&shop, "root.crt"), text(&shop, "twin.crt"));
    let lines = root.lines().count();
    let indented = format!("    {}", root.trim_end().replace('\n', "\n    "));
    let one_line = root.trim_end().replace('\n', " ");
    for (what, content, word, line) in [
        ("indented", indented.clone(), "is indented", 1),
        ("indented by tabs", indented.replace("    ", "\t"), "is indented", 1),
        ("indented behind a good one", format!("{root}{indented}\n"), "is indented", lines + 1),
        ("only END is indented", root.replace("-----END", "  -----END"), "is indented", lines),
        ("glued", format!("{}{twin}", root.trim_end()), "more on it than one BEGIN or END", lines),
        (
            "glued, with a mark between",
            format!("{}\u{feff}{twin}", root.trim_end()),
            "more on it than one BEGIN or END",
            lines,
        ),
        ("END behind base64", root.replace("\n-----END", "-----END"), "more on it than one BEGIN or END", lines - 1),
        ("base64 behind BEGIN", root.replacen("-----\n", "-----", 1), "more on it than one BEGIN or END", 1),
        ("all in one line", one_line, "more on it than one BEGIN or END", 1),
        ("literal newlines", root.replace('\n', "\\n"), "newlines written as", 1),
        ("literal newlines of Windows", root.replace('\n', "\\r\\n"), "newlines written as", 1),
        ("a key in front of it", format!("certificate: {root}"), "more on it than one BEGIN or END", 1),
        ("in quotes", format!("\"{}\"", root.trim_end()), "more on it than one BEGIN or END", 1),
    ] {
        let path = shop.write("variant", &content);
        for refused in [fault(load_trust_store(&path, None)), fault(load_crls(&path)), fault(load(&path, None))] {
            let told = refused.to_string();
            assert!(told.contains(word) && told.contains(&format!("line {line} ")), "{what}: {told}");
        }
    }
}

#[test]
fn a_key_is_read_by_what_it_is_whatever_its_label_says() {
    let shop = bench();
    shop.run("openssl rsa -traditional -in server.key -out pkcs1.pem");
    shop.run("openssl ec -in ec.key -out sec1.pem");
    shop.run("openssl pkcs8 -topk8 -in server.key -passout pass:changeit -out sealed.pem");
    let labels = [
        "PRIVATE KEY",
        "RSA PRIVATE KEY",
        "EC PRIVATE KEY",
        "ENCRYPTED PRIVATE KEY",
        "DSA PRIVATE KEY",
        "ANY PRIVATE KEY",
    ];
    for (key, certificate, password) in [
        ("server.key", "server.crt", None),
        ("ec.key", "ec.crt", None),
        ("ed.key", "ed.crt", None),
        ("pkcs1.pem", "server.crt", None),
        ("sec1.pem", "ec.crt", None),
        ("sealed.pem", "server.crt", Some("changeit")),
    ] {
        let plain = text(&shop, key);
        let own = plain.split("-----BEGIN ").nth(1).unwrap().split("-----").next().unwrap().to_owned();
        for label in labels {
            let named = plain.replace(&format!("{own}-----"), &format!("{label}-----"));
            let path = shop.write("all.pem", format!("{named}{}", text(&shop, certificate)));
            let store = load(&path, password).unwrap_or_else(|error| panic!("{key} as {label}: {error}"));
            assert_eq!(store.chain[0].to_vec(), shop.certificate(certificate), "{key} as {label}");
            if password.is_some() {
                assert!(matches!(fault(load(&path, Some("wrong"))), StoreFault::WrongPassword), "{label}");
                assert!(matches!(fault(load(&path, None)), StoreFault::PasswordNeeded), "{label}");
            }
            // Another key under the same label is still another key.
            let other = if certificate == "ec.crt" { "server.crt" } else { "ec.crt" };
            let path = shop.write("other.pem", format!("{named}{}", text(&shop, other)));
            assert!(matches!(fault(load(&path, password)), StoreFault::KeyMismatch { .. }), "{key} as {label}");
        }
    }
    // What is no key at all is named.
    let certificate = text(&shop, "ec.crt");
    let mislabelled = certificate.replace("CERTIFICATE", "PRIVATE KEY") + &certificate;
    let refused = fault(load(&shop.write("no-key.pem", mislabelled), None));
    assert!(refused.to_string().contains("in the place of a private key it holds a certificate"), "{refused}");
}

#[test]
fn what_is_taken_for_a_certificate_is_named() {
    let shop = bench();
    shop.run("openssl req -in server.csr -outform DER -out request.der");
    shop.run("openssl pkey -in server.key -pubout -out public.pem");
    shop.run("openssl pkey -in server.key -pubout -outform DER -out public.der");
    shop.run("openssl rsa -in server.key -RSAPublicKey_out -out rsa-public.pem");
    for (name, what) in [
        ("server.csr", "a certificate signing request"),
        ("request.der", "a certificate signing request"),
        ("public.pem", "a public key"),
        ("public.der", "a public key"),
        ("rsa-public.pem", "a public key"),
        ("server.pk8", "a private key"),
    ] {
        for refused in [
            fault(load_trust_store(&shop.path(name), None)).to_string(),
            fault(load_certificates(&shop.path(name))).to_string(),
        ] {
            assert!(refused.contains("holds no certificate, but") && refused.contains(what), "{name}: {refused}");
        }
    }
    let renamed = text(&shop, "server.csr").replace("CERTIFICATE REQUEST", "CERTIFICATE");
    let refused = fault(load_trust_store(&shop.write("renamed.pem", renamed), None)).to_string();
    assert!(refused.contains("a certificate signing request"), "{refused}");
}
