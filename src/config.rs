//! The configuration: YAML as a person typed it, and what it means.
//!
//! A [`Config`] exists only if every key of the file is known, of the right type and sensible beside the others;
//! otherwise a [`ConfigError`] lists all that is wrong, each problem with its path and line. Files named in it are
//! not opened here.

mod files;
#[cfg(feature = "fuzzing")]
pub(crate) mod fuzzing;
mod keys;
mod names;
mod problem;
mod raw;
mod reader;
mod restart;
mod sections;
mod store_files;
mod value;

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use ipnet::IpNet;

pub use files::{NamedFiles, line_of, named_files};
pub use keys::{KEYS, Key, KeyDefault};
pub use problem::{ConfigError, Problem};
pub use value::{ListenAddress, UpstreamAddress};

use crate::{
    credential::DigestAlgorithm,
    identity::{self, Source, mapping::Mapping},
    policy::Policy,
    telemetry::LogFormat,
    zk::dynamic_config::Advertise,
};

/// A whole, valid configuration. `docs/configuration.md` has the keys.
#[derive(Clone, Debug)]
pub struct Config {
    /// The file it was loaded from; `None` if it was read from text.
    pub file: Option<PathBuf>,
    /// Where clients connect.
    pub listen: Listen,
    /// The ZooKeeper server behind.
    pub upstream: Upstream,
    /// Certificates and whom to trust.
    pub tls: Tls,
    /// What a certificate becomes.
    pub identity: Identity,
    /// How ACLs are read and written.
    pub acl: Acl,
    /// Credentials that clients send themselves.
    pub client_auth: ClientAuth,
    /// Whose a session is.
    pub session: Session,
    /// What clients learn of the other servers; nothing is changed without.
    pub ensemble: Option<Advertise>,
    /// What one client, or all of them, may take.
    pub limits: Limits,
    /// Four-letter words that are passed on.
    pub four_letter_words: FourLetterWords,
    /// How to stop.
    pub shutdown: Shutdown,
    /// Metrics, probes and status.
    pub admin: Admin,
    /// How to log.
    pub log: Log,
    /// Noticing changes.
    pub reload: Reload,
    /// Threads.
    pub runtime: Runtime,
}

/// `listen`: where clients connect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listen {
    /// At least one, no two of which overlap. Port 0 lets the kernel choose.
    pub addresses: Vec<ListenAddress>,
    /// Connections that the kernel queues.
    pub backlog: u32,
    /// Socket options of accepted connections.
    pub tcp: Tcp,
    /// Peers whose connections begin with a header of the PROXY protocol.
    pub proxies: Vec<IpNet>,
}

/// How TCP finds out that a peer is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tcp {
    /// Idle time before keepalive probes; none without.
    pub keepalive: Option<Duration>,
    /// `TCP_USER_TIMEOUT`; the kernel's own patience without.
    pub user_timeout: Option<Duration>,
}

/// `upstream`: the ZooKeeper server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Upstream {
    /// Where it listens.
    pub address: UpstreamAddress,
    /// Time for the TCP connection.
    pub connect_timeout: Duration,
    /// Time for the ConnectResponse, and for the replies to injected packets.
    pub response_timeout: Duration,
    /// Local address of connections to it.
    pub source: UpstreamSource,
    /// Socket options of connections to it.
    pub tcp: Tcp,
    /// How often readiness asks whether it serves.
    pub probe_interval: Duration,
    /// Time for the answer; never longer than the interval.
    pub probe_timeout: Duration,
}

/// `upstream.source`: the local address of connections to ZooKeeper, which counts connections by it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UpstreamSource {
    /// An address of 127.0.0.0/8 derived from the client's. Only where the upstream is an address in there, or `localhost`.
    PerClient,
    /// Whatever the system chooses.
    System,
}

/// `tls`: certificates and whom to trust.
#[derive(Clone, Debug)]
pub struct Tls {
    /// Our own certificate and key.
    pub key_store: KeyStoreFiles,
    /// The CAs of clients; none where only pinned certificates are clients.
    pub trust_store: Option<TrustStoreFiles>,
    /// Files of certificates that are clients, and never issuers.
    pub pinned_certificates: Vec<PathBuf>,
    /// CRL files; none means that revocation is not checked.
    pub crls: Vec<PathBuf>,
    /// Whose revocation is checked.
    pub revocation: Revocation,
    /// What holds for a certificate that no CRL in date covers.
    pub revocation_policy: RevocationPolicy,
    /// Whether live connections end with their certificate's authority; if not, that is only told.
    pub revalidate: bool,
    /// How long before its certificate's end a live connection ends.
    pub expiry_margin: Duration,
    /// How long before its certificate's end a connected client is named in the log, if at all.
    pub expiry_warning: Option<Duration>,
}

/// `tls.key_store`: where our own certificate and key are.
#[derive(Clone, Debug)]
pub struct KeyStoreFiles {
    /// PEM (chain, perhaps the key), PKCS#12 or JKS.
    pub path: PathBuf,
    /// The store's password.
    pub password_file: Option<PathBuf>,
    /// The key, where it has a PEM file of its own.
    pub key_path: Option<PathBuf>,
    /// The key's password, where it is not the store's.
    pub key_password_file: Option<PathBuf>,
}

/// `tls.trust_store`: where the CAs of clients are.
#[derive(Clone, Debug)]
pub struct TrustStoreFiles {
    /// PEM, PKCS#12, JKS or JCEKS.
    pub path: PathBuf,
    /// The store's password.
    pub password_file: Option<PathBuf>,
}

/// `tls.revocation`: whose revocation is checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Revocation {
    /// The client's certificate and every CA below the trust anchor.
    Chain,
    /// The client's certificate alone.
    Leaf,
}

