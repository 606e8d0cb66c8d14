//! The records of a session's opening (`zookeeper.jute`): ConnectRequest, ConnectResponse, the auth packet.

/// Bytes of a session's password.
pub const PASSWORD_LENGTH: usize = 16;

/// `KeeperException.Code.AUTHFAILED`.
pub const AUTH_FAILED: i32 = -115;

/// `KeeperException.Code.NOTREADONLY`.
const NOT_READ_ONLY: i32 = -119;

/// `RequestHeader.type` of an auth packet.
const AUTH: i32 = 100;

/// The record is not what its place in the protocol calls for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    /// Neither the length with the read-only byte nor the one without it.
    #[error("a length of {0} bytes is not that of the record")]
    Length(usize),
    /// A protocol version other than 0; ClickHouse's own extensions use 10 and 11.
    #[error("protocol version {0} is not spoken by ZooKeeper")]
    Version(i32),
    /// A password that does not end where the record does; or, in a response, one of another length than 16.
    #[error("a session password of {0} bytes does not fit the record")]
    Password(i32),
    /// A null password (length -1), which sends a 3.4 server into a loop (`ZooKeeperServer.createSession`).
    #[error("the session password is null, which some servers can't take; send an empty one")]
    NullPassword,
}

/// The client's first frame, checked, and kept as it came: 28 bytes, the password, and in most clients the read-only
/// byte. Passwords for a new session have 16 bytes in most clients; 0, 1, 8 and 32 occur, and servers take any.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConnectRequest {
    body: Vec<u8>,
    /// Where the password ends. The read-only byte follows, if there is one: Go clients and C clients of 3.4 have none.
    password_end: usize,
}

impl ConnectRequest {
    /// Where the password is.
    const PASSWORD: usize = 28;

    /// Checks a frame's body.
    pub fn parse(body: Vec<u8>) -> Result<Self, Malformed> {
        if body.len() < Self::PASSWORD {
            return Err(Malformed::Length(body.len()));
        }
        let length = match (int(&body, 0), int(&body, 24)) {
            (0, -1) => return Err(Malformed::NullPassword),
            (0, length) => length,
            (version, _) => return Err(Malformed::Version(version)),
        };
        let end = usize::try_from(length).ok().and_then(|length| length.checked_add(Self::PASSWORD));
        match end {
            Some(end) if body.len() == end || body.len() - 1 == end => Ok(Self { body, password_end: end }),
            _ => Err(Malformed::Password(length)),
        }
    }

    /// The session timeout that the client asks for, in milliseconds.
    pub fn timeout(&self) -> i32 {
        int(&self.body, 12)
    }

    /// The session that the client resumes; 0 asks for a new one.
    pub fn session_id(&self) -> i64 {
        long(&self.body, 16)
    }

    /// The session's password as the client has it, of any length. Servers give out passwords of 16 bytes only.
    pub fn password(&self) -> &[u8] {
        &self.body[Self::PASSWORD..self.password_end]
    }

    /// The same request with another password.
    pub fn with_password(self, password: [u8; PASSWORD_LENGTH]) -> Self {
        let (head, tail) = (&self.body[..Self::PASSWORD - 4], &self.body[self.password_end..]);
        let body = [head, &(PASSWORD_LENGTH as u32).to_be_bytes(), &password, tail].concat();
        Self { body, password_end: Self::PASSWORD + PASSWORD_LENGTH }
    }

    /// What a server answers when the session is gone (`ZooKeeperServer.finishSessionInit`), in the length that
    /// this client understands.
    pub fn expired(&self) -> ConnectResponse {
        let mut body = vec![0; self.body.len() - self.password_end + ConnectResponse::SHORT];
        body[16..20].copy_from_slice(&(PASSWORD_LENGTH as u32).to_be_bytes());
        ConnectResponse { body }
    }

    /// The frame, with its length: exactly as it came, but for the password.
    pub fn to_frame(&self) -> Vec<u8> {
        frame(&self.body)
    }
}

/// The server's first frame, kept as it came: 36 bytes, or 37 if the request had the read-only byte.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConnectResponse {
    body: Vec<u8>,
}

impl ConnectResponse {
    const SHORT: usize = 36;

    /// Where the password is.
    const PASSWORD: usize = 20;

    /// Checks a frame's body.
    pub fn parse(body: Vec<u8>) -> Result<Self, Malformed> {
        if !matches!(body.len(), Self::SHORT | 37) {
            return Err(Malformed::Length(body.len()));
        }
        match int(&body, 16) {
            16 => Ok(Self { body }),
            length => Err(Malformed::Password(length)),
        }
    }

    /// The session timeout that was granted, in milliseconds; 0 or less says that the session is gone.
    pub fn timeout(&self) -> i32 {
        int(&self.body, 4)
    }

