//! Reading one frame at a time, for the opening of a session. Exactly one frame is taken from the stream, so
//! what a client pipelines behind it stays where the relay will find it.

use std::io;

use tokio::io::{AsyncRead, AsyncReadExt};

use super::four_letter_word::FourLetterWord;

/// Longest frame of a session's opening, in bytes. The usual records have 36 to 45; other session passwords than those of
/// 16 bytes make a ConnectRequest shorter or longer.
pub const OPENING_LIMIT: usize = 1024;

/// What a connection begins with.
#[derive(Debug, PartialEq, Eq)]
pub enum First {
    /// A frame's body.
    Frame(Vec<u8>),
    /// A four-letter word.
    Word(FourLetterWord),
}

/// No frame could be read.
#[derive(Debug, thiserror::Error)]
pub enum FrameError {
    /// The peer closed before the frame's first byte.
    #[error("closed before the first byte")]
    Closed,
    /// The frame's length is negative or over the limit.
    #[error("a frame length of {0} is out of bounds")]
    Length(i32),
    /// The peer closed within the frame, or the stream broke.
    #[error("the stream ended within a frame")]
    Io(#[from] io::Error),
}

/// Reads a client's first frame or four-letter word.
///
/// # Errors
/// See [`FrameError`]. The frame's length is checked before anything is allocated.
pub async fn read_first(stream: &mut (impl AsyncRead + Unpin)) -> Result<First, FrameError> {
    let prefix = read_prefix(stream).await?;
    match FourLetterWord::recognise(prefix) {
        Some(word) => Ok(First::Word(word)),
        None => read_body(stream, prefix).await.map(First::Frame),
    }
}

/// Reads one frame's body.
///
/// # Errors
/// As [`read_first`].
pub async fn read_frame(stream: &mut (impl AsyncRead + Unpin)) -> Result<Vec<u8>, FrameError> {
    let prefix = read_prefix(stream).await?;
    read_body(stream, prefix).await
}

async fn read_prefix(stream: &mut (impl AsyncRead + Unpin)) -> Result<[u8; 4], FrameError> {
    let mut prefix = [0; 4];
    let first = stream.read(&mut prefix).await?;
    if first == 0 {
        return Err(FrameError::Closed);
    }
    stream.read_exact(&mut prefix[first..]).await?;
    Ok(prefix)
}

async fn read_body(stream: &mut (impl AsyncRead + Unpin), prefix: [u8; 4]) -> Result<Vec<u8>, FrameError> {
    let length = i32::from_be_bytes(prefix);
    let size = usize::try_from(length).ok().filter(|size| *size <= OPENING_LIMIT).ok_or(FrameError::Length(length))?;
    let mut body = vec![0; size];
    stream.read_exact(&mut body).await?;
    Ok(body)
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn first(bytes: &[u8]) -> Result<First, FrameError> {
        read_first(&mut &bytes[..]).await
    }

    #[tokio::test]
    async fn exactly_one_frame_is_taken() {
        let mut stream: &[u8] = b"\0\0\0\x03abcrest";
        assert_eq!(read_first(&mut stream).await.unwrap(), First::Frame(b"abc".to_vec()));
        assert_eq!(stream, b"rest");
    }

    #[tokio::test]
    async fn frames_in_single_bytes_are_read_whole() {
        let mut stream =
            tokio_test::io::Builder::new().read(b"\0").read(b"\0\0").read(b"\x02").read(b"a").read(b"b").build();
        assert_eq!(read_frame(&mut stream).await.unwrap(), b"ab");
    }

    #[tokio::test]
    async fn a_word_is_told_from_a_frame() {
        assert!(matches!(first(b"ruok").await, Ok(First::Word(word)) if word.as_str() == "ruok"));
    }

    #[tokio::test]
    async fn lengths_out_of_bounds_are_refused_before_the_body() {
        assert!(matches!(first(b"\x7f\xff\xff\xff").await, Err(FrameError::Length(i32::MAX))));
        assert!(matches!(first(b"\xff\xff\xff\xff").await, Err(FrameError::Length(-1))));
        assert!(matches!(first(b"\0\0\x04\x01").await, Err(FrameError::Length(1025))));
    }

    #[tokio::test]
    async fn an_end_before_and_within_a_frame_differ() {
        assert!(matches!(first(b"").await, Err(FrameError::Closed)));
        assert!(matches!(first(b"\0\0").await, Err(FrameError::Io(_))));
        assert!(matches!(first(b"\0\0\0\x02a").await, Err(FrameError::Io(_))));
    }
}
