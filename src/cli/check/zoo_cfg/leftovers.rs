//! Limits and words that have keys, and what has none.

use super::addresses::Reached;
use super::page::{Note, Page};
use super::settings::Settings;
use crate::zk::four_letter_word::FourLetterWord;

/// Settings of native TLS that zoogate needs none for: what they ask for is always so, or not its matter.
const SILENT: [&str; 6] = [
    "ssl.authProvider",
    "ssl.clientAuth",
    "ssl.crl",
    "ssl.ocsp",
    // Of clients, or between servers.
    "ssl.hostnameVerification",
    "ssl.handshakeDetectionTimeoutMillis",
];

/// Slack of a request's length over `jute.maxbuffer`, in bytes: what servers add for paths and ACLs.
const SLACK: u32 = 1024;

/// Sets the keys that are left, and tells what can't be set.
pub(super) fn convert(settings: &Settings, reached: Reached, page: &mut Page) {
    limits(settings, page);
    words(settings, page);
    if reached != Reached::Plain {
        tls(settings, page);
    }
    security(settings, page);
    prefixed(settings, page);
}

fn limits(settings: &Settings, page: &mut Page) {
    let number = |key: &str| settings.get(key)?.parse::<u32>().ok();
    if let Some(connections) = number("maxCnxns").filter(|most| (1..=1_000_000).contains(most)) {
        page.set("limits", "connections", connections.to_string());
    }
    let given = settings.flag("jute.maxbuffer").and_then(java_integer);
    if let Some(buffer) = given {
        let frame = buffer.saturating_add(SLACK).clamp(1024, i32::MAX.unsigned_abs());
        page.set("limits", "frame", frame.to_string());
    }
    if let Some(buffer) = settings.own("jute.maxbuffer") {
        let instead = match given {
            Some(_) => "`limits.frame` follows that",
            None => {
                "zoogate's `limits.frame` stays at its default. If Java's command line has it, give that by --jvm-flags"
            }
        };
        page.lost(format!(
            "jute.maxbuffer={buffer} in zoo.cfg has no effect on a server, which takes it by -Djute.maxbuffer only: {instead}"
        ));
    }
    if let Some(backlog) = number("clientPortListenBacklog").filter(|backlog| (1..=65_535).contains(backlog)) {
        page.set("listen", "backlog", backlog.to_string());
    }
    if let Some(most) = settings.get("netty.server.outstandingHandshake.limit").filter(|most| !most.starts_with('-')) {
        page.lost(format!(
            "netty.server.outstandingHandshake.limit={most}: zoogate has no such limit; `limits.connections` and \
             `limits.handshake_timeout` bound handshakes"
        ));
    }
}

/// As `Integer.decode` takes it.
fn java_integer(text: &str) -> Option<u32> {
    let text = text.trim();
    let hexadecimal = text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")).or_else(|| text.strip_prefix('#'));
    match (hexadecimal, text.strip_prefix('0')) {
        (Some(digits), _) => u32::from_str_radix(digits, 16).ok(),
        (None, Some(digits)) if !digits.is_empty() => u32::from_str_radix(digits, 8).ok(),
        (None, _) => text.parse().ok(),
    }
}

fn words(settings: &Settings, page: &mut Page) {
    let Some(list) = settings.get("4lw.commands.whitelist") else { return };
    let listed: Vec<&str> = list.split(',').map(str::trim).filter(|word| !word.is_empty()).collect();
    if listed.contains(&"*") {
        return page.lost(
            "4lw.commands.whitelist=*: zoogate passes on ruok, srvr and isro unless `four_letter_words.allow` lists \
             others; several tell of other clients, and crst and srst change the server",
        );
    }
    let known = |word: &&&str| word.parse::<FourLetterWord>().is_ok() && **word != "stmk";
    let (known, unknown): (Vec<&str>, Vec<&str>) = listed.iter().partition(|word| known(word));
    page.set("four_letter_words", "allow", format!("[ {} ]", known.join(", ")));
    if !unknown.is_empty() {
        page.lost(format!("4lw.commands.whitelist: {} can't be passed on", unknown.join(", ")));
    }
}