    /// The session's id.
    pub fn session_id(&self) -> i64 {
        long(&self.body, 8)
    }

    /// Whether the server is read-only; `None` if the client is too old to be told.
    pub fn read_only(&self) -> Option<bool> {
        self.body.get(Self::SHORT).map(|byte| *byte != 0)
    }

    /// The session's password.
    pub fn password(&self) -> [u8; PASSWORD_LENGTH] {
        password(&self.body, Self::PASSWORD)
    }

    /// The same answer with another password.
    pub fn with_password(mut self, password: [u8; PASSWORD_LENGTH]) -> Self {
        self.body[Self::PASSWORD..Self::PASSWORD + PASSWORD_LENGTH].copy_from_slice(&password);
        self
    }

    /// The frame, with its length: exactly as it came, but for the password.
    pub fn to_frame(&self) -> Vec<u8> {
        frame(&self.body)
    }
}

/// Whether a server without a quorum refuses to open a session, since it is read-only: since 3.7 it answers the
/// ConnectRequest by a bare `ReplyHeader` (`ReadOnlyRequestProcessor`), unless sessions are local.
pub fn is_read_only_refusal(body: &[u8]) -> bool {
    body.len() == 16 && int(body, 12) == NOT_READ_ONLY
}

/// An auth packet (`RequestHeader`, `AuthPacket`) as a frame.
pub fn auth_packet(xid: i32, scheme: &str, data: &[u8]) -> Vec<u8> {
    let mut body = Vec::with_capacity(20 + scheme.len() + data.len());
    for int in [xid, AUTH, 0] {
        body.extend_from_slice(&int.to_be_bytes());
    }
    for bytes in [scheme.as_bytes(), data] {
        // Schemes and credentials are ours and short.
        body.extend_from_slice(&(bytes.len() as u32).to_be_bytes());
        body.extend_from_slice(bytes);
    }
    frame(&body)
}

/// The reply to an auth packet as a frame; a server gives it no zxid.
pub fn auth_reply(xid: i32, error: i32) -> Vec<u8> {
    frame(&[&xid.to_be_bytes()[..], &[0; 8], &error.to_be_bytes()].concat())
}

/// A ConnectRequest of ours, with the read-only byte, as a frame.
pub fn connect_request(session_id: i64, password: [u8; PASSWORD_LENGTH], timeout_ms: i32) -> Vec<u8> {
    let mut body = vec![0; 12];
    body.extend_from_slice(&timeout_ms.to_be_bytes());
    body.extend_from_slice(&session_id.to_be_bytes());
    body.extend_from_slice(&16_i32.to_be_bytes());
    body.extend_from_slice(&password);
    body.push(1);
    frame(&body)
}

/// A frame: the length, and the body.
pub(crate) fn frame(body: &[u8]) -> Vec<u8> {
    let mut frame = Vec::with_capacity(4 + body.len());
    frame.extend_from_slice(&(body.len() as u32).to_be_bytes());
    frame.extend_from_slice(body);
    frame
}

fn password(body: &[u8], at: usize) -> [u8; PASSWORD_LENGTH] {
    let mut password = [0; PASSWORD_LENGTH];
    password.copy_from_slice(&body[at..at + PASSWORD_LENGTH]);
    password
}

/// The big-endian i32 at an offset that the caller has checked.
pub(crate) fn int(bytes: &[u8], at: usize) -> i32 {
    let mut buffer = [0; 4];
    buffer.copy_from_slice(&bytes[at..at + 4]);
    i32::from_be_bytes(buffer)
}

