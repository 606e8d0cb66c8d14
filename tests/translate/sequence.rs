//! Random requests about ACLs, the same again for the same seed.

use super::support::wire::{buffer, op, string};

/// The type of a result that is an error, and of the header that ends a multi.
pub(crate) const NONE: i32 = -1;

/// What all clients use, below the root.
const PATHS: &[&str] = &["a", "a", "b", "b", "c", "d", "a/x", "b/x", "none/x"];

/// Digest credentials that clients add by themselves, and the ids that servers make of them.
pub(crate) const OWN: &[(&str, &str)] = &[
    ("carol:carol-password", "carol:ydTN228YRAORTAj1wYrfjAOlzaM="),
    ("x509:not-a-mark", "x509:7x4PgUV43ZKVy9PAOi6PSTbw0+E="),
];

/// Ids of the scheme `x509` that a server takes although no certificate here has them.
const STRANGERS: &[&str] = &[
    "CN=nobody,O=Nowhere,C=US",
    "cn = nobody , o=Acme",
    "CN=a\\,b;OU=c+OU=d",
    "OID.2.5.4.3=x,2.5.4.5=y",
    "EmailAddress=a@b,UID=u",
    "CN=\"a, b = c\"",
    "CN=",
    "1.2.840.113549.1.9.1=#16066140622e636f,CN=client",
];

/// Ids of the scheme `x509` that are no X.500 name, which every server refuses.
pub(crate) const NAMELESS: &[&str] =
    &["alice", "*", "alice:secret", "CN=a,b", "=a", "spiffe://td/ns", " ", "CN=a,,CN=b", "nickname=al", "C N=a"];

/// Digest ids of nobody that look like those of identities, as a gate keeps or shows them.
const LOOKALIKES: &[&str] = &[
    "x509/CN=alice%2CO=Acme%2CC=US:x",
    "x509/!CN=alice%2CO=Acme%2CC=US:x",
    "x509/!CN=bob:hash",
    "x509/:x",
    "x509/\u{e9}\u{1f600}:x",
];

/// Ids that no server takes.
const INVALID: &[(&str, &str)] = &[
    ("digest", "without-a-hash"),
    ("digest", "a:b:c"),
    ("nonsense", "CN=alice,O=Acme,C=US"),
    ("X509", "CN=alice,O=Acme,C=US"),
    ("world", "everyone"),
    ("ip", "not an address"),
];

/// A source of numbers that gives the same for the same seed (SplitMix64).
#[derive(Clone, Debug)]
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(crate) fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) % bound as u64) as usize
    }

    pub(crate) fn one_in(&mut self, bound: usize) -> bool {
        self.below(bound) == 0
    }

    pub(crate) fn pick<'a, T: ?Sized>(&mut self, from: &[&'a T]) -> &'a T {
        from[self.below(from.len())]
    }
}

/// One request, and how it is told to a person.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    pub(crate) opcode: i32,
    pub(crate) body: Vec<u8>,
    pub(crate) told: String,
}

/// What one client sends at once, in chunks of these sizes.
#[derive(Clone, Debug)]
pub(crate) struct Burst {
    pub(crate) client: usize,
    pub(crate) requests: Vec<Request>,
    pub(crate) chunks: Vec<usize>,
}

/// Makes the bursts of one run.
pub(crate) struct Sequence<'a> {
    random: Random,
    /// The `x509` ids of the clients.
    names: &'a [String],
    /// Where all happens; everybody may do everything there, but not below.
    root: &'a str,
    /// Whether clients add digest credentials of their own.
    own: bool,
    /// Whether only names without characters beyond U+FFFF are used: in a multi, a native server makes each of those
    /// into two others.
    short: bool,
    /// How many znodes were to be made that nobody else makes.
    new: usize,
}

impl<'a> Sequence<'a> {
    pub(crate) fn new(seed: u64, root: &'a str, names: &'a [String], own: bool) -> Self {
        Self { random: Random::new(seed), root, names, own, short: false, new: 0 }
    }

