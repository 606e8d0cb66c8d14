//! Revocation lists and password files.

use zoogate::store::{StoreFault, load_crls, read_password};

use crate::keys::bench;
use crate::workshop::{Workshop, fault};

/// `v2.pem`, `v2.der` and `v1.pem`, all by the root.
fn make_crls(shop: &Workshop) {
    for (name, number) in [("v2", "crlnumber = number\n"), ("v1", "")] {
        shop.write("index", "");
        shop.write("number", "01\n");
        shop.write(
            "ca.cnf",
            format!("[ca]\ndefault_ca = a\n[a]\ndatabase = index\ndefault_md = sha256\ndefault_crl_days = 9\n{number}"),
        );
        shop.run(&format!("openssl ca -config ca.cnf -gencrl -keyfile root.key -cert root.crt -out {name}.pem"));
        shop.run(&format!("openssl crl -in {name}.pem -outform DER -out {name}.der"));
    }
}

#[test]
fn revocation_lists_are_read_from_pem_and_der() {
    let shop = bench();
    make_crls(&shop);
    let both = [shop.read("v2.der"), shop.read("v1.der")];
    let parts = ["v2.pem", "root.crt", "v1.pem"].map(|name| shop.read(name));
    assert_eq!(load_crls(&shop.write("both.pem", parts.concat())).unwrap(), both);
    assert_eq!(load_crls(&shop.path("v2.der")).unwrap(), both[..1]);
}

#[test]
fn what_is_no_revocation_list_is_refused() {
    let shop = bench();
    make_crls(&shop);
    assert!(matches!(fault(load_crls(&shop.path("root.crt"))), StoreFault::NoCrls));
    let mislabelled = String::from_utf8(shop.read("root.crt")).unwrap().replace("CERTIFICATE", "X509 CRL");
    assert!(matches!(fault(load_crls(&shop.write("crl", mislabelled))), StoreFault::Malformed(_)));
    let list = shop.read("v2.der");
    for content in [&shop.certificate("root.crt"), &list[..list.len() - 1], &[&list[..], b"\n"].concat()] {
        assert!(matches!(fault(load_crls(&shop.write("crl", content))), StoreFault::Malformed(_)));
    }
    assert!(matches!(fault(load_crls(&shop.write("crl", b""))), StoreFault::Empty));
}

#[test]
fn a_password_is_the_file_without_one_newline_at_its_end() {
    let shop = Workshop::new();
    let read = |content: &[u8]| read_password(&shop.write("password", content));
    for (content, password) in [
        (&b"hush"[..], &b"hush"[..]),
        (b"hush\n", b"hush"),
        (b"hush\r\n", b"hush"),
        (b"hush\n\n", b"hush\n"),
        (b" hush \n", b" hush "),
        (b"hush\r", b"hush\r"),
        (b"\xff\0\n", b"\xff\0"),
    ] {
        assert_eq!(read(content).unwrap().expose(), password);
    }
    for empty in [&b""[..], b"\n", b"\r\n"] {
        assert!(matches!(fault(read(empty)), StoreFault::EmptyPassword));
    }
    assert!(matches!(fault(read(&[b'x'; 4097])), StoreFault::TooLarge { .. }));
    assert!(matches!(fault(read_password(&shop.path("missing"))), StoreFault::Unreadable(_)));
}
