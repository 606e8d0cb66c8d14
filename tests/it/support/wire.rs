//! ZooKeeper's bytes, written without the code under test.

/// The session that fake servers grant.
pub(crate) const SESSION: i64 = 0x0123_4567_89ab_cdef;

/// The timeout that fake servers grant, in milliseconds.
pub(crate) const TIMEOUT: i32 = 20_000;

pub(crate) mod op {
    pub(crate) const CREATE: i32 = 1;
    pub(crate) const GET_DATA: i32 = 4;
    pub(crate) const PING: i32 = 11;
    pub(crate) const DELETE_CONTAINER: i32 = 20;
    pub(crate) const AUTH: i32 = 100;
    pub(crate) const CREATE_SESSION: i32 = -10;
    pub(crate) const CLOSE_SESSION: i32 = -11;
}

/// A frame around a body.
pub(crate) fn frame(body: &[u8]) -> Vec<u8> {
    [&u32::try_from(body.len()).unwrap().to_be_bytes()[..], body].concat()
}

/// A ConnectRequest of `length` 44 (Go, old C clients) or 45 (with the read-only byte).
pub(crate) fn connect_request(length: usize, session: i64) -> Vec<u8> {
    let mut body = [&[0; 12][..], &10_000_i32.to_be_bytes(), &session.to_be_bytes(), &16_i32.to_be_bytes()].concat();
    body.extend(if session == 0 { [0; 16] } else { [7; 16] });
    body.resize(length, 0);
    frame(&body)
}

/// A new session's ConnectRequest, as Java sends it.
pub(crate) fn hello() -> Vec<u8> {
    connect_request(45, 0)
}

/// A ConnectResponse of `length` 36 or 37.
pub(crate) fn connect_response(length: usize, timeout: i32, session: i64) -> Vec<u8> {
    let mut body = [&[0; 4][..], &timeout.to_be_bytes(), &session.to_be_bytes(), &16_i32.to_be_bytes()].concat();
    body.extend(if session == 0 { [0; 16] } else { [9; 16] });
    body.resize(length, 0);
    frame(&body)
}

/// The answer to [`hello`].
pub(crate) fn welcome() -> Vec<u8> {
    connect_response(37, TIMEOUT, SESSION)
}

/// A request.
pub(crate) fn request(xid: i32, opcode: i32, body: &[u8]) -> Vec<u8> {
    frame(&[&xid.to_be_bytes()[..], &opcode.to_be_bytes(), body].concat())
}

/// An auth packet.
pub(crate) fn auth(xid: i32, scheme: &str, data: &str) -> Vec<u8> {
    let (scheme, data) = (frame(scheme.as_bytes()), frame(data.as_bytes()));
    request(xid, op::AUTH, &[&[0; 4][..], &scheme, &data].concat())
}

/// A reply.
pub(crate) fn reply(xid: i32, error: i32, body: &[u8]) -> Vec<u8> {
    frame(&[&xid.to_be_bytes()[..], &77_i64.to_be_bytes(), &error.to_be_bytes(), body].concat())
}

/// A watch notification.
pub(crate) fn notification(path: &str) -> Vec<u8> {
    let event = [&3_i32.to_be_bytes()[..], &3_i32.to_be_bytes(), &frame(path.as_bytes())].concat();
    reply(-1, 0, &event)
}

/// The big-endian i32 at an offset.
pub(crate) fn int(bytes: &[u8], at: usize) -> i32 {
    i32::from_be_bytes(bytes[at..at + 4].try_into().unwrap())
}

/// The xid of a frame (its length included).
pub(crate) fn xid(frame: &[u8]) -> i32 {
    int(frame, 4)
}

/// Splits a stream into frames, each with its length.
pub(crate) fn frames(mut bytes: &[u8]) -> Vec<Vec<u8>> {
    let mut frames = Vec::new();
    while !bytes.is_empty() {
        let (frame, rest) = bytes.split_at(4 + usize::try_from(int(bytes, 0)).unwrap());
        frames.push(frame.to_vec());
        bytes = rest;
    }
    frames
}

/// The whole frames at the beginning of a stream that may have been cut.
pub(crate) fn frames_so_far(mut bytes: &[u8]) -> Vec<Vec<u8>> {
    let mut frames = Vec::new();
    while bytes.len() >= 4 {
        let whole = 4 + usize::try_from(int(bytes, 0)).unwrap();
        let Some((frame, rest)) = bytes.split_at_checked(whole) else { break };
        frames.push(frame.to_vec());
        bytes = rest;
    }
    frames
}
