//! Properties that must hold of whatever bytes a stranger, a file or a server sends: one function for each kind of
//! input, which panics when its property fails. `fuzz/` and `tests/properties` call them; no build of the product
//! has this module.

mod names;
mod text;

pub mod mutation;

use crate::{config, proxy, store, tls};

/// What must hold of one kind of input.
#[derive(Clone, Copy, Debug)]
pub struct Target {
    /// Its name, and that of its corpus.
    pub name: &'static str,
    /// What is read, and what must hold of it, for people.
    pub about: &'static str,
    /// Panics when the property does not hold of these bytes.
    pub property: fn(&[u8]),
    /// The longest input that the bounds are meant for, in bytes.
    pub longest: usize,
    /// How much memory the property may hold at a time, in bytes.
    pub memory: Bound,
    /// How much memory the property may ask for in all, in bytes: a count of its work.
    pub churn: Bound,
    /// How much CPU the property may take, in microseconds of an instrumented build.
    pub cpu: Bound,
    /// Whether inputs are DER, so that a mutation may keep lengths right.
    pub der: bool,
}

/// A straight line over the length of the input.
#[derive(Clone, Copy, Debug)]
pub struct Bound {
    /// What an empty input may take.
    pub base: u64,
    /// What each byte may add.
    pub per_byte: u64,
}

impl Bound {
    const fn new(base: u64, per_byte: u64) -> Self {
        Self { base, per_byte }
    }

    /// The most for an input of this length.
    pub fn of(self, length: usize) -> u64 {
        self.base + self.per_byte * length as u64
    }
}

const KIB: u64 = 1 << 10;
const LONGEST: usize = 64 << 10;

/// A quarter of a second, and what a busy machine adds; then what an instrumented byte costs where each is looked at
/// some hundred times.
const CPU: Bound = Bound::new(250_000, 20);

/// Most targets: small, linear, bytes of any kind.
const PLAIN: Target = Target {
    name: "",
    about: "",
    property: |_| {},
    longest: LONGEST,
    memory: Bound::new(64 * KIB, 64),
    churn: Bound::new(256 * KIB, 512),
    cpu: CPU,
    der: false,
};

/// Every kind of input.
pub const TARGETS: &[Target] = &[
    Target {
        name: "requests",
        about: "what a client sends, with ids translated: any chunking gives ZooKeeper the same bytes and the same end",
        property: proxy::fuzzing::requests,
        ..PLAIN
    },
    Target {
        name: "replies",
        about: "what a server sends, with ids and addresses replaced: any chunking gives the client the same bytes",
        property: proxy::fuzzing::replies,
        ..PLAIN
    },
    Target {
        name: "opening",
        about: "a client's first frame: any chunking gives the same, nothing behind it is taken, it is printed as it came",
        property: proxy::fuzzing::opening,
        ..PLAIN
    },
    Target {
        name: "auth",
        about: "auth packets: no reserved user and no x509 identity passes, every other packet passes unchanged",
        property: proxy::fuzzing::auth,
        ..PLAIN
    },
    Target {
        name: "acl",
        about: "ACLs of requests and replies: ids that are translated to the server come back, a second time unchanged",
        property: text::acl,
        ..PLAIN
    },
    Target {
        name: "dynamic_config",
        about: "addresses of /zookeeper/config: other lines stay, rewriting twice is rewriting once",
        property: text::dynamic_config,
        ..PLAIN
    },
    Target {
        name: "first_bytes",
        about: "four-letter words and other plaintext: more bytes never change what the first ones are",
        property: tls::fuzzing::first_bytes,
        ..PLAIN
    },
    Target {
        name: "names",
        about: "DER names: what is read is encoded to the same bytes; printed text has no control characters",
        property: names::names,
        memory: Bound::new(64 * KIB, 256),
        der: true,
        ..PLAIN
    },
    Target {
        name: "certificate",
        about: "one certificate: our two readers and webpki see the same subject, names and key",
        property: tls::fuzzing::certificate,
        memory: Bound::new(64 * KIB, 256),
        der: true,
        ..PLAIN
    },
    Target {
        name: "chain",
        about: "a client's chain before the verifier: nothing but a genuine leaf is accepted, whatever else is sent",
        property: tls::fuzzing::chain,
        memory: Bound::new(256 * KIB, 256),
        cpu: Bound::new(1_000_000, 20),
        der: true,
        ..PLAIN
    },
    Target {
        name: "crl",
        about: "revocation lists: none under a known issuer's name is taken without its signature",
        property: |data| {
            tls::fuzzing::crl(data);
            store::fuzzing::crl(data);
        },
        memory: Bound::new(64 * KIB, 256),
        der: true,
        ..PLAIN
    },
    Target {
        name: "jks",
        about: "JKS and JCEKS stores: entries that are read, written and read again are the same",
        property: store::fuzzing::jks,
        ..PLAIN
    },
    Target {
        name: "pkcs12",
        about: "PKCS#12 stores: certificates come out as they stand in a store that is not encrypted",
        property: store::fuzzing::pkcs12,
        memory: Bound::new(256 * KIB, 256),
        churn: Bound::new(KIB * KIB, 2048),
        cpu: Bound::new(2_000_000, 50),
        der: true,
        ..PLAIN
    },
    Target {
        name: "pem",
        about: "PEM: certificates, lists and keys are the same with every line end, and when they are printed and read",
        property: store::fuzzing::pem,
        ..PLAIN
    },
    Target {
        name: "yaml",
        about: "the configuration: what is read is printed and read as the same; each problem has a line of the file",
        property: config::fuzzing::yaml,
        longest: 16 << 10,
        memory: Bound::new(4 * KIB * KIB, 2048),
        churn: Bound::new(64 * KIB * KIB, 16 * KIB),
        cpu: Bound::new(2_000_000, 500),
        ..PLAIN
    },
    Target {
        name: "mapping",
        about: "mapping rules: a rule is printed as it was read, a name is bounded and the same each time",
        property: names::mapping,
        longest: 16 << 10,
        memory: Bound::new(4 * KIB * KIB, 512),
        churn: Bound::new(64 * KIB * KIB, 8 * KIB),
        cpu: Bound::new(1_000_000, 200),
        ..PLAIN
    },
];
