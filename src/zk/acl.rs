//! Rewrites the ids in ACLs where requests and replies carry them (`zookeeper.jute`: `ACL`, `Id`;
//! `MultiOperationRecord`). A record that can't be read is left as it is: the receiver says what is wrong with it.

use std::borrow::Cow;
use std::cell::Cell;
use std::collections::HashSet;

use super::jute::{Fields, put_buffer};
use super::opcode::Opcode;
use super::record::int;

/// Bytes of a frame's length.
const PREFIX: usize = 4;

/// Bytes of a `RequestHeader` and of a `ReplyHeader`.
const REQUEST_HEADER: usize = 8;
const REPLY_HEADER: usize = 16;

/// The shortest `Id` or `ClientInfo`: two empty strings. An `ACL` has its perms in front.
const SHORTEST_ID: usize = 8;

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

/// How much work may be done before others have their turn, in units of about a nanosecond.
#[derive(Debug)]
pub struct Slice(Cell<u32>);

impl Slice {
    /// A slice of so many units.
    pub fn new(units: u32) -> Self {
        Self(Cell::new(units))
    }

    /// Counts work that is done.
    pub fn spend(&self, units: u32) {
        self.0.set(self.0.get().saturating_sub(units));
    }

    /// Whether it is used up.
    pub fn is_over(&self) -> bool {
        self.0.get() == 0
    }
}

/// What reading one entry or operation costs beside what its translation does, in the units of [`Slice`].
const STEP: u32 = 10;

/// A frame that is being rewritten, slice by slice: a frame of 1 MiB has up to 87,000 entries, and a translated one may
/// cost microseconds. What does not change is not copied until something does.
#[derive(Debug)]
pub struct Rewriting {
    /// The new frame as far as it is made; empty as long as nothing has changed.
    out: Vec<u8>,
    /// How much of the frame `out` has in its new form.
    copied: usize,
    /// How much of the frame is read.
    at: usize,
    /// The ACL that is being read.
    list: Option<List>,
    /// Whether operations follow one another (`multi`).
    is_multi: bool,
    /// Whether renamed entries that become equal become one.
    merge: bool,
}

/// A vector of ids, each behind some bytes of something else.
#[derive(Debug)]
struct List {
    /// Entries that are still to be read.
    left: usize,
    /// Bytes in front of each id.
    before: usize,
    /// Bytes behind the list.
    tail: usize,
    /// Where in the frame its count is.
    count_at: usize,
    /// Where in the new frame its count is, once one of its entries was renamed.
    count_out: Option<usize>,
    kept: u32,
    renamed: HashSet<Vec<u8>>,
}

/// How far a frame is rewritten.
#[derive(Debug, PartialEq, Eq)]
pub enum Progress {
    /// The slice is over before the frame is.
    Unfinished,
    /// The new frame; `None` if nothing changes.
    Done(Option<Vec<u8>>),
}

impl Rewriting {
    /// Begins to rewrite a request; `None` if there is nothing to rewrite in it.
    pub fn of_request(frame: &[u8]) -> Option<Self> {
        let mut fields = Fields::new(frame.get(PREFIX..)?);
        let header = fields.bytes(REQUEST_HEADER)?;
        let opcode = Opcode::from_code(Fields::new(&header[4..]).int()?);
        let mut rewriting = Self::at(PREFIX + REQUEST_HEADER, false);
        match opcode {
            Opcode::Multi => rewriting.is_multi = true,
            _ => rewriting.operation(opcode, frame)?,
        }
        Some(rewriting)
    }

    /// Begins to rewrite a reply to `opcode`, likewise. With `merge`, renamed entries that become equal become one.
    pub fn of_reply(frame: &[u8], opcode: Opcode, merge: bool) -> Option<Self> {
        let mut fields = Fields::new(frame.get(PREFIX..)?);
        let header = fields.bytes(REPLY_HEADER)?;
        let error = Fields::new(&header[12..]).int()?;
        let mut rewriting = Self::at(PREFIX + REPLY_HEADER, merge);
        let before = match opcode {
            Opcode::GetAcl if error == 0 => 4,
            Opcode::WhoAmI if error == 0 => 0,
            _ => return None,
        };
        rewriting.open(frame, fields, List { before, ..List::behind(0) })?;
        Some(rewriting)
    }