fn tls(settings: &Settings, page: &mut Page) {
    let protocols = settings.get("ssl.enabledProtocols").or_else(|| settings.get("ssl.protocol"));
    if let Some(protocols) = protocols {
        let spoken = |protocol: &str| matches!(protocol.trim(), "TLSv1.2" | "TLSv1.3" | "TLS");
        let old: Vec<&str> = protocols.split(',').map(str::trim).filter(|protocol| !spoken(protocol)).collect();
        page.lost(match old[..] {
            [] => format!("TLS {protocols}: zoogate speaks TLS 1.2 and 1.3 always, and takes clients of both"),
            _ => format!("TLS {}: zoogate speaks TLS 1.2 and 1.3 only; update clients that need these", old.join(", ")),
        });
    }
    if let Some(suites) = settings.get("ssl.ciphersuites") {
        let silent: Vec<&str> = suites.split(',').map(str::trim).filter(|suite| !is_spoken(suite)).collect();
        let which = match silent[..] {
            [] => "all of these are among them".to_owned(),
            _ => format!("not {}", silent.join(", ")),
        };
        page.lost(format!(
            "ssl.ciphersuites: the list can't be chosen. zoogate speaks AES-GCM and ChaCha20-Poly1305 with ephemeral \
             keys; {which}"
        ));
    }
    for (key, told) in [
        ("ssl.context.supplier.class", "that class makes the server's keys and trust; zoogate takes them from files"),
        ("ssl.sslProvider", "zoogate has a TLS library of its own"),
    ] {
        if let Some(value) = settings.get(key) {
            page.lost(format!("{key}={value}: {told}"));
        }
    }
    if settings.is_true("ssl.clientHostnameVerification") {
        page.lost(
            "ssl.clientHostnameVerification=true: zoogate does not compare certificates with the addresses that \
             clients come from. `identity.allow` and `identity.deny` say who may come",
        );
    }
    if settings.is_true("fips-mode") {
        page.lost("fips-mode=true: zoogate's TLS library is not built as a validated module");
    }
    let known = |key: &str| {
        let rest = [
            "keyStore",
            "trustStore",
            "quorum",
            "protocol",
            "enabledProtocols",
            "ciphersuites",
            "context",
            "sslProvider",
        ];
        let other = ["clientHostnameVerification", "allowReverseDnsLookup"];
        let name = key.strip_prefix("ssl.").unwrap_or(key);
        SILENT.contains(&key) || rest.iter().chain(&other).any(|known| name.starts_with(known))
    };
    for key in settings.keys().filter(|key| key.starts_with("ssl.") && !known(key)) {
        page.lost(format!("{key}: not known here; see whether docs/configuration.md has a key for it"));
    }
}

fn is_spoken(suite: &str) -> bool {
    let gcm_or_chacha = suite.ends_with("_AES_128_GCM_SHA256")
        || suite.ends_with("_AES_256_GCM_SHA384")
        || suite.contains("_CHACHA20_POLY1305");
    let ephemeral = ["TLS_AES_", "TLS_CHACHA20_", "TLS_ECDHE_"].iter().any(|start| suite.starts_with(start));
    gcm_or_chacha && ephemeral
}

fn security(settings: &Settings, page: &mut Page) {
    if settings.get("skipACL").is_some_and(|value| value == "yes") {
        page.server(Note::new("take skipACL=yes out: with it, no ACL holds, and an identity means nothing"));
    }
    if settings.get("DigestAuthenticationProvider.superDigest").is_some() {
        page.lost(
            "DigestAuthenticationProvider.superDigest: its password is good through the gate too, from every client \
             that is let in. Leave it unset in daily use",
        );
    }
    if settings.is_true("sessionRequireClientSASLAuth") || settings.lists("enforce.auth.schemes", "sasl") {
        page.lost(
            "SASL is required of clients: they go on logging in by it, through the gate, and bear the certificate's \
             identity beside it",
        );
    }
}

/// A frequent slip, which makes settings that were never in effect.
fn prefixed(settings: &Settings, page: &mut Page) {
    let slips: Vec<&str> = settings.file().map(|(key, _)| key).filter(|key| key.starts_with("zookeeper.")).collect();
    if !slips.is_empty() {
        page.lost(format!(
            "{}: without effect in zoo.cfg, since ZooKeeper puts `zookeeper.` in front of each key itself",
            slips.join(", ")
        ));
    }
}
