//! Every key there is: the one table behind defaults, unknown keys and `docs/configuration.md`.

/// What holds where a key is not written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyDefault {
    /// Nothing does: the file is refused.
    Required,
    /// The feature is off.
    Unset,
    /// This, as it would be written in the file.
    Written(&'static str),
    /// It depends on other keys or on the machine; the words say how.
    Depends(&'static str),
}

/// One key of the configuration file.
#[derive(Clone, Copy, Debug)]
pub struct Key {
    /// Where it stands, as `tls.key_store.path`.
    pub path: &'static str,
    /// What holds where it is not written.
    pub default: KeyDefault,
    /// Whether a running process takes a new value.
    pub reloads: bool,
    /// What it means, in a line.
    pub meaning: &'static str,
}

const fn key(path: &'static str, default: KeyDefault, meaning: &'static str) -> Key {
    Key { path, default, reloads: false, meaning }
}

/// A key whose new value a running process takes.
const fn live(path: &'static str, default: KeyDefault, meaning: &'static str) -> Key {
    Key { path, default, reloads: true, meaning }
}

use self::KeyDefault::{Depends, Required, Unset, Written};

/// Every key, in the order of the documentation. `docs/configuration.md` has one row for each.
pub const KEYS: &[Key] = &[
    key("listen.address", Required, "where clients connect: IP address and port, or `fd:NAME`, or a list of them"),
    key("listen.backlog", Written("4096"), "connections that the kernel queues before they are accepted"),
    key("listen.keepalive", Written("60s"), "idle time before TCP probes a client; `off` never does"),
    key("listen.user_timeout", Written("30s"), "unacknowledged data to a client for this long ends the connection"),
    key(
        "listen.proxy_protocol.from",
        Unset,
        "networks of load balancers that send the PROXY protocol, v1 or v2; the client's address is then theirs to name",
    ),
    key("upstream.address", Written("127.0.0.1:2181"), "the ZooKeeper server, `host:port`, looked up at each dial"),
    key("upstream.connect_timeout", Written("5s"), "time for the TCP connection to ZooKeeper"),
    key("upstream.response_timeout", Written("30s"), "time for ZooKeeper's ConnectResponse and injected replies"),
    key(
        "upstream.source",
        Depends("`per_client` if `upstream.address` is in 127.0.0.0/8 or `localhost`, else `system`"),
        "local address of connections to ZooKeeper: a loopback address for each client, or the system's choice",
    ),
    key("upstream.keepalive", Written("60s"), "idle time before TCP probes ZooKeeper; `off` never does"),
    key("upstream.user_timeout", Written("30s"), "unacknowledged data to ZooKeeper for this long ends the connection"),
    key("upstream.probe_interval", Written("5s"), "how often readiness asks ZooKeeper whether it serves"),
    key("upstream.probe_timeout", Written("3s"), "time for the answer to that question"),
    live("tls.key_store.path", Required, "certificate chain and key: PEM, PKCS#12 or JKS, told by content"),
    live("tls.key_store.password_file", Unset, "file with the store's password"),
    live("tls.key_store.key_path", Unset, "the private key, where it is in a PEM file of its own"),
    live("tls.key_store.key_password_file", Unset, "file with the key's password, where it is not the store's"),
    live(
        "tls.trust_store.path",
        Depends("required unless `tls.pinned_certificates` is written"),
        "the CAs of clients, and single certificates of clients that are no CA",
    ),
    live("tls.trust_store.password_file", Unset, "file with the trust store's password"),
    live(
        "tls.pinned_certificates",
        Unset,
        "list of files: these certificates are clients, each trusted alone and never as an issuer",
    ),
    live("tls.crls", Unset, "list of CRL files, PEM or DER; without it nothing is checked for revocation"),
    live(
        "tls.revocation",
        Written("chain"),
        "whose revocation is checked: of the whole `chain`, or of the `leaf` alone",
    ),
    live(
        "tls.revocation_policy",
        Written("hard"),
        "no CRL in date covers a certificate: `hard` refuses, `soft` admits",
    ),
    key(
        "tls.revalidate",
        Written("enforce"),
        "live connections whose certificate is not good any more: `enforce` closes them, `observe` only tells",
    ),
    key("tls.expiry_margin", Written("0s"), "how long before its certificate's end a live connection ends"),
    key(
        "tls.expiry_warning",
        Written("7d"),
        "how long before its certificate's end a connected client is named in the log, once a day; `off`: never",
    ),
    live("identity.from", Written("subject"), "`subject`, `san_uri`, `san_dns`, `san_email` or `common_name`"),
    key(
        "identity.inject",
        Written("digest"),
        "how ZooKeeper is told the identity: `digest`, `x509` by its provider, or `none`",
    ),
    live(
        "identity.secret_file",
        Depends("required unless `identity.inject` is `none`"),
        "the secret that credentials are derived from; the same file beside every server",
    ),
    live("identity.digest_algorithm", Written("sha1"), "how the servers hash digest credentials"),
    live(
        "identity.mapping",
        Unset,
        "rules that make the identity of the certificate's name; without them it is the name",
    ),
    live("identity.mapping_shadow", Unset, "rules that are tried beside, to see what they would change"),
    live("identity.also_inject", Unset, "names that clients had before, injected beside the identity"),
    live("identity.allow", Unset, "identities that are let in, with `*` and `?`; without it everyone is"),
    live("identity.deny", Unset, "identities that are not let in, whatever `identity.allow` says"),
    live("identity.super", Unset, "identities that are ZooKeeper's superuser, where `identity.inject` can tell it"),
    live(
        "acl.translate",
        Written("off"),
        "`on` lets clients read and write `x509` ids in ACLs, which the server keeps as digest ids",
    ),
    key(
        "client_auth.x509",
        Written("answer"),
        "a client's own credentials of scheme `x509`: `answer` them in the server's place, or `refuse` them",
    ),
    key(
        "ensemble.advertise",
        Written("loopback"),
        "which client addresses in `/zookeeper/config` become the gates': `loopback` ones, `all`, or `off`",
    ),
    key(
        "ensemble.port",
        Depends("port of the first `listen.address`"),
        "the gates' port in those addresses, behind each server's quorum host",
    ),
    key("ensemble.addresses", Unset, "whole addresses for single servers, as `N=host:port`"),
    live(
        "session.binding",
        Depends("`on` if there is an `identity.secret_file`"),
        "`on` lets a session be resumed by the identity that opened it and by nobody else",
    ),
    key("limits.connections", Written("8000"), "admitted client connections at a time; more get a TLS alert"),
    key(
        "limits.handshakes",
        Depends("twice `limits.connections`"),
        "connections at a time whose clients are not admitted yet; one source has half of them at the most",
    ),
    key("limits.handshake_timeout", Written("10s"), "from accept to a verified client certificate"),
    key("limits.open_timeout", Written("10s"), "from there to a complete ConnectRequest"),
    key("limits.frame", Written("1025KiB"), "longest request of a client; ZooKeeper's `jute.maxbuffer` and some slack"),
    key("four_letter_words.allow", Written("[ruok, srvr, isro]"), "words that are passed on, after the TLS handshake"),
    key("shutdown.delay", Written("0s"), "from the stop signal, and not ready, to the end of accepting"),
    key("shutdown.grace", Written("30s"), "time over which live connections are closed, between requests"),
    key(
        "admin.address",
        Written("127.0.0.1:9281"),
        "metrics, probes and status over HTTP, or `fd:NAME`; `none`: nowhere",
    ),
    key("admin.hosts", Unset, "names that it answers under, beside loopback's and IP addresses; `*.` may begin one"),
    key("log.format", Written("auto"), "`text`, `json`, or `auto`: text on a terminal, else JSON"),
    key("log.level", Written("info"), "`error`, `warn`, `info`, `debug`, `trace`, or a filter; `RUST_LOG` wins"),
    key("reload.interval", Written("5s"), "how often files are looked at for changes; `off`: only on SIGHUP"),
    key("runtime.workers", Depends("number of CPUs"), "threads that serve admitted clients"),
    key("runtime.handshake_workers", Depends("`runtime.workers`"), "threads for handshakes, of lower priority"),
];

/// The key at a path.
pub(super) fn find(path: &str) -> Option<&'static Key> {
    KEYS.iter().find(|key| key.path == path)
}

