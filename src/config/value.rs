//! Values of the configuration file, each from what the YAML parser saw to its meaning.

use std::{
    fmt,
    net::{IpAddr, SocketAddr},
    ops::RangeInclusive,
    path::PathBuf,
    str::FromStr,
    time::Duration,
};

use ipnet::IpNet;

use super::{raw::Kind, reader::Origin};

/// The words that a ZooKeeper server answers, but for `stmk`, which takes an argument and changes the server.
const FOUR_LETTER_WORDS: &[&str] = &[
    "conf", "cons", "crst", "dirs", "dump", "envi", "gtmk", "hash", "isro", "mntr", "ruok", "srst", "srvr", "stat",
    "wchc", "wchp", "wchs",
];

/// Where ZooKeeper listens. A name is looked up at each dial.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UpstreamAddress {
    /// A host name or an IP address, without brackets.
    pub host: String,
    /// The port, never 0.
    pub port: u16,
}

/// Where to listen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ListenAddress {
    /// At an address of this machine.
    Socket(SocketAddr),
    /// On every socket of this name that the service manager passes, written `fd:name`.
    Passed(String),
}

impl ListenAddress {
    /// The address, where the configuration has one.
    pub fn socket(&self) -> Option<SocketAddr> {
        match self {
            Self::Socket(address) => Some(*address),
            Self::Passed(_) => None,
        }
    }
}

impl fmt::Display for ListenAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Socket(address) => address.fmt(f),
            Self::Passed(name) => write!(f, "fd:{name}"),
        }
    }
}

impl UpstreamAddress {
    /// The IP address, where the host is written as one.
    pub fn ip(&self) -> Option<IpAddr> {
        self.host.parse().ok()
    }
}

impl fmt::Display for UpstreamAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.ip() {
            Some(IpAddr::V6(_)) => write!(f, "[{}]:{}", self.host, self.port),
            Some(IpAddr::V4(_)) | None => write!(f, "{}:{}", self.host, self.port),
        }
    }
}

pub(super) fn text<'a>(kind: &'a Kind, expected: &str) -> Result<&'a str, String> {
    match kind {
        Kind::Text(text) => Ok(text),
        other => Err(format!("expected {expected}, found {}", other.describe())),
    }
}

/// A word that stands for one of a few values.
pub(super) fn word<T: FromStr<Err: fmt::Display>>(kind: &Kind, _: &Origin) -> Result<T, String> {
    text(kind, "a word")?.parse().map_err(|error: T::Err| error.to_string())
}

/// `on` or `off`, where the value is one of YAML 1.1's spellings of a switch, quoted or not: Helm, kubectl and Ansible
/// turn one into another.
pub(super) fn switch(kind: &Kind) -> Option<&'static str> {
    let on = match kind {
        Kind::Bool(on) => *on,
        Kind::Text(word) => match word.as_str() {
            "on" | "On" | "ON" | "true" | "True" | "TRUE" | "yes" | "Yes" | "YES" => true,
            "off" | "Off" | "OFF" | "false" | "False" | "FALSE" | "no" | "No" | "NO" => false,
            _ => return None,
        },
        _ => return None,
    };
    Some(if on { "on" } else { "off" })
}

/// One of a few words of our own. Where `on` or `off` is among them, every spelling of a [`switch`] is taken for it.
pub(super) fn choice<T: Copy>(words: &[(&str, T)]) -> impl Fn(&Kind, &Origin) -> Result<T, String> {
    move |kind, _| {
        if let Some((_, value)) = switch(kind).and_then(|meant| words.iter().find(|(name, _)| *name == meant)) {
            return Ok(*value);
        }
        let names: Vec<String> = words.iter().map(|(name, _)| format!("`{name}`")).collect();
        let expected = format!("one of {}", names.join(", "));
        let written = text(kind, &expected)?;
        let found = words.iter().find(|(name, _)| *name == written);
        found.map(|(_, value)| *value).ok_or_else(|| format!("`{written}` is not {expected}"))
    }
}

pub(super) fn integer(allowed: RangeInclusive<u32>) -> impl Fn(&Kind, &Origin) -> Result<u32, String> {
    move |kind, _| {
        let (low, high) = (allowed.start(), allowed.end());
        let Kind::Integer(value) = kind else {
            let quoted = matches!(kind, Kind::Text(text) if text.parse::<i64>().is_ok());
            let hint = if quoted { " (without quotes)" } else { "" };
            return Err(format!("expected a whole number{hint}, found {}", kind.describe()));
        };
        let in_range = u32::try_from(*value).ok().filter(|value| allowed.contains(value));
        in_range.ok_or_else(|| format!("must be from {low} to {high}, not {value}"))
    }
}

