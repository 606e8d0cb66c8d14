//! Points in time as RFC 3339 writes them, with any offset; and how long to wait.

use std::time::{Duration, SystemTime};

/// Reads `2027-01-01T00:00:00Z` or `2027-01-01T00:00:00+01:00`.
pub(super) fn parse(text: &str) -> Result<SystemTime, String> {
    let wrong = || "write it like 2027-01-01T00:00:00Z or 2027-01-01T00:00:00+01:00".to_owned();
    if let Ok(time) = humantime::parse_rfc3339(text) {
        return Ok(time);
    }
    let (local, offset) = text.len().checked_sub(6).and_then(|at| text.split_at_checked(at)).ok_or_else(wrong)?;
    let time = humantime::parse_rfc3339(&format!("{local}Z")).map_err(|_| wrong())?;
    let (sign, hours_minutes) = offset.split_at_checked(1).ok_or_else(wrong)?;
    let shift = parse_offset(hours_minutes).ok_or_else(wrong)?;
    let shifted = match sign {
        "+" => time.checked_sub(shift),
        "-" => time.checked_add(shift),
        _ => None,
    };
    let shifted = shifted.ok_or_else(wrong)?;
    if shifted < SystemTime::UNIX_EPOCH { Err("times begin with 1970 here".to_owned()) } else { Ok(shifted) }
}

/// Reads how long to wait: `500ms`, `2s`, `1m`.
pub(super) fn limit(text: &str) -> Result<Duration, String> {
    const LONGEST: Duration = Duration::from_secs(24 * 3600);
    let time = humantime::parse_duration(text).map_err(|_| "write it like 500ms, 2s or 1m".to_owned())?;
    if time.is_zero() || time > LONGEST { Err("it must be above 0 and at most 24h".to_owned()) } else { Ok(time) }
}

/// Reads `01:00`.
fn parse_offset(text: &str) -> Option<Duration> {
    let (hours, minutes) = text.split_once(':')?;
    let number = |digits: &str| match digits.as_bytes() {
        [b'0'..=b'9', b'0'..=b'9'] => digits.parse::<u64>().ok(),
        _ => None,
    };
    let (hours, minutes) = (number(hours)?, number(minutes)?);
    (hours < 24 && minutes < 60).then(|| Duration::from_secs(hours * 3600 + minutes * 60))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_offset_means_the_same_moment() {
        let utc = parse("2027-01-01T00:00:00Z").unwrap();
        assert_eq!(parse("2027-01-01T01:30:00+01:30").unwrap(), utc);
        assert_eq!(parse("2026-12-31T19:00:00-05:00").unwrap(), utc);
    }

    #[test]
    fn a_limit_is_more_than_nothing_and_less_than_forever() {
        assert_eq!(limit("500ms"), Ok(Duration::from_millis(500)));
        for text in ["", "0s", "5", "25h", "-1s", "soon"] {
            assert!(limit(text).is_err(), "{text}");
        }
    }

    #[test]
    fn what_is_not_rfc_3339_is_refused() {
        for text in [
            "",
            "now",
            "2027-01-01",
            "2027-01-01T00:00:00",
            "2027-01-01T00:00:00+1:00",
            "2027-01-01T00:00:00+25:00",
            "1970-01-01T00:30:00+01:00",
        ] {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
