//! `x509` ids on a server that doesn't know them: each stands for the identity's digest id, and back. Nothing is
//! remembered; the identity is in the digest id's user.

use std::borrow::Cow;

use crate::credential::{Credential, DigestAlgorithm, IdentitySecrets, USER_PREFIX, decode_user};
use crate::identity::name::is_x500_name;
use crate::identity::{Identity, MAX_IDENTITY};
use crate::zk::acl::Id;

/// The native scheme of certificates.
const X509: &str = "x509";

/// What a server shows in place of a hash to whoever may not see it (`ZNodeUtil`, `DigestAuthenticationProvider`).
const MASKED: &str = "x";

/// What goes between `x509/` and the rest of a user where a client has written an id that would else come back as an
/// identity. No identity's user has it there.
const ESCAPE: u8 = b'!';

/// The longest id that can be an identity's, in bytes: each byte of a name percent-encoded, and a hash. A longer one is
/// nobody's, and no time is spent on it.
const MAX_ID: usize = 3 * MAX_IDENTITY + 256;

/// Which `x509` ids of clients stand for an identity. The server refuses all others, as it knows no such scheme.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Names {
    /// All of them: names may come from anywhere.
    Any,
    /// Those that Java reads as a name of X.500, which native ZooKeeper asks of them too: names are subjects.
    Subjects,
}

/// Translates the ids of one secret file.
#[derive(Clone, Debug)]
pub struct Translator {
    secrets: IdentitySecrets,
    algorithm: DigestAlgorithm,
    names: Names,
}

impl Translator {
    /// A translator for servers that hash digest credentials with `algorithm`.
    pub fn new(secrets: IdentitySecrets, algorithm: DigestAlgorithm, names: Names) -> Self {
        Self { secrets, algorithm, names }
    }

    /// Whether one id may stand on the server as several, one for each secret.
    pub fn merges(&self) -> bool {
        self.secrets.iter().len() > 1
    }

    /// What translating an id may cost, in the units of [`Slice`](crate::zk::acl::Slice): for each secret two hashes,
    /// and some work on each byte.
    pub fn cost(&self, id: &Id<'_>) -> u32 {
        let is_native = *id.scheme == *X509.as_bytes();
        if !is_native && !digest(id).is_some_and(|id| id.starts_with(USER_PREFIX.as_bytes())) {
            return 0;
        }
        let length = u32::try_from(id.id.len()).unwrap_or(u32::MAX);
        // One id can't be cut into slices, so none is long: see `MAX_ID`.
        let secrets = if is_native { 1 } else { self.secrets.iter().len() as u32 };
        length.min(MAX_ID as u32).saturating_mul(8).saturating_add(1_500).saturating_mul(secrets)
    }

