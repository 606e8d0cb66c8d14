//! The table of storms.

use std::fmt;

use super::{Case, Outcome};
use crate::common::page::{median, milliseconds, seconds};

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
                seconds(median(outcomes, |outcome| outcome.last).unwrap_or_default()),
                median(outcomes, |outcome| outcome.attempts).unwrap_or_default().to_string(),
                format!("{} ms", milliseconds(median(outcomes, |outcome| outcome.calm.p99).unwrap_or_default())),
                format!("{} ms", milliseconds(median(outcomes, |outcome| outcome.during.p99).unwrap_or_default())),
                format!("{} ms", milliseconds(slowest)),
                cut.to_string(),
                seconds(median(outcomes, |outcome| outcome.cpu).unwrap_or_default()),
            ];
            writeln!(f, "| {} |", cells.join(" | "))?;
        }
        Ok(())
    }
}
