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

/// Puts a word to ZooKeeper and passes the whole answer on; true if the answer is that the word is not on ZooKeeper's own
/// allow-list. The client may have half-closed: clients of
/// `stat` do before they read.
pub(crate) async fn ask<C, U>(
    client: &mut C,
    upstream: &mut U,
    word: FourLetterWord,
    within: Duration,
) -> Result<bool, OpenError>
where
    C: AsyncWrite + Unpin,
    U: AsyncRead + AsyncWrite + Unpin,
{
    let exchange = async {
        upstream.write_all(word.as_str().as_bytes()).await.map_err(OpenError::Upstream)?;
        let (mut chunk, refusal) = (vec![0; CHUNK], word.refusal());
        // As much of the answer as tells whether it is the refusal.
        let mut head = Vec::with_capacity(refusal.len());
        loop {
            match upstream.read(&mut chunk).await.map_err(OpenError::Upstream)? {
                0 => break client.flush().await.map_err(OpenError::Client)?,
                length => {
                    head.extend_from_slice(&chunk[..length.min(refusal.len() - head.len())]);
                    client.write_all(&chunk[..length]).await.map_err(OpenError::Client)?;
                }
            }
        }
        Ok(head.starts_with(refusal.trim_end().as_bytes()))
    };
    timeout(within, exchange).await.unwrap_or(Err(OpenError::ResponseTimeout(within)))
}
