//! What may pass in which direction: the frame-aware half of the relay, without I/O.

use std::sync::Arc;
use std::time::Instant;

use super::auth_packet::{DIGEST, X509, X509Auth, credential, names_reserved_user};
use super::outstanding::{Edit, Local, Outstanding, Request};
use super::paused::{Paused, keep, run};
use crate::credential::USER_PREFIX;
use crate::metrics::Metrics;
use crate::reason::Ending;
use crate::translate::Translator;
use crate::zk::acl::{self, Rewriting, Slice};
use crate::zk::dynamic_config::{Advertise, CONFIG_PATH};
use crate::zk::editor::{Editor, Fate, Head, Passage, Step};
use crate::zk::opcode::Opcode;
use crate::zk::record::{AUTH_FAILED, auth_reply};

/// Bytes of a request's head: length, xid, type; for auth packets also type, scheme and the credential's beginning.
const REQUEST_HEAD: usize = 4 + 8 + 4 + (4 + DIGEST.len()) + (4 + USER_PREFIX.len());

/// Bytes of a reply's head: length, xid, zxid, err.
const REPLY_HEAD: usize = 4 + 16;

/// The shortest request: a header of xid and type.
const REQUEST_HEADER: usize = 8;

/// The xid of a watch notification, which no request may have. Clients use -2 (ping), -4 (auth), -8 (setWatches), 0 and
/// positive ones; the counter of an old Java client goes on with the lowest when it overflows.
const NOTIFICATION: i32 = -1;

/// The xid of the first injected packet; those of the others follow downwards. No client is known to use them. One that
/// does gets its replies: those to injected packets come first.
const FIRST_INJECTED_XID: i32 = -0x7a6f_6f67;

/// How many times `limits.frame` a reply may have to be held and rewritten; longer ones pass as they are. Translation
/// makes no request of a client so much longer (names of one byte with SHA-512: 7 times), so what comes back of one is
/// never as long.
const LONGEST_HELD: usize = 8;

/// The longest configuration of an ensemble that is rewritten, in bytes. One of 255 servers, which are all that there
/// can be, with several addresses each has less.
const LONGEST_CONFIG: usize = 128 * 1024;

/// How much is rewritten for one connection before others have their turn: half a millisecond or so.
const SLICE: u32 = 500_000;

/// What clients may do, and what is changed on the way.
#[derive(Clone, Debug)]
pub struct Bounds {
    /// The longest frame from a client, in bytes.
    pub frame: usize,
    /// Whether digest users that begin with `x509/` are ours alone.
    pub reserve_user: bool,
    /// What becomes of a client's own auth packets of scheme `x509`.
    pub x509_auth: X509Auth,
    /// Translates `x509` ids in ACLs, where the server doesn't know them.
    pub translate: Option<Arc<Translator>>,
    /// Replaces the addresses that a reconfigurable ensemble tells its clients.
    pub advertise: Option<Arc<Advertise>>,
}

/// The xids of injected packets, in order.
pub(crate) fn injected_xids() -> impl Iterator<Item = i32> {
    (0..).map(|index| FIRST_INJECTED_XID - index)
}

/// Follows both directions of one connection.
pub(super) struct Judge {
    bounds: Bounds,
    requests: Editor<REQUEST_HEAD>,
    replies: Editor<REPLY_HEAD>,
    outstanding: Outstanding,
    injected: Injected,
    close_session: CloseSession,
    /// The opcode of the request whose reply is being held, and what to do with the reply.
    held: Option<(Opcode, Edit)>,
    /// How far the held request and the held reply are rewritten.
    request_rewriting: Option<Box<Paused>>,
    reply_rewriting: Option<Box<Paused>>,
    /// Whether the client was told that its credential is refused.
    refused: bool,
    metrics: Arc<Metrics>,
    /// Requests seen, for the access record.
    pub(super) seen: u64,
}

/// Injected packets that are not answered yet. Their replies come first of all and in order, and the client
/// must not see them; a reply with the same xid later on is its own.
#[derive(Clone, Copy, Debug)]
struct Injected {
    left: usize,
    next: i32,
    since: Instant,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum CloseSession {
    No,
    Asked,
    Answered,
}

/// Why a chunk did not pass whole, and the part of it that may.
pub(super) struct Stopped<'a> {
    pub(super) ending: Ending,
    pub(super) passed: Passage<'a>,
}

impl Judge {
    /// A judge of a connection on which `injected` packets were sent.
    pub(super) fn new(bounds: Bounds, injected: usize, metrics: Arc<Metrics>) -> Self {
        Self {
            bounds,
            requests: Editor::new(),
            replies: Editor::new(),
            outstanding: Outstanding::default(),
            injected: Injected { left: injected, next: FIRST_INJECTED_XID, since: Instant::now() },
            close_session: CloseSession::No,
            held: None,
            request_rewriting: None,
            reply_rewriting: None,
            refused: false,
            metrics,
            seen: 0,
        }
    }

