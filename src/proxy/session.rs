//! Opens a session: the client's ConnectRequest, ZooKeeper's ConnectResponse, and the identity's credentials
//! between the two, before any other byte of the client.
//!
//! The credentials go out only after a good ConnectResponse: on Netty servers an auth packet right behind the
//! ConnectRequest can be answered first (`NettyServerCnxn`), and a refused session must not see them at all.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, Interest};
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};

use super::admission::Authorized;
use super::chains::Share;
use super::farewell;
use super::ownership::Passwords;
use super::relay::injected_xids;
use crate::metrics::SessionRefusal;
use crate::reason::Ending;
use crate::tls::{ClientSocket, ClientStream};
use crate::translate::Translator;
use crate::zk::four_letter_word::FourLetterWord;
use crate::zk::frame::{self, First, FrameError};
use crate::zk::record::{self, ConnectRequest, ConnectResponse, Malformed, is_read_only_refusal};

/// How often a client that waits for ZooKeeper is looked at.
const LOOK: Duration = Duration::from_secs(1);

/// What a client asks for first.
#[derive(Debug)]
pub(crate) enum Opening {
    /// A session.
    Session(ConnectRequest),
    /// A four-letter word.
    Word(FourLetterWord),
}

/// Both ends of an open session, with the identity's credentials on their way to ZooKeeper.
pub(crate) struct Open {
    pub(super) client: Box<ClientStream>,
    pub(super) upstream: TcpStream,
    /// How many packets were injected.
    pub(super) injected: usize,
    pub(super) translator: Option<Arc<Translator>>,
    /// The connection ends when this does.
    pub(super) share: Box<Share>,
    pub(super) session: Session,
}

/// A session that ZooKeeper granted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Session {
    /// ZooKeeper's id.
    pub(crate) id: i64,
    /// The negotiated timeout in milliseconds.
    pub(crate) timeout: i32,
    /// Whether the client had the session before.
    pub(crate) resumed: bool,
}

/// No session was opened.
#[derive(Debug, thiserror::Error)]
pub(crate) enum OpenError {
    /// The client closed first.
    #[error("the client closed before a ConnectRequest")]
    NoRequest,
    /// The client's first frame is no ConnectRequest.
    #[error("the first frame is not a ConnectRequest: {0}")]
    BadRequest(String),
    /// The client took too long.
    #[error("no complete ConnectRequest within {0:?}")]
    RequestTimeout(Duration),
    /// The client's connection broke.
    #[error("the client's connection broke: {0}")]
    Client(io::Error),
    /// The client hung up before there was an answer.
    #[error("the client left before ZooKeeper answered")]
    Left,
    /// ZooKeeper took too long.
    #[error("ZooKeeper did not answer within {0:?}")]
    ResponseTimeout(Duration),
    /// ZooKeeper closed instead of answering: its way to refuse a session.
    #[error("ZooKeeper closed the connection instead of answering the ConnectRequest")]
    Refused,
    /// ZooKeeper has no quorum, is read-only (`readonlymode.enabled`) and opens no session.
    #[error(
        "ZooKeeper is read-only, since it has lost its quorum, and opens no sessions; the client got its answer, the error \
         NOTREADONLY"
    )]
    ReadOnly,
    /// ZooKeeper's connection broke.
    #[error("ZooKeeper's connection broke: {0}")]
    Upstream(io::Error),
    /// ZooKeeper's first frame is no ConnectResponse.
    #[error("ZooKeeper's first frame is not a ConnectResponse: {0}")]
    BadResponse(String),
    /// The session is not the client's; the client has been told that it has expired, and ZooKeeper nothing.
    #[error("the session {id:#x} is not this client's ({refusal}){}", owner.as_ref().map(|owner| format!("; it is {owner}'s")).unwrap_or_default())]
    NotOwner {
        /// The session's id.
        id: i64,
        /// What tells so.
        refusal: SessionRefusal,
        /// Whose it is, if it is live here.
        owner: Option<Arc<str>>,
    },
    /// The session is gone; the client has been told.
    #[error("ZooKeeper says that the session has expired")]
    Expired,
}

impl OpenError {
    /// The word for this error.
    pub(crate) fn ending(&self) -> Ending {
        match self {
            Self::NoRequest => Ending::NoRequest,
            Self::BadRequest(_) => Ending::BadConnectRequest,
            Self::RequestTimeout(_) => Ending::OpenTimeout,
            Self::Client(_) => Ending::ClientReset,
            Self::Left => Ending::ClientClosed,
            Self::ResponseTimeout(_) => Ending::UpstreamTimeout,
            Self::Refused => Ending::UpstreamRefused,
            Self::ReadOnly => Ending::UpstreamReadOnly,
            Self::Upstream(_) => Ending::UpstreamReset,
            Self::BadResponse(_) => Ending::UpstreamMalformed,
            Self::NotOwner { .. } => Ending::SessionRefused,
            Self::Expired => Ending::SessionExpired,
        }
    }
}

