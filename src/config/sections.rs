//! From the tree to a [`Config`]: each section, and what must fit together.

use std::{collections::BTreeMap, net::SocketAddr, path::PathBuf, thread, time::Duration};

use super::{
    Acl, Admin, ClientAuth, ClientX509, Config, ConfigError, FourLetterWords, Identity, Inject, Limits, Listen,
    ListenAddress, Log, NamedFiles, Problem, Reload, Revocation, RevocationPolicy, Runtime, Session, Shutdown, Tcp,
    Tls, Upstream, UpstreamAddress, UpstreamSource,
    names::Names,
    raw,
    reader::{Origin, Reader},
    store_files::{key_store, trust_store},
    value,
};
use crate::telemetry;
use crate::zk::dynamic_config::{Advertise, Which};

const MS: Duration = Duration::from_millis(1);
const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);

/// Reads the whole text. Sections are read to the end even where one is wrong, so that every problem is found.
pub(super) fn read(text: &str, origin: &Origin) -> Result<Config, ConfigError> {
    let root = raw::parse(text).map_err(|error| {
        let problem =
            Problem { file: origin.file.clone(), line: error.line, path: String::new(), message: error.message };
        ConfigError { problems: vec![problem] }
    })?;
    let mut reader = Reader::new(&root, origin);
    let r = &mut reader;
    let addresses = Addresses::read(r);
    let listen = listen(r, addresses.listen);
    let upstream = upstream(r, addresses.upstream);
    let tls = tls(r);
    let secret_file = r.optional("identity.secret_file", value::path);
    let identity = identity(r, secret_file.as_ref());
    let acl = acl(r, identity.as_ref());
    let client_auth = client_auth(r);
    let ensemble = ensemble(r, listen.as_ref());
    let session = session(r, secret_file.as_ref());
    let limits = limits(r);
    let four_letter_words = four_letter_words(r);
    let shutdown = shutdown(r);
    let hosts = r.list("admin.hosts", value::http_host);
    let admin = addresses.admin.zip(hosts).map(|(address, hosts)| Admin { address, hosts: hosts.unwrap_or_default() });
    let log = log(r);
    let reload = r.value("reload.interval", value::duration_or_off(100 * MS..=HOUR));
    let runtime = runtime(r);
    reader.finish(text)?;
    let whole = || {
        Some(Config {
            file: None,
            listen: listen?,
            upstream: upstream?,
            tls: tls?,
            identity: identity?,
            acl: acl?,
            client_auth: client_auth?,
            ensemble: ensemble?,
            session: session?,
            limits: limits?,
            four_letter_words: four_letter_words?,
            shutdown: shutdown?,
            admin: admin?,
            log: log?,
            reload: Reload { interval: reload? },
            runtime: runtime?,
        })
    };
    Ok(whole().expect("a section is missing only where a problem was noted"))
}

/// The files that the text names, as far as it can be read, whatever is wrong with the rest.
pub(super) fn read_files(text: &str, origin: &Origin) -> NamedFiles {
    let Ok(root) = raw::parse(text) else { return NamedFiles::default() };
    let r = &mut Reader::new(&root, origin);
    NamedFiles {
        key_store: key_store(r),
        trust_store: trust_store(r).flatten(),
        pinned_certificates: r.list("tls.pinned_certificates", value::path).flatten().unwrap_or_default(),
        crls: r.list("tls.crls", value::path).flatten().unwrap_or_default(),
        secret_file: r.optional("identity.secret_file", value::path).flatten(),
    }
}

/// The addresses, which must not get in each other's way.
struct Addresses {
    listen: Option<Vec<ListenAddress>>,
    upstream: Option<UpstreamAddress>,
    admin: Option<Option<ListenAddress>>,
}

impl Addresses {
    fn read(r: &mut Reader<'_>) -> Self {
        let listen = match r.list("listen.address", value::listen_address) {
            Some(Some(addresses)) if !addresses.is_empty() => Some(addresses),
            Some(_) => {
                r.problem("listen.address", "is required: where clients connect, like `0.0.0.0:2281`");
                None
            }
            None => None,
        };
        let upstream = r.value("upstream.address", value::upstream_address);
        let admin = r.value("admin.address", value::listen_address_or_none);
        let addresses = Self { listen, upstream, admin };
        addresses.check(r);
        addresses
    }

