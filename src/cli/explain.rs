//! `zoogate explain`: would this client be let in, as whom, until when; or why not.

use super::{Exit, ExplainArgs, complain};

pub(super) fn explain(_: &ExplainArgs) -> Exit {
    complain(&"zoogate explain: not built yet", Exit::Internal)
}
