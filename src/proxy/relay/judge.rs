//! What a client may send, and what passes in which direction: the frame-aware half of the relay, without I/O.

use std::sync::Arc;
use std::time::Instant;

use super::outstanding::Outstanding;
use crate::credential::USER_PREFIX;
use crate::metrics::Metrics;
use crate::reason::Ending;
use crate::zk::opcode::Opcode;
use crate::zk::scanner::{Head, Scanner, Stop};

/// Bytes of a request's head: length, xid, type; for auth packets also type, scheme and the credential's beginning.
const REQUEST_HEAD: usize = 4 + 8 + 4 + (4 + DIGEST.len()) + (4 + USER_PREFIX.len());

/// Bytes of a reply's head: length, xid.
const REPLY_HEAD: usize = 8;

/// The shortest request: a header of xid and type.
const REQUEST_HEADER: usize = 8;

/// The xid of a watch notification.
const NOTIFICATION: i32 = -1;

const DIGEST: &[u8] = b"digest";

/// What clients may not do.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// The longest frame from a client, in bytes.
    pub frame: usize,
    /// Whether digest users that begin with `x509/` are ours alone.
    pub reserve_user: bool,
}

/// Follows both directions of one connection.
pub(super) struct Judge {
    bounds: Bounds,
    requests: Scanner<REQUEST_HEAD>,
    replies: Scanner<REPLY_HEAD>,
    outstanding: Outstanding,
    close_session: CloseSession,
    metrics: Arc<Metrics>,
    /// Requests seen, for the access record.
    pub(super) seen: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum CloseSession {
    No,
    Asked,
    Answered,
}

impl Judge {
    pub(super) fn new(bounds: Bounds, metrics: Arc<Metrics>) -> Self {
        Self {
            bounds,
            requests: Scanner::new(),
            replies: Scanner::new(),
            outstanding: Outstanding::default(),
            close_session: CloseSession::No,
            metrics,
            seen: 0,
        }
    }

    /// Judges what a client sends.
    ///
    /// # Errors
    /// The ending of the connection, with how much of the chunk may still be passed on.
    pub(super) fn requests(&mut self, chunk: &[u8], now: Instant) -> Result<(), Stop<Ending>> {
        let Bounds { frame: limit, reserve_user } = self.bounds;
        let length = |length: i32| match usize::try_from(length) {
            Ok(size) if size > limit => Err(Ending::FrameTooLarge),
            Ok(size) if size >= REQUEST_HEADER => Ok(size),
            _ => Err(Ending::MalformedFrame),
        };
        self.requests.scan(chunk, length, |head| {
            // A frame of 8 bytes or more has both.
            let (xid, code) = (head.int(4).unwrap_or_default(), head.int(8).unwrap_or_default());
            let opcode = Opcode::from_code(code);
            if opcode.is_server_internal() {
                return Err(Ending::ForbiddenOpcode);
            }
            if reserve_user && opcode == Opcode::Auth && names_reserved_user(head) {
                return Err(Ending::ReservedUser);
            }
            if opcode == Opcode::CloseSession {
                self.close_session = CloseSession::Asked;
            }
            self.seen += 1;
            self.metrics.request_forwarded(opcode);
            self.outstanding.sent(xid, opcode, now);
            Ok(())
        })
    }

    /// Follows what the server sends.
    ///
    /// # Errors
    /// `upstream_malformed` if it isn't frames.
    pub(super) fn replies(&mut self, chunk: &[u8], now: Instant) -> Result<(), Stop<Ending>> {
        let length = |length: i32| usize::try_from(length).map_err(|_| Ending::UpstreamMalformed);
        self.replies.scan(chunk, length, |head| {
            match head.int(4) {
                Some(NOTIFICATION) => self.metrics.notified(),
                Some(xid) => match self.outstanding.answered(xid, now) {
                    Some((opcode, latency)) => {
                        self.metrics.request_answered(opcode, latency);
                        if opcode == Opcode::CloseSession {
                            self.close_session = CloseSession::Answered;
                        }
                    }
                    None => {}
                },
                None => {}
            }
            Ok(())
        })
    }