    fn check(&self, r: &mut Reader<'_>) {
        let listen = self.listen.as_deref().unwrap_or_default();
        for (index, address) in listen.iter().enumerate() {
            if let Some(other) = listen[..index].iter().find(|other| covered(address, other)) {
                r.problem("listen.address", format!("`{address}` is covered by `{other}` already"));
            }
        }
        let admin = self.admin.as_ref().and_then(Option::as_ref);
        if let Some((admin, taken)) = admin.and_then(|a| Some((a, listen.iter().find(|l| overlap(a, l))?))) {
            r.problem("admin.address", format!("`{admin}` is taken by `listen.address: {taken}`"));
        }
        let Some(upstream) = &self.upstream else { return };
        if let Some(own) = listen.iter().filter_map(ListenAddress::socket).find(|own| leads_to(upstream, own)) {
            let message = format!("`{upstream}` is `listen.address: {own}`: zoogate would connect to itself");
            r.problem("upstream.address", message);
        }
        if admin.and_then(ListenAddress::socket).is_some_and(|own| leads_to(upstream, &own)) {
            r.problem("upstream.address", format!("`{upstream}` is `admin.address`; where does ZooKeeper listen?"));
        }
    }
}

/// Whether two listeners for clients get in each other's way. Those on IPv6 addresses take no IPv4, so that `0.0.0.0`
/// and `[::]` can be listed together.
fn covered(a: &ListenAddress, b: &ListenAddress) -> bool {
    let is_ipv4 = |address: &ListenAddress| address.socket().map(|socket| socket.is_ipv4());
    is_ipv4(a) == is_ipv4(b) && overlap(a, b)
}

/// Whether two sockets can't both be had. The admin port's `[::]` may stand for IPv4 too.
fn overlap(a: &ListenAddress, b: &ListenAddress) -> bool {
    let (Some(a), Some(b)) = (a.socket(), b.socket()) else { return a == b };
    let covers =
        |wide: &SocketAddr, narrow: &SocketAddr| wide.ip().is_unspecified() && (wide.is_ipv6() || narrow.is_ipv4());
    a.port() == b.port() && a.port() != 0 && (a.ip() == b.ip() || covers(&a, &b) || covers(&b, &a))
}

/// Whether a connection to the upstream's address would arrive at our own socket, as far as addresses tell.
fn leads_to(upstream: &UpstreamAddress, own: &SocketAddr) -> bool {
    let here = |ip: std::net::IpAddr| ip.is_loopback() || ip.is_unspecified();
    let same_host = match upstream.ip() {
        Some(ip) => ip == own.ip() || (here(ip) && own.ip().is_unspecified()),
        None => upstream.host == "localhost" && here(own.ip()),
    };
    same_host && upstream.port == own.port()
}

fn listen(r: &mut Reader<'_>, addresses: Option<Vec<ListenAddress>>) -> Option<Listen> {
    let backlog = r.value("listen.backlog", value::integer(1..=65535));
    let tcp = tcp(r, "listen.keepalive", "listen.user_timeout");
    let proxies = r.list("listen.proxy_protocol.from", value::network).map(Option::unwrap_or_default);
    Some(Listen { addresses: addresses?, backlog: backlog?, tcp: tcp?, proxies: proxies? })
}

fn tcp(r: &mut Reader<'_>, keepalive: &'static str, user_timeout: &'static str) -> Option<Tcp> {
    let keepalive = r.value(keepalive, value::duration_or_off(SECOND..=9 * HOUR));
    let user_timeout = r.value(user_timeout, value::duration_or_off(SECOND..=HOUR));
    Some(Tcp { keepalive: keepalive?, user_timeout: user_timeout? })
}

fn upstream(r: &mut Reader<'_>, address: Option<UpstreamAddress>) -> Option<Upstream> {
    let connect_timeout = r.value("upstream.connect_timeout", value::duration(MS..=HOUR));
    let response_timeout = r.value("upstream.response_timeout", value::duration(MS..=HOUR));
    let source = upstream_source(r, address.as_ref());
    let tcp = tcp(r, "upstream.keepalive", "upstream.user_timeout");
    let probe_interval = r.value("upstream.probe_interval", value::duration(100 * MS..=HOUR));
    let probe_timeout = r.value("upstream.probe_timeout", value::duration(MS..=HOUR));
    if let Some((timeout, interval)) =
        probe_timeout.zip(probe_interval).filter(|(timeout, interval)| timeout > interval)
    {
        let written = r.is_written("upstream.probe_timeout");
        let key = if written { "upstream.probe_timeout" } else { "upstream.probe_interval" };
        let (timeout, interval) = (humantime::format_duration(timeout), humantime::format_duration(interval));
        r.problem(key, format!("`probe_timeout` ({timeout}) must not be longer than `probe_interval` ({interval})"));
    }
    Some(Upstream {
        address: address?,
        connect_timeout: connect_timeout?,
        response_timeout: response_timeout?,
        source: source?,
        tcp: tcp?,
        probe_interval: probe_interval?,
        probe_timeout: probe_timeout?,
    })
}