    /// What an id of a client's ACL is to the server; `None` if it is the same.
    pub fn to_server(&self, id: &Id<'_>) -> Option<Id<'static>> {
        if let Some(id) = digest(id) {
            return escaped(id).map(|id| Id::of_bytes(Credential::SCHEME, id));
        }
        if *id.scheme != *X509.as_bytes() {
            return None;
        }
        if id.id.len() > MAX_ID {
            return None;
        }
        let name = decode_java(&id.id)?;
        if name.len() > MAX_IDENTITY {
            return None;
        }
        if self.names == Names::Subjects && !is_x500_name(&name) {
            return None;
        }
        let identity = Identity::new(name.into_owned()).ok()?;
        let credential = Credential::derive(self.secrets.first(), &identity);
        Some(Id::owned(Credential::SCHEME, credential.acl_id(self.algorithm)))
    }

    /// What an id of the server's ACL is to the client; `None` if it is the same.
    pub fn to_client(&self, id: &Id<'_>) -> Option<Id<'static>> {
        let id = digest(id)?;
        if let Some(id) = unescaped(id) {
            return Some(Id::of_bytes(Credential::SCHEME, id));
        }
        if id.len() > MAX_ID {
            return None;
        }
        let (user, hash) = str::from_utf8(id).ok()?.rsplit_once(':')?;
        let identity = decode_user(user)?;
        let ours =
            |credential: Credential| credential.acl_id(self.algorithm).strip_prefix(user) == Some(&format!(":{hash}"));
        let known = hash == MASKED || self.secrets.iter().any(|secret| ours(Credential::derive(secret, &identity)));
        known.then(|| Id::owned(X509, identity.to_string()))
    }

    /// What an entry of `whoAmI`, which shows users without hashes, is to the client; `None` if it is the same.
    pub fn user_to_client(&self, id: &Id<'_>) -> Option<Id<'static>> {
        let user = digest(id).filter(|user| user.len() <= MAX_ID)?;
        decode_user(str::from_utf8(user).ok()?).map(|identity| Id::owned(X509, identity.to_string()))
    }
}

/// What an id of the scheme `digest` says.
fn digest<'a>(id: &'a Id<'_>) -> Option<&'a [u8]> {
    (*id.scheme == *Credential::SCHEME.as_bytes()).then_some(&*id.id)
}

/// A client's digest id as it must stand on the server, if not as it is: a bare `x` in the place of the hash is how
/// servers show an identity's id to those who may not see it, and gives nobody any right. Bytes, for clients write UTF-8
/// and Java CESU-8.
fn escaped(id: &[u8]) -> Option<Vec<u8>> {
    let rest = id.strip_prefix(USER_PREFIX.as_bytes())?;
    let colon = rest.iter().rposition(|byte| *byte == b':')?;
    let looks_masked = rest[colon + 1..] == *MASKED.as_bytes();
    (looks_masked || rest.first() == Some(&ESCAPE)).then(|| [USER_PREFIX.as_bytes(), &[ESCAPE], rest].concat())
}

/// What [`escaped`] was given.
fn unescaped(id: &[u8]) -> Option<Vec<u8>> {
    let rest = id.strip_prefix(USER_PREFIX.as_bytes())?.strip_prefix(&[ESCAPE])?;
    rest.contains(&b':').then(|| [USER_PREFIX.as_bytes(), rest].concat())
}

/// Text as Java writes it: UTF-8, but for characters beyond U+FFFF, which are two encoded surrogates (CESU-8).
fn decode_java(bytes: &[u8]) -> Option<Cow<'_, str>> {
    if let Ok(text) = str::from_utf8(bytes) {
        return Some(Cow::Borrowed(text));
    }
    let (mut text, mut rest) = (String::with_capacity(bytes.len()), bytes);
    while !rest.is_empty() {
        match *rest {
            [0xed, a @ 0xa0..=0xaf, b @ 0x80..=0xbf, 0xed, c @ 0xb0..=0xbf, d @ 0x80..=0xbf, ..] => {
                let high = (u32::from(a & 0x0f) << 6) | u32::from(b & 0x3f);
                let low = (u32::from(c & 0x0f) << 6) | u32::from(d & 0x3f);
                text.push(char::from_u32(0x1_0000 + (high << 10) + low)?);
                rest = &rest[6..];
            }
            _ => {
                let length = rest.iter().skip(1).take_while(|byte| **byte & 0xc0 == 0x80).count() + 1;
                text.push_str(str::from_utf8(&rest[..length]).ok()?);
                rest = &rest[length..];
            }
        }
    }
    Some(Cow::Owned(text))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const OLD: &str = "an-old-secret-of-thirty-two-bytes-or-more";
    const NEW: &str = "a-new-secret-of-thirty-two-bytes-or-more!";

    fn translator(lines: &[&str]) -> Translator {
        Translator::new(IdentitySecrets::parse(lines.join("\n").as_bytes()).unwrap(), DigestAlgorithm::Sha1, Names::Any)
    }

    fn x509(id: &str) -> Id<'_> {
        Id::new(b"x509", id.as_bytes())
    }

    proptest! {
        #[test]
        fn every_identity_comes_back(name in "\\PC{1,40}") {
            let translator = translator(&[NEW]);
            let there = translator.to_server(&x509(&name)).unwrap();
            prop_assert!(there.id.is_ascii());
            prop_assert_eq!(translator.to_client(&there), Some(Id::owned("x509", name)));
        }

        #[test]
        fn every_digest_id_of_a_client_comes_back(user in "x?5?0?9?/?!{0,2}[a-z=,:%!]{0,6}", hash in "x|!|[a-zA-Z=]{0,3}") {
            let translator = translator(&[NEW]);
            let written = format!("{user}:{hash}");
            let written = Id::new(b"digest", written.as_bytes());
            let stands = translator.to_server(&written).unwrap_or_else(|| written.clone());
            prop_assert_eq!(translator.to_client(&stands).unwrap_or_else(|| stands.clone()), written.clone());
            let masked = |id: &Id<'_>| {
                let (user, _) = str::from_utf8(&id.id).unwrap().split_once(':').unwrap();
                Id::owned("digest", format!("{user}:x"))
            };
            // Only an id with a hash may be shown as an identity where hashes are not shown.
            let (stands, written) = (masked(&stands), masked(&written));
            let shown = translator.to_client(&stands).unwrap_or(stands);
            prop_assert!(shown == written || (hash != "x" && *shown.scheme == *b"x509"), "{:?}", shown);
        }

        #[test]
        fn whatever_java_writes_is_read(text in prop::collection::vec(any::<char>(), 0..12)) {
            let text: String = text.into_iter().collect();
            let written = as_java_writes(&text);
            prop_assert_eq!(decode_java(&written).map(Cow::into_owned), Some(text));
        }

        #[test]
        fn any_bytes_are_survived(bytes in prop::collection::vec(any::<u8>(), 0..12)) {
            decode_java(&bytes);
        }
    }

    /// Each UTF-16 unit for itself (`BinaryOutputArchive`).
    fn as_java_writes(text: &str) -> Vec<u8> {
        let three =
            |unit: u16| [0xe0 | (unit >> 12) as u8, 0x80 | (unit >> 6 & 0x3f) as u8, 0x80 | (unit & 0x3f) as u8];
        let unit = |unit: u16| match char::from_u32(u32::from(unit)) {
            Some(c) => c.to_string().into_bytes(),
            None => three(unit).to_vec(),
        };
        text.encode_utf16().flat_map(unit).collect()
    }

