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

/// Most bytes for a client that the kernel takes before it has sent them (`TCP_NOTSENT_LOWAT`, `tcp(7)`). Without it, the
/// send buffer of a client that does not read grows to megabytes.
const UNSENT: u32 = 128 * 1024;

/// Receive buffer of a connection to ZooKeeper, in bytes, which the kernel doubles for its own needs. It fills when the
/// client does not read; left to itself, it grows to megabytes.
const RECEIVED: usize = 128 * 1024;

/// How many unanswered keepalive probes end a connection.
const PROBES: u32 = 3;

impl Liveness {
    fn set(self, socket: &SockRef<'_>) -> io::Result<()> {
        match self.keepalive {
            Some(idle) => {
                let interval = (idle / PROBES).max(Duration::from_secs(1));
                let keepalive = TcpKeepalive::new().with_time(idle).with_interval(interval);
                // Where there is a user timeout, Linux does not count probes (`tcp_keepalive_timer`).
                let keepalive = if self.user_timeout.is_none() { keepalive.with_retries(PROBES) } else { keepalive };
                socket.set_tcp_keepalive(&keepalive)?;
            }
            None => socket.set_keepalive(false)?,
        }
        socket.set_tcp_user_timeout(self.user_timeout)
    }

    /// Whether a socket has these options, as far as the two switches among them tell.
    fn is_set(self, socket: &SockRef<'_>) -> io::Result<bool> {
        Ok(socket.tcp_user_timeout()? == self.user_timeout && socket.keepalive()? == self.keepalive.is_some())
    }
}

/// Sets a dialled connection's options. Small frames must not wait for each other's acknowledgement: no Nagle.
///
/// # Errors
/// If the kernel refuses an option; the connection may already be gone.
pub(super) fn prepare(stream: &TcpStream, liveness: Liveness) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let socket = SockRef::from(stream);
    socket.set_recv_buffer_size(RECEIVED)?;
    liveness.set(&socket)
}

/// Sets what connections inherit from their listener, which may have been passed with other options: that saves each
/// of them three system calls.
///
/// # Errors
/// If the kernel refuses an option.
pub(super) fn prepare_listener(listener: &TcpListener, liveness: Liveness) -> io::Result<()> {
    let socket = SockRef::from(listener);
    socket.set_tcp_notsent_lowat(UNSENT)?;
    liveness.set(&socket)
}

/// Sets what an accepted connection has not inherited: no Nagle, and everything, if it was queued before the listener
/// had its options, or the kernel does not hand them down.
///
/// # Errors
/// If the connection is gone.
pub(super) fn prepare_accepted(stream: &TcpStream, liveness: Liveness) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let socket = SockRef::from(stream);
    if liveness.is_set(&socket)? {
        return Ok(());
    }
    socket.set_tcp_notsent_lowat(UNSENT)?;
    liveness.set(&socket)
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

    const PATIENT: Liveness =
        Liveness { keepalive: Some(Duration::from_secs(60)), user_timeout: Some(Duration::from_secs(30)) };
    const NEVER: Liveness = Liveness { keepalive: None, user_timeout: None };

    fn assert_options(stream: &TcpStream, liveness: Liveness) {
        let socket = SockRef::from(stream);
        assert!(stream.nodelay().unwrap());
        assert_eq!(socket.keepalive().unwrap(), liveness.keepalive.is_some());
        if let Some(idle) = liveness.keepalive {
            assert_eq!(socket.tcp_keepalive_time().unwrap(), idle);
            assert_eq!(socket.tcp_keepalive_interval().unwrap(), idle / 3);
        }
        assert_eq!(socket.tcp_user_timeout().unwrap(), liveness.user_timeout);
    }

    #[tokio::test]
    async fn every_option_reaches_a_dialled_connection() {
        let listener = listen("127.0.0.1:0".parse().unwrap(), 8).unwrap();
        for liveness in [PATIENT, NEVER] {
            let stream = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
            prepare(&stream, liveness).unwrap();
            assert_options(&stream, liveness);
        }
    }

    #[tokio::test]
    async fn probes_are_counted_where_nothing_else_ends_the_connection() {
        let listener = listen("127.0.0.1:0".parse().unwrap(), 8).unwrap();
        let stream = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        prepare(&stream, Liveness { user_timeout: None, ..PATIENT }).unwrap();
        assert_eq!(SockRef::from(&stream).tcp_keepalive_retries().unwrap(), PROBES);
    }

    /// Also from a listener that an earlier process left with other options.
    #[tokio::test]
    async fn accepted_connections_inherit_their_listeners_options() {
        for address in ["127.0.0.1:0", "[::1]:0"] {
            let listener = listen(address.parse().unwrap(), 8).unwrap();
            for liveness in [PATIENT, NEVER, PATIENT] {
                prepare_listener(&listener, liveness).unwrap();
                let _client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
                let (stream, _) = listener.accept().await.unwrap();
                prepare_accepted(&stream, liveness).unwrap();
                assert_options(&stream, liveness);
            }
        }
    }

    #[tokio::test]
    async fn connections_that_were_queued_before_the_listener_had_its_options_get_them() {
        const ALONE: Liveness = Liveness { user_timeout: None, ..PATIENT };
        for (before, after) in [(NEVER, PATIENT), (PATIENT, NEVER), (NEVER, ALONE), (ALONE, PATIENT), (PATIENT, ALONE)]
        {
            let listener = listen("127.0.0.1:0".parse().unwrap(), 8).unwrap();
            prepare_listener(&listener, before).unwrap();
            let _client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
            prepare_listener(&listener, after).unwrap();
            let (stream, _) = listener.accept().await.unwrap();
            prepare_accepted(&stream, after).unwrap();
            assert_options(&stream, after);
        }
    }
}