/// Whether keys stand below this path.
pub(super) fn is_section(path: &str) -> bool {
    KEYS.iter().any(|key| key.path.strip_prefix(path).is_some_and(|rest| rest.starts_with('.')))
}

/// The key or section that a person may have meant: the same word elsewhere, or a similar one in the same section.
pub(super) fn near_miss(path: &str) -> Option<&'static str> {
    let (section, word) = split(path);
    let similar = |known: &str| {
        let shared = known.starts_with(word) || known.ends_with(word) || word.starts_with(known);
        let distance = distance(&word.to_lowercase().replace('-', "_"), known);
        match distance {
            0..=2 if distance * 2 < known.len() => Some(distance),
            _ if shared && word.len() > 2 => Some(3),
            _ => None,
        }
    };
    let siblings = paths().filter(|known| split(known).0 == section);
    let sibling = siblings.filter_map(|known| Some((similar(split(known).1)?, known))).min_by_key(|(rank, _)| *rank);
    let elsewhere = || paths().find(|known| split(known).1 == word);
    sibling.map(|(_, known)| known).or_else(elsewhere)
}

/// Every key and every section.
fn paths() -> impl Iterator<Item = &'static str> {
    KEYS.iter().flat_map(|key| {
        let sections = key.path.match_indices('.').map(|(dot, _)| &key.path[..dot]);
        sections.chain([key.path])
    })
}

