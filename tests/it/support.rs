//! What the tests have in common: certificates, both ends of the wire, and zoogate itself.

pub(crate) mod client;
pub(crate) mod metrics;
pub(crate) mod pki;
pub(crate) mod process;
pub(crate) mod proxy;
pub(crate) mod setup;
pub(crate) mod upstream;
pub(crate) mod wire;

use std::io;
use std::time::Duration;

/// Nothing takes this long on the slowest machine; a wait that does is a failure.
const SOON: Duration = Duration::from_secs(20);

/// How a peer ended a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// TLS's close_notify.
    Goodbye,
    /// FIN; inside TLS, FIN without close_notify.
    Cut,
    /// RST.
    Reset,
}

impl End {
    /// How the end shows when reading; `Ok` is the clean end of a TLS stream.
    pub(crate) fn of(read: &io::Result<()>) -> Self {
        match read {
            Ok(()) => Self::Goodbye,
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Self::Cut,
            Err(_) => Self::Reset,
        }
    }
}

/// Waits for something that must come.
pub(crate) async fn soon<T>(what: &str, future: impl Future<Output = T>) -> T {
    tokio::time::timeout(SOON, future).await.unwrap_or_else(|_| panic!("waited in vain for {what}"))
}

/// Waits until a condition holds.
pub(crate) async fn eventually(what: &str, condition: impl AsyncFn() -> bool) {
    soon(what, async {
        while !condition().await {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    })
    .await;
}