    pub(crate) fn burst(&mut self) -> Burst {
        let client = self.random.below(self.names.len());
        let multi = is_short(&self.names[client]);
        let requests = (0..1 + self.random.below(40)).map(|_| self.request(multi)).collect();
        let largest = self.random.pick(&[&4, &40, &400, &100_000]);
        let chunks = (0..8).map(|_| 1 + self.random.below(*largest)).collect();
        Burst { client, requests, chunks }
    }

    fn request(&mut self, multi: bool) -> Request {
        match self.random.below(20) {
            0..5 => self.operation(&[op::CREATE, op::CREATE2, op::CREATE_CONTAINER, op::CREATE_TTL]),
            5..8 => self.operation(&[op::SET_ACL]),
            8..12 => self.operation(&[op::GET_ACL]),
            12 => request(op::WHO_AM_I, Vec::new(), "whoAmI".to_owned()),
            13..15 if multi => self.multi(),
            15 if self.random.one_in(2) => self.operation(&[op::DELETE]),
            16 if self.own => {
                let credential = self.random.pick(OWN.iter().map(|(own, _)| *own).collect::<Vec<_>>().as_slice());
                let body = [vec![0; 4], string("digest"), string(credential)].concat();
                request(op::AUTH, body, format!("addauth digest {credential}"))
            }
            16 => {
                let body = [vec![0; 4], string("x509"), string("by hand")].concat();
                request(op::AUTH, body, "addauth x509".to_owned())
            }
            _ => self.operation(&[op::GET_DATA, op::EXISTS, op::SET_DATA, op::GET_CHILDREN]),
        }
    }

    fn operation(&mut self, opcodes: &[i32]) -> Request {
        let opcode = opcodes[self.random.below(opcodes.len())];
        let creates = matches!(opcode, op::CREATE | op::CREATE2 | op::CREATE_CONTAINER | op::CREATE_TTL);
        let path = &self.path(creates);
        let version = if self.random.one_in(4) { self.random.below(4) as i32 } else { -1 };
        let version_told = format!("{} {path} if version {version}", word(opcode));
        let version = version.to_be_bytes();
        match opcode {
            op::CREATE | op::CREATE2 | op::CREATE_CONTAINER | op::CREATE_TTL => self.create(opcode, path),
            op::SET_ACL => {
                let (acl, told) = self.acl();
                request(opcode, [&string(path), &acl, &version[..]].concat(), format!("{version_told}: {told}"))
            }
            op::DELETE | op::CHECK => request(opcode, [&string(path), &version[..]].concat(), version_told),
            op::SET_DATA => {
                let body = [&string(path), &buffer(b"changed"), &version[..]].concat();
                request(opcode, body, version_told)
            }
            op::GET_ACL => request(opcode, string(path), format!("getACL {path}")),
            _ => request(opcode, [string(path), vec![0]].concat(), format!("{} {path}", word(opcode))),
        }
    }

    /// A path that all use, or one that is new or was not long ago.
    fn path(&mut self, creates: bool) -> String {
        let root = self.root;
        match (creates, self.random.below(3)) {
            (true, 0) => {
                self.new += 1;
                format!("{root}/new-{}", self.new)
            }
            (false, 0) => format!("{root}/new-{}", self.new.saturating_sub(self.random.below(4))),
            _ => format!("{root}/{}", self.random.pick(PATHS)),
        }
    }

    fn create(&mut self, opcode: i32, path: &str) -> Request {
        let (acl, told) = self.acl();
        let data = vec![b'd'; self.random.below(300)];
        let flags: i32 = match opcode {
            op::CREATE_CONTAINER => 4,
            op::CREATE_TTL => 5,
            // Ephemeral and sequential ones, and most often neither.
            _ => *self.random.pick(&[&0, &0, &0, &0, &0, &0, &0, &1, &2]),
        };
        let mut body = [string(path), buffer(&data), acl, flags.to_be_bytes().to_vec()].concat();
        if opcode == op::CREATE_TTL {
            body.extend(3_600_000_i64.to_be_bytes());
        }
        request(opcode, body, format!("{} {path} flags {flags}: {told}", word(opcode)))
    }

