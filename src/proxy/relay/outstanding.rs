//! The requests that a server has not answered yet: for latency, and to know when a connection may be
//! closed without losing a reply.

use std::collections::VecDeque;
use std::time::Instant;

use super::SCRATCH;
use crate::zk::opcode::Opcode;

/// A client with this many unanswered requests is not read from; a stock server stops reading at 1,000. The last chunk
/// that was read may bring more: see [`MOST`].
pub(super) const LIMIT: usize = 1024;

/// The most requests that are remembered for one connection: the limit, and the shortest requests in one chunk, of which
/// one began in the chunk before. A power of two, since the queues' memory grows so.
const MOST: usize = 4096;

const _: () = assert!(LIMIT + SCRATCH.div_ceil(SHORTEST_REQUEST) <= MOST);

/// A length, an xid and an opcode.
const SHORTEST_REQUEST: usize = 12;

/// Queues that grew beyond this many entries are given back when they are empty.
const KEPT: usize = 8;

/// Requests in the order in which they were sent. Servers answer auth and SASL at once, overtaking the
/// others, and each of the two sorts in order; so there are two queues (`reference`: `ServerCnxn` handles
/// type 100 and 102 on its own thread).
#[derive(Debug, Default)]
pub(super) struct Outstanding {
    ordinary: VecDeque<Request>,
    immediate: VecDeque<Request>,
    /// Pings among `ordinary`: nobody misses their replies.
    pings: usize,
}

/// A request on its way.
#[derive(Clone, Copy, Debug)]
pub(super) struct Request {
    pub(super) xid: i32,
    pub(super) opcode: Opcode,
    pub(super) at: Instant,
    /// What must be done to its reply.
    pub(super) edit: Option<Edit>,
    /// What its reply says, where zoogate gives it in ZooKeeper's place.
    pub(super) local: Option<Local>,
}

/// What a reply in ZooKeeper's place says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Local {
    /// The credential is taken.
    Granted,
    /// The credential is refused, which ends the connection.
    Refused,
}

/// What must be done to a reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Edit {
    /// Its ACL or ids are to be translated.
    Ids,
    /// It is the ensemble's configuration, whose addresses are to be replaced.
    Config,
}

impl Outstanding {
    pub(super) fn sent(&mut self, mut request: Request) {
        if request.opcode == Opcode::Ping {
            // A server answers a ping with -2 whatever its xid was.
            request.xid = PING;
            self.pings += 1;
        }
        match request.opcode {
            Opcode::Auth | Opcode::Sasl => self.immediate.push_back(request),
            _ => self.ordinary.push_back(request),
        }
    }

    /// Takes out the request that a reply answers; `None` if there is no such request.
    pub(super) fn answered(&mut self, xid: i32) -> Option<Request> {
        let request = match (self.ordinary.front(), self.immediate.front()) {
            (Some(front), _) if front.xid == xid => self.ordinary.pop_front(),
            (_, Some(front)) if front.xid == xid && front.local.is_none() => self.immediate.pop_front(),
            _ => take(&mut self.ordinary, xid).or_else(|| take(&mut self.immediate, xid)),
        }?;
        self.pings -= usize::from(request.opcode == Opcode::Ping);
        self.give_back();
        Some(request)
    }

    /// Takes out the next request whose reply zoogate gives itself, if its turn has come.
    pub(super) fn next_local(&mut self) -> Option<(i32, Local)> {
        let front = self.immediate.front()?;
        let reply = (front.xid, front.local?);
        self.immediate.pop_front();
        self.give_back();
        Some(reply)
    }

    fn give_back(&mut self) {
        for queue in [&mut self.ordinary, &mut self.immediate] {
            if queue.is_empty() && queue.capacity() > KEPT {
                queue.shrink_to(0);
            }
        }
    }

    /// Whether a client would miss nothing if its connection ended now.
    pub(super) fn nothing_to_miss(&self) -> bool {
        self.ordinary.len() == self.pings && self.immediate.is_empty()
    }

    /// Whether the client should not be read from until the server has answered some.
    pub(super) fn full(&self) -> bool {
        self.ordinary.len() + self.immediate.len() >= LIMIT
    }
}

/// The xid of every reply to a ping.
const PING: i32 = -2;

