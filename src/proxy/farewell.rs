//! The gentle end of a client's connection.

use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::timeout;

/// How long a client may take to hang up after it was told goodbye.
const PATIENCE: Duration = Duration::from_secs(1);

/// How much of what it still sends is read, in bytes.
const DISCARDED: u64 = 1 << 20;

/// Sends close_notify and FIN together (a Java client over TLS 1.3 misses either alone), then reads on for a
/// moment: closing a socket with unread bytes makes the kernel send RST, which can destroy what was sent last.
pub(crate) async fn bid(mut client: impl AsyncRead + AsyncWrite + Unpin) {
    let goodbye = async {
        if client.shutdown().await.is_ok() {
            // The client's last words are of no interest, nor how it ends.
            let _ = tokio::io::copy(&mut client.take(DISCARDED), &mut tokio::io::sink()).await;
        }
    };
    let _ = timeout(PATIENCE, goodbye).await;
}
