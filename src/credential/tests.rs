use proptest::prelude::*;

use super::*;

const SECRET: &[u8] = b"correct horse battery staple 0123456789";

fn identity(name: &str) -> Identity {
    Identity::new(name.to_owned()).unwrap()
}

fn credential(name: &str) -> Credential {
    Credential::derive(&Secret::new(SECRET.to_vec()), &identity(name))
}

// The expected values of these tests were computed by Python's hmac, hashlib and urllib.
#[test]
fn credentials_have_their_known_users_and_passwords() {
    let cases = [
        ("CN=client1,O=Acme,C=US", "x509/CN=client1%2CO=Acme%2CC=US:wbGumwELoGGyYS7PXtSmGk_24hvuVCcdsIblbnXWNVk"),
        ("CN=a\\,b \"c\",O=Zoë", "x509/CN=a%5C%2Cb%20%22c%22%2CO=Zo%C3%AB:ZDuvh_uXZqGbAFG2rHsUskSTeSxNC4DCOU2SNlKSBhg"),
        ("spiffe://td/ns/a", "x509/spiffe%3A//td/ns/a:GTIJ5A5_7VFtEHpwciWwI2Y2c8kuVAwXp-BNOn3XCjg"),
        ("a\0b%~_-.@+=/", "x509/a%00b%25~_-.@+=/:jI1tF7w_eBuOMfkVkGNIhpBWtoD20NA1qjtTJlJtQs4"),
    ];
    for (name, data) in cases {
        let credential = credential(name);
        assert_eq!(credential.auth_data().expose(), data.as_bytes(), "{name}");
        assert_eq!(data.split(':').next(), Some(credential.user()), "{name}");
        assert_eq!(decode_user(credential.user()), Some(identity(name)));
    }
}

#[test]
fn acl_ids_have_their_known_hashes() {
    let hashes = [
        (DigestAlgorithm::Md5, "rS6mJwJMKyi36ZXdqc4Chg=="),
        (DigestAlgorithm::Sha1, "pRoHrKVR6YZMel1yRoorqS62i9M="),
        (DigestAlgorithm::Sha224, "v1yDh5IcN7BJWCrFul5dPk0IWaLTBF6I8suf6Q=="),
        (DigestAlgorithm::Sha256, "+Zl5jpsysHnzUkgNWcCisuWxg1Xm1l/vUWn/4FgtZI4="),
        (DigestAlgorithm::Sha384, "HrvmDHYYUBqMlNazG2vebIZXHGhgYpCvOKlcyYCjR7lJ+SMuHlrrW+YSqSWCbFhB"),
        (
            DigestAlgorithm::Sha512,
            "VdjVSEJT4LNdCliRjkaAQcUq6IxULobHCkV8LYFbheAeGSQjOex7sRt/fblYHZC3tYvw8KpALEtJf3lDDfs7ZA==",
        ),
        (DigestAlgorithm::Sha512_256, "QLeX8fKY3IiYVrhewmAunZXSCJdn8gmYtMiOev5Hc/M="),
        (DigestAlgorithm::Sha3_256, "NN18pet5DFKpaNGbxQMQ60q6Rw8N+By2+3qpo9dQGxY="),
        (DigestAlgorithm::Sha3_384, "ogDuGXStR9kbO3/V6oJos5uGFHuUoYDVFg8kS4LhmFzAt3I9luHkMwLYlugVijNe"),
        (
            DigestAlgorithm::Sha3_512,
            "WBVh2S3YRABMATxouEb0BYzGYLEtNNJUa/xUACW44jOYg6QCBsFOLttwfdW9E9JRECPSZywmn5VkOygYPfVMJg==",
        ),
    ];
    assert_eq!(hashes.map(|(algorithm, _)| algorithm), DigestAlgorithm::ALL);
    for (algorithm, hash) in hashes {
        let expected = format!("x509/CN=client1%2CO=Acme%2CC=US:{hash}");
        assert_eq!(credential("CN=client1,O=Acme,C=US").acl_id(algorithm), expected, "{algorithm}");
    }
}

#[test]
fn another_secret_gives_another_password_for_the_same_user() {
    let one = credential("alice");
    let two = Credential::derive(&Secret::new([SECRET, b"!"].concat()), &identity("alice"));
    assert_eq!(one.user(), two.user());
    assert_ne!(one.auth_data(), two.auth_data());
}

#[test]
fn the_password_is_not_shown() {
    let credential = credential("alice");
    let data = String::from_utf8(credential.auth_data().expose().to_vec()).unwrap();
    let (user, password) = data.split_once(':').unwrap();
    for shown in [format!("{credential:?}"), format!("{credential:#?}"), credential.to_string()] {
        assert!(shown.contains(user) && !shown.contains(password), "{shown}");
    }
}

#[test]
fn users_that_are_not_encoded_exactly_so_stand_for_no_identity() {
    let others = [
        "",
        "x509",
        "x509/",
        "X509/a",
        "alice",
        "x509/a%",
        "x509/a%2",
        "x509/a%2c",
        "x509/a%41",
        "x509/a,b",
        "x509/a b",
        "x509/a:b",
        "x509/é",
        "x509/%FF",
        "x509/a%2%43",
        "x509/a%+1",
    ];
    for user in others {
        assert_eq!(decode_user(user), None, "{user}");
    }
    assert_eq!(decode_user(&format!("x509/{}", "a".repeat(5000))), None, "longer than any identity");
    assert_eq!(decode_user("x509/a%2Cb"), Some(identity("a,b")));
}

proptest! {
    #[test]
    fn a_user_decodes_to_its_identity(name in ".{1,60}") {
        let credential = credential(&name);
        let is_token = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~=/@+%".contains(&byte);
        prop_assert!(credential.user().bytes().all(is_token), "{}", credential.user());
        prop_assert_eq!(decode_user(credential.user()), Some(identity(&name)));
    }

    #[test]
    fn what_decodes_is_the_encoding_of_its_identity(user in "x509/([a-c,:]|%[0-9A-Ca-c]{2}){0,8}") {
        if let Some(identity) = decode_user(&user) {
            prop_assert_eq!(encode_user(&identity), user);
        }
    }
}
