//! Which names the admin address answers under.
//!
//! A page of somebody else's site can have its own name resolve to this address, and then reads, as its own, what it
//! gets from here (DNS rebinding). The browser still sends that name as the host, so only names that no stranger can
//! own are served: those of loopback, addresses, and configured ones.

use std::fmt;
use std::net::IpAddr;

use hyper::header::HOST;
use hyper::http::uri::Authority;
use hyper::{Request, Version};

/// Names that are served beside loopback's and addresses: lower-case, without a dot at the end. `*.` at the beginning
/// stands for one label or more.
#[derive(Clone, Debug, Default)]
pub struct Hosts(Vec<String>);

/// Why a request is not answered.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum NotServed {
    /// It names no host, several, or what is none (RFC 9112, section 3.2).
    Malformed,
    /// It names another host.
    Other(String),
}

impl fmt::Display for NotServed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Malformed => f.write_str("the request must have one Host header, with a name or an address\n"),
            Self::Other(host) => writeln!(
                f,
                "this page is not served under the name {host}: ask by the IP address, or add the name to the \
                 configuration and restart zoogate: `admin: {{ hosts: ['{host}'] }}`"
            ),
        }
    }
}

impl Hosts {
    /// Serves these names, too.
    pub fn new(names: Vec<String>) -> Self {
        Self(names)
    }

    /// Whether a request names a host that is served. One of HTTP/1.0 may name none: every browser does.
    ///
    /// # Errors
    /// See [`NotServed`].
    pub(super) fn check<B>(&self, request: &Request<B>) -> Result<(), NotServed> {
        let mut written = request.headers().get_all(HOST).iter();
        let header = written.next();
        if written.next().is_some() {
            return Err(NotServed::Malformed);
        }
        // A request to a proxy has the host in its target, too.
        let target = request.uri().authority().cloned();
        let named = match header {
            Some(value) => Some(Authority::try_from(value.as_bytes()).map_err(|_| NotServed::Malformed)?),
            None if target.is_none() && request.version() != Version::HTTP_10 => return Err(NotServed::Malformed),
            None => None,
        };
        [named, target].into_iter().flatten().try_for_each(|authority| self.check_authority(&authority))
    }

    fn check_authority(&self, authority: &Authority) -> Result<(), NotServed> {
        let is_plain = !authority.as_str().contains('@') && !authority.host().is_empty();
        // What is behind the host is `:` and digits, or nothing.
        let port = &authority.as_str()[if is_plain { authority.host().len() } else { 0 }..];
        let is_port = port.is_empty() || port.strip_prefix(':').is_some_and(|port| port.parse::<u16>().is_ok());
        if !is_plain || !is_port {
            return Err(NotServed::Malformed);
        }
        let host = authority.host().to_ascii_lowercase();
        let host = host.strip_suffix('.').unwrap_or(&host);
        if is_address(host) || is_loopback_name(host) || self.0.iter().any(|name| matches(name, host)) {
            return Ok(());
        }
        // It goes into a sentence that is to be pasted.
        let is_name = host.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._".contains(&byte));
        Err(if is_name { NotServed::Other(host.to_owned()) } else { NotServed::Malformed })
    }
}

/// As browsers write it: they make `127.1` and the like an address in four parts.
fn is_address(host: &str) -> bool {
    match host.strip_prefix('[').and_then(|host| host.strip_suffix(']')) {
        Some(v6) => v6.parse::<std::net::Ipv6Addr>().is_ok(),
        None => host.parse::<IpAddr>().is_ok_and(|address| address.is_ipv4()),
    }
}

/// RFC 6761: browsers and resolvers let no such name be anything but loopback.
fn is_loopback_name(host: &str) -> bool {
    host == "localhost" || host.ends_with(".localhost")
}

fn matches(name: &str, host: &str) -> bool {
    match name.strip_prefix('*') {
        Some(end) => host.len() > end.len() && host.ends_with(end),
        None => host == name,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(version: Version, target: &str, hosts: &[&str]) -> Result<(), NotServed> {
        let mut request = Request::builder().version(version).uri(target);
        for host in hosts {
            request = request.header(HOST, *host);
        }
        let served = Hosts::new(vec!["zk1.example.com".to_owned(), "*.monitoring.svc".to_owned()]);
        served.check(&request.body(()).unwrap())
    }

    fn named(host: &str) -> Result<(), NotServed> {
        check(Version::HTTP_11, "/status", &[host])
    }

    #[test]
    fn loopback_names_addresses_and_configured_names_are_served() {
        for host in [
            "localhost",
            "LOCALHOST:9281",
            "localhost.",
            "zk1.localhost:80",
            "127.0.0.1",
            "10.1.2.3:9281",
            "127.0.0.1.",
            "[::1]",
            "[fd00::2]:9281",
            "[::ffff:10.0.0.1]",
            "zk1.example.com",
            "ZK1.Example.Com.:9281",
            "a.monitoring.svc",
            "a.b.monitoring.svc:1",
        ] {
            assert_eq!(named(host), Ok(()), "{host}");
        }
    }

    #[test]
    fn other_names_are_not() {
        for host in [
            "evil.example",
            "evil.example:9281",
            "localhost.evil.example",
            "evil-localhost",
            "127.0.0.1.evil.example",
            "zk1.example.com.evil.example",
            "xzk1.example.com",
            "zk2.example.com",
            "example.com",
            "monitoring.svc",
            "amonitoring.svc",
            "127.1",
            "2130706433",
            "0x7f.0.0.1",
        ] {
            let name = host.strip_suffix(":9281").unwrap_or(host).to_owned();
            assert_eq!(named(host), Err(NotServed::Other(name)), "{host}");
        }
    }

    #[test]
    fn what_is_no_host_is_malformed() {
        for host in
            ["", "localhost@evil.example", "evil.example@localhost", "[::1", "[evil]", ":80", "a b", "a:b", "a'b"]
        {
            assert_eq!(named(host), Err(NotServed::Malformed), "{host}");
        }
        assert_eq!(check(Version::HTTP_11, "/status", &["localhost", "localhost"]), Err(NotServed::Malformed));
        assert_eq!(check(Version::HTTP_11, "/status", &["localhost", "evil.example"]), Err(NotServed::Malformed));
    }

    #[test]
    fn a_request_without_a_host_is_served_only_where_none_is_needed() {
        assert_eq!(check(Version::HTTP_10, "/status", &[]), Ok(()));
        assert_eq!(check(Version::HTTP_11, "/status", &[]), Err(NotServed::Malformed));
        let evil = Err(NotServed::Other("evil.example".to_owned()));
        assert_eq!(check(Version::HTTP_10, "/status", &["evil.example"]), evil);
    }

    #[test]
    fn the_host_of_the_target_counts_beside_the_header() {
        let evil = || Err(NotServed::Other("evil.example".to_owned()));
        assert_eq!(check(Version::HTTP_11, "http://localhost:9281/status", &["localhost:9281"]), Ok(()));
        assert_eq!(check(Version::HTTP_11, "http://localhost/status", &[]), Ok(()));
        assert_eq!(check(Version::HTTP_11, "http://evil.example/status", &["localhost"]), evil());
        assert_eq!(check(Version::HTTP_11, "http://localhost/status", &["evil.example"]), evil());
        assert_eq!(check(Version::HTTP_10, "http://evil.example/status", &[]), evil());
        assert_eq!(check(Version::HTTP_11, "http://a@localhost/status", &["localhost"]), Err(NotServed::Malformed));
    }
}