    #[test]
    fn the_first_and_the_last_pair_of_surrogates_are_characters() {
        for text in ["\u{10000}", "\u{103ff}", "\u{1fc00}", "é\u{10ffff}é", "\u{10fc00}"] {
            assert_eq!(decode_java(&as_java_writes(text)).as_deref(), Some(text));
        }
    }

    #[test]
    fn other_ids_are_untouched() {
        let translator = translator(&[NEW]);
        for (scheme, id) in [("world", "anyone"), ("digest", "u:h"), ("ip", "127.0.0.1"), ("auth", ""), ("x509", "")] {
            let id = Id::new(scheme.as_bytes(), id.as_bytes());
            assert_eq!((translator.to_server(&id), translator.to_client(&id)), (None, None), "{id:?}");
        }
        assert_eq!(translator.to_server(&Id::new(b"x509", b"CN=\xff")), None);
    }

    #[test]
    fn only_hashes_of_our_secrets_and_masked_ones_come_back() {
        let (old, both) = (translator(&[OLD]), translator(&[NEW, OLD]));
        let there = old.to_server(&x509("CN=a,O=b")).unwrap();
        assert_eq!(both.to_client(&there), Some(Id::owned("x509", "CN=a,O=b".to_owned())));
        assert_eq!(translator(&[NEW]).to_client(&there), None, "another gate's secret");
        assert_eq!(both.to_server(&x509("CN=a,O=b")), translator(&[NEW]).to_server(&x509("CN=a,O=b")), "the first");
        assert_eq!(
            both.to_client(&Id::new(b"digest", b"x509/CN=a%2CO=b:x")),
            Some(Id::owned("x509", "CN=a,O=b".to_owned()))
        );
        assert_eq!(both.to_client(&Id::new(b"digest", b"x509/CN=a%2cO=b:x")), None, "not as we write it");
    }

    #[test]
    fn an_id_that_only_looks_like_a_masked_one_stays_what_it_is() {
        let translator = translator(&[NEW]);
        for (written, stands) in [
            ("x509/CN=a:x", "x509/!CN=a:x"),
            ("x509/!CN=a:x", "x509/!!CN=a:x"),
            ("x509/!CN=a:hash", "x509/!!CN=a:hash"),
        ] {
            let [written, stands] = [written, stands].map(|text| Id::owned("digest", text.to_owned()));
            assert_eq!(translator.to_server(&written), Some(stands.clone()));
            assert_eq!(translator.to_client(&stands), Some(written));
        }
        // As a Java server answers, and as it must be passed on.
        let java = [b"x509/!\xed\xa0\xbd\xed\xb8\x80:x".to_vec(), b"x509/\xed\xa0\xbd\xed\xb8\x80:x".to_vec()];
        let [stands, shown] = java.map(|id| Id::of_bytes("digest", id));
        assert_eq!(translator.to_client(&stands), Some(shown));
        for untouched in ["x509/CN=a:hash", "alice:x", "x509/CN=a", "x5090/CN=a:x"] {
            assert_eq!(translator.to_server(&Id::new(b"digest", untouched.as_bytes())), None, "{untouched}");
        }
    }

    #[test]
    fn where_names_are_subjects_other_text_is_left_to_the_server() {
        let subjects = Translator { names: Names::Subjects, ..translator(&[NEW]) };
        for (name, translated) in [("CN=a,O=b", true), ("alice", false), ("spiffe://td/ns", false)] {
            assert_eq!(subjects.to_server(&x509(name)).is_some(), translated, "{name}");
            assert!(translator(&[NEW]).to_server(&x509(name)).is_some(), "{name}");
        }
    }

    #[test]
    fn ids_may_be_several_with_several_secrets_only() {
        assert!(!translator(&[NEW]).merges());
        assert!(translator(&[NEW, OLD]).merges());
    }

    #[test]
    fn users_without_hashes_are_told_by_their_mark() {
        let translator = translator(&[NEW]);
        assert_eq!(
            translator.user_to_client(&Id::new(b"digest", b"x509/CN=a")),
            Some(Id::owned("x509", "CN=a".to_owned()))
        );
        assert_eq!(translator.user_to_client(&Id::new(b"digest", b"alice")), None);
        assert_eq!(translator.user_to_client(&Id::new(b"sasl", b"x509/CN=a")), None);
    }

    #[test]
    fn text_of_java_is_read() {
        assert_eq!(decode_java("CN=Zoë".as_bytes()).as_deref(), Some("CN=Zoë"));
        assert_eq!(decode_java(b"a\xed\xa0\xbd\xed\xb8\x80b").as_deref(), Some("a😀b"));
        assert_eq!(decode_java("é".as_bytes()).as_deref(), Some("é"));
        for bad in [&b"\xed\xa0\xbd"[..], b"\xed\xb8\x80\xed\xa0\xbd", b"\xff", b"\x80", b"a\xc3"] {
            assert_eq!(decode_java(bad), None, "{bad:?}");
        }
    }
}
