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