    /// Judges what a client sends; what comes out is for ZooKeeper. Comes back before the end of the chunk if there is
    /// too much to rewrite for one turn: see [`Judge::request_waits`].
    ///
    /// # Errors
    /// The ending of the connection, with what may still be passed on. What was passed of the offending frame
    /// is not the whole of it, so ZooKeeper does not act on it.
    pub(super) fn requests<'a>(&mut self, chunk: &'a [u8], now: Instant) -> Result<Passage<'a>, Stopped<'a>> {
        let (mut passed, slice) = (Passage::new(chunk), Slice::new(SLICE));
        loop {
            let verdict = match self.requests.advance(&mut passed) {
                Step::Chunk => return Ok(passed),
                Step::Length => self.request_length().map(|size| self.requests.accept(size)),
                Step::Head => self.request(now).map(|fate| self.requests.decide(fate, &mut passed)),
                Step::Frame => {
                    let Some(frame) = self.rewrite_request(&slice) else {
                        keep(&mut self.request_rewriting, &passed);
                        return Ok(passed);
                    };
                    passed.add_frame(&frame);
                    Ok(())
                }
            };
            if let Err(ending) = verdict {
                return Err(Stopped { ending, passed });
            }
        }
    }

    /// The request in place of the held one, unless the slice is over before it is made.
    fn rewrite_request(&mut self, slice: &Slice) -> Option<Vec<u8>> {
        let Some(translator) = &self.bounds.translate else { return Some(self.requests.take()) };
        let held = self.requests.held();
        if self.request_rewriting.is_none() {
            self.request_rewriting = Rewriting::of_request(held).map(Paused::new);
        }
        let rename = |id: &acl::Id<'_>| {
            slice.spend(translator.cost(id));
            translator.to_server(id)
        };
        let rewritten = run(&mut self.request_rewriting, held, slice, rename)?;
        let frame = self.requests.take();
        Some(rewritten.unwrap_or(frame))
    }

    /// Whether a request is still to be rewritten: more of the client can't be judged, and
    /// [what was read already](Judge::unjudged_requests) comes first.
    pub(super) fn request_waits(&self) -> bool {
        !self.requests.held().is_empty()
    }

    /// What was read behind the request that waits.
    pub(super) fn unjudged_requests(&mut self) -> Vec<u8> {
        self.request_rewriting.as_mut().map(|paused| std::mem::take(&mut paused.unjudged)).unwrap_or_default()
    }

    fn request_length(&self) -> Result<usize, Ending> {
        match usize::try_from(self.requests.length()) {
            Ok(size) if size > self.bounds.frame => Err(Ending::FrameTooLarge),
            Ok(size) if size >= REQUEST_HEADER => Ok(size),
            _ => Err(Ending::MalformedFrame),
        }
    }

    fn request(&mut self, now: Instant) -> Result<Fate, Ending> {
        let head = self.requests.head();
        // A frame of 8 bytes or more has both.
        let (xid, code) = (head.int(4).unwrap_or_default(), head.int(8).unwrap_or_default());
        let opcode = Opcode::from_code(code);
        // Its reply would be taken for a watch event, here and by the client, and it would stay outstanding for ever.
        if xid == NOTIFICATION {
            return Err(Ending::ReservedXid);
        }
        if opcode.is_server_internal() {
            return Err(Ending::ForbiddenOpcode);
        }
        if self.bounds.reserve_user && opcode == Opcode::Auth && names_reserved_user(head) {
            return Err(Ending::ReservedUser);
        }
        if opcode == Opcode::CloseSession {
            self.close_session = CloseSession::Asked;
        }
        let local = self.answers_itself(opcode, head);
        let edit = self.edit(opcode, head);
        self.seen += 1;
        self.outstanding.sent(Request { xid, opcode, at: now, edit, local });
        if local.is_some() {
            return Ok(Fate::Drop);
        }
        self.metrics.request_forwarded(opcode);
        let translated = self.bounds.translate.is_some() && acl::in_request(opcode);
        Ok(if translated { Fate::Hold } else { Fate::Pass })
    }

    /// What the reply says, if the request is answered in the server's place.
    fn answers_itself(&self, opcode: Opcode, head: Head<'_>) -> Option<Local> {
        let answer = match self.bounds.x509_auth {
            X509Auth::Pass => None,
            X509Auth::Answer => Some(Local::Granted),
            X509Auth::Refuse => Some(Local::Refused),
        };
        answer.filter(|_| opcode == Opcode::Auth && credential(head, X509).is_some())
    }

    /// What must be done to the reply.
    fn edit(&self, opcode: Opcode, head: Head<'_>) -> Option<Edit> {
        if self.bounds.translate.is_some() && acl::in_reply(opcode) {
            return Some(Edit::Ids);
        }
        let config = match opcode {
            Opcode::Reconfig => true,
            Opcode::GetData => head.int(12) == Some(CONFIG_PATH.len() as i32) && head.0[16..].starts_with(CONFIG_PATH),
            _ => false,
        };
        (config && self.bounds.advertise.is_some()).then_some(Edit::Config)
    }

    /// Judges what the server sends; what comes out is for the client. Comes back before the end of the chunk as
    /// [`Judge::requests`] does.
    ///
    /// # Errors
    /// `auth_failed` if an injected packet was refused, `upstream_malformed` if this isn't a server's stream;
    /// with what may still be passed on.
    pub(super) fn replies<'a>(&mut self, chunk: &'a [u8], now: Instant) -> Result<Passage<'a>, Stopped<'a>> {
        let (mut passed, slice) = (Passage::new(chunk), Slice::new(SLICE));
        loop {
            let verdict = match self.replies.advance(&mut passed) {
                Step::Chunk => return Ok(passed),
                Step::Length => usize::try_from(self.replies.length())
                    .map(|size| self.replies.accept(size))
                    .map_err(|_| Ending::UpstreamMalformed),
                Step::Head => {
                    self.add_local(&mut passed);
                    self.reply(now).map(|fate| self.replies.decide(fate, &mut passed))
                }
                Step::Frame => {
                    let Some(frame) = self.rewrite_reply(&slice) else {
                        keep(&mut self.reply_rewriting, &passed);
                        return Ok(passed);
                    };
                    passed.add_frame(&frame);
                    Ok(())
                }
            };
            if let Err(ending) = verdict {
                return Err(Stopped { ending, passed });
            }
        }
    }

    fn reply(&mut self, now: Instant) -> Result<Fate, Ending> {
        let head = self.replies.head();
        let (Some(xid), error) = (head.int(4), head.int(16)) else { return Ok(Fate::Pass) };
        if self.injected.left > 0 && xid == self.injected.next {
            return self.injected_reply(error, now);
        }
        if xid == NOTIFICATION {
            self.metrics.notified();
            return Ok(Fate::Pass);
        }
        let Some(request) = self.outstanding.answered(xid) else { return Ok(Fate::Pass) };
        self.metrics.request_answered(request.opcode, now.saturating_duration_since(request.at));
        if request.opcode == Opcode::CloseSession {
            self.close_session = CloseSession::Answered;
        }
        let length = usize::try_from(self.replies.length()).unwrap_or(usize::MAX);
        let longest = |edit| match edit {
            Edit::Ids => self.bounds.frame.saturating_mul(LONGEST_HELD),
            Edit::Config => LONGEST_CONFIG,
        };
        self.held = request.edit.filter(|edit| length <= longest(*edit)).map(|edit| (request.opcode, edit));
        Ok(if self.held.is_some() { Fate::Hold } else { Fate::Pass })
    }

    /// The reply in place of the held one, unless the slice is over before it is made.
    fn rewrite_reply(&mut self, slice: &Slice) -> Option<Vec<u8>> {
        let (held, bounds) = (self.replies.held(), &self.bounds);
        let rewritten = match (self.held, &bounds.translate, &bounds.advertise) {
            (Some((opcode, Edit::Ids)), Some(translator), _) => {
                if self.reply_rewriting.is_none() {
                    self.reply_rewriting = Rewriting::of_reply(held, opcode, translator.merges()).map(Paused::new);
                }
                let rename = |id: &acl::Id<'_>| {
                    slice.spend(translator.cost(id));
                    if opcode == Opcode::WhoAmI { translator.user_to_client(id) } else { translator.to_client(id) }
                };
                run(&mut self.reply_rewriting, held, slice, rename)?
            }
            (Some((_, Edit::Config)), _, Some(advertise)) => advertise.rewrite_reply(held),
            _ => None,
        };
        self.held = None;
        let frame = self.replies.take();
        Some(rewritten.unwrap_or(frame))
    }

    /// Whether a reply is still to be rewritten, as [`Judge::request_waits`].
    pub(super) fn reply_waits(&self) -> bool {
        !self.replies.held().is_empty()
    }

    /// What was read behind the reply that waits.
    pub(super) fn unjudged_replies(&mut self) -> Vec<u8> {
        self.reply_rewriting.as_mut().map(|paused| std::mem::take(&mut paused.unjudged)).unwrap_or_default()
    }

    /// Replies in the server's place whose turn has come.
    pub(super) fn local_replies(&mut self) -> Passage<'static> {
        let mut passed = Passage::new(&[]);
        if self.replies.between_frames() {
            self.add_local(&mut passed);
        }
        passed
    }

    /// Between two frames of the server, adds replies in its place.
    fn add_local(&mut self, passed: &mut Passage<'_>) {
        while let Some((xid, local)) = self.outstanding.next_local().filter(|_| !self.refused) {
            self.refused = local == Local::Refused;
            passed.add_frame(&auth_reply(xid, if self.refused { AUTH_FAILED } else { 0 }));
        }
    }

    /// Whether the client was told that its credential is refused; a server closes then.
    pub(super) fn credential_refused(&self) -> bool {
        self.refused
    }

    fn injected_reply(&mut self, error: Option<i32>, now: Instant) -> Result<Fate, Ending> {
        let latency = now.saturating_duration_since(self.injected.since);
        self.metrics.injection_answered(error == Some(0), latency);
        match error {
            Some(0) => {
                self.injected.left -= 1;
                self.injected.next -= 1;
                Ok(Fate::Drop)
            }
            Some(AUTH_FAILED) => Err(Ending::AuthFailed),
            _ => Err(Ending::UpstreamMalformed),
        }
    }

    /// Whether every injected packet is answered.
    pub(super) fn injections_answered(&self) -> bool {
        self.injected.left == 0
    }

    /// Whether the connection may end here without anyone missing a reply or half a frame.
    pub(super) fn between_requests(&self) -> bool {
        self.outstanding.nothing_to_miss()
            && self.injections_answered()
            && self.requests.between_frames()
            && self.replies.between_frames()
    }

    /// How many bytes the request that is passing lacks; 0 between requests.
    pub(super) fn request_lacks(&self) -> usize {
        self.requests.lacks()
    }

    /// Whether too many requests are unanswered to read another.
    pub(super) fn congested(&self) -> bool {
        self.outstanding.full()
    }

    /// Whether the server has confirmed the end of the session.
    pub(super) fn session_closed(&self) -> bool {
        self.close_session == CloseSession::Answered && self.replies.between_frames()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use std::collections::BTreeMap;

    use super::*;
    use crate::credential::{Credential, DigestAlgorithm, IdentitySecrets};
    use crate::identity::Identity;
    use crate::translate::Names;
    use crate::zk::dynamic_config::Which;
    use crate::zk::record::auth_packet;

    fn bounds() -> Bounds {
        Bounds { frame: 1000, reserve_user: true, x509_auth: X509Auth::Answer, translate: None, advertise: None }
    }

    fn judge(injected: usize) -> Judge {
        bounded(bounds(), injected)
    }

    fn bounded(bounds: Bounds, injected: usize) -> Judge {
        Judge::new(bounds, injected, Arc::new(Metrics::new(&prometheus::Registry::new()).unwrap()))
    }

    fn request(xid: i32, code: i32, body: &[u8]) -> Vec<u8> {
        let length = (8 + body.len()) as u32;
        [&length.to_be_bytes()[..], &xid.to_be_bytes(), &code.to_be_bytes(), body].concat()
    }

    fn reply(xid: i32, error: i32, body: &[u8]) -> Vec<u8> {
        let length = (16 + body.len()) as u32;
        [&length.to_be_bytes()[..], &xid.to_be_bytes(), &[0; 8], &error.to_be_bytes(), body].concat()
    }

    /// What passes, and the ending if there is one.
    fn passed(result: Result<Passage<'_>, Stopped<'_>>) -> (Vec<u8>, Option<Ending>) {
        match result {
            Ok(passed) => (passed.output().to_vec(), None),
            Err(stopped) => (stopped.passed.output().to_vec(), Some(stopped.ending)),
        }
    }

    fn ask(judge: &mut Judge, bytes: &[u8]) -> (Vec<u8>, Option<Ending>) {
        passed(judge.requests(bytes, Instant::now()))
    }

    fn answer(judge: &mut Judge, bytes: &[u8], chunk: usize) -> (Vec<u8>, Option<Ending>) {
        let mut client = Vec::new();
        for chunk in bytes.chunks(chunk) {
            let (bytes, ending) = passed(judge.replies(chunk, Instant::now()));
            client.extend(bytes);
            if ending.is_some() {
                return (client, ending);
            }
        }
        (client, None)
    }

    #[test]
    fn opcodes_between_servers_are_refused_and_what_precedes_them_passes() {
        for code in [-10, 20] {
            let good = request(1, 4, b"/a");
            let bytes = [good.clone(), request(2, code, &[0; 4])].concat();
            assert_eq!(ask(&mut judge(0), &bytes), (good, Some(Ending::ForbiddenOpcode)));
        }
    }

    #[test]
    fn the_xid_of_watch_events_is_refused_whatever_is_asked_and_no_other() {
        let good = request(1, 4, b"/a");
        for code in [4, 11, 100, 101, 102, -11, 4711] {
            let bytes = [good.clone(), request(-1, code, &[0; 4])].concat();
            assert_eq!(ask(&mut judge(0), &bytes), (good.clone(), Some(Ending::ReservedXid)), "{code}");
            // Ping, auth, setWatches; ClickHouse's probe and its closeSession; an overflown counter; an injected packet's.
            for xid in [-2, -4, -8, 0, i32::MAX, i32::MIN, FIRST_INJECTED_XID] {
                let bytes = request(xid, code, &[0; 4]);
                assert_eq!(ask(&mut judge(1), &bytes), (bytes, None), "{code} {xid}");
            }
        }
    }

    #[test]
    fn unknown_opcodes_are_the_servers_business() {
        let bytes = request(1, 4711, b"");
        assert_eq!(ask(&mut judge(0), &bytes), (bytes, None));
    }

    #[test]
    fn frames_over_the_limit_are_refused_by_their_length_alone() {
        assert_eq!(ask(&mut judge(0), &request(1, 1, &[0; 992])).1, None);
        assert_eq!(ask(&mut judge(0), &1001_u32.to_be_bytes()), (vec![], Some(Ending::FrameTooLarge)));
    }

    #[test]
    fn frames_without_a_header_are_refused() {
        for length in [-1_i32, 0, 7] {
            let refused = (vec![], Some(Ending::MalformedFrame));
            assert_eq!(ask(&mut judge(0), &length.to_be_bytes()), refused, "{length}");
        }
    }

    #[test]
    fn digest_users_of_ours_are_reserved_and_others_pass() {
        for (scheme, data, allowed) in [
            ("digest", "x509/CN=alice:guess", false),
            ("digest", "x509/", false),
            ("digest", "x509:CN=alice", true),
            ("digest", "alice:x509/", true),
            ("digest", "", true),
            ("sasl", "x509/CN=alice:guess", true),
            ("", "x509/", true),
        ] {
            let packet = auth_packet(-4, scheme, data.as_bytes());
            let whole = ask(&mut judge(0), &packet).1;
            let mut split = judge(0);
            let bytewise = packet.chunks(1).find_map(|byte| ask(&mut split, byte).1);
            let expected = (!allowed).then_some(Ending::ReservedUser);
            assert_eq!((whole, bytewise), (expected, expected), "{scheme} {data}");
        }
        // Go clients send credentials by ordinary xids.
        for xid in [1, 0, i32::MAX, -77] {
            let packet = auth_packet(xid, "digest", b"x509/CN=alice:guess");
            assert_eq!(ask(&mut judge(0), &packet).1, Some(Ending::ReservedUser), "{xid}");
        }
        let mut open = judge(0);
        open.bounds.reserve_user = false;
        assert_eq!(ask(&mut open, &auth_packet(-4, "digest", b"x509/CN=alice:p")).1, None);
    }

    proptest! {
        #[test]
        fn exactly_the_injected_replies_are_swallowed(
            count in 0_usize..4,
            frames in prop::collection::vec((-9_i32..1000, prop::collection::vec(any::<u8>(), 0..60)), 0..8),
            at in 0_usize..8,
            chunk in 1_usize..100,
        ) {
            let theirs: Vec<_> = frames.iter().map(|(xid, body)| reply(*xid, 0, body)).collect();
            let ours: Vec<_> = injected_xids().take(count).map(|xid| reply(xid, 0, b"")).collect();
            let at = at.min(theirs.len());
            let stream = [theirs[..at].concat(), ours.concat(), theirs[at..].concat()].concat();
            prop_assert_eq!(answer(&mut judge(count), &stream, chunk), (theirs.concat(), None));
        }

        #[test]
        fn any_bytes_are_survived(bytes in prop::collection::vec(any::<u8>(), 0..200), chunk in 1_usize..50) {
            answer(&mut judge(2), &bytes, chunk);
            let mut judge = judge(0);
            for chunk in bytes.chunks(chunk) {
                ask(&mut judge, chunk);
            }
        }
    }

    #[test]
    fn a_refused_credential_is_never_told_to_the_client() {
        let xids: Vec<_> = injected_xids().take(2).collect();
        let second = [reply(xids[0], 0, b""), reply(xids[1], -115, b"")].concat();
        for chunk in 1..=40 {
            let refused = (vec![], Some(Ending::AuthFailed));
            assert_eq!(answer(&mut judge(1), &reply(xids[0], -115, b""), chunk), refused);
            assert_eq!(answer(&mut judge(2), &second, chunk), refused);
        }
    }

    #[test]
    fn a_later_reply_with_an_injected_xid_is_the_clients() {
        let xids: Vec<_> = injected_xids().take(2).collect();
        for xid in xids.clone() {
            let theirs = reply(xid, -115, b"");
            let stream = [reply(xids[0], 0, b""), theirs.clone()].concat();
            assert_eq!(answer(&mut judge(1), &stream, 64), (theirs, None));
        }
    }

    #[test]
    fn a_negative_length_is_no_servers() {
        assert_eq!(answer(&mut judge(0), &[0xff; 8], 8), (vec![], Some(Ending::UpstreamMalformed)));
    }

    #[test]
    fn credentials_of_scheme_x509_are_answered_in_their_turn() {
        let mut judge = judge(1);
        let x509 = auth_packet(-4, "x509", b"whatever");
        let digest = auth_packet(-4, "digest", b"u:p");
        let asked = [x509.clone(), digest.clone(), x509.clone(), request(1, 4, b"/a")].concat();
        assert_eq!(ask(&mut judge, &asked), ([digest, request(1, 4, b"/a")].concat(), None));
        assert_eq!(judge.local_replies().output(), reply(-4, 0, b""), "the first one waits for nobody");
        assert_eq!(judge.local_replies().output(), b"", "the second one waits for the server's");
        assert!(!judge.between_requests());

        let injected = reply(FIRST_INJECTED_XID, 0, b"");
        let stream = [injected, reply(-4, -115, b""), reply(1, 0, b"data")].concat();
        let expected = [reply(-4, -115, b""), reply(-4, 0, b""), reply(1, 0, b"data")].concat();
        assert_eq!(answer(&mut judge, &stream, 7), (expected, None));
        assert!(judge.between_requests());
    }

    #[test]
    fn a_reply_in_the_servers_place_never_splits_one_of_its_frames() {
        let mut judge = judge(0);
        ask(&mut judge, &request(1, 4, b"/a"));
        let data = reply(1, 0, &[7; 40]);
        answer(&mut judge, &data[..30], 64);
        ask(&mut judge, &auth_packet(5, "x509", b""));
        assert_eq!(judge.local_replies().output(), b"");
        answer(&mut judge, &data[30..], 64);
        assert_eq!(judge.local_replies().output(), reply(5, 0, b""));
    }

    #[test]
    fn credentials_of_scheme_x509_pass_or_are_refused_as_configured() {
        let packet = auth_packet(-4, "x509", b"");
        let mut passing = bounded(Bounds { x509_auth: X509Auth::Pass, ..bounds() }, 0);
        assert_eq!(ask(&mut passing, &packet), (packet.clone(), None));
        let mut refusing = bounded(Bounds { x509_auth: X509Auth::Refuse, ..bounds() }, 0);
        assert_eq!(ask(&mut refusing, &packet), (vec![], None));
        assert_eq!(refusing.local_replies().output(), reply(-4, AUTH_FAILED, b""));
        assert!(refusing.credential_refused());
    }

    #[test]
    fn nothing_is_answered_in_the_servers_place_after_a_refusal() {
        let packet = auth_packet(-4, "x509", b"");
        let refusing = || bounded(Bounds { x509_auth: X509Auth::Refuse, ..bounds() }, 0);
        let mut judge = refusing();
        ask(&mut judge, &[packet.clone(), packet.clone()].concat());
        assert_eq!(judge.local_replies().output(), reply(-4, AUTH_FAILED, b""), "the first one's alone");
        ask(&mut judge, &packet);
        assert_eq!(judge.local_replies().output(), b"", "a server has closed by then");
        // The same between two frames of the server.
        let mut judge = refusing();
        let digest = auth_packet(-4, "digest", b"u:p");
        ask(&mut judge, &[digest, packet.clone(), packet, request(1, 4, b"/a")].concat());
        let stream = [reply(-4, 0, b""), reply(1, 0, b"a")];
        let expected = [reply(-4, 0, b""), reply(-4, AUTH_FAILED, b""), reply(1, 0, b"a")].concat();
        assert_eq!(answer(&mut judge, &stream.concat(), 9), (expected, None));
        assert!(judge.credential_refused());
    }

    fn acl(scheme: &str, id: &str) -> Vec<u8> {
        let mut acl = [&1_u32.to_be_bytes()[..], &31_i32.to_be_bytes()].concat();
        for text in [scheme, id] {
            acl.extend_from_slice(&(text.len() as u32).to_be_bytes());
            acl.extend_from_slice(text.as_bytes());
        }
        acl
    }

    #[test]
    fn ids_are_translated_both_ways_at_any_chunking() {
        let secrets = IdentitySecrets::parse(b"a-secret-of-thirty-two-bytes-or-more").unwrap();
        let translator = Translator::new(secrets.clone(), DigestAlgorithm::Sha1, Names::Any);
        let identity = Identity::new("CN=alice,O=Acme".to_owned()).unwrap();
        let digest = Credential::derive(secrets.first(), &identity).acl_id(DigestAlgorithm::Sha1);
        let set_acl = |acl: Vec<u8>| request(3, 7, &[&2_u32.to_be_bytes()[..], b"/a", &acl, &[0; 4]].concat());
        let get_acl = |acl: Vec<u8>| reply(4, 0, &[acl, vec![7; 68]].concat());
        let (native, stored) = (acl("x509", identity.as_str()), acl("digest", &digest));
        for chunk in [1, 7, 64, 4096] {
            let mut judge = bounded(Bounds { translate: Some(Arc::new(translator.clone())), ..bounds() }, 0);
            let asked = [request(2, 4, b"/a"), set_acl(native.clone()), request(4, 6, b"/a")].concat();
            let sent: Vec<u8> = asked.chunks(chunk).flat_map(|chunk| ask(&mut judge, chunk).0).collect();
            assert_eq!(sent, [request(2, 4, b"/a"), set_acl(stored.clone()), request(4, 6, b"/a")].concat());
            let stream = [reply(2, 0, &stored), get_acl(stored.clone())].concat();
            let expected = [reply(2, 0, &stored), get_acl(native.clone())].concat();
            assert_eq!(answer(&mut judge, &stream, chunk), (expected, None), "only the reply to getACL carries ids");
        }
    }

    /// What passes, in turns of one slice each, and how many turns that takes. What a turn leaves comes again.
    fn in_turns<'a>(bytes: &'a [u8], mut turn: impl FnMut(&'a [u8]) -> (Passage<'a>, bool)) -> (Vec<u8>, usize) {
        let (mut out, mut left, mut turns) = (Vec::new(), bytes, 0);
        loop {
            let (passed, waits) = turn(left);
            out.extend_from_slice(passed.output());
            (left, turns) = (passed.left(), turns + 1);
            if !waits {
                assert_eq!(left, b"");
                return (out, turns);
            }
        }
    }

    #[test]
    fn acls_of_thousands_of_names_take_many_turns_and_lose_nothing() {
        const NAMES: usize = 5_000;
        let (mut judge, translator) = translating(b"a-secret-of-thirty-two-bytes-or-more");
        judge.bounds.frame = 1 << 20;
        let names: Vec<_> = (0..NAMES).map(|n| format!("CN={n}")).collect();
        let stored: Vec<_> = names
            .iter()
            .map(|name| translator.to_server(&acl::Id::new(b"x509", name.as_bytes())).unwrap())
            .map(|id| String::from_utf8(id.id.into_owned()).unwrap())
            .collect();
        let list = |scheme, ids: &[String]| -> Vec<u8> {
            let entries = ids.iter().flat_map(|id| acl(scheme, id)[4..].to_vec());
            (ids.len() as u32).to_be_bytes().into_iter().chain(entries).collect()
        };
        let set_acl = |acl: &[u8]| request(1, 7, &[&2_u32.to_be_bytes()[..], b"/a", acl, &[0; 4]].concat());
        let behind = [request(2, 6, b"/a"), request(3, 4, b"/b")].concat();
        let bytes = [set_acl(&list("x509", &names)), behind.clone()].concat();
        let (sent, turns) = in_turns(&bytes, |chunk| {
            let Ok(passed) = judge.requests(chunk, Instant::now()) else { panic!("stopped") };
            (passed, judge.request_waits())
        });
        assert_eq!(sent, [set_acl(&list("digest", &stored)), behind].concat());
        // A name costs 1,500 units and more, and a slice has 500,000.
        let expected = NAMES / 333..NAMES / 200;
        assert!(expected.contains(&turns), "{turns}");

        let get_acl = |acl: &[u8]| reply(2, 0, &[acl, &[7; 68]].concat());
        let ends = [reply(1, 0, &[7; 68]), reply(3, 0, b"data")];
        let bytes = [&ends[0][..], &get_acl(&list("digest", &stored)), &ends[1]].concat();
        let (received, turns) = in_turns(&bytes, |chunk| {
            let Ok(passed) = judge.replies(chunk, Instant::now()) else { panic!("stopped") };
            assert!(!judge.between_requests() || !judge.reply_waits());
            (passed, judge.reply_waits())
        });
        assert_eq!(received, [&ends[0][..], &get_acl(&list("x509", &names)), &ends[1]].concat());
        assert!(expected.contains(&turns), "{turns}");
        assert!(judge.between_requests());
    }

    #[test]
    fn a_frame_without_names_takes_one_turn_however_long_it_is() {
        let (mut judge, _) = translating(b"a-secret-of-thirty-two-bytes-or-more");
        judge.bounds.frame = 1 << 20;
        let create = [&2_u32.to_be_bytes()[..], b"/a", &900_000_u32.to_be_bytes(), &[7; 900_000], &[0; 8]].concat();
        let bytes = request(1, 1, &create);
        let (sent, turns) = in_turns(&bytes, |chunk| {
            let Ok(passed) = judge.requests(chunk, Instant::now()) else { panic!("stopped") };
            (passed, judge.request_waits())
        });
        assert!(sent == bytes);
        assert_eq!(turns, 1);
    }

    fn translating(secrets: &[u8]) -> (Judge, Translator) {
        let secrets = IdentitySecrets::parse(secrets).unwrap();
        let translator = Translator::new(secrets, DigestAlgorithm::Sha1, Names::Any);
        (bounded(Bounds { translate: Some(Arc::new(translator.clone())), ..bounds() }, 0), translator)
    }

    #[test]
    fn ids_of_several_secrets_are_shown_once() {
        let [old, new] = [b"an-old-secret-of-thirty-two-bytes-or-more", b"a-new-secret-of-thirty-two-bytes-or-more\n"];
        let (mut judge, _) = translating(&[&new[..], old].concat());
        let native = acl::Id::new(b"x509", b"CN=a");
        let id = |secret| String::from_utf8(translating(secret).1.to_server(&native).unwrap().id.into_owned()).unwrap();
        let entry = |scheme, id: &str| acl(scheme, id)[4..].to_vec();
        let both = [entry("digest", &id(new)), entry("digest", &id(old))].concat();
        ask(&mut judge, &[request(1, 6, b"/a"), request(2, 107, b"")].concat());
        let who = entry("digest", "x509/CN=a")[4..].to_vec();
        let stream = [
            reply(1, 0, &[&2_u32.to_be_bytes()[..], &both, &[7; 68]].concat()),
            reply(2, 0, &[&2_u32.to_be_bytes()[..], &who, &who].concat()),
        ];
        let expected = [
            reply(1, 0, &[&1_u32.to_be_bytes()[..], &entry("x509", "CN=a"), &[7; 68]].concat()),
            reply(2, 0, &[&1_u32.to_be_bytes()[..], &entry("x509", "CN=a")[4..]].concat()),
        ];
        assert_eq!(answer(&mut judge, &stream.concat(), 64), (expected.concat(), None));
    }

    #[test]
    fn replies_longer_than_what_comes_back_of_any_request_are_not_held() {
        let (mut judge, translator) = translating(b"a-secret-of-thirty-two-bytes-or-more");
        let stored = translator.to_server(&acl::Id::new(b"x509", b"CN=a")).unwrap();
        let stored = acl("digest", std::str::from_utf8(&stored.id).unwrap());
        for (length, translated) in [(8 * bounds().frame, true), (8 * bounds().frame + 1, false)] {
            ask(&mut judge, &request(1, 6, b"/a"));
            let filled = |acl: Vec<u8>, rest: usize| reply(1, 0, &[acl, vec![7; rest]].concat());
            let rest = length - 16 - stored.len();
            let expected = filled(if translated { acl("x509", "CN=a") } else { stored.clone() }, rest);
            assert!(answer(&mut judge, &filled(stored.clone(), rest), 64 << 10).0 == expected, "{length}");
        }
    }

    #[test]
    fn the_ensembles_addresses_are_replaced_in_replies_that_carry_them() {
        let advertise = Advertise { which: Which::Loopback, port: 2281, addresses: BTreeMap::new() };
        let mut judge = bounded(Bounds { advertise: Some(Arc::new(advertise)), ..bounds() }, 0);
        let get_data =
            |xid, path: &[u8]| request(xid, 4, &[&(path.len() as u32).to_be_bytes()[..], path, &[1]].concat());
        let data = |xid, text: &str| {
            reply(xid, 0, &[&(text.len() as u32).to_be_bytes()[..], text.as_bytes(), &[7; 68]].concat())
        };
        ask(
            &mut judge,
            &[get_data(1, CONFIG_PATH), get_data(2, b"/zookeeper/confix"), get_data(3, b"/zookeeper/config2")].concat(),
        );
        let (before, after) = ("server.1=a:1:2;127.0.0.1:2181", "server.1=a:1:2;a:2281");
        let stream = [data(2, before), data(1, before), data(3, before)].concat();
        let expected = [data(2, before), data(1, after), data(3, before)].concat();
        assert_eq!(answer(&mut judge, &stream, 9), (expected, None));
    }

    #[test]
    fn a_connection_is_between_requests_when_all_are_answered() {
        let mut judge = judge(1);
        assert!(!judge.between_requests(), "an injected packet is unanswered");
        answer(&mut judge, &reply(FIRST_INJECTED_XID, 0, b""), 64);
        assert!(judge.between_requests());
        ask(&mut judge, &request(-2, 11, b""));
        assert!(judge.between_requests(), "nobody misses the reply to a ping");
        ask(&mut judge, &request(1, 4, b"/a")[..6]);
        assert!(!judge.between_requests(), "half a request");
        ask(&mut judge, &request(1, 4, b"/a")[6..]);
        assert!(!judge.between_requests(), "an unanswered request");
        answer(&mut judge, &reply(1, 0, b"body")[..9], 64);
        assert!(!judge.between_requests(), "half a reply");
        answer(&mut judge, &reply(1, 0, b"body")[9..], 64);
        assert!(judge.between_requests());
    }

    #[test]
    fn the_end_of_a_session_is_noticed_when_it_is_confirmed() {
        let mut judge = judge(0);
        ask(&mut judge, &request(9, -11, b""));
        assert!(!judge.session_closed());
        answer(&mut judge, &reply(9, 0, b""), 64);
        assert!(judge.session_closed());
    }
}
