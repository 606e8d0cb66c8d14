//! The table of attacks.

use std::fmt;
use std::time::Duration;

use super::Outcome;
use crate::common::page::{median, milliseconds, seconds};

/// All outcomes, by attack and relay, in the order in which they came first.
#[derive(Default)]
pub(super) struct Report {
    rows: Vec<(&'static str, &'static str, Vec<Outcome>)>,
}

impl Report {
    pub(super) fn add(&mut self, attack: &'static str, relay: &'static str, outcome: Outcome) {
        match self.rows.iter_mut().find(|row| row.0 == attack && row.1 == relay) {
            Some(row) => row.2.push(outcome),
            None => self.rows.push((attack, relay, vec![outcome])),
        }
    }
}

/// One attack in a line.
impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (ordinary, spent, others) = (self.ordinary.as_micros(), seconds(self.spent), seconds(self.others));
        write!(f, "{} attempts, CPU of each ×{:.2} of an ordinary {ordinary} µs ", self.attempts, self.cost)?;
        write!(f, "({spent} in all, {others} for other clients); ")?;
        if let Some(memory) = self.memory {
            write!(f, "{} open, {memory:.1} KiB each", self.open)?;
            if let Some(queued) = self.queued {
                write!(f, ", {queued:.1} KiB to be sent")?;
            }
            write!(f, "; ")?;
        }
        let (calm, during) = (milliseconds(self.calm.p99), milliseconds(self.during.p99));
        write!(f, "established p99 {calm} ms calm, {during} ms during, {} lost; ", self.lost)?;
        write!(f, "a newcomer waited {} ms; {:.0} bytes of log each", milliseconds(self.newcomer), self.log)
    }
}

/// A table in Markdown. Sessions lost and a newcomer's wait are of the worst round, everything else is the median.
impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let columns = [
            "attack",
            "relay",
            "attempts",
            "CPU per attempt",
            "connections",
            "memory of each",
            "queued for each",
            "established p99, calm",
            "during",
            "sessions lost",
            "newcomer waits",
            "log per attempt",
        ];
        writeln!(f, "| {} |\n|{}", columns.join(" | "), "---|".repeat(columns.len()))?;
        for (attack, relay, outcomes) in &self.rows {
            let kib = |of: fn(&Outcome) -> Option<f64>| {
                let values: Vec<f64> = outcomes.iter().filter_map(of).collect();
                median(&values, |value| *value).map_or("–".to_owned(), |kib| format!("{kib:.1} KiB"))
            };
            let wait = |of: fn(&Outcome) -> Duration| median(outcomes, of).unwrap_or_default();
            let cells = [
                (*attack).to_owned(),
                (*relay).to_owned(),
                median(outcomes, |outcome| outcome.attempts).unwrap_or_default().to_string(),
                format!("×{:.2}", median(outcomes, |outcome| outcome.cost).unwrap_or_default()),
                median(outcomes, |outcome| outcome.open)
                    .filter(|open| *open > 0)
                    .map_or("–".into(), |open| open.to_string()),
                kib(|outcome| outcome.memory),
                kib(|outcome| outcome.queued),
                format!("{} ms", milliseconds(wait(|outcome| outcome.calm.p99))),
                format!("{} ms", milliseconds(wait(|outcome| outcome.during.p99))),
                outcomes.iter().map(|outcome| outcome.lost).max().unwrap_or_default().to_string(),
                format!(
                    "{} ms",
                    milliseconds(outcomes.iter().map(|outcome| outcome.newcomer).max().unwrap_or_default())
                ),
                format!("{:.0} B", median(outcomes, |outcome| outcome.log).unwrap_or_default()),
            ];
            writeln!(f, "| {} |", cells.join(" | "))?;
        }
        Ok(())
    }
}
