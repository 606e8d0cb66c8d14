//! A blocking client that speaks ZooKeeper's protocol byte by byte, in plaintext or by TLS.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::Arc;

use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

use super::PATIENCE;
use super::pki::Certified;

/// Opcodes of the requests made here.
pub mod op {
    #![allow(missing_docs, reason = "the names are ZooKeeper's own")]
    pub const CREATE: i32 = 1;
    pub const DELETE: i32 = 2;
    pub const EXISTS: i32 = 3;
    pub const GET_DATA: i32 = 4;
    pub const SET_DATA: i32 = 5;
    pub const GET_ACL: i32 = 6;
    pub const SET_ACL: i32 = 7;
    pub const GET_CHILDREN: i32 = 8;
    pub const SYNC: i32 = 9;
    pub const PING: i32 = 11;
    pub const CHECK: i32 = 13;
    pub const MULTI: i32 = 14;
    pub const CREATE2: i32 = 15;
    pub const CREATE_CONTAINER: i32 = 19;
    pub const CREATE_TTL: i32 = 21;
    pub const AUTH: i32 = 100;
    pub const WHO_AM_I: i32 = 107;
    pub const CLOSE_SESSION: i32 = -11;
}

/// ACL of all rights for whoever the connection is.
pub const CREATOR_ALL: &[(i32, &str, &str)] = &[(31, "auth", "")];

/// What a ConnectResponse says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Session {
    /// Negotiated timeout in milliseconds; 0 = the session has expired.
    pub timeout: i32,
    /// Session id.
    pub id: i64,
    /// Session password.
    pub password: Vec<u8>,
    /// Length of the whole record: 36, or 37 with the readOnly byte.
    pub length: usize,
}

/// The answer to one request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    /// Copied from the request; -1 for a notification.
    pub xid: i32,
    /// ZooKeeper's error code; 0 is none.
    pub error: i32,
    /// What follows the header.
    pub body: Vec<u8>,
}

/// A connection to a ZooKeeper, or to something that says it is one.
pub struct Wire {
    stream: Stream,
    xid: i32,
    /// A digest credential that [`Wire::open`] adds to each session, for a client without a certificate.
    pub own_credential: Option<Vec<u8>>,
}

enum Stream {
    Plain(TcpStream),
    Tls(Box<StreamOwned<ClientConnection, TcpStream>>),
}

impl Wire {
    /// Connects in plaintext.
    pub fn plain(address: SocketAddr) -> Self {
        Self::over(Stream::Plain(dial(address)))
    }

    /// Connects by TLS, with `client`'s certificate, trusting `ca` for a server named localhost.
    ///
    /// # Errors
    /// What the handshake says. With TLS 1.3 a refused client certificate shows only at the first read.
    pub fn tls(address: SocketAddr, ca: &Certified, client: &Certified) -> io::Result<Self> {
        Self::tls_with(address, tls_config(ca, Some(client)))
    }

    /// Connects by TLS as `config` says.
    ///
    /// # Errors
    /// What the handshake says.
    pub fn tls_with(address: SocketAddr, config: ClientConfig) -> io::Result<Self> {
        let name = ServerName::try_from("localhost").unwrap();
        let connection = ClientConnection::new(Arc::new(config), name).map_err(io::Error::other)?;
        let mut stream = StreamOwned::new(connection, dial(address));
        while stream.conn.is_handshaking() {
            stream.conn.complete_io(&mut stream.sock)?;
        }
        Ok(Self::over(Stream::Tls(Box::new(stream))))
    }

    fn over(stream: Stream) -> Self {
        Self { stream, xid: 0, own_credential: None }
    }

