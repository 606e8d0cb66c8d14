//! `zoogate secret`: a new secret, on standard output and nowhere else.

use super::{Exit, print};
use crate::credential;

pub(super) fn secret() -> Exit {
    print(&String::from_utf8_lossy(credential::generate().expose()), Exit::Ok)
}
