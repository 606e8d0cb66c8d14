//! `zoogate run`.

use std::path::Path;

use tokio::runtime::Builder;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc;
use tracing::info;

use super::{ConfigArgs, Exit, complain, files};
use crate::app::{App, Reload, StartError, process};
use crate::config::Config;
use crate::shutdown::StopSignals;
use crate::systemd::ServiceManager;
use crate::telemetry::{self, TelemetryError};

pub(super) fn run(args: &ConfigArgs) -> Exit {
    let config = match files::load_whole_config(&args.config) {
        Ok(config) => config,
        Err(exit) => return exit,
    };
    // Before the runtime, so that it is dropped after it: the last lines are those of what ends there.
    let _logging = match telemetry::init(config.log.format, &config.log.level) {
        Ok(logging) => logging,
        Err(error @ TelemetryError::System(_)) => return complain(&error, Exit::Internal),
        Err(error) => return complain(&error, Exit::Configuration),
    };
    process::forbid_core_dumps();
    process::raise_open_files(&config.limits);
    let service_manager = match ServiceManager::from_environment() {
        Ok(service_manager) => service_manager,
        Err(error) => return complain(&error, Exit::Configuration),
    };
    let runtime = Builder::new_multi_thread().worker_threads(config.runtime.workers).enable_all().build();
    match runtime {
        Ok(runtime) => {
            let exit = runtime.block_on(serve(config, &args.config, service_manager));
            // A look at a file that never answers, such as a pipe or a share that is gone, must not keep the process.
            runtime.shutdown_background();
            exit
        }
        Err(error) => complain(&format!("can't start threads: {error}"), Exit::Internal),
    }
}

async fn serve(config: Config, path: &Path, service_manager: ServiceManager) -> Exit {
    // Before anything else: a signal that comes during the start must not kill the process half-way.
    let (stops, wishes) = mpsc::channel(2);
    let hangups = match forward_signals(stops) {
        Ok(hangups) => hangups,
        Err(error) => return complain(&format!("can't handle signals: {error}"), Exit::Internal),
    };
    let app = match App::build(config, service_manager) {
        Ok(app) => app,
        Err(StartError::Load(problems)) => return files::complain_in(path, &problems),
        Err(error @ StartError::Socket(_)) => return complain(&error, Exit::Configuration),
        Err(error @ (StartError::Bind { .. } | StartError::Threads(_) | StartError::Metrics(_))) => {
            return complain(&error, Exit::Internal);
        }
    };
    tokio::spawn(forward_hangups(hangups, app.reload()));
    match app.run(wishes).await {
        Ok(()) => Exit::Ok,
        Err(error) => complain(&error, Exit::Internal),
    }
}

/// Takes the signals over from their default action, which is to kill the process.
fn forward_signals(stops: mpsc::Sender<&'static str>) -> std::io::Result<Signal> {
    let mut signals = StopSignals::new()?;
    let hangups = signal(SignalKind::hangup())?;
    tokio::spawn(async move { while stops.send(signals.next().await).await.is_ok() {} });
    Ok(hangups)
}

async fn forward_hangups(mut hangups: Signal, mut reload: Reload) {
    while hangups.recv().await.is_some() {
        info!("SIGHUP: looking at the files");
        reload.now().await;
    }
}
