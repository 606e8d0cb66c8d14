//! The table of storms.

use std::fmt;
use std::time::Duration;

use super::{Case, Outcome};

/// All outcomes, by case and relay, in the order in which they came first.
#[derive(Default)]
pub(super) struct Report {
    rows: Vec<(Case, &'static str, Vec<Outcome>)>,
}

impl Report {
    pub(super) fn add(&mut self, case: Case, relay: &'static str, outcome: Outcome) {
        match self.rows.iter_mut().find(|row| row.0 == case && row.1 == relay) {
            Some(row) => row.2.push(outcome),
            None => self.rows.push((case, relay, vec![outcome])),
        }
    }
}

/// One storm in a line.
impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} kept, the last after {}, {} attempts; ", self.kept, seconds(self.last), self.attempts)?;
        let (calm, during) = (milliseconds(self.calm.p99), milliseconds(self.during.p99));
        write!(f, "established p99 {calm} ms calm, {during} ms during, ")?;
        write!(f, "slowest {} ms, {} cut; ", milliseconds(self.during.slowest), self.cut)?;
        write!(f, "the gate's CPU {}", seconds(self.cpu))
    }
}

/// A table in Markdown. Sessions kept and the slowest reply are of the worst round, everything else is the median.
impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let columns = [
            "CPUs",
            "sessions",
            "relay",
            "kept",
            "time to the last",
            "attempts",
            "established p99, calm",
            "during",
            "slowest",
            "cut",
            "gate's CPU",
        ];
        writeln!(f, "| {} |\n|{}", columns.join(" | "), "---|".repeat(columns.len()))?;
        for (case, relay, outcomes) in &self.rows {
            let kept = outcomes.iter().map(|outcome| outcome.kept).min().unwrap_or(0);
            let cut = outcomes.iter().map(|outcome| outcome.cut).max().unwrap_or(0);
            let slowest = outcomes.iter().map(|outcome| outcome.during.slowest).max().unwrap_or_default();
            let cells = [
                case.cpus.to_string(),
                case.sessions.to_string(),
                (*relay).to_owned(),
                kept.to_string(),
                seconds(median(outcomes, |outcome| outcome.last)),
                median(outcomes, |outcome| outcome.attempts).to_string(),
                format!("{} ms", milliseconds(median(outcomes, |outcome| outcome.calm.p99))),
                format!("{} ms", milliseconds(median(outcomes, |outcome| outcome.during.p99))),
                format!("{} ms", milliseconds(slowest)),
                cut.to_string(),
                seconds(median(outcomes, |outcome| outcome.cpu)),
            ];
            writeln!(f, "| {} |", cells.join(" | "))?;
        }
        Ok(())
    }
}

fn median<T: Ord + Copy + Default>(outcomes: &[Outcome], of: impl Fn(&Outcome) -> T) -> T {
    let mut values: Vec<T> = outcomes.iter().map(of).collect();
    values.sort_unstable();
    values.get(values.len() / 2).copied().unwrap_or_default()
}

fn seconds(duration: Duration) -> String {
    format!("{:.1} s", duration.as_secs_f64())
}

fn milliseconds(duration: Duration) -> String {
    let milliseconds = duration.as_secs_f64() * 1e3;
    if milliseconds < 10.0 { format!("{milliseconds:.1}") } else { format!("{milliseconds:.0}") }
}
