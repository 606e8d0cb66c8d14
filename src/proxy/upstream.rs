//! Dials ZooKeeper.

use std::hash::{BuildHasher as _, RandomState};
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use nix::sys::socket::{setsockopt, sockopt};
use tokio::net::{TcpSocket, TcpStream};

use super::socket::{self, Liveness};

/// Where ZooKeeper is and how it is dialled.
#[derive(Clone, Debug)]
pub struct Dialer {
    /// Host name or address, without brackets.
    pub host: String,
    /// ZooKeeper's `clientPort`.
    pub port: u16,
    /// How long one dial may take, name look-up included.
    pub timeout: Duration,
    /// Gives each client a loopback source address of its own; without, the system chooses.
    pub sources: Option<LoopbackSources>,
    /// Options of the connections.
    pub liveness: Liveness,
}

/// ZooKeeper could not be connected to.
#[derive(Debug, thiserror::Error)]
pub enum DialError {
    /// No answer in time.
    #[error("no connection within {0:?}")]
    Timeout(Duration),
    /// The name has no address.
    #[error("the name has no address")]
    NoAddress,
    /// The system's answer.
    #[error(transparent)]
    Io(#[from] io::Error),
}

impl Dialer {
    /// Connects on behalf of a client; of nobody, for a health check.
    ///
    /// # Errors
    /// See [`DialError`]; with several addresses, the error of the last one.
    pub async fn dial(&self, client: Option<IpAddr>) -> Result<TcpStream, DialError> {
        tokio::time::timeout(self.timeout, self.dial_any(client)).await.map_err(|_| DialError::Timeout(self.timeout))?
    }

    async fn dial_any(&self, client: Option<IpAddr>) -> Result<TcpStream, DialError> {
        let mut failure = DialError::NoAddress;
        for address in tokio::net::lookup_host((self.host.as_str(), self.port)).await? {
            match self.dial_one(address, client).await {
                Ok(stream) => return Ok(stream),
                Err(error) => failure = error.into(),
            }
        }
        Err(failure)
    }

    async fn dial_one(&self, address: SocketAddr, client: Option<IpAddr>) -> io::Result<TcpStream> {
        let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
        if let (Some(sources), Some(client)) = (&self.sources, client)
            && address.is_ipv4()
            && address.ip().is_loopback()
        {
            // The port is chosen when the destination is known: `bind` alone would look for one that nobody uses
            // for anything, which takes long, and fails, when one client's connections come and go by thousands.
            setsockopt(&socket, sockopt::IpBindAddressNoPort, &true)?;
            socket.bind(SocketAddr::new(sources.of(client).into(), 0))?;
        }
        let stream = socket.connect(address).await?;
        socket::prepare(&stream, self.liveness)?;
        Ok(stream)
    }
}

/// The loopback addresses that stand for clients, in 127.64.0.0/10, so that ZooKeeper's count of connections per
/// address (`maxClientCnxns`) and its logs keep meaning something.
///
/// The map is keyed (SipHash) by a random key of this value. With a map that is known, a client could pick an address
/// that shares a neighbour's source, and use up the neighbour's connections. The key need not outlive the process:
/// ZooKeeper counts live connections only, and all of them end with the process. So there is no key to keep secret, and
/// what a client learns of one map is worth nothing after a restart.
#[derive(Clone, Debug, Default)]
pub struct LoopbackSources(RandomState);

impl LoopbackSources {
    /// The source of a client's connections: the same one for the same address, in IPv6's writing too.
    fn of(&self, client: IpAddr) -> Ipv4Addr {
        let hash = self.0.hash_one(client.to_canonical());
        // The lower 22 bits; any bits of the hash do.
        Ipv4Addr::from_bits(0x7f40_0000 | (hash as u32 & 0x003f_ffff))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dialer(port: u16, per_client: bool) -> Dialer {
        let sources = per_client.then(LoopbackSources::default);
        let liveness =
            Liveness { keepalive: Some(Duration::from_secs(60)), user_timeout: Some(Duration::from_secs(30)) };
        Dialer { host: "127.0.0.1".to_owned(), port, timeout: Duration::from_secs(5), sources, liveness }
    }

    #[tokio::test]
    async fn ports_are_shared_between_destinations() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let stream = dialer(port, true).dial(Some("10.1.2.3".parse().unwrap())).await.unwrap();
        assert!(nix::sys::socket::getsockopt(&stream, sockopt::IpBindAddressNoPort).unwrap());
    }

    async fn sources(per_client: bool, clients: &[&str]) -> Vec<IpAddr> {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let dialer = dialer(listener.local_addr().unwrap().port(), per_client);
        let mut sources = Vec::new();
        for client in clients {
            let _stream = dialer.dial(Some(client.parse().unwrap())).await.unwrap();
            sources.push(listener.accept().await.unwrap().1.ip());
        }
        sources
    }

    #[tokio::test]
    async fn each_client_has_a_source_of_its_own() {
        let sources_of = sources(true, &["10.1.2.3", "10.1.2.4", "10.1.2.3", "::ffff:10.1.2.3"]).await;
        let [first, second, again, mapped] = sources_of[..] else { panic!("{sources_of:?}") };
        assert_ne!(first, second);
        assert_eq!(first, again);
        assert_eq!(first, mapped, "the same client in IPv6 clothes");
        assert!(matches!(first, IpAddr::V4(v4) if v4.octets()[0] == 127 && v4.octets()[1] & 0xc0 == 64), "{first}");
        assert_eq!(sources(false, &["10.1.2.3"]).await, [IpAddr::V4(Ipv4Addr::LOCALHOST)]);
    }

    /// A pair of addresses that collide under one key tells nothing of another: with a map without a key, or with a
    /// known one, each pair that is found here would collide everywhere.
    #[test]
    fn no_client_can_choose_a_neighbours_source() {
        let known = LoopbackSources::default();
        let mut first_with = std::collections::HashMap::new();
        let mut pairs = Vec::new();
        for client in (0..40_000_u32).map(|n| IpAddr::V4(Ipv4Addr::from_bits(0x0a00_0000 + n))) {
            if let Some(neighbour) = first_with.insert(known.of(client), client) {
                pairs.push((neighbour, client));
            }
        }
        assert!(pairs.len() > 50, "{} of 190 expected", pairs.len());
        assert!(pairs.iter().all(|(one, other)| known.of(*one) == known.of(*other)), "stable");
        let other = LoopbackSources::default();
        // By chance, one in 4,194,304.
        assert!(pairs.iter().filter(|(one, two)| other.of(*one) == other.of(*two)).count() <= 1);
    }

    #[tokio::test]
    async fn a_connection_has_its_options() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let stream = dialer(listener.local_addr().unwrap().port(), false).dial(None).await.unwrap();
        let socket = socket2::SockRef::from(&stream);
        assert!(stream.nodelay().unwrap() && socket.keepalive().unwrap());
        assert_eq!(socket.tcp_user_timeout().unwrap(), Some(Duration::from_secs(30)));
    }

    #[tokio::test]
    async fn a_refused_dial_says_so() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        drop(listener);
        let error = dialer(port, false).dial(None).await.unwrap_err();
        assert!(matches!(error, DialError::Io(error) if error.kind() == io::ErrorKind::ConnectionRefused));
    }
}