/// `tls.revocation_policy`: what holds for a certificate that no CRL in date covers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RevocationPolicy {
    /// It is refused.
    Hard,
    /// It is admitted.
    Soft,
}

/// `identity`: what a certificate becomes.
#[derive(Clone, Debug)]
pub struct Identity {
    /// Which name of the certificate.
    pub from: Source,
    /// What ZooKeeper is told.
    pub inject: Inject,
    /// What that name becomes; itself without.
    pub mapping: Option<Mapping>,
    /// Rules that are tried beside, and only reported on.
    pub mapping_shadow: Option<Mapping>,
    /// Names that are injected beside the identity.
    pub also_inject: Vec<OldName>,
    /// Which identities are admitted.
    pub policy: Policy,
    /// Identities that are ZooKeeper's superuser, where what is injected can tell that.
    pub superusers: Vec<identity::Identity>,
}

impl Identity {
    /// Names as they are, and everyone let in.
    pub fn plain(from: Source, inject: Inject) -> Self {
        Self {
            from,
            inject,
            mapping: None,
            mapping_shadow: None,
            also_inject: Vec::new(),
            policy: Policy::default(),
            superusers: Vec::new(),
        }
    }
}

/// An element of `identity.also_inject`: a name that a client had before.
#[derive(Clone, Debug)]
pub struct OldName {
    /// Which name of the certificate.
    pub from: Source,
    /// What that name became; itself without.
    pub mapping: Option<Mapping>,
}

/// `identity.inject`: what ZooKeeper is told of a client's identity.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Inject {
    /// A credential of the scheme `digest`, derived from the identity.
    Digest {
        /// The secrets that it is derived from.
        secret_file: PathBuf,
        /// How the servers hash it; only printed ids depend on that.
        algorithm: DigestAlgorithm,
    },
    /// An assertion of the scheme `x509`, for servers that have zoogate's provider.
    X509 {
        /// The secrets that it is made with; the servers have the same.
        secret_file: PathBuf,
    },
    /// Nothing.
    None,
}

/// `acl`: how ACLs are read and written.
#[derive(Clone, Copy, Debug)]
pub struct Acl {
    /// Whether `x509` ids in ACLs stand for the injected digest ids.
    pub translate: bool,
}

/// `client_auth`: credentials that clients send themselves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClientAuth {
    /// Those of scheme `x509`.
    pub x509: ClientX509,
}

/// `client_auth.x509`: what a client is told that adds an `x509` identity itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClientX509 {
    /// That it has been added, as it has.
    Answer,
    /// That it is refused.
    Refuse,
}

/// `session`: whose a session is.
#[derive(Clone, Debug)]
pub struct Session {
    /// The secrets by which sessions are bound to the identities that open them; sessions are free without.
    pub binding: Option<PathBuf>,
}

/// `limits`: what one client, or all of them, may take.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Admitted client connections at a time.
    pub connections: usize,
    /// Connections at a time whose clients are not admitted yet; one source may have half of them.
    pub handshakes: usize,
    /// From accept to authenticated.
    pub handshake_timeout: Duration,
    /// From authenticated to a complete ConnectRequest.
    pub open_timeout: Duration,
    /// Longest frame of a client, in bytes, without its length field.
    pub frame: usize,
}

/// `four_letter_words`: what is passed on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FourLetterWords {
    /// Known words, each of four ASCII letters; maybe none.
    pub allow: Vec<&'static str>,
}

/// `shutdown`: how to stop.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shutdown {
    /// From the signal to the end of accepting.
    pub delay: Duration,
    /// Time over which live connections are closed.
    pub grace: Duration,
}

/// `admin`: metrics, probes and status.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Admin {
    /// Where, if at all.
    pub address: Option<ListenAddress>,
    /// Names that it answers under beside loopback's and addresses, in lower case; `*.` at the beginning stands for
    /// one label or more.
    pub hosts: Vec<String>,
}

/// `log`: how to log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Log {
    /// For people or for machines.
    pub format: LogFormat,
    /// A level, or a filter; parses.
    pub level: String,
}

/// `reload`: noticing changes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reload {
    /// How often the files are looked at; only on SIGHUP without.
    pub interval: Option<Duration>,
}

/// `runtime`: threads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Runtime {
    /// Threads that serve admitted clients.
    pub workers: usize,
    /// Threads for handshakes, of lower priority.
    pub handshake_workers: usize,
}

impl Inject {
    /// The file of secrets, if there is one.
    pub fn secret_file(&self) -> Option<&PathBuf> {
        match self {
            Self::Digest { secret_file, .. } | Self::X509 { secret_file } => Some(secret_file),
            Self::None => None,
        }
    }

    /// The word in the configuration.
    pub fn scheme(&self) -> &'static str {
        match self {
            Self::Digest { .. } => "digest",
            Self::X509 { .. } => "x509",
            Self::None => "none",
        }
    }
}

impl Config {
    /// Loads a configuration file. Relative paths in it are relative to its directory.
    ///
    /// # Errors
    /// Everything that is wrong with the file, or that it can't be read.
    pub fn load(path: &Path) -> Result<Self, ConfigError> {
        let file = path.display().to_string();
        let text = files::read(path).map_err(|message| {
            let problem = Problem { file: file.clone(), line: None, path: String::new(), message };
            ConfigError { problems: vec![problem] }
        })?;
        let config = Self::parse(&text, path.parent().unwrap_or(Path::new("")), &file)?;
        Ok(Self { file: Some(path.to_owned()), ..config })
    }

    /// Reads a configuration from text; `file` is what problems call it.
    ///
    /// # Errors
    /// Everything that is wrong with the text.
    pub fn parse(text: &str, base: &Path, file: &str) -> Result<Self, ConfigError> {
        sections::read(text, &files::origin(base, file))
    }
}
