//! What a connection is judged by: one immutable value, replaced whole.

use std::path::Path;
use std::sync::Arc;

use rustls_pki_types::UnixTime;

use crate::config::{Config, Inject};
use crate::credential::{Credential, DigestAlgorithm, IdentitySecrets};
use crate::identity::{Identity, Source};
use crate::store::{self, KeyStorePaths, StoreError};
use crate::tls::material::TlsMaterial;
use crate::tls::verifier::ClientVerifier;
