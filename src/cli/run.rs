//! `zoogate run`.

use super::{ConfigArgs, Exit, complain};
use crate::config::Config;

pub(super) fn run(args: &ConfigArgs) -> Exit {
    match Config::load(&args.config) {
        Ok(_) => complain(&"zoogate run: not built yet", Exit::Internal),
        Err(error) => complain(&error, Exit::Configuration),
    }
}