fn upstream_source(r: &mut Reader<'_>, address: Option<&UpstreamAddress>) -> Option<UpstreamSource> {
    let words = [("per_client", UpstreamSource::PerClient), ("system", UpstreamSource::System)];
    let written = r.optional("upstream.source", value::choice(&words))?;
    let address = address?;
    // Where the name leads to ::1 after all, the dialler leaves the source to the system.
    let loopback = match address.ip() {
        Some(ip) => ip.is_ipv4() && ip.is_loopback(),
        None => address.host.eq_ignore_ascii_case("localhost"),
    };
    match written {
        None if loopback => Some(UpstreamSource::PerClient),
        None => Some(UpstreamSource::System),
        Some(UpstreamSource::PerClient) if !loopback => {
            r.problem(
                "upstream.source",
                "`per_client` needs an `upstream.address` in 127.0.0.0/8, or `localhost`; write `system`",
            );
            None
        }
        Some(source) => Some(source),
    }
}

fn tls(r: &mut Reader<'_>) -> Option<Tls> {
    let key_store = key_store(r);
    let trust_store = trust_store(r);
    let pinned_certificates = r.list("tls.pinned_certificates", value::path).map(Option::unwrap_or_default);
    if matches!((&trust_store, &pinned_certificates), (Some(None), Some(pinned)) if pinned.is_empty()) {
        r.problem("tls.trust_store.path", "is required");
    }
    let crls = r.list("tls.crls", value::path).map(Option::unwrap_or_default);
    let scopes = [("chain", Revocation::Chain), ("leaf", Revocation::Leaf)];
    let revocation = r.value("tls.revocation", value::choice(&scopes));
    let policies = [("hard", RevocationPolicy::Hard), ("soft", RevocationPolicy::Soft)];
    let revocation_policy = r.value("tls.revocation_policy", value::choice(&policies));
    let revalidate = r.value("tls.revalidate", value::choice(&[("enforce", true), ("observe", false)]));
    let expiry_margin = r.value("tls.expiry_margin", value::duration(Duration::ZERO..=24 * HOUR));
    let expiry_warning = r.value("tls.expiry_warning", value::duration_or_off(60 * SECOND..=366 * 24 * HOUR));
    if crls.as_ref().is_some_and(Vec::is_empty) {
        for key in ["tls.revocation", "tls.revocation_policy"] {
            if r.is_written(key) {
                r.problem(key, "has no effect without `tls.crls`: nothing would be checked for revocation");
            }
        }
    }
    Some(Tls {
        key_store: key_store?,
        trust_store: trust_store?,
        pinned_certificates: pinned_certificates?,
        crls: crls?,
        revocation: revocation?,
        revocation_policy: revocation_policy?,
        revalidate: revalidate?,
        expiry_margin: expiry_margin?,
        expiry_warning: expiry_warning?,
    })
}

/// A secret file that is wrong is no file here, and one that is not written is `Some(None)`.
type SecretFile<'a> = Option<&'a Option<PathBuf>>;

fn identity(r: &mut Reader<'_>, secret_file: SecretFile<'_>) -> Option<Identity> {
    #[derive(Clone, Copy, PartialEq, Eq)]
    enum Scheme {
        Digest,
        X509,
        None,
    }
    let from = r.value("identity.from", value::word);
    let schemes = [("digest", Scheme::Digest), ("x509", Scheme::X509), ("none", Scheme::None)];
    let scheme = r.value("identity.inject", value::choice(&schemes));
    let algorithm = r.value("identity.digest_algorithm", value::word);
    if scheme.is_some_and(|scheme| scheme != Scheme::None) && secret_file == Some(&None) {
        let message = "is required unless `identity.inject` is `none`; `zoogate secret` makes a secret";
        r.problem("identity.secret_file", message);
    }
    let names = Names::read(r, from);
    if scheme == Some(Scheme::None) && r.is_written("identity.also_inject") {
        r.problem("identity.also_inject", "has no effect with `identity.inject: none`: nothing is injected");
    }
    if scheme.is_some_and(|scheme| scheme != Scheme::X509) && r.is_written("identity.super") {
        r.problem("identity.super", "needs `identity.inject: x509`: no other scheme can tell a superuser");
    }
    let inject = match scheme? {
        Scheme::Digest => Inject::Digest { secret_file: secret_file?.clone()?, algorithm: algorithm? },
        Scheme::X509 => Inject::X509 { secret_file: secret_file?.clone()? },
        Scheme::None => Inject::None,
    };
    let Names { mapping, mapping_shadow, also_inject, policy, superusers } = names?;
    Some(Identity { from: from?, inject, mapping, mapping_shadow, also_inject, policy, superusers })
}

fn acl(r: &mut Reader<'_>, identity: Option<&Identity>) -> Option<Acl> {
    let translate = r.value("acl.translate", value::choice(&[("on", true), ("off", false)]))?;
    if translate && identity.is_some_and(|identity| !matches!(identity.inject, Inject::Digest { .. })) {
        r.problem("acl.translate", "needs `identity.inject: digest`: it is digest ids that stand for `x509` ids");
    }
    Some(Acl { translate })
}

