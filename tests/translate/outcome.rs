//! Replies as text, without what differs from run to run: zxids, times and session ids.

use super::sequence::{NONE, Request};
use super::support::wire::{Fields, Reply, join_surrogates, op};

/// How exactly ACLs are told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Acls {
    /// As they came.
    InOrder,
    /// Sorted: a server keeps the ids of a connection in a set, and expands `auth` in that set's order.
    Sorted,
    /// Sorted, and each entry once: a gate with two secrets can't tell one entry of each from the same entry twice.
    Once,
}

/// Tells a reply to a request.
pub(crate) fn tell(request: &Request, reply: &Reply, session: i64, acls: Acls) -> String {
    let mut teller = Teller { fields: Fields(&reply.body), session, acls };
    let told = match reply.error {
        0 => teller.body(request.opcode),
        error => format!("error {error}"),
    };
    let left = teller.fields.0.len();
    format!("{told}{}", if left > 0 { format!(" and {left} more bytes") } else { String::new() })
}

struct Teller<'a> {
    fields: Fields<'a>,
    session: i64,
    acls: Acls,
}

impl Teller<'_> {
    fn body(&mut self, opcode: i32) -> String {
        match opcode {
            op::CREATE => self.text(),
            op::CREATE2 | op::CREATE_CONTAINER | op::CREATE_TTL => format!("{} {}", self.text(), self.stat()),
            op::EXISTS | op::SET_DATA | op::SET_ACL => self.stat(),
            op::GET_DATA => format!("{:?} {}", self.text(), self.stat()),
            op::GET_ACL => format!("{} {}", self.acl(), self.stat()),
            op::GET_CHILDREN => self.several(Acls::Sorted, Self::text),
            op::WHO_AM_I => self.several(Acls::Sorted, |it| format!("{}:{}", it.text(), it.text())),
            op::MULTI => self.multi(),
            _ => "done".to_owned(),
        }
    }

    fn acl(&mut self) -> String {
        self.several(self.acls, |it| {
            let rights = it.fields.int();
            format!("{}:{}:{rights}", it.text(), it.text())
        })
    }

    fn multi(&mut self) -> String {
        let mut results = Vec::new();
        loop {
            let (opcode, done, error) = (self.fields.int(), self.byte(), self.fields.int());
            if done != 0 {
                return format!("{results:?} end {opcode} {error}");
            }
            let result = if opcode == NONE { self.fields.int().to_string() } else { self.body(opcode) };
            results.push(format!("{opcode} {error}: {result}"));
        }
    }

    fn several(&mut self, how: Acls, one: impl Fn(&mut Self) -> String) -> String {
        let count = self.fields.int();
        let mut all: Vec<String> = (0..count).map(|_| one(self)).collect();
        if how != Acls::InOrder {
            all.sort();
        }
        if how == Acls::Once {
            all.dedup();
        }
        format!("{} {all:?}", all.len())
    }

    fn stat(&mut self) -> String {
        // Zxids of creation and change, their times.
        for _ in 0..4 {
            self.fields.long();
        }
        let versions = [self.fields.int(), self.fields.int(), self.fields.int()];
        let owner = match self.fields.long() {
            owner if owner == self.session => "mine".to_owned(),
            owner => format!("{owner:x}"),
        };
        let (length, children) = (self.fields.int(), self.fields.int());
        self.fields.long();
        format!("versions {versions:?} owner {owner} length {length} children {children}")
    }

    fn text(&mut self) -> String {
        String::from_utf8(join_surrogates(&self.fields.buffer())).unwrap()
    }

    fn byte(&mut self) -> u8 {
        let (byte, rest) = self.fields.0.split_first().expect("a byte");
        self.fields.0 = rest;
        *byte
    }
}
