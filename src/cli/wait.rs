//! `zoogate wait-upstream-closed`: holds up a gate's stop for as long as ZooKeeper takes connections.

use std::io;
use std::time::Duration;

use tokio::net::{TcpStream, lookup_host};
use tokio::runtime::Builder;
use tokio::time::{sleep, timeout};

use super::{Exit, WaitArgs, complain, files, print};

/// Between two looks. Older servers log a line for each connection that comes and goes.
const PAUSE: Duration = Duration::from_millis(500);
/// For one look. Loopback answers at once.
const LOOK: Duration = Duration::from_secs(2);

pub(super) fn wait_upstream_closed(args: &WaitArgs) -> Exit {
    let upstream = match &args.config {
        Some(path) => match files::load_config(path) {
            Ok(config) => config.upstream.address.to_string(),
            Err(exit) => return exit,
        },
        None => args.upstream.clone(),
    };
    let runtime = match Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return complain(&format!("can't wait: {error}"), Exit::Internal),
    };
    let mut last = String::from("it does not answer");
    let closed = runtime.block_on(async { timeout(args.timeout, until_closed(&upstream, &mut last)).await.is_ok() });
    // Looking up a name can't be broken off.
    runtime.shutdown_background();
    if closed {
        print(&format!("{upstream} is closed"), Exit::Ok)
    } else {
        let time = humantime::format_duration(args.timeout);
        complain(&format!("{upstream} is not closed after {time}: {last}"), Exit::Refused)
    }
}

/// Returns when connections are refused; `last` says what was found before that.
async fn until_closed(upstream: &str, last: &mut String) {
    loop {
        match timeout(LOOK, look(upstream)).await {
            Ok(Found::Closed) => return,
            Ok(Found::Open) => "it takes connections".clone_into(last),
            Ok(Found::Unknown(why)) => *last = why,
            Err(_elapsed) => "it does not answer".clone_into(last),
        }
        sleep(PAUSE).await;
    }
}

enum Found {
    Open,
    Closed,
    /// Neither connected nor refused, which is no proof that it is closed.
    Unknown(String),
}

/// A name may have several addresses; all of them have to refuse.
async fn look(upstream: &str) -> Found {
    let addresses = match lookup_host(upstream).await {
        Ok(addresses) => addresses,
        Err(error) => return Found::Unknown(error.to_string()),
    };
    let mut found = Found::Unknown("the name has no address".to_owned());
    for address in addresses {
        match TcpStream::connect(address).await {
            Ok(_stream) => return Found::Open,
            Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => found = Found::Closed,
            Err(error) => return Found::Unknown(error.to_string()),
        }
    }
    found
}
