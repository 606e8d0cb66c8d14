//! What may pass in which direction: the frame-aware half of the relay, without I/O.

use std::sync::Arc;
use std::time::Instant;

use super::outstanding::Outstanding;
use crate::credential::USER_PREFIX;
use crate::metrics::Metrics;
use crate::reason::Ending;
use crate::zk::editor::{Editor, Fate, Head, Passage, Step};
use crate::zk::opcode::Opcode;
use crate::zk::record::AUTH_FAILED;

/// Bytes of a request's head: length, xid, type; for auth packets also type, scheme and the credential's beginning.
const REQUEST_HEAD: usize = 4 + 8 + 4 + (4 + DIGEST.len()) + (4 + USER_PREFIX.len());

/// Bytes of a reply's head: length, xid, zxid, err.
const REPLY_HEAD: usize = 4 + 16;

/// The shortest request: a header of xid and type.
const REQUEST_HEADER: usize = 8;

/// The xid of a watch notification.
const NOTIFICATION: i32 = -1;

/// The xid of the first injected packet; those of the others follow downwards. Nobody else's: clients use -1,
/// -2, -4, -8 and, in Go, any positive one.
const FIRST_INJECTED_XID: i32 = -0x7a6f_6f67;

const DIGEST: &[u8] = b"digest";

/// What clients may not do.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// The longest frame from a client, in bytes.
    pub frame: usize,
    /// Whether digest users that begin with `x509/` are ours alone.
    pub reserve_user: bool,
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
            metrics,
            seen: 0,
        }
    }

    /// Judges what a client sends; what comes out is for ZooKeeper.
    ///
    /// # Errors
    /// The ending of the connection, with what may still be passed on. What was passed of the offending frame
    /// is not the whole of it, so ZooKeeper does not act on it.
    pub(super) fn requests<'a>(&mut self, chunk: &'a [u8], now: Instant) -> Result<Passage<'a>, Stopped<'a>> {
        let mut passed = Passage::new(chunk);
        loop {
            let verdict = match self.requests.advance(&mut passed) {
                Step::Chunk => return Ok(passed),
                Step::Length => self.request_length().map(|size| self.requests.accept(size)),
                Step::Head => self.request(now).map(|fate| self.requests.decide(fate, &mut passed)),
                Step::Frame => Ok(passed.add(&self.requests.take())),
            };
            if let Err(ending) = verdict {
                return Err(Stopped { ending, passed });
            }
        }
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
        if opcode.is_server_internal() {
            return Err(Ending::ForbiddenOpcode);
        }
        if self.bounds.reserve_user && opcode == Opcode::Auth && names_reserved_user(head) {
            return Err(Ending::ReservedUser);
        }
        if opcode == Opcode::CloseSession {
            self.close_session = CloseSession::Asked;
        }
        self.seen += 1;
        self.metrics.request_forwarded(opcode);
        self.outstanding.sent(xid, opcode, now);
        Ok(Fate::Pass)
    }

    /// Judges what the server sends; what comes out is for the client.
    ///
    /// # Errors
    /// `auth_failed` if an injected packet was refused, `upstream_malformed` if this isn't a server's stream;
    /// with what may still be passed on.
    pub(super) fn replies<'a>(&mut self, chunk: &'a [u8], now: Instant) -> Result<Passage<'a>, Stopped<'a>> {
        let mut passed = Passage::new(chunk);
        loop {
            let verdict = match self.replies.advance(&mut passed) {
                Step::Chunk => return Ok(passed),
                Step::Length => usize::try_from(self.replies.length())
                    .map(|size| self.replies.accept(size))
                    .map_err(|_| Ending::UpstreamMalformed),
                Step::Head => self.reply(now).map(|fate| self.replies.decide(fate, &mut passed)),
                Step::Frame => Ok(passed.add(&self.replies.take())),
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
        } else if let Some((opcode, latency)) = self.outstanding.answered(xid, now) {
            self.metrics.request_answered(opcode, latency);
            if opcode == Opcode::CloseSession {
                self.close_session = CloseSession::Answered;
            }
        }
        Ok(Fate::Pass)
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

    /// Whether too many requests are unanswered to read another.
    pub(super) fn congested(&self) -> bool {
        self.outstanding.full()
    }

    /// Whether the server has confirmed the end of the session.
    pub(super) fn session_closed(&self) -> bool {
        self.close_session == CloseSession::Answered && self.replies.between_frames()
    }
}

/// Whether an auth packet is of scheme digest with a user that begins like those that zoogate derives. Nobody
/// can forge such a user's hash, but `whoAmI`, and `getACL` where the server masks hashes, show only the user.
fn names_reserved_user(head: Head<'_>) -> bool {
    let Some(packet) = head.0.get(16..) else { return false };
    let Some(packet) = packet.strip_prefix(&(DIGEST.len() as u32).to_be_bytes()) else { return false };
    let Some(packet) = packet.strip_prefix(DIGEST) else { return false };
    packet.get(4..).is_some_and(|user| user.starts_with(USER_PREFIX.as_bytes()))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::zk::record::auth_packet;

    const BOUNDS: Bounds = Bounds { frame: 1000, reserve_user: true };

    fn judge(injected: usize) -> Judge {
        Judge::new(BOUNDS, injected, Arc::new(Metrics::new(&prometheus::Registry::new()).unwrap()))
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
        let xid = injected_xids().next().unwrap();
        let theirs = reply(xid, -115, b"");
        let stream = [reply(xid, 0, b""), theirs.clone()].concat();
        assert_eq!(answer(&mut judge(1), &stream, 64), (theirs, None));
    }

    #[test]
    fn a_negative_length_is_no_servers() {
        assert_eq!(answer(&mut judge(0), &[0xff; 8], 8), (vec![], Some(Ending::UpstreamMalformed)));
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