    fn at(at: usize, merge: bool) -> Self {
        Self { out: Vec::new(), copied: 0, at, list: None, is_multi: false, merge }
    }

    /// Goes on until the slice is over: replaces each id that `rename` answers for. The frame is the same each time.
    pub fn run(
        &mut self,
        frame: &[u8],
        slice: &Slice,
        mut rename: impl FnMut(&Id<'_>) -> Option<Id<'static>>,
    ) -> Progress {
        match self.advance(frame, slice, &mut rename) {
            Some(false) => Progress::Unfinished,
            Some(true) => Progress::Done(self.finish(frame)),
            None => Progress::Done(None),
        }
    }

    /// Whether the end is reached; `None` if the frame is not what it should be.
    fn advance(
        &mut self,
        frame: &[u8],
        slice: &Slice,
        rename: &mut impl FnMut(&Id<'_>) -> Option<Id<'static>>,
    ) -> Option<bool> {
        loop {
            if let Some(mut list) = self.list.take() {
                while list.left > 0 && !slice.is_over() {
                    slice.spend(STEP);
                    self.entry(frame, &mut list, rename)?;
                }
                if list.left > 0 {
                    self.list = Some(list);
                    return Some(false);
                }
                if let Some(at) = list.count_out {
                    self.out[at..at + 4].copy_from_slice(&list.kept.to_be_bytes());
                }
                self.skip(frame, list.tail)?;
            }
            if !self.is_multi {
                return Some(true);
            }
            if slice.is_over() {
                return Some(false);
            }
            slice.spend(STEP);
            // A `MultiHeader` {type, done, err}. What ends it is `done`, whatever the type.
            let header = frame.get(self.at..self.at + 9)?;
            self.at += 9;
            if header[4] != 0 {
                return Some(true);
            }
            self.operation(Opcode::from_code(int(header, 0)), frame)?;
        }
    }

    /// The whole frame, if anything changed.
    fn finish(&mut self, frame: &[u8]) -> Option<Vec<u8>> {
        if self.out.is_empty() {
            return None;
        }
        self.copy_to(frame, frame.len());
        let length = u32::try_from(self.out.len() - PREFIX).ok().filter(|length| i32::try_from(*length).is_ok())?;
        self.out[..PREFIX].copy_from_slice(&length.to_be_bytes());
        Some(std::mem::take(&mut self.out))
    }

    fn operation(&mut self, opcode: Opcode, frame: &[u8]) -> Option<()> {
        let mut fields = Fields::new(&frame[self.at..]);
        let (buffers, tail, has_acl) = match opcode {
            Opcode::Create | Opcode::Create2 | Opcode::CreateContainer => (2, 4, true),
            Opcode::CreateTtl => (2, 12, true),
            Opcode::SetAcl => (1, 4, true),
            Opcode::Delete | Opcode::Check => (1, 4, false),
            Opcode::SetData => (2, 4, false),
            // No server takes any other in a multi, so none behind it is executed either.
            _ => return None,
        };
        for _ in 0..buffers {
            fields.buffer()?;
        }
        if has_acl {
            return self.open(frame, fields, List::behind(tail));
        }
        self.at = frame.len() - fields.rest().len();
        self.skip(frame, tail)
    }

    /// Begins a list where the fields are. Null has no entries.
    fn open(&mut self, frame: &[u8], mut fields: Fields<'_>, list: List) -> Option<()> {
        let count_at = frame.len() - fields.rest().len();
        let left = fields.count(list.before + SHORTEST_ID)?;
        self.at = frame.len() - fields.rest().len();
        self.list = Some(List { left, count_at, ..list });
        Some(())
    }

    fn entry(
        &mut self,
        frame: &[u8],
        list: &mut List,
        rename: &mut impl FnMut(&Id<'_>) -> Option<Id<'static>>,
    ) -> Option<()> {
        let begin = self.at;
        let mut fields = Fields::new(&frame[begin..]);
        let other = fields.bytes(list.before)?;
        let (scheme, id) = (fields.buffer()?, fields.buffer()?);
        let end = frame.len() - fields.rest().len();
        self.at = end;
        list.left -= 1;
        list.kept += 1;
        let Some(renamed) = scheme.zip(id).and_then(|(scheme, id)| rename(&Id::new(scheme, id))) else {
            return Some(());
        };
        if list.count_out.is_none() {
            self.copy_to(frame, list.count_at);
            list.count_out = Some(self.out.len());
        }
        self.copy_to(frame, begin);
        self.copied = end;
        let written = self.out.len();
        self.out.extend_from_slice(other);
        put_buffer(&mut self.out, &renamed.scheme);
        put_buffer(&mut self.out, &renamed.id);
        if self.merge && !list.renamed.insert(self.out[written..].to_vec()) {
            self.out.truncate(written);
            list.kept -= 1;
        }
        Some(())
    }

    fn copy_to(&mut self, frame: &[u8], end: usize) {
        self.out.extend_from_slice(&frame[self.copied..end]);
        self.copied = end;
    }

    fn skip(&mut self, frame: &[u8], count: usize) -> Option<()> {
        self.at += count;
        (self.at <= frame.len()).then_some(())
    }
}

impl List {
    /// A list that is still to be found, with so many bytes behind it; its entries are `ACL`s.
    fn behind(tail: usize) -> Self {
        Self { left: 0, before: 4, tail, count_at: 0, count_out: None, kept: 0, renamed: HashSet::new() }
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

    type Rename = fn(&Id<'_>) -> Option<Id<'static>>;

    /// The same in one slice and in slices of one entry each.
    fn rewritten(begun: impl Fn() -> Option<Rewriting>, frame: &[u8], rename: Rename) -> Option<Vec<u8>> {
        let Progress::Done(at_once) = begun()?.run(frame, &Slice::new(u32::MAX), rename) else { panic!("unfinished") };
        let mut bit_by_bit = begun()?;
        let in_bits = loop {
            match bit_by_bit.run(frame, &Slice::new(1), rename) {
                Progress::Unfinished => {}
                Progress::Done(rewritten) => break rewritten,
            }
        };
        assert_eq!(in_bits, at_once);
        at_once
    }

    fn rewrite_request(frame: &[u8], rename: Rename) -> Option<Vec<u8>> {
        rewritten(|| Rewriting::of_request(frame), frame, rename)
    }

    fn rewrite_reply(frame: &[u8], opcode: Opcode, merge: bool, rename: Rename) -> Option<Vec<u8>> {
        rewritten(|| Rewriting::of_reply(frame, opcode, merge), frame, rename)
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

    /// Slices, and entries that were looked at in the one that had most.
    fn slices(frame: &[u8], mut rewriting: Rewriting, units: u32) -> (usize, usize) {
        let (mut slices, mut most) = (0, 0);
        loop {
            let (slice, mut looked_at) = (Slice::new(units), 0);
            let progress = rewriting.run(frame, &slice, |id| {
                looked_at += 1;
                slice.spend(90);
                rename(id)
            });
            (slices, most) = (slices + 1, most.max(looked_at));
            if progress != Progress::Unfinished {
                return (slices, most);
            }
        }
    }

    #[test]
    fn no_slice_does_more_than_it_has_units_for() {
        let names: Vec<_> = (0..5_000).map(|n| format!("CN={n}")).collect();
        let ids: Vec<_> = names.iter().map(|name| ("x509", &**name)).collect();
        let frame = request(7, &[buffer(b"/p"), acls(&ids), vec![0; 4]].concat());
        assert_eq!(slices(&frame, Rewriting::of_request(&frame).unwrap(), 10_000), (50, 100));
        let frame = reply(0, &[acls(&ids), vec![7; 68]].concat());
        assert_eq!(slices(&frame, Rewriting::of_reply(&frame, Opcode::GetAcl, true).unwrap(), 10_000), (50, 100));
        // Operations count, too, whether or not they have an ACL.
        let delete = [&2_i32.to_be_bytes()[..], &[0], &[0xff; 4], &buffer(b"/p"), &[0; 4]].concat();
        let frame = request(14, &[delete.repeat(5_000), end_of_multi()].concat());
        assert_eq!(slices(&frame, Rewriting::of_request(&frame).unwrap(), 10_000).0, 6);
    }

    #[test]
    fn what_does_not_change_is_not_copied() {
        let ids = vec![("world", "anyone"); 1000];
        let frame = request(7, &[buffer(b"/p"), acls(&ids), vec![0; 4]].concat());
        let mut rewriting = Rewriting::of_request(&frame).unwrap();
        assert_eq!(rewriting.run(&frame, &Slice::new(u32::MAX), rename), Progress::Done(None));
        assert_eq!(rewriting.out.capacity(), 0);
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
