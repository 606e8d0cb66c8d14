//! Tables on the project's pages: their figures, and what these were measured with.

use std::fs;
use std::path::Path;
use std::time::Duration;

use anyhow::Context;

/// Replaces a table if there is a page, and everything was measured that the page promises.
pub(crate) fn replace_by_whole(page: Option<&Path>, whole: bool, (name, text): (&str, &str)) -> anyhow::Result<()> {
    match page {
        Some(page) if whole => replace(page, name, text),
        Some(page) => {
            println!("This was a part of the measurement: {} stays as it is.", page.display());
            Ok(())
        }
        None => Ok(()),
    }
}

/// Puts a text between the comments `<!-- NAME:begin -->` and `<!-- NAME:end -->` of a page, in place of what is there.
fn replace(page: &Path, name: &str, text: &str) -> anyhow::Result<()> {
    let old = fs::read_to_string(page).with_context(|| format!("can't read {}", page.display()))?;
    let (begin, end) = (format!("<!-- {name}:begin -->\n"), format!("<!-- {name}:end -->\n"));
    let parts = old.split_once(&begin).and_then(|(before, rest)| Some((before, rest.split_once(&end)?.1)));
    let (before, after) = parts.with_context(|| format!("{} has no lines {begin}and {end}", page.display()))?;
    fs::write(page, format!("{before}{begin}\n{}\n\n{end}{after}", text.trim()))?;
    println!("written into {}", page.display());
    Ok(())
}

/// Processor, number of CPUs, kernel.
pub(crate) fn machine() -> anyhow::Result<String> {
    let processors = fs::read_to_string("/proc/cpuinfo")?;
    let model = processors.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    let model = model.map_or("a processor without a name", |(_, model)| model);
    // All that there are, although this program may be pinned to some.
    let count = processors.lines().filter(|line| line.starts_with("processor")).count();
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease")?;
    let kernel = kernel.split('-').next().unwrap_or_default().trim();
    Ok(format!("{model}, {count} CPUs, Linux {kernel}"))
}

/// The middle one of what a function gives for each of the outcomes; of an even number, the higher of the two.
pub(crate) fn median<O, T: PartialOrd + Copy>(outcomes: &[O], of: impl Fn(&O) -> T) -> Option<T> {
    let mut values: Vec<T> = outcomes.iter().map(of).collect();
    values.sort_by(|one, other| one.partial_cmp(other).unwrap_or(std::cmp::Ordering::Equal));
    values.get(values.len() / 2).copied()
}

pub(crate) fn seconds(duration: Duration) -> String {
    format!("{:.1} s", duration.as_secs_f64())
}

/// Without the unit.
pub(crate) fn milliseconds(duration: Duration) -> String {
    let milliseconds = duration.as_secs_f64() * 1e3;
    if milliseconds < 10.0 { format!("{milliseconds:.1}") } else { format!("{milliseconds:.0}") }
}
