//! Who clients are to ZooKeeper.

use super::addresses::Reached;
use super::page::{Note, Page, scalar};
use super::settings::Settings;
use crate::credential::DigestAlgorithm;
use crate::identity::Identity;

const SECRET_FILE: &str = "/etc/zoogate/secret";
const STOCK_X509: &str = "org.apache.zookeeper.server.auth.X509AuthenticationProvider";
const PROVIDER: &str = "io.zoogate.zookeeper.GateAuthenticationProvider";

/// Sets the identity, and how the server is told of it.
pub(super) fn convert(settings: &Settings, reached: Reached, page: &mut Page) {
    page.first(
        Note::new("make the secret once, and give the same file to every zoogate of the ensemble")
            .line(format!("(umask 077; zoogate secret > {SECRET_FILE})")),
    );
    page.first(Note::new(
        "let the user that zoogate runs as, and nobody else, read the secret and the keys and passwords that `tls` names \
         (chown)",
    ));
    let certified = reached != Reached::Plain && !is(settings, "ssl.clientAuth", "none");
    let digest_off = settings.is_false("DigestAuthenticationProvider.enabled");
    let by_x509 = certified || digest_off || is_ours(settings);
    page.set("identity", "from", "subject");
    if by_x509 {
        page.set_with(
            ("identity", "inject"),
            "x509".to_owned(),
            match (certified, digest_off) {
                (true, _) => "so that ACLs with x509: ids go on working",
                (false, true) => "the digest scheme is off",
                (false, false) => "zoogate's provider is there",
            },
        );
        x509(settings, certified && !digest_off, page);
    } else {
        page.set("identity", "inject", "digest");
        if settings.lists("enforce.auth.schemes", "digest") {
            page.lost(
                "enforce.auth.schemes lists digest: the credential that zoogate adds fulfils it, for every client \
                 that is let in",
            );
        }
        superuser_without_effect(settings, page);
    }
    page.set("identity", "secret_file", SECRET_FILE);
    digest_algorithm(settings, by_x509, page);
    own_provider(settings, reached, page);
    client_certificates(settings, reached, page);
}

fn is(settings: &Settings, key: &str, value: &str) -> bool {
    settings.get(key).is_some_and(|written| written.eq_ignore_ascii_case(value))
}

/// Whether zoogate's provider is there already.
fn is_ours(settings: &Settings) -> bool {
    settings.get("authProvider.x509").is_some_and(|class| class.starts_with("io.zoogate."))
}

fn x509(settings: &Settings, or_digest: bool, page: &mut Page) {
    if let Some(name) = settings.get("X509AuthenticationProvider.superUser") {
        match Identity::new(name.to_owned()) {
            Ok(_) => page.set("identity", "super", format!("[ {} ]", quoted(name))),
            Err(_) => page.lost("X509AuthenticationProvider.superUser: it is too long for an identity"),
        }
    }
    if is_ours(settings) {
        return;
    }
    let mut text = "put zoogate's provider (deploy/zookeeper-provider) on the class path of every server of the \
                    ensemble, with zoogate's secret"
        .to_owned();
    if or_digest {
        text.push_str(
            ". If no ACL names an x509: id, `inject: digest` does without; then also take `identity.super` out, \
             if there is one",
        );
    }
    let note = Note::new(text).line(format!("authProvider.x509={PROVIDER}"));
    page.server(note.line(format!("zoogate.secretFile={SECRET_FILE}")));
    let stock = |key: &&str| settings.get(key) == Some(STOCK_X509) && *key != "authProvider.x509";
    for key in settings.keys().filter(|key| key.starts_with("authProvider.")).filter(stock) {
        page.server(Note::new(format!("take {key} out: ZooKeeper's own provider of x509 would stand in the way")));
    }
}

/// As an item of a list in brackets.
fn quoted(text: &str) -> String {
    match scalar(text) {
        plain if plain.starts_with('/') => format!("'{plain}'"),
        quoted => quoted,
    }
}

fn superuser_without_effect(settings: &Settings, page: &mut Page) {
    if let Some(name) = settings.get("X509AuthenticationProvider.superUser") {
        page.lost(format!(
            "X509AuthenticationProvider.superUser={name}: `identity.super` needs `inject: x509`, and here nobody \
             has been known by a certificate"
        ));
    }
}

/// It changes the ids that zoogate prints.
fn digest_algorithm(settings: &Settings, by_x509: bool, page: &mut Page) {
    let Some(name) = settings.get("DigestAuthenticationProvider.digestAlg") else { return };
    match name.parse::<DigestAlgorithm>() {
        Ok(_) if by_x509 => {}
        Ok(algorithm) if algorithm == DigestAlgorithm::default() => {}
        Ok(algorithm) => page.set("identity", "digest_algorithm", algorithm.as_str()),
        Err(_) => page.lost(format!(
            "DigestAuthenticationProvider.digestAlg={name}: zoogate doesn't know that hash, so it prints wrong digest \
             ids. What it injects works all the same"
        )),
    }
}

/// Classes that know identities of their own.
fn own_provider(settings: &Settings, reached: Reached, page: &mut Page) {
    if let Some(scheme) = settings.get("ssl.authProvider").filter(|scheme| *scheme != "x509") {
        page.lost(format!(
            "ssl.authProvider={scheme}: a class of that scheme names clients. Have zoogate give the same names by \
             `identity.from` and `identity.mapping`, if rules can say them"
        ));
    }
    const STOCK: [&str; 6] = [
        "org.apache.zookeeper.server.auth.SASLAuthenticationProvider",
        STOCK_X509,
        "org.apache.zookeeper.server.auth.DigestAuthenticationProvider",
        "org.apache.zookeeper.server.auth.IPAuthenticationProvider",
        "org.apache.zookeeper.server.auth.KeyAuthenticationProvider",
        PROVIDER,
    ];
    for key in settings.keys().filter(|key| key.starts_with("authProvider.")) {
        let Some(class) = settings.get(key).filter(|class| !STOCK.contains(class) && !class.starts_with("io.zoogate."))
        else {
            continue;
        };
        let scheme_x509 = key == "authProvider.x509";
        let instead = "a class of your own for x509 gives way to zoogate's; have zoogate give the same names by \
                       `identity.from` and `identity.mapping`, if rules can say them";
        let beside = "goes on working, unless it looks at the client's certificate or address, which it sees no more";
        let told = if scheme_x509 && reached != Reached::Plain { instead } else { beside };
        page.lost(format!("{key}={class}: {told}"));
    }
}

fn client_certificates(settings: &Settings, reached: Reached, page: &mut Page) {
    if reached == Reached::Plain {
        return;
    }
    if is(settings, "ssl.clientAuth", "want") {
        page.lost(
            "ssl.clientAuth=want: clients without a certificate have been let in as nobody; zoogate refuses them \
             (no_certificate). Give each a certificate first",
        );
    }
    if is(settings, "ssl.clientAuth", "none") {
        page.lost(
            "ssl.clientAuth=none: no certificate of a client has been looked at; zoogate wants one of each, from a CA \
             of `tls.trust_store`, and each becomes a user by it",
        );
    }
}