    /// Sends bytes as they are.
    ///
    /// # Errors
    /// When the peer has gone.
    pub fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.writer().write_all(bytes)?;
        self.writer().flush()
    }

    /// Sends a frame: length and content.
    ///
    /// # Errors
    /// When the peer has gone.
    pub fn send_frame(&mut self, content: &[u8]) -> io::Result<()> {
        self.send(&frame(content))
    }

    /// Reads one frame; `None` if the peer closed before it (with or without close_notify, or by a reset).
    ///
    /// # Errors
    /// A timeout, TLS errors, and an end in mid-frame.
    pub fn read_frame(&mut self) -> io::Result<Option<Vec<u8>>> {
        let mut length = [0; 4];
        match self.reader().read_exact(&mut length) {
            Ok(()) => {}
            Err(e) if matches!(e.kind(), ErrorKind::UnexpectedEof | ErrorKind::ConnectionReset) => return Ok(None),
            Err(e) => return Err(e),
        }
        let length = usize::try_from(i32::from_be_bytes(length)).map_err(io::Error::other)?;
        let mut content = vec![0; length];
        self.reader().read_exact(&mut content)?;
        Ok(Some(content))
    }

    /// Reads all until the peer closes.
    ///
    /// # Errors
    /// A timeout or a TLS error; an end without close_notify is none.
    pub fn read_to_end(&mut self) -> io::Result<Vec<u8>> {
        let mut all = Vec::new();
        match self.reader().read_to_end(&mut all) {
            Err(e) if e.kind() != ErrorKind::UnexpectedEof => Err(e),
            _ => Ok(all),
        }
    }

    /// Opens a session of 10 s: a new one, or `resume`.
    ///
    /// # Errors
    /// When the connection breaks. `None`: closed without an answer.
    pub fn open(&mut self, resume: Option<&Session>) -> io::Result<Option<Session>> {
        self.send_frame(&connect_request(resume))?;
        let Some(record) = self.read_frame()? else { return Ok(None) };
        let mut fields = Fields(&record);
        let _version = fields.int();
        let (timeout, id) = (fields.int(), fields.long());
        let session = Session { timeout, id, password: fields.buffer(), length: record.len() };
        if let Some(credential) = self.own_credential.as_ref().filter(|_| timeout > 0) {
            let packet = request(-4, op::AUTH, &auth("digest", credential));
            self.send_frame(&packet)?;
            assert_eq!(self.read_reply()?.map(|reply| reply.error), Some(0), "the answer to the credential");
        }
        Ok(Some(session))
    }

    /// Opens a new session.
    ///
    /// # Panics
    /// If it is refused.
    pub fn open_new(&mut self) -> Session {
        let session = self.open(None).expect("a ConnectResponse").expect("a ConnectResponse, not an end");
        assert!(session.timeout > 0, "a new session can't have expired");
        session
    }

    /// Sends a request and returns its reply, skipping notifications; `None` if the peer closed instead.
    ///
    /// # Errors
    /// When the connection breaks or stalls.
    pub fn request(&mut self, opcode: i32, body: &[u8]) -> io::Result<Option<Reply>> {
        self.xid += 1;
        let xid = self.xid;
        self.send_frame(&request(xid, opcode, body))?;
        self.reply_to(xid)
    }

    /// Reads until the reply with this xid; `None` if the peer closed instead.
    ///
    /// # Errors
    /// When the connection breaks or stalls.
    pub fn reply_to(&mut self, xid: i32) -> io::Result<Option<Reply>> {
        loop {
            match self.read_reply()? {
                Some(reply) if reply.xid != xid => assert_eq!(reply.xid, -1, "not a notification: {reply:?}"),
                reply => return Ok(reply),
            }
        }
    }

    /// Reads the next frame as a reply.
    ///
    /// # Errors
    /// When the connection breaks or stalls.
    pub fn read_reply(&mut self) -> io::Result<Option<Reply>> {
        let Some(record) = self.read_frame()? else { return Ok(None) };
        let mut fields = Fields(&record);
        let (xid, _zxid, error) = (fields.int(), fields.long(), fields.int());
        Ok(Some(Reply { xid, error, body: fields.0.to_vec() }))
    }

    /// The ids that ZooKeeper holds for this connection, sorted, as raw bytes `scheme:user`.
    pub fn who_am_i(&mut self) -> Vec<Vec<u8>> {
        let reply = self.request(op::WHO_AM_I, &[]).unwrap().expect("a reply to whoAmI");
        assert_eq!(reply.error, 0, "whoAmI");
        let mut fields = Fields(&reply.body);
        let count = fields.int();
        let mut ids: Vec<Vec<u8>> =
            (0..count).map(|_| [fields.buffer(), b":".to_vec(), fields.buffer()].concat()).collect();
        ids.sort();
        ids
    }

    /// The entries of a znode's ACL, sorted: rights and id.
    pub fn acl(&mut self, path: &str) -> Vec<(i32, String)> {
        let text = |(rights, id)| (rights, String::from_utf8(id).unwrap());
        self.raw_acl(path).into_iter().map(text).collect()
    }

    /// The entries of a znode's ACL, sorted: rights and id, as raw bytes `scheme:id`.
    pub fn raw_acl(&mut self, path: &str) -> Vec<(i32, Vec<u8>)> {
        let reply = self.request(op::GET_ACL, &string(path)).unwrap().expect("a reply to getACL");
        assert_eq!(reply.error, 0, "getACL of {path}");
        let mut fields = Fields(&reply.body);
        let count = fields.int();
        let mut entries: Vec<(i32, Vec<u8>)> =
            (0..count).map(|_| (fields.int(), [fields.buffer(), b":".to_vec(), fields.buffer()].concat())).collect();
        entries.sort();
        entries
    }

    /// Tells the peer that nothing more comes, and goes on reading.
    pub fn half_close(&mut self) {
        if let Stream::Tls(tls) = &mut self.stream {
            tls.conn.send_close_notify();
            let _ = tls.flush();
        }
        let _ = self.socket().shutdown(Shutdown::Write);
    }

    /// Cuts the TCP connection without a word.
    pub fn cut(self) {
        let _ = self.socket().shutdown(Shutdown::Both);
    }

    /// The TCP socket underneath.
    pub fn socket(&self) -> &TcpStream {
        match &self.stream {
            Stream::Plain(tcp) => tcp,
            Stream::Tls(tls) => &tls.sock,
        }
    }

    fn reader(&mut self) -> &mut dyn Read {
        match &mut self.stream {
            Stream::Plain(tcp) => tcp,
            Stream::Tls(tls) => tls,
        }
    }

    fn writer(&mut self) -> &mut dyn Write {
        match &mut self.stream {
            Stream::Plain(tcp) => tcp,
            Stream::Tls(tls) => tls,
        }
    }
}

