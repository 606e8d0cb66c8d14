//! Four-letter words inside TLS: the allowed ones are put to ZooKeeper, the others get its own refusal.

use std::io;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::timeout;

use super::session::OpenError;
use crate::zk::four_letter_word::FourLetterWord;

/// How much of an answer is read at once, in bytes.
const CHUNK: usize = 8 * 1024;

/// Sends ZooKeeper's refusal of a word.
pub(crate) async fn refuse(
    client: &mut (impl AsyncWrite + Unpin),
    word: FourLetterWord,
    within: Duration,
) -> Result<(), OpenError> {
    let tell = async {
        client.write_all(word.refusal().as_bytes()).await?;
        client.flush().await
    };
    timeout(within, tell).await.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into())).map_err(OpenError::Client)
}

/// Puts a word to ZooKeeper and passes the whole answer on. The client may have half-closed: clients of
/// `stat` do before they read.
pub(crate) async fn ask<C, U>(
    client: &mut C,
    upstream: &mut U,
    word: FourLetterWord,
    within: Duration,
) -> Result<(), OpenError>
where
    C: AsyncWrite + Unpin,
    U: AsyncRead + AsyncWrite + Unpin,
{
    let exchange = async {
        upstream.write_all(word.as_str().as_bytes()).await.map_err(OpenError::Upstream)?;
        let mut chunk = vec![0; CHUNK];
        loop {
            match upstream.read(&mut chunk).await.map_err(OpenError::Upstream)? {
                0 => return client.flush().await.map_err(OpenError::Client),
                length => client.write_all(&chunk[..length]).await.map_err(OpenError::Client)?,
            }
        }
    };
    timeout(within, exchange).await.unwrap_or(Err(OpenError::ResponseTimeout(within)))
}