/// Reads what the client begins with, and checks it before anyone dials ZooKeeper.
pub(crate) async fn read_opening(
    client: &mut (impl AsyncRead + Unpin),
    within: Duration,
) -> Result<Opening, OpenError> {
    let first = timeout(within, frame::read_first(client)).await.map_err(|_| OpenError::RequestTimeout(within))?;
    match first {
        Ok(First::Word(word)) => Ok(Opening::Word(word)),
        Ok(First::Frame(body)) => ConnectRequest::parse(body)
            .map(Opening::Session)
            .map_err(|error: Malformed| OpenError::BadRequest(error.to_string())),
        Err(FrameError::Closed) => Err(OpenError::NoRequest),
        Err(error @ FrameError::Length(_)) => Err(OpenError::BadRequest(error.to_string())),
        Err(FrameError::Io(error)) if error.kind() == io::ErrorKind::UnexpectedEof => Err(OpenError::NoRequest),
        Err(FrameError::Io(error)) => Err(OpenError::Client(error)),
    }
}

/// Puts the request to ZooKeeper and its answer to the client, with the credentials in front of everything
/// that the client may send from now on.
pub(crate) async fn open(
    authorized: Authorized,
    mut upstream: TcpStream,
    request: &ConnectRequest,
    (passwords, within): (&Passwords, Duration),
) -> Result<Open, OpenError> {
    let Authorized { mut client, grant, share } = authorized;
    let mut injected = 0;
    let negotiated = async {
        let body = tokio::select! {
            answered = ask(&mut upstream, request, within) => answered?,
            () = gone(client.get_ref().0) => return Err(OpenError::Left),
        };
        if is_read_only_refusal(&body) {
            tell(&mut client, &record::frame(&body), within).await?;
            return Err(OpenError::ReadOnly);
        }
        let mut response =
            ConnectResponse::parse(body).map_err(|error: Malformed| OpenError::BadResponse(error.to_string()))?;
        if response.timeout() > 0 {
            let packets = grant.packets(response.session_id(), injected_xids());
            inject(&mut upstream, packets.frames.expose(), within).await?;
            injected = packets.count;
            response = passwords.give(&grant, response);
        }
        tell(&mut client, &response.to_frame(), within).await?;
        if response.timeout() <= 0 {
            return Err(OpenError::Expired);
        }
        // ClickHouse Keeper resumes none, and gives a new one.
        let resumed = request.session_id() != 0 && response.session_id() == request.session_id();
        Ok(Session { id: response.session_id(), timeout: response.timeout(), resumed })
    };
    match negotiated.await {
        Ok(session) => Ok(Open { client, upstream, injected, translator: grant.translator(), share, session }),
        Err(error) => {
            // ZooKeeper first: the goodbye takes a moment.
            drop(upstream);
            farewell::bid(client).await;
            Err(error)
        }
    }
}

/// Answers in ZooKeeper's place that the session has expired.
pub(crate) async fn refuse(authorized: Authorized, request: &ConnectRequest, within: Duration) {
    let mut client = authorized.client;
    // If the client can't be told, it is gone.
    let _ = tell(&mut client, &request.expired().to_frame(), within).await;
    farewell::bid(client).await;
}

/// Waits until a client that is not read from has hung up. A moment of silence comes first: a client that sent
/// all it had to say and then FIN still gets its answer from a server that has one.
async fn gone(client: &ClientSocket) {
    loop {
        sleep(LOOK).await;
        let Ok(client) = client.tcp() else { return };
        // Bytes that wait to be read make it ready for ever, so each look is a moment apart.
        match client.ready(Interest::READABLE).await {
            Ok(ready) if !ready.is_read_closed() => {}
            _ => return,
        }
    }
}

/// The body of the server's answer to a ConnectRequest.
async fn ask(
    upstream: &mut (impl AsyncRead + AsyncWrite + Unpin),
    request: &ConnectRequest,
    within: Duration,
) -> Result<Vec<u8>, OpenError> {
    let closed = |error: io::Error| match error.kind() {
        io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe => OpenError::Refused,
        _ => OpenError::Upstream(error),
    };
    let exchange = async {
        upstream.write_all(&request.to_frame()).await?;
        frame::read_frame(upstream).await
    };
    match timeout(within, exchange).await {
        Ok(Ok(body)) => Ok(body),
        Ok(Err(FrameError::Closed)) => Err(OpenError::Refused),
        Ok(Err(error @ FrameError::Length(_))) => Err(OpenError::BadResponse(error.to_string())),
        Ok(Err(FrameError::Io(error))) => Err(closed(error)),
        Err(_) => Err(OpenError::ResponseTimeout(within)),
    }
}

async fn inject(
    upstream: &mut (impl AsyncWrite + Unpin),
    credentials: &[u8],
    within: Duration,
) -> Result<(), OpenError> {
    let written = timeout(within, upstream.write_all(credentials)).await;
    written.map_err(|_| OpenError::ResponseTimeout(within))?.map_err(OpenError::Upstream)
}

/// Passes the answer on.
async fn tell(client: &mut (impl AsyncWrite + Unpin), answer: &[u8], within: Duration) -> Result<(), OpenError> {
    let write = async {
        client.write_all(answer).await?;
        client.flush().await
    };
    timeout(within, write).await.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into())).map_err(OpenError::Client)
}