fn client_auth(r: &mut Reader<'_>) -> Option<ClientAuth> {
    let words = [("answer", ClientX509::Answer), ("refuse", ClientX509::Refuse)];
    Some(ClientAuth { x509: r.value("client_auth.x509", value::choice(&words))? })
}

fn ensemble(r: &mut Reader<'_>, listen: Option<&Listen>) -> Option<Option<Advertise>> {
    let words = [("loopback", Some(Which::Loopback)), ("all", Some(Which::All)), ("off", None)];
    let which = r.value("ensemble.advertise", value::choice(&words));
    let port = r.optional("ensemble.port", value::integer(1..=u32::from(u16::MAX)));
    if which == Some(None) {
        for key in ["ensemble.port", "ensemble.addresses"] {
            if r.is_written(key) {
                r.problem(key, "has no effect with `ensemble.advertise: off`");
            }
        }
    }
    let addresses = ensemble_addresses(r);
    let own = listen?.addresses.first().and_then(ListenAddress::socket).map_or(0, |own| own.port());
    let port = port?.map_or(own, |port| u16::try_from(port).unwrap_or(own));
    let addresses = addresses?;
    Some(which?.map(|which| Advertise { which, port, addresses }))
}

fn ensemble_addresses(r: &mut Reader<'_>) -> Option<BTreeMap<u64, String>> {
    let mut addresses = BTreeMap::new();
    for (number, address) in r.list("ensemble.addresses", value::server_address)?.unwrap_or_default() {
        if addresses.insert(number, address).is_some() {
            r.problem("ensemble.addresses", format!("names server {number} more than once"));
        }
    }
    Some(addresses)
}

fn session(r: &mut Reader<'_>, secret_file: SecretFile<'_>) -> Option<Session> {
    let binding = r.optional("session.binding", value::choice(&[("on", true), ("off", false)]))?;
    if binding == Some(true) && secret_file == Some(&None) {
        r.problem("session.binding", "needs `identity.secret_file`; `zoogate secret` makes a secret");
    }
    Some(Session { binding: secret_file?.clone().filter(|_| binding != Some(false)) })
}

fn limits(r: &mut Reader<'_>) -> Option<Limits> {
    let connections = r.value("limits.connections", value::integer(1..=1_000_000));
    let handshakes = r.optional("limits.handshakes", value::integer(2..=1_000_000));
    let handshake_timeout = r.value("limits.handshake_timeout", value::duration(MS..=HOUR));
    let open_timeout = r.value("limits.open_timeout", value::duration(MS..=HOUR));
    // A ConnectRequest must fit; the length on the wire is a signed 32-bit number.
    let frame = r.value("limits.frame", value::size(1024..=i32::MAX.unsigned_abs()));
    let connections = connections? as usize;
    Some(Limits {
        connections,
        handshakes: handshakes?.map_or(connections.saturating_mul(2), |written| written as usize),
        handshake_timeout: handshake_timeout?,
        open_timeout: open_timeout?,
        frame: frame? as usize,
    })
}

fn four_letter_words(r: &mut Reader<'_>) -> Option<FourLetterWords> {
    let written = r.list("four_letter_words.allow", value::four_letter_word)?;
    let allow = match written {
        Some(words) => words,
        None => r.value("four_letter_words.allow", value::four_letter_words)?,
    };
    Some(FourLetterWords { allow })
}

fn shutdown(r: &mut Reader<'_>) -> Option<Shutdown> {
    let delay = r.value("shutdown.delay", value::duration(Duration::ZERO..=10 * MINUTE));
    let grace = r.value("shutdown.grace", value::duration(Duration::ZERO..=HOUR));
    Some(Shutdown { delay: delay?, grace: grace? })
}

fn log(r: &mut Reader<'_>) -> Option<Log> {
    let format = r.value("log.format", value::word);
    let level = r.value("log.level", |kind, _| {
        // `off` is a level; of `on` nobody could say which one it is.
        let filter = match value::switch(kind) {
            Some("off") => "off",
            _ => value::text(kind, "a level like `info`, or `off`")?,
        };
        telemetry::check_filter(filter).map_err(|error| error.to_string())?;
        Ok(filter.to_owned())
    });
    Some(Log { format: format?, level: level? })
}

fn runtime(r: &mut Reader<'_>) -> Option<Runtime> {
    let written = r.optional("runtime.workers", value::integer(1..=1024))?;
    let workers = written.map_or_else(|| thread::available_parallelism().map_or(1, usize::from), |n| n as usize);
    let handshakes = r.optional("runtime.handshake_workers", value::integer(1..=1024))?;
    Some(Runtime { workers, handshake_workers: handshakes.map_or(workers, |n| n as usize) })
}
