//! Keeps the replies to injected packets from the client.

use crate::reason::Ending;
use crate::zk::record::{AUTH_FAILED, int};

/// Bytes of a reply's head: length, xid, zxid, err.
const HEAD: usize = 20;

/// Filters the beginning of a server's stream until every injected packet is answered. Replies to injected
/// packets are known by their private xid; frames between them, which no known server sends, pass.
#[derive(Debug)]
pub(crate) struct Injected {
    /// The xid of the next reply to swallow and how many are left; xids count downwards.
    next: i32,
    left: usize,
    head: [u8; HEAD],
    filled: usize,
    /// Bytes of the current frame that are still to come, and whether they are the client's.
    body: usize,
    passes: bool,
}

/// Nobody else's: clients use -1, -2, -4, -8 and, in Go, any positive one.
const FIRST_XID: i32 = -0x7a6f_6f67;

impl Injected {
    /// Awaits the replies of `count` packets with the xids of [`Injected::xids`].
    pub(crate) fn new(count: usize) -> Self {
        Self { next: FIRST_XID, left: count, head: [0; HEAD], filled: 0, body: 0, passes: true }
    }

    /// The xids for injected packets, in order.
    pub(crate) fn xids() -> impl Iterator<Item = i32> {
        (0..).map(|index| FIRST_XID - index)
    }

    /// Whether every injected packet is answered and the rest of the stream is the client's.
    pub(crate) fn done(&self) -> bool {
        self.left == 0 && self.filled == 0 && self.body == 0
    }

    /// Appends to `client` what of a chunk is the client's; says how many replies it swallowed.
    ///
    /// # Errors
    /// `auth_failed` if the server refused an injected packet, `upstream_malformed` if this isn't a server's stream.
    pub(crate) fn filter(&mut self, mut chunk: &[u8], client: &mut Vec<u8>) -> Result<usize, Ending> {
        let before = self.left;
        while !chunk.is_empty() {
            if self.done() {
                client.extend_from_slice(chunk);
                break;
            }
            let taken = if self.body > 0 { self.pass(chunk, client) } else { self.take_head(chunk, client)? };
            chunk = &chunk[taken..];
        }
        Ok(before - self.left)
    }

    /// Moves the rest of a frame whose head was judged.
    fn pass(&mut self, chunk: &[u8], client: &mut Vec<u8>) -> usize {
        let taken = self.body.min(chunk.len());
        if self.passes {
            client.extend_from_slice(&chunk[..taken]);
        }
        self.body -= taken;
        taken
    }

    /// Collects a head, and judges it once it is complete.
    fn take_head(&mut self, chunk: &[u8], client: &mut Vec<u8>) -> Result<usize, Ending> {
        let wanted = if self.filled < 4 { 4 } else { self.frame()?.min(HEAD) };
        let taken = (wanted - self.filled).min(chunk.len());
        self.head[self.filled..self.filled + taken].copy_from_slice(&chunk[..taken]);
        self.filled += taken;
        if self.filled >= 4 && self.filled == self.frame()?.min(HEAD) {
            self.judge(client)?;
        }
        Ok(taken)
    }

    /// The current frame's size, its length included.
    fn frame(&self) -> Result<usize, Ending> {
        let length = usize::try_from(int(&self.head, 0)).map_err(|_| Ending::UpstreamMalformed)?;
        Ok(length.saturating_add(4))
    }

    fn judge(&mut self, client: &mut Vec<u8>) -> Result<(), Ending> {
        let ours = self.filled == HEAD && self.left > 0 && int(&self.head, 4) == self.next;
        if ours && int(&self.head, 16) != 0 {
            return Err(if int(&self.head, 16) == AUTH_FAILED {
                Ending::AuthFailed
            } else {
                Ending::UpstreamMalformed
            });
        }
        if ours {
            self.left -= 1;
            self.next -= 1;
        } else {
            client.extend_from_slice(&self.head[..self.filled]);
        }
        self.passes = !ours;
        self.body = self.frame()? - self.filled;
        self.filled = 0;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn reply(xid: i32, err: i32, body: &[u8]) -> Vec<u8> {
        let length = (16 + body.len()) as u32;
        [&length.to_be_bytes()[..], &xid.to_be_bytes(), &[0; 8], &err.to_be_bytes(), body].concat()
    }

    fn run(count: usize, stream: &[u8], chunk: usize) -> Result<Vec<u8>, Ending> {
        let mut injected = Injected::new(count);
        let mut client = Vec::new();
        for chunk in stream.chunks(chunk) {
            injected.filter(chunk, &mut client)?;
        }
        Ok(client)
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
            let ours: Vec<_> = Injected::xids().take(count).map(|xid| reply(xid, 0, b"")).collect();
            let at = at.min(theirs.len());
            let stream = [theirs[..at].concat(), ours.concat(), theirs[at..].concat()].concat();
            prop_assert_eq!(run(count, &stream, chunk), Ok(theirs.concat()));
        }

        #[test]
        fn any_bytes_are_survived(bytes in prop::collection::vec(any::<u8>(), 0..200), chunk in 1_usize..50) {
            let _ = run(2, &bytes, chunk);
        }
    }

    #[test]
    fn a_refusal_is_never_passed_on() {
        let xid = Injected::xids().next().unwrap();
        for chunk in 1..=20 {
            assert_eq!(run(1, &reply(xid, -115, b""), chunk), Err(Ending::AuthFailed));
        }
        let xid = Injected::xids().nth(1).unwrap();
        let second = [reply(xid + 1, 0, b""), reply(xid, -115, b"")].concat();
        assert_eq!(run(2, &second, 7), Err(Ending::AuthFailed));
    }

    #[test]
    fn a_later_frame_with_the_same_xid_is_the_clients() {
        let xid = Injected::xids().next().unwrap();
        let stream = [reply(xid, 0, b""), reply(xid, -115, b"")].concat();
        assert_eq!(run(1, &stream, 64), Ok(reply(xid, -115, b"")));
    }

    #[test]
    fn a_negative_length_is_no_servers() {
        assert_eq!(run(1, &[0xff; 8], 8), Err(Ending::UpstreamMalformed));
    }
}
