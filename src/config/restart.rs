//! What a running process can't change: everything that is not in the snapshot.

use super::Config;

impl Config {
    /// The sections that differ between two configurations and are read at the start only.
    pub fn needs_restart(&self, running: &Self) -> Vec<&'static str> {
        let sections = [
            ("listen", self.listen != running.listen),
            ("upstream", self.upstream != running.upstream),
            ("client_auth", self.client_auth != running.client_auth),
            ("ensemble", self.ensemble != running.ensemble),
            ("limits", self.limits != running.limits),
            ("four_letter_words", self.four_letter_words != running.four_letter_words),
            ("shutdown", self.shutdown != running.shutdown),
            ("admin", self.admin != running.admin),
            ("log", self.log != running.log),
            ("reload", self.reload != running.reload),
            ("runtime", self.runtime != running.runtime),
            ("tls.revalidate", self.tls.revalidate != running.tls.revalidate),
            ("tls.expiry_margin", self.tls.expiry_margin != running.tls.expiry_margin),
            ("tls.expiry_warning", self.tls.expiry_warning != running.tls.expiry_warning),
            ("identity.inject", self.identity.inject.scheme() != running.identity.inject.scheme()),
        ];
        sections.into_iter().filter(|(_, differs)| *differs).map(|(name, _)| name).collect()
    }

    /// Puts back what a running process can't change.
    pub fn keep_what_needs_restart(&mut self, running: &Self) {
        self.listen = running.listen.clone();
        self.upstream = running.upstream.clone();
        self.client_auth = running.client_auth;
        self.ensemble = running.ensemble.clone();
        self.limits = running.limits.clone();
        self.four_letter_words = running.four_letter_words.clone();
        self.shutdown = running.shutdown.clone();
        self.admin = running.admin.clone();
        self.log = running.log.clone();
        self.reload = running.reload.clone();
        self.runtime = running.runtime.clone();
        self.tls.revalidate = running.tls.revalidate;
        self.tls.expiry_margin = running.tls.expiry_margin;
        self.tls.expiry_warning = running.tls.expiry_warning;
        if self.identity.inject.scheme() != running.identity.inject.scheme() {
            self.identity.inject = running.identity.inject.clone();
        }
    }
}
