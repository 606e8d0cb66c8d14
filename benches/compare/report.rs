//! Medians of what was measured, and the ratios to the bare relay.

use std::fmt;

/// The relay that the others are compared with.
const BASE: &str = "bare";

/// Everything measured, by figure and relay, in the order of the rounds.
pub(crate) struct Report {
    relays: Vec<&'static str>,
    figures: Vec<(&'static str, Vec<Vec<f64>>)>,
}

impl Report {
    pub(crate) fn new(relays: Vec<&'static str>) -> Self {
        Self { relays, figures: Vec::new() }
    }

    pub(crate) fn add(&mut self, figure: &'static str, relay: &str, value: f64) {
        let row = self.figures.iter().position(|(name, _)| *name == figure).unwrap_or_else(|| {
            self.figures.push((figure, vec![Vec::new(); self.relays.len()]));
            self.figures.len() - 1
        });
        if let Some(column) = self.relays.iter().position(|name| *name == relay) {
            self.figures[row].1[column].push(value);
        }
    }

    /// The median of the ratios within each round: what slows a whole round down is in both of its terms.
    fn ratio(&self, values: &[Vec<f64>], column: usize) -> Option<f64> {
        let base = values.get(self.relays.iter().position(|name| *name == BASE)?)?;
        median(values[column].iter().zip(base).map(|(value, base)| value / base).collect())
    }
}

/// A table in Markdown: the median, and in brackets the ratio and the extremes.
impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "\n| figure | {} |\n|---|{}", self.relays.join(" | "), "---|".repeat(self.relays.len()))?;
        for (figure, values) in &self.figures {
            write!(f, "| {figure} |")?;
            for (column, relay) in values.iter().enumerate() {
                let middle = median(relay.clone()).unwrap_or(f64::NAN);
                let low = relay.iter().copied().fold(f64::INFINITY, f64::min);
                let high = relay.iter().copied().fold(f64::NEG_INFINITY, f64::max);
                let ratio = self.ratio(values, column).unwrap_or(f64::NAN);
                write!(f, " {middle:.2} (×{ratio:.2}; {low:.2}–{high:.2}) |")?;
            }
            writeln!(f)?;
        }
        Ok(())
    }
}

fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    let upper = *values.get(middle)?;
    Some(if values.len().is_multiple_of(2) { (values[middle - 1] + upper) / 2.0 } else { upper })
}
