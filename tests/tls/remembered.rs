//! A verifier that remembers says what the one without a memory says, at every time.

use std::sync::Arc;

use proptest::prelude::*;
use rustls_pki_types::{CertificateDer, UnixTime};
use zoogate::reason::Refusal;
use zoogate::tls::remembered::RememberingVerifier;
use zoogate::tls::revocation::{RevocationOptions, RevocationPolicy, RevocationScope};
use zoogate::tls::verifier::ClientVerifier;

use crate::pki::{Der, Entity, ca, leaf, trust, year};

fn sent(chain: &[&Der]) -> Vec<CertificateDer<'static>> {
    chain.iter().map(|der| (*der).clone()).collect()
}

/// Chains whose fate changes with the years: an intermediate that ends before its leaf, a leaf that begins late, one
/// that is revoked, one of a CA that nobody knows, one pinned, each by CRLs that come into force and grow old.
fn scene() -> (ClientVerifierMaker, Vec<Vec<CertificateDer<'static>>>) {
    let (root, stranger) = (Entity::root("Root"), Entity::root("Stranger"));
    let mut short = ca("Intermediate");
    (short.not_before, short.not_after) = (rcgen::date_time_ymd(2022, 1, 1), rcgen::date_time_ymd(2035, 1, 1));
    let intermediate = root.issue(short);
    let mut late = leaf("late");
    late.not_before = rcgen::date_time_ymd(2028, 1, 1);
    let [alice, late, bob, pinned] = [
        intermediate.issue(leaf("alice")),
        intermediate.issue(late),
        intermediate.issue(leaf("bob")),
        Entity::self_signed(leaf("pinned")),
    ];
    let chains = [
        vec![&alice.cert, &intermediate.cert],
        vec![&late.cert, &intermediate.cert],
        vec![&bob.cert, &intermediate.cert],
        vec![&pinned.cert],
        vec![&alice.cert],
        vec![&alice.cert, &stranger.cert, &intermediate.cert],
    ];
    let chains = chains.iter().map(|chain| sent(chain)).collect();
    (ClientVerifierMaker { root, intermediate, bob, pinned }, chains)
}

struct ClientVerifierMaker {
    root: Entity,
    intermediate: Entity,
    bob: Entity,
    pinned: Entity,
}

impl ClientVerifierMaker {
    /// The root's CRL between years, and that of the intermediate, which revokes bob.
    fn verifier(&self, crls: Option<[(i32, i32); 2]>, policy: RevocationPolicy) -> Arc<ClientVerifier> {
        let crls = crls.map_or_else(Vec::new, |[root, intermediate]| {
            vec![
                self.root.crl_between(&[], root.0, root.1),
                self.intermediate.crl_between(&[&self.bob], intermediate.0, intermediate.1),
            ]
        });
        let options = RevocationOptions { scope: RevocationScope::Chain, policy };
        Arc::new(ClientVerifier::new(&trust(&[&self.root.cert, &self.pinned.cert]), crls, options).unwrap())
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn at_every_time_it_says_what_a_verifier_without_a_memory_says(
        crls in prop::option::of([(2021..2030_i32, 2030..2040_i32), (2021..2030, 2030..2040)]),
        hard in any::<bool>(),
        asked in prop::collection::vec((0..6_usize, 2019..2042_i32, -1..2_i64), 1..60),
    ) {
        let (maker, chains) = scene();
        let policy = if hard { RevocationPolicy::Hard } else { RevocationPolicy::Soft };
        let verifier = maker.verifier(crls, policy);
        let remembering = RememberingVerifier::new(Arc::clone(&verifier));
        for (chain, at, seconds) in asked {
            // The years' first seconds, and those beside them: where things begin and end.
            let now = year(at).as_secs().saturating_add_signed(seconds);
            let now = UnixTime::since_unix_epoch(std::time::Duration::from_secs(now));
            prop_assert_eq!(remembering.verify(&chains[chain], now), verifier.verify(&chains[chain], now));
        }
    }
}

#[test]
fn who_was_accepted_is_refused_when_the_time_has_come_and_accepted_when_the_clock_is_set_back() {
    let (maker, chains) = scene();
    let verifier = maker.verifier(Some([(2021, 2039), (2021, 2030)]), RevocationPolicy::Hard);
    let remembering = RememberingVerifier::new(verifier);
    for (at, refusal) in [
        (2024, None),
        (2036, Some(Refusal::Expired)),
        (2024, None),
        (2031, Some(Refusal::RevocationUnknown)),
        (2021, Some(Refusal::NotYetValid)),
        (2029, None),
    ] {
        let said = remembering.verify(&chains[0], year(at)).err().map(|error| error.refusal);
        assert_eq!(said, refusal, "{at}");
    }
}
