//! Four-letter words inside TLS: the allowed ones are put to ZooKeeper, the others get its own refusal.

use std::io;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::time::timeout;

use crate::zk::four_letter_word::FourLetterWord;

/// Sends ZooKeeper's refusal of a word.
pub(crate) async fn refuse(
    client: &mut (impl AsyncWrite + Unpin),
    word: FourLetterWord,
    within: Duration,
) -> io::Result<()> {
    let tell = async {
        client.write_all(word.refusal().as_bytes()).await?;
        client.flush().await
    };
    timeout(within, tell).await?
}

/// Puts a word to ZooKeeper and passes the whole answer on. The client may have half-closed: clients of
/// `stat` do before they read.
pub(crate) async fn ask<C, U>(
    client: &mut C,
    upstream: &mut U,
    word: FourLetterWord,
    within: Duration,
) -> io::Result<()>
where
    C: AsyncWrite + Unpin,
    U: AsyncRead + AsyncWrite + Unpin,
{
    let exchange = async {
        upstream.write_all(word.as_str().as_bytes()).await?;
        tokio::io::copy(upstream, client).await?;
        client.flush().await
    };
    timeout(within, exchange).await?
}
