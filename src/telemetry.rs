//! Logs: one line an event on standard output, as text for people or JSON for machines.
//!
//! Nobody who logs waits for whoever reads the log: lines that it does not take in time are lost, counted, and told of.

mod queue;

use std::{
    env,
    fs::File,
    io::{self, IsTerminal},
    os::fd::AsFd,
    str::FromStr,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use queue::Queue;
use tracing::{Subscriber, warn};
use tracing_subscriber::{
    EnvFilter,
    filter::LevelFilter,
    fmt::{self, MakeWriter},
    util::SubscriberInitExt,
};

/// The variable that wins over `log.level`.
const FILTER_VARIABLE: &str = "RUST_LOG";

/// `log.format`: for people or for machines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// Text on a terminal, else JSON.
    Auto,
    /// A line of text an event; coloured on a terminal.
    Text,
    /// An object an event, with the fields at its top level.
    Json,
}

impl FromStr for LogFormat {
    type Err = TelemetryError;

    fn from_str(word: &str) -> Result<Self, TelemetryError> {
        match word {
            "auto" => Ok(Self::Auto),
            "text" => Ok(Self::Text),
            "json" => Ok(Self::Json),
            _ => Err(TelemetryError::Format),
        }
    }
}

/// Why logging can't start.
#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    /// Not a format.
    #[error("expected one of `auto`, `text`, `json`")]
    Format,
    /// Not a filter.
    #[error("`{0}` is not a log filter; write `info`, or `info,zoogate::proxy=debug`")]
    Filter(String),
    /// `RUST_LOG` is not a filter.
    #[error("the environment's RUST_LOG is wrong: {0}")]
    Environment(#[source] Box<TelemetryError>),
    /// The process logs already.
    #[error("logging was started twice")]
    Twice,
    /// The system gives no descriptor or no thread.
    #[error("logging can't start: {0}")]
    System(#[from] io::Error),
}

/// How long the end of the process waits for whoever reads the log.
const PATIENCE: Duration = Duration::from_secs(1);

/// Lines that are lost because nobody read them in time, or because writing them failed.
static DROPPED: AtomicU64 = AtomicU64::new(0);

/// Logging that goes on. Dropping it writes what still waits, for at most a second, and what is logged later is lost:
/// whoever runs the program keeps it until everything else has ended.
#[derive(Debug)]
#[must_use = "dropping it ends the log"]
pub struct Logging(Queue);

impl Drop for Logging {
    fn drop(&mut self) {
        self.0.close(PATIENCE);
    }
}

/// How many lines of the log this process has lost.
pub fn dropped_lines() -> u64 {
    DROPPED.load(Ordering::Relaxed)
}

/// Starts logging to standard output, for the whole process. `RUST_LOG` wins over `level`.
///
/// # Errors
/// A filter that does not parse, a second call, or a system without threads.
pub fn init(format: LogFormat, level: &str) -> Result<Logging, TelemetryError> {
    let filter = match env::var(FILTER_VARIABLE) {
        Ok(text) if !text.is_empty() => filter(&text).map_err(|error| TelemetryError::Environment(Box::new(error)))?,
        _ => filter(level)?,
    };
    let style = Style::choose(format, io::stdout().is_terminal());
    // Not the standard library's own handle, whose lock a stalled write would hold, and whose buffer hides how much
    // of a failed one has gone out.
    let out = File::from(io::stdout().as_fd().try_clone_to_owned()?);
    let queue = Queue::start(out, &DROPPED, tell_of_loss)?;
    subscriber(style, filter, queue.clone()).try_init().map_err(|_| TelemetryError::Twice)?;
    Ok(Logging(queue))
}

fn tell_of_loss(lines: u64) {
    warn!(lines, "lines of this log are lost here: they were not read in time, or could not be written");
}

/// Whether a text is a filter, as `log.level` takes it.
///
/// # Errors
/// [`TelemetryError::Filter`].
pub fn check_filter(text: &str) -> Result<(), TelemetryError> {
    filter(text).map(drop)
}

fn filter(text: &str) -> Result<EnvFilter, TelemetryError> {
    let wrong = || TelemetryError::Filter(text.to_owned());
    // The filter takes a bare word that is no level for the name of a module: `inof` would log nothing but that.
    let bare = |part: &str| !part.contains(['=', '[', ']', '{', '}']);
    let level = |part: &str| !part.is_empty() && part.parse::<LevelFilter>().is_ok();
    if text.split(',').map(str::trim).any(|part| bare(part) && !level(part)) {
        return Err(wrong());
    }
    EnvFilter::builder().with_regex(false).parse(text).map_err(|_| wrong())
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Style {
    Coloured,
    Plain,
    Json,
}

impl Style {
    fn choose(format: LogFormat, terminal: bool) -> Self {
        match (format, terminal) {
            (LogFormat::Json, _) | (LogFormat::Auto, false) => Self::Json,
            (LogFormat::Text | LogFormat::Auto, true) => Self::Coloured,
            (LogFormat::Text, false) => Self::Plain,
        }
    }
}

fn subscriber<W>(style: Style, filter: EnvFilter, writer: W) -> Box<dyn Subscriber + Send + Sync>
where
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    let builder = fmt::Subscriber::builder().with_env_filter(filter).with_writer(writer);
    // The subscriber would tell of a closed standard output on standard error, and panic where that is closed too.
    let builder = builder.log_internal_errors(false);
    match style {
        Style::Json => {
            Box::new(builder.json().flatten_event(true).with_current_span(false).with_span_list(false).finish())
        }
        Style::Coloured => Box::new(builder.with_ansi(true).finish()),
        Style::Plain => Box::new(builder.with_ansi(false).finish()),
    }
}

/// Lets one event pass in an interval, and counts those that it holds back.
#[derive(Debug)]
pub struct RateLimit {
    interval: Duration,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    last: Option<Instant>,
    suppressed: u64,
}

impl RateLimit {
    /// A limit of one event in `interval`; the first passes.
    pub const fn new(interval: Duration) -> Self {
        Self { interval, state: Mutex::new(State { last: None, suppressed: 0 }) }
    }

    /// Whether an event may be logged now: the number of events held back since the last one that was.
    pub fn permit(&self) -> Option<u64> {
        self.permit_at(Instant::now())
    }

    fn permit_at(&self, now: Instant) -> Option<u64> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.last.is_some_and(|last| now.saturating_duration_since(last) < self.interval) {
            state.suppressed += 1;
            return None;
        }
        state.last = Some(now);
        Some(std::mem::take(&mut state.suppressed))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    #[derive(Clone, Default)]
    struct Buffer(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Buffer {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn logged(style: Style, level: &str, log: impl FnOnce()) -> String {
        let buffer = Buffer::default();
        let writer = buffer.clone();
        let subscriber = subscriber(style, filter(level).unwrap(), move || writer.clone());
        tracing::subscriber::with_default(subscriber, log);
        let bytes = buffer.0.lock().unwrap().clone();
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn json_has_the_fields_and_an_rfc_3339_time_at_its_top_level() {
        let line = logged(Style::Json, "info", || tracing::info!(peer = "10.0.0.1:9", frames = 3, "closed"));
        let event: serde_json::Value = serde_json::from_str(&line).unwrap();
        assert_eq!(event["peer"], "10.0.0.1:9");
        assert_eq!(event["frames"], 3);
        assert_eq!(event["message"], "closed");
        assert_eq!(event["level"], "INFO");
        humantime::parse_rfc3339(event["timestamp"].as_str().unwrap()).unwrap();
    }

    #[test]
    fn text_off_a_terminal_has_no_escapes() {
        assert_eq!(Style::choose(LogFormat::Text, false), Style::Plain);
        let line = logged(Style::Plain, "info", || tracing::warn!(peer = "10.0.0.1:9", "closed"));
        assert!(line.contains("WARN") && line.contains("closed peer=\"10.0.0.1:9\""), "{line}");
        assert!(!line.contains('\u{1b}'), "{line}");
    }

    #[test]
    fn auto_is_text_on_a_terminal_and_json_elsewhere() {
        assert_eq!(Style::choose(LogFormat::Auto, true), Style::Coloured);
        assert_eq!(Style::choose(LogFormat::Auto, false), Style::Json);
        assert_eq!(Style::choose(LogFormat::Json, true), Style::Json);
    }

    #[test]
    fn the_filter_holds_back_what_is_below_its_level() {
        assert_eq!(logged(Style::Plain, "warn", || tracing::info!("quiet")), "");
    }

    #[test]
    fn a_filter_may_name_modules() {
        check_filter("info,zoogate::proxy=debug").unwrap();
        check_filter("off").unwrap();
    }

    #[test]
    fn a_misspelt_level_is_no_module() {
        for text in ["inof", "info,debgu", "", "zoogate=loud", "info,"] {
            assert!(check_filter(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn a_rate_limit_lets_one_event_pass_and_counts_the_others() {
        let limit = RateLimit::new(Duration::from_secs(60));
        let start = Instant::now();
        assert_eq!(limit.permit_at(start), Some(0));
        assert_eq!(limit.permit_at(start + Duration::from_secs(1)), None);
        assert_eq!(limit.permit_at(start + Duration::from_secs(59)), None);
        assert_eq!(limit.permit_at(start + Duration::from_secs(60)), Some(2));
        assert_eq!(limit.permit_at(start + Duration::from_secs(121)), Some(0));
    }
}
