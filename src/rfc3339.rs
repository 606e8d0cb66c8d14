//! Points in time: as Unix seconds, and as people read them.

use rustls_pki_types::UnixTime;

/// The first and the last second that RFC 3339 can tell: years 0 to 9999.
const FIRST: i64 = -62_167_219_200;
const LAST: i64 = 253_402_300_799;

/// Unix seconds, signed as those of certificates are.
pub fn unix(time: UnixTime) -> i64 {
    i64::try_from(time.as_secs()).unwrap_or(i64::MAX)
}

/// A Unix time in seconds as RFC 3339 in UTC; one outside the years 0 to 9999 as the nearest within. Certificates may
/// hold years that other formatters panic on.
pub fn utc(unix_seconds: i64) -> String {
    let time = unix_seconds.clamp(FIRST, LAST);
    let (days, second) = (time.div_euclid(86_400), time.rem_euclid(86_400));
    // Days to civil date, in eras of 400 years that begin on 1 March, so that a leap day is the last of its year.
    let day_of_all = days + 719_468;
    let (era, day_of_era) = (day_of_all.div_euclid(146_097), day_of_all.rem_euclid(146_097));
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    let year = era * 400 + year_of_era + i64::from(month <= 2);
    format!("{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}Z", second / 3600, second / 60 % 60, second % 60)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_written_in_utc() {
        for (seconds, text) in [
            (0, "1970-01-01T00:00:00Z"),
            (-1, "1969-12-31T23:59:59Z"),
            (951_782_400, "2000-02-29T00:00:00Z"),
            (1_795_577_764, "2026-11-25T03:36:04Z"),
            (LAST, "9999-12-31T23:59:59Z"),
            (i64::MAX, "9999-12-31T23:59:59Z"),
            (i64::MIN, "0000-01-01T00:00:00Z"),
        ] {
            assert_eq!(utc(seconds), text);
        }
    }
}
