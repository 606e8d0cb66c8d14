//! Rewrites the ids in ACLs where requests and replies carry them (`zookeeper.jute`: `ACL`, `Id`;
//! `MultiOperationRecord`). A record that can't be read is left as it is: the receiver says what is wrong with it.

use std::borrow::Cow;
use std::collections::HashSet;

use super::jute::{Fields, put_buffer};
use super::opcode::Opcode;

/// Bytes of a frame's length.
const PREFIX: usize = 4;

/// Bytes of a `RequestHeader` and of a `ReplyHeader`.
const REQUEST_HEADER: usize = 8;
const REPLY_HEADER: usize = 16;

/// The shortest `ACL`: perms and two empty strings; the shortest `ClientInfo`: two empty strings.
const SHORTEST_ACL: usize = 12;
const SHORTEST_CLIENT_INFO: usize = 8;

/// An id as it stands in an ACL.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Id<'a> {
    /// `x509`, `digest`, `world`, …
    pub scheme: Cow<'a, [u8]>,
    /// What the scheme makes of it. Bytes: Java writes CESU-8.
    pub id: Cow<'a, [u8]>,
}

impl<'a> Id<'a> {
    /// An id of someone's bytes.
    pub fn new(scheme: &'a [u8], id: &'a [u8]) -> Self {
        Self { scheme: Cow::Borrowed(scheme), id: Cow::Borrowed(id) }
    }

    /// An id made here.
    pub fn owned(scheme: &str, id: String) -> Id<'static> {
        Id::of_bytes(scheme, id.into_bytes())
    }

    /// An id made here, of someone's bytes.
    pub fn of_bytes(scheme: &str, id: Vec<u8>) -> Id<'static> {
        Id { scheme: Cow::Owned(scheme.as_bytes().to_vec()), id: Cow::Owned(id) }
    }
}

/// Whether a request of this opcode may carry an ACL.
pub fn in_request(opcode: Opcode) -> bool {
    matches!(
        opcode,
        Opcode::Create | Opcode::Create2 | Opcode::CreateContainer | Opcode::CreateTtl | Opcode::SetAcl | Opcode::Multi
    )
}

/// Whether the reply to this opcode carries ids.
pub fn in_reply(opcode: Opcode) -> bool {
    matches!(opcode, Opcode::GetAcl | Opcode::WhoAmI)
}

/// A request frame with each id that `rename` answers for replaced; `None` if nothing changes.
pub fn rewrite_request<'a>(frame: &'a [u8], rename: impl Fn(&Id<'a>) -> Option<Id<'static>>) -> Option<Vec<u8>> {
    let mut fields = Fields::new(frame.get(PREFIX..)?);
    let header = fields.bytes(REQUEST_HEADER)?;
    let opcode = Opcode::from_code(Fields::new(&header[4..]).int()?);
    let mut rewriter = Rewriter { rename, merge: false, out: header.to_vec(), changed: false };
    match opcode {
        Opcode::Multi => rewriter.multi(&mut fields)?,
        _ => rewriter.operation(opcode, &mut fields)?,
    }
    rewriter.finish(fields)
}

/// A reply frame to `opcode`, as [`rewrite_request`]. With `merge`, renamed entries that become equal become one.
pub fn rewrite_reply<'a>(
    frame: &'a [u8],
    opcode: Opcode,
    merge: bool,
    rename: impl Fn(&Id<'a>) -> Option<Id<'static>>,
) -> Option<Vec<u8>> {
    let mut fields = Fields::new(frame.get(PREFIX..)?);
    let header = fields.bytes(REPLY_HEADER)?;
    let error = Fields::new(&header[12..]).int()?;
    let mut rewriter = Rewriter { rename, merge, out: header.to_vec(), changed: false };
    match opcode {
        Opcode::GetAcl if error == 0 => rewriter.acls(&mut fields)?,
        Opcode::WhoAmI if error == 0 => rewriter.client_infos(&mut fields)?,
        _ => return None,
    }
    rewriter.finish(fields)
}

struct Rewriter<F> {
    rename: F,
    merge: bool,
    out: Vec<u8>,
    changed: bool,
}

