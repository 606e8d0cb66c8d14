//! `zoogate probe`: what the admin address of a running gate says, as an exit code.

use std::io::{self, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use super::{Exit, ProbeArgs, complain, files, print, text};
use crate::config::ListenAddress;

/// The most bytes of an answer that are read; those of the gate are below one.
const ANSWER: usize = 16 * 1024;

pub(super) fn probe(args: &ProbeArgs) -> Exit {
    let address = match admin_address(args) {
        Ok(address) => reachable(address),
        Err(exit) => return exit,
    };
    let (path, state) = if args.live { ("/livez", "live") } else { ("/readyz", "ready") };
    match ask(address, path, args.timeout) {
        Ok(Answer { status: 200, .. }) => print(state, Exit::Ok),
        Ok(Answer { status: 503, body }) => {
            let reasons: Vec<&str> = body.lines().collect();
            complain(&format!("not {state}: {}", text::escaped(&reasons.join(", "))), Exit::Refused)
        }
        Ok(Answer { status, .. }) => {
            complain(&format!("not {state}: {address} answers {path} with {status}; is it a gate?"), Exit::Refused)
        }
        Err(error) => complain(&format!("not {state}: {address}: {error}"), Exit::Refused),
    }
}

fn admin_address(args: &ProbeArgs) -> Result<SocketAddr, Exit> {
    let Some(path) = &args.config else {
        return Ok(args.admin);
    };
    let nowhere = |what: String| complain(&format!("{}: admin.address: {what}", path.display()), Exit::Configuration);
    match files::load_config(path)?.admin.address {
        Some(ListenAddress::Socket(address)) => Ok(address),
        Some(passed @ ListenAddress::Passed(_)) => {
            Err(nowhere(format!("`{passed}` is a socket of the service manager; say by --admin where it listens")))
        }
        None => {
            Err(nowhere("it is `none`, so there is nobody to ask; give it an address, of loopback perhaps".to_owned()))
        }
    }
}

/// Where a gate that listens on every address can be asked.
fn reachable(address: SocketAddr) -> SocketAddr {
    let ip = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, address.port())
}

struct Answer {
    status: u16,
    body: String,
}

#[derive(Debug, thiserror::Error)]
enum AskError {
    #[error("no answer within {0:?}")]
    Timeout(Duration),
    #[error("what answers does not speak HTTP/1.1; is it `admin.address`?")]
    NotHttp,
    #[error(transparent)]
    Io(io::Error),
}

/// GET of a page, within `time` from the first packet to the last byte.
fn ask(address: SocketAddr, path: &str, time: Duration) -> Result<Answer, AskError> {
    let deadline = Instant::now() + time;
    let timely = |error: io::Error| match error.kind() {
        io::ErrorKind::TimedOut | io::ErrorKind::WouldBlock => AskError::Timeout(time),
        _ => AskError::Io(error),
    };
    let mut stream = TcpStream::connect_timeout(&address, time).map_err(timely)?;
    let request = format!("GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    // A few bytes into an empty socket do not block.
    stream.write_all(request.as_bytes()).map_err(timely)?;
    let mut answer = vec![0; ANSWER];
    let mut length = 0;
    while length < answer.len() {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(AskError::Timeout(time));
        }
        stream.set_read_timeout(Some(left)).map_err(timely)?;
        match stream.read(&mut answer[length..]) {
            Ok(0) => break,
            Ok(read) => length += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(timely(error)),
        }
    }
    parse(&answer[..length]).ok_or(AskError::NotHttp)
}

/// The gate says the length of its pages and closes behind them, so what came is the page.
fn parse(answer: &[u8]) -> Option<Answer> {
    let answer = std::str::from_utf8(answer).ok()?;
    let (head, body) = answer.split_once("\r\n\r\n")?;
    let status = head.strip_prefix("HTTP/1.1 ")?.split([' ', '\r']).next()?.parse().ok()?;
    Some(Answer { status, body: body.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gate_that_listens_everywhere_is_asked_on_loopback() {
        for (listening, asked) in [
            ("0.0.0.0:9281", "127.0.0.1:9281"),
            ("[::]:9281", "[::1]:9281"),
            ("10.1.2.3:9281", "10.1.2.3:9281"),
            ("[fd00::1]:9281", "[fd00::1]:9281"),
        ] {
            assert_eq!(reachable(listening.parse().unwrap()).to_string(), asked);
        }
    }

    #[test]
    fn what_is_not_an_answer_of_http_is_not_parsed() {
        for bytes in [&b""[..], b"HTTP/1.1 200 OK\r\n", b"SSH-2.0-x\r\n\r\n", b"HTTP/1.1 2", b"HTTP/1.1 \xff00\r\n\r\n"]
        {
            assert!(parse(bytes).is_none(), "{bytes:?}");
        }
        let answer = parse(b"HTTP/1.1 503 Service Unavailable\r\nx: y\r\n\r\ndraining\n").unwrap();
        assert_eq!((answer.status, answer.body.as_str()), (503, "draining\n"));
        assert_eq!(parse(b"HTTP/1.1 2000\r\n\r\n").unwrap().status, 2000, "and not 200");
    }
}
