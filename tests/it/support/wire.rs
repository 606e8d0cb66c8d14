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

/// A new session's ConnectRequest of `length` 44 (Go, old C clients) or 45 (with the read-only byte).
pub(crate) fn connect_request(length: usize) -> Vec<u8> {
    let body = [&[0; 12][..], &10_000_i32.to_be_bytes(), &[0; 8], &16_i32.to_be_bytes(), &[0; 16]].concat();
    frame(&resized(body, length))
}

/// A new session's ConnectRequest, as Java sends it.
pub(crate) fn hello() -> Vec<u8> {
    connect_request(45)
}

/// A ConnectRequest for a session that was granted before.
pub(crate) fn resume(session: i64, password: [u8; 16]) -> Vec<u8> {
    let mut request = hello();
    request[20..28].copy_from_slice(&session.to_be_bytes());
    request[32..48].copy_from_slice(&password);
    request
}

/// A ConnectResponse of `length` 36 or 37 with the password that ZooKeeper gives to the session.
pub(crate) fn connect_response(length: usize, timeout: i32, session: i64) -> Vec<u8> {
    let password = if session == 0 { [0; 16] } else { stock_password(session) };
    let body = [&[0; 4][..], &timeout.to_be_bytes(), &session.to_be_bytes(), &16_i32.to_be_bytes(), &password].concat();
    frame(&resized(body, length))
}

fn resized(mut body: Vec<u8>, length: usize) -> Vec<u8> {
    body.resize(length, 0);
    body
}

/// What a stock server says is a session's password: the first bytes of `java.util.Random(id ^ 0xB3415C00)`.
pub(crate) fn stock_password(session: i64) -> [u8; 16] {
    const MULTIPLIER: u64 = 0x5_deec_e66d;
    let mut seed = session as u64 ^ 0xb341_5c00 ^ MULTIPLIER;
    let mut password = [0; 16];
    for word in password.chunks_mut(4) {
        seed = seed.wrapping_mul(MULTIPLIER).wrapping_add(0xb) & ((1 << 48) - 1);
        word.copy_from_slice(&((seed >> 16) as u32).to_le_bytes());
    }
    password
}

/// The password of a ConnectResponse.
pub(crate) fn password(response: &[u8]) -> [u8; 16] {
    response[24..40].try_into().unwrap()
}

/// A ConnectResponse, and what follows it, without the password, which clients get sealed.
pub(crate) fn unsealed(mut response: Vec<u8>) -> Vec<u8> {
    if response.len() >= 40 {
        response[24..40].fill(0);
    }
    response
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
