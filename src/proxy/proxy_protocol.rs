//! Headers of the PROXY protocol, by which a load balancer says whose connection it passes on
//! (`proxy-protocol.txt` of HAProxy, versions 1 and 2).

use std::net::SocketAddr;

use proxy_header::{Error, ParseConfig, Protocol, ProxyHeader};

use crate::tls::{ClientSocket, HandshakeError};

/// Longest header that is read. Version 1 has 107 bytes at the most; one of version 2 with every field that HAProxy or a
/// cloud's load balancer adds has a few hundred.
const LONGEST: usize = 2048;

/// Reads a header, and returns the client's address; nothing where the proxy speaks for itself, as health checks do.
///
/// # Errors
/// `Probe` if the peer closes without a byte, `ProxyHeader` if something else comes.
pub(super) async fn read_header(socket: &mut ClientSocket) -> Result<Option<SocketAddr>, HandshakeError> {
    loop {
        match parse(socket.ahead()) {
            Ok((client, length)) => {
                socket.take_ahead(length);
                return Ok(client);
            }
            Err(Some(fault)) => return Err(HandshakeError::ProxyHeader(fault)),
            Err(None) => {}
        }
        match socket.read_ahead(LONGEST).await {
            Ok(1..) => {}
            _ if socket.ahead().is_empty() => return Err(HandshakeError::Probe),
            _ => return Err(HandshakeError::ProxyHeader("the peer closed in the middle of it".to_owned())),
        }
    }
}

/// The client's address and the header's length; no fault if the header is unfinished.
fn parse(bytes: &[u8]) -> Result<(Option<SocketAddr>, usize), Option<String>> {
    let config = ParseConfig { include_tlvs: false, ..ParseConfig::default() };
    match ProxyHeader::parse(bytes, config) {
        Ok((header, length)) => match header.proxied_address() {
            Some(address) if address.protocol != Protocol::Stream => {
                Err(Some("it is not of a TCP connection".to_owned()))
            }
            address => Ok((address.map(|address| address.source), length)),
        },
        Err(Error::BufferTooShort) if bytes.len() < LONGEST => Err(None),
        Err(Error::BufferTooShort) => Err(Some(format!("it is longer than {LONGEST} bytes"))),
        Err(_) if bytes.first() == Some(&0x16) => {
            Err(Some("none came, but TLS; the peer is in `listen.proxy_protocol.from`, so it must send one".to_owned()))
        }
        Err(_) => Err(Some(
            "none came that can be read; the peer is in `listen.proxy_protocol.from`, so it must send one".to_owned(),
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const V1: &[u8] = b"PROXY TCP4 192.0.2.7 192.0.2.1 4711 2281\r\n";
    const UNKNOWN: &[u8] = b"PROXY UNKNOWN\r\n";
    const V2: &[u8] = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c\xc0\0\x02\x07\xc0\0\x02\x01\x12\x67\x08\xe9";
    const LOCAL: &[u8] = b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0";
    const UDP: &[u8] = b"\r\n\r\n\0\r\nQUIT\n\x21\x12\0\x0c\xc0\0\x02\x07\xc0\0\x02\x01\x12\x67\x08\xe9";

    #[test]
    fn both_versions_name_the_client() {
        let client = Some("192.0.2.7:4711".parse().unwrap());
        for (header, expected) in [(V1, client), (V2, client), (UNKNOWN, None), (LOCAL, None)] {
            let bytes = [header, b"\x16\x03\x01"].concat();
            assert_eq!(parse(&bytes), Ok((expected, header.len())));
            for end in 0..header.len() {
                assert_eq!(parse(&header[..end]), Err(None), "{end} of {header:?}");
            }
        }
    }

    #[test]
    fn anything_else_is_named() {
        let fault = |bytes: &[u8]| parse(bytes).unwrap_err().unwrap();
        assert!(fault(b"\x16\x03\x01\0\x01").contains("none came, but TLS"));
        assert!(fault(b"GET / HTTP/1.0\r\n").contains("none came that can be read"));
        assert!(fault(b"PROXY TCP4 192.0.2.7 nonsense 4711 2281\r\n").contains("can be read"));
        assert!(fault(UDP).contains("not of a TCP connection"));
        let long = [&b"\r\n\r\n\0\r\nQUIT\n\x21\x11\xff\xff"[..], &[0; LONGEST]].concat();
        assert!(fault(&long[..LONGEST]).contains("longer than 2048"));
        assert!(fault(&[b"PROXY TCP4 ", &[b'1'; 200][..]].concat()).contains("can be read"), "no end of version 1");
    }
}
