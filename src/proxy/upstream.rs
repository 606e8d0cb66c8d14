//! Dials ZooKeeper.

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
    /// Whether each client is given a loopback source address of its own.
    pub per_client: bool,
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
        if let (true, true, Some(client)) = (self.per_client, address.ip().is_loopback(), client)
            && address.is_ipv4()
        {
            // The port is chosen when the destination is known: `bind` alone would look for one that nobody uses
            // for anything, which takes long, and fails, when one client's connections come and go by thousands.
            setsockopt(&socket, sockopt::IpBindAddressNoPort, &true)?;
            socket.bind(SocketAddr::new(loopback_source(client).into(), 0))?;
        }
        let stream = socket.connect(address).await?;
        socket::prepare(&stream, self.liveness)?;
        Ok(stream)
    }
}

/// The loopback address that stands for a client, always the same one: in 127.64.0.0/10, so that ZooKeeper's
/// count of connections per address (`maxClientCnxns`) and its logs keep meaning something.
fn loopback_source(client: IpAddr) -> Ipv4Addr {
    let text = client.to_canonical().to_string();
    // FNV-1a: the same in every version of zoogate. Clients gain nothing by a collision.
    let hash = text.bytes().fold(0x811c_9dc5_u32, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193));
    Ipv4Addr::from_bits(0x7f40_0000 | ((hash ^ (hash >> 22)) & 0x003f_ffff))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dialer(port: u16, per_client: bool) -> Dialer {
        let liveness =
            Liveness { keepalive: Some(Duration::from_secs(60)), user_timeout: Some(Duration::from_secs(30)) };
        Dialer { host: "127.0.0.1".to_owned(), port, timeout: Duration::from_secs(5), per_client, liveness }
    }

    #[tokio::test]
    async fn ports_are_shared_between_destinations() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let stream = dialer(port, true).dial(Some("10.1.2.3".parse().unwrap())).await.unwrap();
        assert!(nix::sys::socket::getsockopt(&stream, sockopt::IpBindAddressNoPort).unwrap());
    }

    async fn source(per_client: bool, client: &str) -> IpAddr {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let _stream = dialer(port, per_client).dial(Some(client.parse().unwrap())).await.unwrap();
        listener.accept().await.unwrap().1.ip()
    }

    #[tokio::test]
    async fn each_client_has_a_source_of_its_own() {
        let (first, second) = (source(true, "10.1.2.3").await, source(true, "10.1.2.4").await);
        assert_ne!(first, second);
        assert_eq!(first, source(true, "::ffff:10.1.2.3").await, "the same client in IPv6 clothes");
        assert!(matches!(first, IpAddr::V4(v4) if v4.octets()[0] == 127 && v4.octets()[1] & 0xc0 == 64), "{first}");
        assert_eq!(source(false, "10.1.2.3").await, IpAddr::V4(Ipv4Addr::LOCALHOST));
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
