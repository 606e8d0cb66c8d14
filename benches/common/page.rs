//! Tables on the project's pages, and what they were measured with.

use std::fs;
use std::path::Path;

use anyhow::Context;

/// Puts a text between the comments `<!-- NAME:begin -->` and `<!-- NAME:end -->` of a page, in place of what is there.
pub(crate) fn replace(page: &Path, name: &str, text: &str) -> anyhow::Result<()> {
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
    let count = std::thread::available_parallelism()?;
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease")?;
    let kernel = kernel.split('-').next().unwrap_or_default().trim();
    Ok(format!("{model}, {count} CPUs, Linux {kernel}"))
}