/// The big-endian i64 at an offset that the caller has checked.
fn long(bytes: &[u8], at: usize) -> i64 {
    let mut buffer = [0; 8];
    buffer.copy_from_slice(&bytes[at..at + 8]);
    i64::from_be_bytes(buffer)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a Java client sends for a new session of 10 s.
    const JAVA: &str = "00000000 0000000000000000 00002710 0000000000000000 00000010 \
        00000000000000000000000000000000 00";

    fn hex(text: &str) -> Vec<u8> {
        let digits: Vec<u8> = text.bytes().filter(u8::is_ascii_hexdigit).collect();
        digits.chunks(2).map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap()).collect()
    }

    #[test]
    fn connect_requests_of_both_lengths_are_kept_as_they_came() {
        let long = ConnectRequest::parse(hex(JAVA)).unwrap();
        assert_eq!((long.timeout(), long.session_id()), (10_000, 0));
        assert_eq!(long.to_frame(), [vec![0, 0, 0, 45], hex(JAVA)].concat());

        let mut short = hex(JAVA);
        short.truncate(44);
        assert_eq!(ConnectRequest::parse(short.clone()).unwrap().to_frame(), [vec![0, 0, 0, 44], short].concat());
    }

    #[test]
    fn connect_requests_that_are_none_are_refused() {
        for length in [0, 27] {
            assert_eq!(ConnectRequest::parse(vec![0; length]), Err(Malformed::Length(length)));
        }
        for length in [43, 46, 1024] {
            let mut other = hex(JAVA);
            other.resize(length, 0);
            assert_eq!(ConnectRequest::parse(other), Err(Malformed::Password(16)), "{length} bytes");
        }
        for length in [i32::MIN, -2, 15, 18, i32::MAX] {
            let mut other = hex(JAVA);
            other[24..28].copy_from_slice(&length.to_be_bytes());
            assert_eq!(ConnectRequest::parse(other), Err(Malformed::Password(length)));
        }
        let mut version = hex(JAVA);
        version[3] = 10;
        assert_eq!(ConnectRequest::parse(version), Err(Malformed::Version(10)));
        let mut null = hex(JAVA);
        null[24..28].fill(0xff);
        assert_eq!(ConnectRequest::parse(null.clone()), Err(Malformed::NullPassword));
        null.truncate(28);
        assert_eq!(ConnectRequest::parse(null), Err(Malformed::NullPassword));
    }

    /// aiozk, tokio-zookeeper and lua-resty-zookeeper send none, finagle one byte.
    #[test]
    fn passwords_of_every_length_are_kept_as_they_came() {
        for length in [0_usize, 1, 8, 15, 17, 32, 500, 995] {
            for read_only in [&[][..], &[0], &[1]] {
                let head = [&hex(JAVA)[..24], &(length as u32).to_be_bytes()].concat();
                let body = [&head[..], &vec![7; length], read_only].concat();
                let request = ConnectRequest::parse(body.clone()).unwrap();
                assert_eq!((request.password(), request.session_id()), (&vec![7; length][..], 0));
                assert_eq!(request.to_frame()[4..], body);
                assert_eq!(request.expired().to_frame().len(), 4 + 36 + read_only.len());
                let replaced = request.with_password([9; 16]).to_frame();
                let usual = [&hex(JAVA)[..28], &[9; 16], read_only].concat();
                assert_eq!(replaced[4..], usual, "{length}");
                assert_eq!(ConnectRequest::parse(replaced[4..].to_vec()).unwrap().to_frame(), replaced);
            }
        }
    }

    #[test]
    fn connect_responses_say_whether_the_session_is_alive() {
        let expired = hex("00000000 00000000 0000000000000000 00000010 00000000000000000000000000000000 00");
        let response = ConnectResponse::parse(expired.clone()).unwrap();
        assert_eq!((response.timeout(), response.session_id(), response.read_only()), (0, 0, Some(false)));
        let mut short = expired;
        short.truncate(36);
        assert_eq!(ConnectResponse::parse(short).unwrap().read_only(), None);
        assert_eq!(ConnectResponse::parse(vec![0; 16]), Err(Malformed::Length(16)));
        assert_eq!(ConnectResponse::parse(vec![0; 36]), Err(Malformed::Password(0)));
    }

    #[test]
    fn passwords_are_replaced_and_nothing_else() {
        let request = ConnectRequest::parse(hex(JAVA)).unwrap().with_password([7; 16]);
        assert_eq!(request.password(), [7; 16]);
        assert_eq!(request.with_password([0; 16]).to_frame()[4..], hex(JAVA));

        let body = [vec![0; 16], vec![0, 0, 0, 16], (0..17).collect()].concat();
        let response = ConnectResponse::parse(body.clone()).unwrap();
        assert_eq!(response.password()[..3], [0, 1, 2]);
        let replaced = response.clone().with_password([9; 16]);
        assert_eq!(replaced.password(), [9; 16]);
        assert_eq!(replaced.with_password(response.password()).to_frame()[4..], body);
    }

    #[test]
    fn an_expired_session_is_told_in_the_length_that_the_client_knows() {
        let long = "00000025 00000000 00000000 0000000000000000 00000010 00000000000000000000000000000000 00";
        let request = ConnectRequest::parse(hex(JAVA)).unwrap();
        assert_eq!(request.expired().to_frame(), hex(long));
        let short = ConnectRequest::parse(hex(JAVA)[..44].to_vec()).unwrap();
        assert_eq!(short.expired().to_frame()[..8], hex("00000024 00000000"));
        assert_eq!(short.expired().to_frame().len(), 40);
    }

    #[test]
    fn auth_packets_are_those_of_the_java_client() {
        let expected = hex("0000001d fffffffc 00000064 00000000 00000006 646967657374 00000003 753a70");
        assert_eq!(auth_packet(-4, "digest", b"u:p"), expected);
    }

    #[test]
    fn our_own_connect_request_parses() {
        let frame = connect_request(7, [9; 16], 5000);
        let request = ConnectRequest::parse(frame[4..].to_vec()).unwrap();
        assert_eq!((request.session_id(), request.timeout()), (7, 5000));
    }
}