    fn multi(&mut self) -> Request {
        const ALLOWED: &[i32] = &[
            op::CREATE,
            op::CREATE,
            op::CREATE2,
            op::CREATE_CONTAINER,
            op::CREATE_TTL,
            op::DELETE,
            op::SET_DATA,
            op::CHECK,
        ];
        let header = |code: i32, done: u8| [&code.to_be_bytes()[..], &[done], &NONE.to_be_bytes()].concat();
        let (mut body, mut told) = (Vec::new(), Vec::new());
        self.short = true;
        for _ in 0..self.random.below(4) {
            let one = self.operation(ALLOWED);
            body.extend([header(one.opcode, 0), one.body].concat());
            told.push(one.told);
        }
        self.short = false;
        body.extend(header(NONE, 1));
        request(op::MULTI, body, format!("multi [{}]", told.join(" | ")))
    }

    /// A vector of ACLs, most often one that a server takes.
    fn acl(&mut self) -> (Vec<u8>, String) {
        if self.random.one_in(40) {
            return (NONE.to_be_bytes().to_vec(), "null".to_owned());
        }
        let count = if self.random.one_in(30) { 0 } else { 1 + self.random.below(4) };
        let mut ids: Vec<(&str, String)> = (0..count).map(|_| self.good_id()).collect();
        if self.random.one_in(8) {
            let at = self.random.below(ids.len() + 1);
            ids.insert(at, self.bad_id());
        }
        if self.random.one_in(6) && !ids.is_empty() {
            ids.push(ids[0].clone());
        }
        // Most may be read by all, or nearly every reply would be a denial.
        let readable = !ids.is_empty() && !self.random.one_in(3);
        if readable {
            ids.push(("world", "anyone".to_owned()));
        }
        let mut acl = (ids.len() as u32).to_be_bytes().to_vec();
        let mut told = Vec::new();
        for (scheme, id) in ids {
            let rights: i32 = if readable && scheme == "world" { 1 } else { self.rights() };
            acl.extend([rights.to_be_bytes().to_vec(), string(scheme), string(&id)].concat());
            told.push(format!("{scheme}:{id}:{rights}"));
        }
        (acl, told.join(", "))
    }

    fn rights(&mut self) -> i32 {
        *self.random.pick(&[&31, &31, &31, &31, &1, &1, &1, &17, &17, &16, &3, &12, &0])
    }

    fn good_id(&mut self) -> (&'static str, String) {
        match self.random.below(20) {
            0..9 => {
                let name = &self.names[self.random.below(self.names.len())];
                ("x509", if self.short && !is_short(name) { self.names[0].clone() } else { name.clone() })
            }
            9..11 => ("x509", self.random.pick(STRANGERS).to_owned()),
            11..14 => ("auth", String::new()),
            14..16 => ("world", "anyone".to_owned()),
            16 => ("digest", OWN[self.random.below(OWN.len())].1.to_owned()),
            17 => ("digest", self.random.pick(LOOKALIKES).to_owned()),
            18 => ("ip", self.random.pick(&["127.0.0.1", "10.0.0.0/8"]).to_owned()),
            _ => ("sasl", "carol".to_owned()),
        }
    }

    fn bad_id(&mut self) -> (&'static str, String) {
        if self.random.one_in(2) {
            return ("x509", self.random.pick(NAMELESS).to_owned());
        }
        let (scheme, id) = INVALID[self.random.below(INVALID.len())];
        (scheme, id.to_owned())
    }
}

fn is_short(name: &str) -> bool {
    name.chars().all(|c| u32::from(c) <= 0xffff)
}

fn request(opcode: i32, body: Vec<u8>, told: String) -> Request {
    Request { opcode, body, told }
}

fn word(opcode: i32) -> &'static str {
    match opcode {
        op::CREATE => "create",
        op::DELETE => "delete",
        op::EXISTS => "exists",
        op::GET_DATA => "getData",
        op::SET_DATA => "setData",
        op::SET_ACL => "setACL",
        op::GET_CHILDREN => "getChildren",
        op::CHECK => "check",
        op::CREATE2 => "create2",
        op::CREATE_CONTAINER => "createContainer",
        op::CREATE_TTL => "createTTL",
        _ => "?",
    }
}
