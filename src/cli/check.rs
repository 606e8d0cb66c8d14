//! `zoogate check`: all that `run` would load, and every problem with it.

use super::{CheckArgs, Exit, complain, print};
use crate::config::Config;

pub(super) fn check(args: &CheckArgs) -> Exit {
    if let Err(error) = Config::load(&args.config) {
        return complain(&error, Exit::Configuration);
    }
    if args.upstream {
        return complain(&"zoogate check --upstream: not built yet", Exit::Internal);
    }
    print(&format!("{}: ok", args.config.display()), Exit::Ok)
}