    /// Whether the connection may end here without anyone missing a reply or half a frame.
    pub(super) fn between_requests(&self) -> bool {
        self.outstanding.nothing_to_miss() && self.requests.between_frames() && self.replies.between_frames()
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
    let Some(packet) = head.bytes.get(16..) else { return false };
    let Some(packet) = packet.strip_prefix(&(DIGEST.len() as u32).to_be_bytes()) else { return false };
    let Some(packet) = packet.strip_prefix(DIGEST) else { return false };
    packet.get(4..).is_some_and(|user| user.starts_with(USER_PREFIX.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::zk::record::auth_packet;

    const BOUNDS: Bounds = Bounds { frame: 1000, reserve_user: true };

    fn judge() -> Judge {
        Judge::new(BOUNDS, Arc::new(Metrics::new(&prometheus::Registry::new()).unwrap()))
    }

    fn request(xid: i32, code: i32, body: &[u8]) -> Vec<u8> {
        let length = (8 + body.len()) as u32;
        [&length.to_be_bytes()[..], &xid.to_be_bytes(), &code.to_be_bytes(), body].concat()
    }

    fn reply(xid: i32) -> Vec<u8> {
        [&16_u32.to_be_bytes()[..], &xid.to_be_bytes(), &[0; 12]].concat()
    }

    fn ask(judge: &mut Judge, bytes: &[u8]) -> Result<(), Stop<Ending>> {
        judge.requests(bytes, Instant::now())
    }

    #[test]
    fn opcodes_between_servers_are_refused_and_what_precedes_them_passes() {
        for code in [-10, 20] {
            let bytes = [request(1, 4, b"/a"), request(2, code, &[0; 4])].concat();
            let stop = Stop { before: 14, error: Ending::ForbiddenOpcode };
            assert_eq!(ask(&mut judge(), &bytes), Err(stop));
        }
    }

    #[test]
    fn unknown_opcodes_are_the_servers_business() {
        assert_eq!(ask(&mut judge(), &request(1, 4711, b"")), Ok(()));
    }

    #[test]
    fn frames_over_the_limit_are_refused_by_their_length_alone() {
        assert_eq!(ask(&mut judge(), &request(1, 1, &[0; 992])), Ok(()));
        let stop = Stop { before: 0, error: Ending::FrameTooLarge };
        assert_eq!(ask(&mut judge(), &1001_u32.to_be_bytes()), Err(stop));
    }

    #[test]
    fn frames_without_a_header_are_refused() {
        for length in [-1_i32, 0, 7] {
            let stop = Stop { before: 0, error: Ending::MalformedFrame };
            assert_eq!(ask(&mut judge(), &length.to_be_bytes()), Err(stop), "{length}");
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
            let whole = ask(&mut judge(), &packet);
            let mut split = judge();
            let bytewise = packet.chunks(1).try_for_each(|byte| ask(&mut split, byte));
            assert_eq!((whole.is_ok(), bytewise.is_ok()), (allowed, allowed), "{scheme} {data}");
        }
        let mut open = judge();
        open.bounds.reserve_user = false;
        assert_eq!(ask(&mut open, &auth_packet(-4, "digest", b"x509/CN=alice:p")), Ok(()));
    }

    #[test]
    fn a_connection_is_between_requests_when_all_are_answered() {
        let mut judge = judge();
        assert!(judge.between_requests());
        ask(&mut judge, &request(-2, 11, b"")).unwrap();
        assert!(judge.between_requests(), "nobody misses the reply to a ping");
        ask(&mut judge, &request(1, 4, b"/a")[..6]).unwrap();
        assert!(!judge.between_requests(), "half a request");
        ask(&mut judge, &request(1, 4, b"/a")[6..]).unwrap();
        assert!(!judge.between_requests(), "an unanswered request");
        judge.replies(&reply(1)[..9], Instant::now()).unwrap();
        assert!(!judge.between_requests(), "half a reply");
        judge.replies(&reply(1)[9..], Instant::now()).unwrap();
        assert!(judge.between_requests());
    }

    #[test]
    fn the_end_of_a_session_is_noticed_when_it_is_confirmed() {
        let mut judge = judge();
        ask(&mut judge, &request(9, -11, b"")).unwrap();
        assert!(!judge.session_closed());
        judge.replies(&reply(9), Instant::now()).unwrap();
        assert!(judge.session_closed());
    }
}
