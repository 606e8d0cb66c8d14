//! `zoogate secret`: a new secret, on standard output and nowhere else.

use super::{Exit, complain, print};
use crate::credential;

pub(super) fn secret() -> Exit {
    match credential::generate_secret() {
        Ok(secret) => print(&String::from_utf8_lossy(secret.expose()), Exit::Ok),
        Err(error) => complain(&format!("zoogate secret: {error}"), Exit::Internal),
    }
}