/// The section and the last word of a path.
fn split(path: &str) -> (&str, &str) {
    path.rsplit_once('.').unwrap_or(("", path))
}

/// Edits between two words (Levenshtein); words here are short.
fn distance(from: &str, to: &str) -> usize {
    let to: Vec<char> = to.chars().collect();
    let mut row: Vec<usize> = (0..=to.len()).collect();
    for (i, a) in from.chars().take(64).enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, b) in to.iter().enumerate() {
            let substituted = diagonal + usize::from(a != *b);
            diagonal = row[j + 1];
            row[j + 1] = substituted.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[to.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_of_the_finger_finds_its_key() {
        assert_eq!(near_miss("listen.adress"), Some("listen.address"));
        assert_eq!(near_miss("upstraem"), Some("upstream"));
        assert_eq!(near_miss("tls.key-store"), Some("tls.key_store"));
        assert_eq!(near_miss("tls.crl"), Some("tls.crls"));
        assert_eq!(near_miss("listen.userTimeout"), Some("listen.user_timeout"));
    }

    #[test]
    fn an_inline_password_is_led_to_the_password_file() {
        assert_eq!(near_miss("tls.key_store.password"), Some("tls.key_store.password_file"));
    }

    #[test]
    fn a_key_in_the_wrong_section_is_led_to_the_right_one() {
        assert_eq!(near_miss("secret_file"), Some("identity.secret_file"));
        assert_eq!(near_miss("trust_store"), Some("tls.trust_store"));
    }

    #[test]
    fn a_word_like_no_key_finds_none() {
        assert_eq!(near_miss("http_proxy"), None);
        assert_eq!(near_miss("tls.x"), None);
    }

    #[test]
    fn no_key_is_listed_twice_or_is_a_section_too() {
        for (index, key) in KEYS.iter().enumerate() {
            assert!(KEYS[index + 1..].iter().all(|other| other.path != key.path), "{}", key.path);
            assert!(!is_section(key.path), "{}", key.path);
        }
    }
}