pub(super) fn duration(allowed: RangeInclusive<Duration>) -> impl Fn(&Kind, &Origin) -> Result<Duration, String> {
    move |kind, _| {
        let written = match kind {
            Kind::Integer(0) => "0",
            Kind::Integer(number) => return Err(format!("needs a unit: `{number}s`, `{number}ms` or `{number}m`")),
            kind => text(kind, "a duration like `10s`")?,
        };
        let value = humantime::parse_duration(written)
            .map_err(|_| "is not a duration; write `10s`, `500ms` or `1m`".to_owned())?;
        if allowed.contains(&value) {
            return Ok(value);
        }
        let (low, high) = (humantime::format_duration(*allowed.start()), humantime::format_duration(*allowed.end()));
        Err(format!("must be from {low} to {high}, not {}", humantime::format_duration(value)))
    }
}

/// A duration, or `off` in any spelling of a [`switch`] (also 0).
pub(super) fn duration_or_off(
    allowed: RangeInclusive<Duration>,
) -> impl Fn(&Kind, &Origin) -> Result<Option<Duration>, String> {
    let on = duration(allowed);
    move |kind, origin| match kind {
        kind if switch(kind) == Some("off") => Ok(None),
        kind if duration(Duration::ZERO..=Duration::ZERO)(kind, origin).is_ok() => Ok(None),
        kind => on(kind, origin).map(Some).map_err(|message| format!("{message}; or `off`")),
    }
}

/// Bytes: a number, or a number with B, KiB, MiB or GiB.
pub(super) fn size(allowed: RangeInclusive<u32>) -> impl Fn(&Kind, &Origin) -> Result<u32, String> {
    move |kind, _| {
        let value = match kind {
            Kind::Integer(bytes) => u64::try_from(*bytes).ok(),
            kind => parse_size(text(kind, "a size like `1MiB`")?),
        };
        let value = value.ok_or("is not a size; write `1MiB`, `64KiB`, or a number of bytes")?;
        let in_range = u32::try_from(value).ok().filter(|value| allowed.contains(value));
        in_range.ok_or_else(|| format!("must be from {} to {} bytes, not {value}", allowed.start(), allowed.end()))
    }
}

fn parse_size(text: &str) -> Option<u64> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    let unit = match unit.trim_start() {
        "" | "B" => 1,
        "KiB" => 1 << 10,
        "MiB" => 1 << 20,
        "GiB" => 1 << 30,
        _ => return None,
    };
    number.parse::<u64>().ok()?.checked_mul(unit)
}

/// An address to listen on.
pub(super) fn socket_address(kind: &Kind, _: &Origin) -> Result<SocketAddr, String> {
    let expected = "an address like `0.0.0.0:2281` or `\"[::]:2281\"`";
    let written = match kind {
        Kind::Integer(port) => return Err(format!("expected {expected}, found a port alone: `0.0.0.0:{port}`?")),
        kind => text(kind, expected)?,
    };
    if let Ok(address) = written.parse() {
        return Ok(address);
    }
    Err(match written.rsplit_once(':') {
        Some(("" | "*", port)) => format!("expected {expected}: `0.0.0.0:{port}` is every IPv4 address"),
        Some((host, _)) if host.parse::<IpAddr>().is_err() && !host.contains(':') && !host.starts_with('[') => {
            format!("`{written}` is not an IP address and port; names are not looked up here, write {expected}")
        }
        _ => format!("`{written}` is not an address; write {expected}"),
    })
}

/// An address to listen on, or the name of a socket that the service manager passes.
pub(super) fn listen_address(kind: &Kind, origin: &Origin) -> Result<ListenAddress, String> {
    match kind {
        Kind::Text(written) => match written.strip_prefix("fd:") {
            Some(name) if is_descriptor_name(name) => Ok(ListenAddress::Passed(name.to_owned())),
            Some(_) => Err("expected `fd:` and the socket's FileDescriptorName=, like `fd:tls`".to_owned()),
            None => socket_address(kind, origin).map(ListenAddress::Socket),
        },
        kind => socket_address(kind, origin).map(ListenAddress::Socket),
    }
}

/// What systemd takes for a name (`fdname_is_valid`), without blanks.
fn is_descriptor_name(name: &str) -> bool {
    (1..=255).contains(&name.len()) && name.bytes().all(|byte| byte.is_ascii_graphic() && byte != b':')
}

/// An address to listen on, or `none`.
pub(super) fn listen_address_or_none(kind: &Kind, origin: &Origin) -> Result<Option<ListenAddress>, String> {
    match kind {
        Kind::Text(word) if word == "none" => Ok(None),
        kind => listen_address(kind, origin).map(Some).map_err(|message| format!("{message}; or `none`")),
    }
}

/// The one server to connect to.
pub(super) fn server_address(kind: &Kind, origin: &Origin) -> Result<(u64, String), String> {
    let expected = "a server's number and its gate's address, like `1=zk1.example.com:2281`";
    let written = text(kind, expected)?;
    let (number, address) = written.split_once('=').ok_or_else(|| format!("`{written}` is not {expected}"))?;
    let number = number.trim().parse().map_err(|_| format!("`{written}` is not {expected}"))?;
    let address = upstream_address(&Kind::Text(address.trim().to_owned()), origin)?;
    Ok((number, address.to_string()))
}