fn dial(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).unwrap_or_else(|e| panic!("{address}: {e}"));
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.set_write_timeout(Some(PATIENCE)).unwrap();
    stream.set_nodelay(true).unwrap();
    stream
}

/// A client that trusts `ca` and shows `client`'s certificate, if any.
pub fn tls_config(ca: &Certified, client: Option<&Certified>) -> ClientConfig {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from(ca.der.clone())).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let builder = builder.with_root_certificates(roots);
    match client {
        None => builder.with_no_client_auth(),
        Some(client) => {
            let key = PrivateKeyDer::try_from(client.key.clone()).unwrap();
            builder.with_client_auth_cert(vec![CertificateDer::from(client.der.clone())], key).unwrap()
        }
    }
}

/// Length and content.
pub fn frame(content: &[u8]) -> Vec<u8> {
    [&(content.len() as i32).to_be_bytes(), content].concat()
}

/// A ConnectRequest of 45 bytes as the Java client sends it, without the length.
pub fn connect_request(resume: Option<&Session>) -> Vec<u8> {
    let mut record = Vec::new();
    record.extend(0_i32.to_be_bytes());
    record.extend(0_i64.to_be_bytes());
    record.extend(10_000_i32.to_be_bytes());
    record.extend(resume.map_or(0, |session| session.id).to_be_bytes());
    record.extend(buffer(resume.map_or(&[0; 16], |session| &session.password)));
    record.push(0);
    record
}

/// A request: header and body, without the length.
pub fn request(xid: i32, opcode: i32, body: &[u8]) -> Vec<u8> {
    [&xid.to_be_bytes(), &opcode.to_be_bytes(), body].concat()
}

/// Body of an auth packet.
pub fn auth(scheme: &str, data: &[u8]) -> Vec<u8> {
    [0_i32.to_be_bytes().to_vec(), string(scheme), buffer(data)].concat()
}

/// Body of a create request; flags 0 is a lasting znode, 1 an ephemeral one.
pub fn create(path: &str, acl: &[(i32, &str, &str)], flags: i32) -> Vec<u8> {
    [string(path), buffer(b""), acl_entries(acl), flags.to_be_bytes().to_vec()].concat()
}

/// An ACL as requests hold it.
pub fn acl_entries(acl: &[(i32, &str, &str)]) -> Vec<u8> {
    let mut bytes = (acl.len() as i32).to_be_bytes().to_vec();
    for (rights, scheme, id) in acl {
        bytes.extend(rights.to_be_bytes());
        bytes.extend(string(scheme));
        bytes.extend(string(id));
    }
    bytes
}

/// Body of a request that has a path and a watch flag.
pub fn path_and_watch(path: &str, watch: bool) -> Vec<u8> {
    [string(path), vec![u8::from(watch)]].concat()
}

/// A string with its length.
pub fn string(text: &str) -> Vec<u8> {
    buffer(text.as_bytes())
}

/// A buffer with its length.
pub fn buffer(bytes: &[u8]) -> Vec<u8> {
    frame(bytes)
}

/// ZooKeeper encodes each UTF-16 unit for itself, so a character beyond U+FFFF comes as two surrogates of three bytes.
pub fn join_surrogates(bytes: &[u8]) -> Vec<u8> {
    let surrogate = |at: usize, second: std::ops::Range<u8>| match bytes.get(at..at + 3) {
        Some([0xed, b, c]) if second.contains(b) => Some((u32::from(*b & 0x0f) << 6) | u32::from(*c & 0x3f)),
        _ => None,
    };
    let (mut out, mut at) = (Vec::new(), 0);
    while at < bytes.len() {
        match (surrogate(at, 0xa0..0xb0), surrogate(at + 3, 0xb0..0xc0)) {
            (Some(high), Some(low)) => {
                let character = char::from_u32(0x1_0000 + (high << 10) + low).unwrap();
                out.extend(character.encode_utf8(&mut [0; 4]).as_bytes());
                at += 6;
            }
            _ => {
                out.push(bytes[at]);
                at += 1;
            }
        }
    }
    out
}

/// Reads fields off the front of a record; panics where they end too early.
pub struct Fields<'a>(pub &'a [u8]);

impl Fields<'_> {
    /// The next four bytes.
    pub fn int(&mut self) -> i32 {
        let (head, rest) = self.0.split_first_chunk().expect("an int");
        self.0 = rest;
        i32::from_be_bytes(*head)
    }

    /// The next eight bytes.
    pub fn long(&mut self) -> i64 {
        let (head, rest) = self.0.split_first_chunk().expect("a long");
        self.0 = rest;
        i64::from_be_bytes(*head)
    }

    /// The next buffer or string.
    pub fn buffer(&mut self) -> Vec<u8> {
        let length = usize::try_from(self.int()).expect("a length that is not null");
        let (head, rest) = self.0.split_at_checked(length).expect("a whole buffer");
        self.0 = rest;
        head.to_vec()
    }
}
