//! Options that every TCP socket gets, on both sides.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use socket2::{Domain, Protocol, SockRef, Socket, TcpKeepalive, Type};
use tokio::net::{TcpListener, TcpStream};

/// How a dead peer is noticed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Liveness {
    /// How long a connection may be silent before the kernel asks the peer; never without.
    pub keepalive: Option<Duration>,
    /// How long sent data may stay unacknowledged (`TCP_USER_TIMEOUT`, RFC 5482); the kernel's default without.
    pub user_timeout: Option<Duration>,
}

/// How many unanswered keepalive probes end a connection.
const PROBES: u32 = 3;

/// Sets a connection's options. Small frames must not wait for each other's acknowledgement: no Nagle.
///
/// # Errors
/// If the kernel refuses an option; the connection may already be gone.
pub(super) fn prepare(stream: &TcpStream, liveness: Liveness) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let socket = SockRef::from(stream);
    if let Some(idle) = liveness.keepalive {
        let interval = (idle / PROBES).max(Duration::from_secs(1));
        let keepalive = TcpKeepalive::new().with_time(idle).with_interval(interval).with_retries(PROBES);
        socket.set_tcp_keepalive(&keepalive)?;
    }
    if liveness.user_timeout.is_some() {
        socket.set_tcp_user_timeout(liveness.user_timeout)?;
    }
    Ok(())
}

/// Binds a listener. An IPv6 address takes IPv6 only, so that `0.0.0.0` and `[::]` can be listed together.
///
/// # Errors
/// If the address is taken or can't be had.
pub fn listen(address: SocketAddr, backlog: u32) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(i32::try_from(backlog).unwrap_or(i32::MAX))?;
    TcpListener::from_std(socket.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn every_option_reaches_the_kernel() {
        let listener = listen("127.0.0.1:0".parse().unwrap(), 8).unwrap();
        let stream = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (keepalive, user_timeout) = (Some(Duration::from_secs(60)), Some(Duration::from_secs(30)));
        prepare(&stream, Liveness { keepalive, user_timeout }).unwrap();
        let socket = SockRef::from(&stream);
        assert!(stream.nodelay().unwrap() && socket.keepalive().unwrap());
        assert_eq!(Some(socket.tcp_keepalive_time().unwrap()), keepalive);
        assert_eq!(socket.tcp_keepalive_interval().unwrap(), Duration::from_secs(20));
        assert_eq!(socket.tcp_keepalive_retries().unwrap(), PROBES);
        assert_eq!(socket.tcp_user_timeout().unwrap(), user_timeout);
        let other = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        prepare(&other, Liveness { keepalive: None, user_timeout: None }).unwrap();
        let socket = SockRef::from(&other);
        assert!(other.nodelay().unwrap() && !socket.keepalive().unwrap());
        assert_eq!(socket.tcp_user_timeout().unwrap(), None);
    }
}