fn take(queue: &mut VecDeque<Request>, xid: i32) -> Option<Request> {
    let at = queue.iter().position(|request| request.xid == xid && request.local.is_none())?;
    queue.remove(at)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(xid: i32, opcode: Opcode) -> Request {
        Request { xid, opcode, at: Instant::now(), edit: None, local: None }
    }

    fn with(requests: &[(i32, Opcode)]) -> Outstanding {
        let mut outstanding = Outstanding::default();
        for (xid, opcode) in requests {
            outstanding.sent(request(*xid, *opcode));
        }
        outstanding
    }

    fn answer(outstanding: &mut Outstanding, xid: i32) -> Option<Opcode> {
        outstanding.answered(xid).map(|request| request.opcode)
    }

    #[test]
    fn replies_of_ours_wait_for_the_servers_before_them() {
        let mut outstanding = with(&[(-4, Opcode::Auth)]);
        outstanding.sent(Request { local: Some(Local::Granted), ..request(-4, Opcode::Auth) });
        outstanding.sent(request(-4, Opcode::Auth));
        assert_eq!(outstanding.next_local(), None);
        assert_eq!(answer(&mut outstanding, -4), Some(Opcode::Auth));
        assert_eq!(outstanding.next_local(), Some((-4, Local::Granted)));
        assert_eq!(outstanding.next_local(), None);
        assert_eq!(answer(&mut outstanding, -4), Some(Opcode::Auth));
        assert!(outstanding.nothing_to_miss());
    }

    #[test]
    fn a_servers_reply_is_not_taken_for_the_one_that_we_give_ourselves() {
        let mut outstanding = Outstanding::default();
        outstanding.sent(Request { local: Some(Local::Granted), ..request(-4, Opcode::Auth) });
        outstanding.sent(request(-4, Opcode::Auth));
        assert_eq!(outstanding.answered(-4).unwrap().local, None);
        assert!(outstanding.answered(-4).is_none());
        assert_eq!(outstanding.next_local(), Some((-4, Local::Granted)));
    }

    #[test]
    fn replies_find_their_requests_in_order() {
        let mut outstanding = with(&[(1, Opcode::Create), (2, Opcode::GetData)]);
        assert_eq!(answer(&mut outstanding, 1), Some(Opcode::Create));
        assert_eq!(answer(&mut outstanding, 2), Some(Opcode::GetData));
        assert_eq!(answer(&mut outstanding, 2), None);
        assert!(outstanding.nothing_to_miss());
    }

    #[test]
    fn auth_replies_may_overtake() {
        let mut outstanding = with(&[(1, Opcode::Create), (7, Opcode::Auth), (2, Opcode::Delete), (-4, Opcode::Auth)]);
        assert_eq!(answer(&mut outstanding, 7), Some(Opcode::Auth));
        assert_eq!(answer(&mut outstanding, 1), Some(Opcode::Create));
        assert_eq!(answer(&mut outstanding, -4), Some(Opcode::Auth));
        assert_eq!(answer(&mut outstanding, 2), Some(Opcode::Delete));
    }

    #[test]
    fn pings_are_answered_by_minus_two_and_missed_by_nobody() {
        let mut outstanding = with(&[(5, Opcode::Ping), (-2, Opcode::Ping)]);
        assert!(outstanding.nothing_to_miss());
        assert_eq!(answer(&mut outstanding, -2), Some(Opcode::Ping));
        assert_eq!(answer(&mut outstanding, -2), Some(Opcode::Ping));
        outstanding.sent(request(1, Opcode::Sync));
        assert!(!outstanding.nothing_to_miss());
    }

    #[test]
    fn a_flood_fills_it_and_an_answer_makes_room() {
        let mut outstanding = Outstanding::default();
        for xid in 0..LIMIT as i32 {
            assert!(!outstanding.full());
            outstanding.sent(request(xid, Opcode::Exists));
        }
        assert!(outstanding.full());
        assert_eq!(answer(&mut outstanding, 0), Some(Opcode::Exists));
        assert!(!outstanding.full());
    }

    #[test]
    fn no_flood_takes_more_memory_than_the_documented_figure() {
        let memory = |outstanding: &Outstanding| {
            (outstanding.ordinary.capacity() + outstanding.immediate.capacity()) * size_of::<Request>()
        };
        let (mut outstanding, mut most) = (Outstanding::default(), 0);
        // The worst: one queue has grown and is not quite empty when the other one grows.
        for opcode in [Opcode::Exists, Opcode::Auth] {
            while !outstanding.full() {
                outstanding.sent(request(1, opcode));
            }
            (0..SCRATCH.div_ceil(SHORTEST_REQUEST)).for_each(|_| outstanding.sent(request(1, opcode)));
            most = most.max(memory(&outstanding));
            while outstanding.ordinary.len() + outstanding.immediate.len() > 1 {
                answer(&mut outstanding, 1);
            }
        }
        assert!(most <= 2 * MOST * size_of::<Request>(), "{most} bytes");
        let figure = format!("{} KiB", 2 * MOST * size_of::<Request>() / 1024);
        let page = include_str!("../../../docs/security.md");
        let line = page.lines().find(|line| line.starts_with("| requests without a reply")).unwrap();
        assert!(line.contains(&figure), "{line}: {figure}");
    }

    #[test]
    fn a_burst_leaves_no_memory_behind() {
        let mut outstanding = Outstanding::default();
        for xid in 0..1000 {
            outstanding.sent(request(xid, Opcode::Exists));
        }
        for xid in 0..1000 {
            answer(&mut outstanding, xid);
        }
        assert!(outstanding.ordinary.capacity() <= KEPT, "{}", outstanding.ordinary.capacity());
    }
}