/// A network in CIDR notation (RFC 4632), or a single address.
pub(super) fn network(kind: &Kind, _: &Origin) -> Result<IpNet, String> {
    let expected = "a network like `10.0.0.0/8` or an address";
    let written = text(kind, expected)?;
    if let Ok(address) = written.parse::<IpAddr>() {
        return Ok(IpNet::from(address.to_canonical()));
    }
    let network: IpNet = written.parse().map_err(|_| format!("`{written}` is not {expected}"))?;
    if network.trunc() != network {
        return Err(format!("`{written}` has bits behind its prefix; write `{}`", network.trunc()));
    }
    Ok(network)
}

pub(super) fn upstream_address(kind: &Kind, _: &Origin) -> Result<UpstreamAddress, String> {
    let expected = "the server's `host:port`, like `127.0.0.1:2181`";
    let written = text(kind, expected)?;
    if written.contains(',') {
        return Err("names more than one server; zoogate stands in front of one".to_owned());
    }
    if written.contains('/') {
        return Err(format!("expected {expected}, without a scheme or a chroot"));
    }
    let address = match written.parse::<SocketAddr>() {
        Ok(address) => Some((address.ip().to_string(), address.port())),
        Err(_) => written.rsplit_once(':').and_then(|(host, port)| Some((host.to_owned(), port.parse().ok()?))),
    };
    let (host, port) = address.ok_or_else(|| format!("`{written}` is not an address; write {expected}"))?;
    if port == 0 {
        return Err("port 0 can't be connected to".to_owned());
    }
    let name = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_');
    if host.parse::<IpAddr>().is_err() && (host.is_empty() || !host.bytes().all(name)) {
        return Err(format!("`{written}` is not an address; write {expected}"));
    }
    Ok(UpstreamAddress { host, port })
}

/// A path: relative to the file's directory, or below systemd's credentials.
pub(super) fn path(kind: &Kind, origin: &Origin) -> Result<PathBuf, String> {
    let written = text(kind, "the path of a file")?;
    if written.is_empty() {
        return Err("is empty; write the path of a file".to_owned());
    }
    // Whoever pastes a key or a secret must not find it in a log.
    if written.contains('\n') || written.starts_with("-----BEGIN") {
        return Err("holds the content of a file; write its path".to_owned());
    }
    if let Some(rest) = written.strip_prefix("${CREDENTIALS_DIRECTORY}") {
        let directory = origin
            .credentials
            .as_ref()
            .ok_or("${CREDENTIALS_DIRECTORY} is not set; systemd sets it for a unit with LoadCredential=")?;
        return match rest.strip_prefix('/') {
            Some(rest) if !rest.is_empty() && !rest.contains("${") => Ok(directory.join(rest.trim_start_matches('/'))),
            _ => Err("expected `${CREDENTIALS_DIRECTORY}/name`".to_owned()),
        };
    }
    if written.contains("${") || written.starts_with('$') {
        return Err("only a leading `${CREDENTIALS_DIRECTORY}/` is replaced, no other variable".to_owned());
    }
    if written.starts_with("~/") {
        return Err("`~` is not replaced; write the whole path".to_owned());
    }
    Ok(origin.base.join(written))
}

/// A name in the `Host` header of HTTP, as browsers send it: in lower case, without a port.
pub(super) fn http_host(kind: &Kind, _: &Origin) -> Result<String, String> {
    let written = text(kind, "a host name like `zk1.example.com`")?;
    let name = written.strip_suffix('.').unwrap_or(written).to_ascii_lowercase();
    let labels = name.strip_prefix("*.").unwrap_or(&name);
    if name.parse::<IpAddr>().is_ok() {
        return Err(format!("`{written}` is an address; those need not be listed"));
    }
    if let Some((host, port)) = labels.rsplit_once(':')
        && port.parse::<u16>().is_ok()
    {
        return Err(format!("`{written}` has a port; write `{host}`, which holds for every port"));
    }
    let is_label = |label: &str| {
        !label.is_empty() && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
    };
    if labels.split('.').all(is_label) {
        return Ok(name);
    }
    Err(format!("`{written}` is no host name; write `zk1.example.com`, or `*.example.com` for every name below it"))
}

pub(super) fn four_letter_word(kind: &Kind, _: &Origin) -> Result<&'static str, String> {
    let written = text(kind, "a four-letter word")?;
    if written == "stmk" {
        return Err("`stmk` takes an argument and changes the server; it is not passed on".to_owned());
    }
    let known = FOUR_LETTER_WORDS.iter().find(|word| **word == written);
    known
        .copied()
        .ok_or_else(|| format!("`{written}` is no four-letter word; there are {}", FOUR_LETTER_WORDS.join(", ")))
}

/// The default's list of words.
pub(super) fn four_letter_words(kind: &Kind, origin: &Origin) -> Result<Vec<&'static str>, String> {
    match kind {
        Kind::List(words) => words.iter().map(|word| four_letter_word(&word.kind, origin)).collect(),
        word => Ok(vec![four_letter_word(word, origin)?]),
    }
}