impl<'a, F: Fn(&Id<'a>) -> Option<Id<'static>>> Rewriter<F> {
    /// The whole frame, if anything changed.
    fn finish(mut self, rest: Fields<'a>) -> Option<Vec<u8>> {
        self.out.extend_from_slice(rest.rest());
        let length = u32::try_from(self.out.len()).ok().filter(|length| i32::try_from(*length).is_ok())?;
        self.changed.then(|| [&length.to_be_bytes()[..], &self.out].concat())
    }

    /// The operations of a multi, each behind a `MultiHeader` {type, done, err}.
    fn multi(&mut self, fields: &mut Fields<'a>) -> Option<()> {
        loop {
            let header = fields.bytes(9)?;
            self.out.extend_from_slice(header);
            // What ends it is `done`, whatever the type.
            if header[4] != 0 {
                return Some(());
            }
            let code = Fields::new(header).int()?;
            self.operation(Opcode::from_code(code), fields)?;
        }
    }

    fn operation(&mut self, opcode: Opcode, fields: &mut Fields<'a>) -> Option<()> {
        match opcode {
            Opcode::Create | Opcode::Create2 | Opcode::CreateContainer => {
                self.copy_buffers(fields, 2)?;
                self.acls(fields)?;
                self.copy(fields, 4)
            }
            Opcode::CreateTtl => {
                self.copy_buffers(fields, 2)?;
                self.acls(fields)?;
                self.copy(fields, 12)
            }
            Opcode::SetAcl => {
                self.copy_buffers(fields, 1)?;
                self.acls(fields)?;
                self.copy(fields, 4)
            }
            Opcode::Delete | Opcode::Check => {
                self.copy_buffers(fields, 1)?;
                self.copy(fields, 4)
            }
            Opcode::SetData => {
                self.copy_buffers(fields, 2)?;
                self.copy(fields, 4)
            }
            // No server takes any other in a multi, so none behind it is executed either.
            _ => None,
        }
    }

    fn acls(&mut self, fields: &mut Fields<'a>) -> Option<()> {
        let null = fields.rest().starts_with(&[0xff; 4]);
        let count = fields.count(SHORTEST_ACL)?;
        if null {
            self.out.extend_from_slice(&[0xff; 4]);
            return Some(());
        }
        self.entries(fields, count, 4)
    }

    /// What `whoAmI` answers: a vector of {scheme, user}.
    fn client_infos(&mut self, fields: &mut Fields<'a>) -> Option<()> {
        let count = fields.count(SHORTEST_CLIENT_INFO)?;
        self.entries(fields, count, 0)
    }

    /// So many ids, each behind so many bytes of something else.
    fn entries(&mut self, fields: &mut Fields<'a>, count: usize, before: usize) -> Option<()> {
        let at = self.out.len();
        self.out.extend_from_slice(&[0; PREFIX]);
        let (mut kept, mut renamed) = (0_u32, HashSet::new());
        for _ in 0..count {
            let from = fields.rest();
            let other = fields.bytes(before)?;
            match self.renamed(fields)? {
                None => self.out.extend_from_slice(&from[..from.len() - fields.rest().len()]),
                Some(id) => {
                    let entry = [other, &id].concat();
                    if self.merge && renamed.contains(&entry) {
                        continue;
                    }
                    self.out.extend_from_slice(&entry);
                    renamed.insert(entry);
                }
            }
            kept += 1;
        }
        self.out[at..at + PREFIX].copy_from_slice(&kept.to_be_bytes());
        Some(())
    }

    /// Takes an id; what is written in its place if it must be renamed.
    fn renamed(&mut self, fields: &mut Fields<'a>) -> Option<Option<Vec<u8>>> {
        let (Some(scheme), Some(id)) = (fields.buffer()?, fields.buffer()?) else { return Some(None) };
        let Some(renamed) = (self.rename)(&Id::new(scheme, id)) else { return Some(None) };
        self.changed = true;
        let mut written = Vec::new();
        put_buffer(&mut written, &renamed.scheme);
        put_buffer(&mut written, &renamed.id);
        Some(Some(written))
    }

    fn copy(&mut self, fields: &mut Fields<'a>, count: usize) -> Option<()> {
        self.out.extend_from_slice(fields.bytes(count)?);
        Some(())
    }

    fn copy_buffers(&mut self, fields: &mut Fields<'a>, count: usize) -> Option<()> {
        let from = fields.rest();
        for _ in 0..count {
            fields.buffer()?;
        }
        self.out.extend_from_slice(&from[..from.len() - fields.rest().len()]);
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn buffer(bytes: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        put_buffer(&mut out, bytes);
        out
    }

    fn acls(ids: &[(&str, &str)]) -> Vec<u8> {
        let entries = ids.iter().flat_map(|(scheme, id)| {
            [&31_i32.to_be_bytes()[..], &buffer(scheme.as_bytes()), &buffer(id.as_bytes())].concat()
        });
        (ids.len() as u32).to_be_bytes().into_iter().chain(entries).collect()
    }

    fn infos(ids: &[(&str, &str)]) -> Vec<u8> {
        let entries =
            ids.iter().flat_map(|(scheme, user)| [buffer(scheme.as_bytes()), buffer(user.as_bytes())].concat());
        (ids.len() as u32).to_be_bytes().into_iter().chain(entries).collect()
    }

    fn frame(header: &[u8], body: &[u8]) -> Vec<u8> {
        buffer(&[header, body].concat())
    }

    fn request(code: i32, body: &[u8]) -> Vec<u8> {
        frame(&[&5_i32.to_be_bytes()[..], &code.to_be_bytes()].concat(), body)
    }

    fn reply(error: i32, body: &[u8]) -> Vec<u8> {
        frame(&[&[0; 12][..], &error.to_be_bytes()].concat(), body)
    }

    /// Renames `x509:NAME` to a much longer digest, and nothing else.
    fn rename(id: &Id<'_>) -> Option<Id<'static>> {
        (&*id.scheme == b"x509").then(|| Id::owned("digest", format!("x509/{}:hash", String::from_utf8_lossy(&id.id))))
    }

    const BEFORE: &[(&str, &str)] = &[("world", "anyone"), ("x509", "CN=a"), ("digest", "u:h")];
    const AFTER: &[(&str, &str)] = &[("world", "anyone"), ("digest", "x509/CN=a:hash"), ("digest", "u:h")];

    /// Each operation that carries an ACL: its code, what precedes the ACL and what follows it.
    fn operations() -> Vec<(i32, Vec<u8>, Vec<u8>)> {
        let create = [buffer(b"/p"), buffer(b"data")].concat();
        vec![
            (1, create.clone(), vec![0; 4]),
            (15, create.clone(), vec![0; 4]),
            (19, create.clone(), vec![0, 0, 0, 4]),
            (21, create, vec![9; 12]),
            (7, buffer(b"/p"), vec![0xff; 4]),
        ]
    }

    #[test]
    fn every_operation_with_an_acl_is_rewritten_and_nothing_else_of_it() {
        for (code, before, after) in operations() {
            let body = |ids| [&before[..], &acls(ids), &after].concat();
            let rewritten = rewrite_request(&request(code, &body(BEFORE)), rename);
            assert_eq!(rewritten, Some(request(code, &body(AFTER))), "{code}");
            assert_eq!(rewrite_request(&request(code, &body(&BEFORE[..1])), rename), None, "{code}: nothing to rename");
        }
    }

    #[test]
    fn what_is_rewritten_is_held_for_it_and_nothing_else() {
        let codes = operations().into_iter().map(|(code, ..)| code).chain([14]);
        let held: Vec<_> = codes.map(Opcode::from_code).collect();
        for opcode in Opcode::ALL {
            assert_eq!(in_request(opcode), held.contains(&opcode), "{opcode:?}");
            assert_eq!(in_reply(opcode), [Opcode::GetAcl, Opcode::WhoAmI].contains(&opcode), "{opcode:?}");
        }
    }

    fn end_of_multi() -> Vec<u8> {
        [&[0xff; 4][..], &[1], &[0xff; 4]].concat()
    }

    #[test]
    fn a_multi_is_rewritten_inside() {
        let header = |code: i32| [&code.to_be_bytes()[..], &[0], &[0xff; 4]].concat();
        // Those between that carry no ACL: check, delete, and setData.
        let others = [
            (13, [buffer(b"/p"), vec![0; 4]].concat()),
            (2, [buffer(b"/p"), vec![0; 4]].concat()),
            (5, [buffer(b"/p"), buffer(b"data"), vec![0; 4]].concat()),
        ];
        let others: Vec<u8> = others.into_iter().flat_map(|(code, body)| [header(code), body].concat()).collect();
        let body = |ids| {
            let operations = operations()
                .into_iter()
                .flat_map(|(code, before, after)| [others.clone(), header(code), before, acls(ids), after].concat());
            operations.chain(end_of_multi()).collect::<Vec<_>>()
        };
        assert_eq!(rewrite_request(&request(14, &body(BEFORE)), rename), Some(request(14, &body(AFTER))));
    }

    #[test]
    fn what_follows_the_end_of_a_multi_is_left_alone() {
        let (code, before, after) = operations().remove(0);
        let header = |done: u8| [&code.to_be_bytes()[..], &[done], &[0xff; 4]].concat();
        let operation = |ids| [&before[..], &acls(ids), &after].concat();
        for end in [end_of_multi(), header(1)] {
            let body = |ids| [header(0), operation(ids), end.clone(), operation(BEFORE)].concat();
            let rewritten = rewrite_request(&request(14, &body(BEFORE)), rename);
            assert_eq!(rewritten, Some(request(14, &body(AFTER))), "{end:?}");
        }
        let body = [header(0), operation(BEFORE), vec![0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0, 0], end_of_multi()].concat();
        assert_eq!(rewrite_request(&request(14, &body), rename), None, "not the end, and no operation either");
    }

    #[test]
    fn replies_are_rewritten_and_errors_are_not() {
        let body = |ids| [acls(ids), vec![7; 68]].concat();
        let frame = reply(0, &body(BEFORE));
        assert_eq!(rewrite_reply(&frame, Opcode::GetAcl, false, rename), Some(reply(0, &body(AFTER))));
        assert_eq!(rewrite_reply(&reply(-101, &body(BEFORE)), Opcode::GetAcl, false, rename), None);
        assert_eq!(rewrite_reply(&frame, Opcode::GetData, false, rename), None);
    }

    #[test]
    fn replies_about_a_connections_ids_are_rewritten() {
        for merge in [false, true] {
            let rewritten = rewrite_reply(&reply(0, &infos(BEFORE)), Opcode::WhoAmI, merge, rename);
            assert_eq!(rewritten, Some(reply(0, &infos(AFTER))));
        }
        assert_eq!(rewrite_reply(&reply(-6, &infos(BEFORE)), Opcode::WhoAmI, true, rename), None);
    }

    #[test]
    fn entries_that_become_equal_become_one_where_they_must() {
        let twice = [("x509", "CN=a"), ("world", "anyone"), ("world", "anyone"), ("x509", "CN=a")];
        let a = ("digest", "x509/CN=a:hash");
        let anyone = ("world", "anyone");
        for (merge, expected) in [(true, &[a, anyone, anyone][..]), (false, &[a, anyone, anyone, a])] {
            let body = |ids: &[(&str, &str)]| [acls(ids), vec![7; 68]].concat();
            let rewritten = rewrite_reply(&reply(0, &body(&twice)), Opcode::GetAcl, merge, rename);
            assert_eq!(rewritten, Some(reply(0, &body(expected))));
        }
        let body = |ids: &[(&str, &str)]| [buffer(b"/p"), acls(ids), vec![0; 4]].concat();
        let rewritten = rewrite_request(&request(7, &body(&twice)), rename);
        assert_eq!(rewritten, Some(request(7, &body(&[a, anyone, anyone, a]))), "a server does that itself");
    }

    #[test]
    fn entries_of_other_rights_stay_apart() {
        let entry = |rights: i32| [&rights.to_be_bytes()[..], &buffer(b"x509"), &buffer(b"CN=a")].concat();
        let frame = reply(0, &[&2_u32.to_be_bytes()[..], &entry(1), &entry(16), &[7; 68]].concat());
        let rewritten = rewrite_reply(&frame, Opcode::GetAcl, true, rename).unwrap();
        assert_eq!(rewritten[20..24], 2_u32.to_be_bytes());
    }

    #[test]
    fn null_acls_and_null_strings_stay() {
        let body = [buffer(b"/p"), vec![0xff; 4], vec![0; 4]].concat();
        assert_eq!(rewrite_request(&request(7, &body), rename), None);
        let entry = [&1_u32.to_be_bytes()[..], &31_i32.to_be_bytes(), &buffer(b"x509"), &[0xff; 4]].concat();
        let body = [buffer(b"/p"), entry, vec![0; 4]].concat();
        assert_eq!(rewrite_request(&request(7, &body), rename), None);
    }

    #[test]
    fn null_acls_stay_null_beside_what_is_renamed() {
        let (code, before, after) = operations().remove(0);
        let header = [&code.to_be_bytes()[..], &[0], &[0xff; 4]].concat();
        let null = [&header[..], &before, &[0xff; 4], &after].concat();
        let body = |ids| [&null[..], &header, &before, &acls(ids), &after, &end_of_multi()].concat();
        assert_eq!(rewrite_request(&request(14, &body(BEFORE)), rename), Some(request(14, &body(AFTER))));
    }

    #[test]
    fn the_shortest_entries_are_entries() {
        let (before, after) = ([("", ""), ("", ""), ("x509", "")], [("", ""), ("", ""), ("digest", "x509/:hash")]);
        assert_eq!(
            rewrite_reply(&reply(0, &acls(&before)), Opcode::GetAcl, true, rename),
            Some(reply(0, &acls(&after)))
        );
        let rewritten = rewrite_reply(&reply(0, &infos(&before)), Opcode::WhoAmI, true, rename);
        assert_eq!(rewritten, Some(reply(0, &infos(&after))));
    }

    proptest! {
        #[test]
        fn any_bytes_are_survived(code in prop::sample::select(vec![1, 7, 14, 15, 19, 21]), body in prop::collection::vec(any::<u8>(), 0..200)) {
            rewrite_request(&request(code, &body), rename);
            rewrite_reply(&reply(0, &body), Opcode::GetAcl, true, rename);
            rewrite_reply(&reply(0, &body), Opcode::WhoAmI, true, rename);
        }

        #[test]
        fn a_truncated_request_is_left_alone(cut in 0_usize..60) {
            for (code, before, after) in operations() {
                let whole = request(code, &[before, acls(BEFORE), after].concat());
                prop_assert_eq!(rewrite_request(&whole[..cut.min(whole.len() - 1)], rename), None);
            }
        }
    }
}
