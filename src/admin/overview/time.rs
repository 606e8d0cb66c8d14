//! Points in time as a person reads them: how far away they are, and when that is.

use askama::Template;
use askama::filters::HtmlSafe;

use super::super::status::Timestamp;

const MINUTE: i64 = 60;
const HOUR: i64 = 60 * MINUTE;
const DAY: i64 = 24 * HOUR;
const YEAR: i64 = 365 * DAY;

/// How grave something is; shown by a sign and a colour, beside words.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Gravity {
    /// As it should be.
    Good,
    /// Somebody should look at it.
    Warning,
    /// It does not work.
    Bad,
}

impl Gravity {
    /// The class in the style sheet.
    pub(super) fn class(self) -> &'static str {
        match self {
            Self::Good => "good",
            Self::Warning => "warning",
            Self::Bad => "bad",
        }
    }

    /// A sign that differs in shape, not only in colour.
    pub(super) fn sign(self) -> &'static str {
        match self {
            Self::Good => "●",
            Self::Warning => "▲",
            Self::Bad => "✖",
        }
    }
}

/// A point in time: first in words, then exactly.
#[derive(Clone, Debug, PartialEq, Eq, Template)]
#[template(
    ext = "html",
    source = "<span class=\"when {{ gravity.class() }}\">\
              {% if gravity != Gravity::Good %}<span aria-hidden=\"true\">{{ gravity.sign() }}</span> {% endif %}\
              {{ words }}</span> <time datetime=\"{{ at }}\">{{ exact() }}</time>"
)]
pub(super) struct Moment {
    pub(super) words: String,
    pub(super) at: Timestamp,
    pub(super) gravity: Gravity,
}

/// Made by its own template, which has escaped what is in it.
impl HtmlSafe for Moment {}

impl Moment {
    /// Something that has happened.
    pub(super) fn past(at: Timestamp, now: i64) -> Self {
        Self { words: ago(at, now), at, gravity: Gravity::Good }
    }

    /// The end of something that is a warning from `soon` seconds before.
    pub(super) fn end(at: Timestamp, now: i64, soon: i64) -> Self {
        let left = at.0.saturating_sub(now);
        if left < 0 {
            return Self { words: format!("ended {}", ago(at, now)), at, gravity: Gravity::Bad };
        }
        let gravity = if left < soon { Gravity::Warning } else { Gravity::Good };
        Self { words: format!("{} left", span(left)), at, gravity }
    }

    /// When something is to come that only warns when it is late.
    pub(super) fn due(at: Timestamp, now: i64) -> Self {
        let late = at.0 < now;
        let gravity = if late { Gravity::Warning } else { Gravity::Good };
        let words =
            if late { format!("was due {}", ago(at, now)) } else { format!("in {}", span(at.0.saturating_sub(now))) };
        Self { words, at, gravity }
    }

    /// The date and time in UTC.
    pub(super) fn exact(&self) -> String {
        self.at.to_string().replace('T', " ")
    }
}

/// How long ago it was; clocks that were set back must not make nonsense of it.
pub(super) fn ago(at: Timestamp, now: i64) -> String {
    match now.saturating_sub(at.0) {
        past @ 1.. => format!("{} ago", span(past)),
        0 => "just now".to_owned(),
        future => format!("in {}", span(future.saturating_neg())),
    }
}

/// A span of seconds in its largest unit, and the next one where that says much.
pub(super) fn span(seconds: i64) -> String {
    let two = |large: (i64, &str), small: (i64, &str)| {
        let (count, rest) = (seconds / large.0, seconds % large.0 / small.0);
        if rest == 0 || count >= 10 {
            format!("{count} {}", large.1)
        } else {
            format!("{count} {} {rest} {}", large.1, small.1)
        }
    };
    match seconds {
        YEAR.. if seconds >= 2 * YEAR => format!("{} years", seconds / YEAR),
        DAY.. if seconds >= 2 * DAY => two((DAY, "days"), (HOUR, "h")),
        HOUR.. => two((HOUR, "h"), (MINUTE, "min")),
        MINUTE.. => two((MINUTE, "min"), (1, "s")),
        _ => format!("{seconds} s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_have_the_units_that_a_person_would_choose() {
        for (seconds, words) in [
            (0, "0 s"),
            (59, "59 s"),
            (60, "1 min"),
            (90, "1 min 30 s"),
            (601, "10 min"),
            (3_600, "1 h"),
            (3_660, "1 h 1 min"),
            (47 * HOUR, "47 h"),
            (48 * HOUR, "2 days"),
            (9 * DAY + 23 * HOUR, "9 days 23 h"),
            (29 * DAY + HOUR, "29 days"),
            (729 * DAY, "729 days"),
            (730 * DAY, "2 years"),
            (i64::MAX, "292471208677 years"),
        ] {
            assert_eq!(span(seconds), words, "{seconds}");
        }
    }

    #[test]
    fn the_past_is_ago_also_where_a_clock_was_set_back() {
        assert_eq!(ago(Timestamp(100), 160), "1 min ago");
        assert_eq!(ago(Timestamp(100), 100), "just now");
        assert_eq!(ago(Timestamp(105), 100), "in 5 s");
        assert!(ago(Timestamp(i64::MIN), i64::MAX).ends_with(" years ago"));
        assert!(ago(Timestamp(i64::MAX), i64::MIN).starts_with("in "));
    }

    #[test]
    fn an_end_is_a_warning_when_it_is_near_and_bad_when_it_is_over() {
        let gravity = |at| Moment::end(Timestamp(at), 1_000, 100).gravity;
        assert_eq!(gravity(1_100), Gravity::Good);
        assert_eq!(gravity(1_099), Gravity::Warning);
        assert_eq!(gravity(1_000), Gravity::Warning);
        assert_eq!(gravity(999), Gravity::Bad);
        assert_eq!(Moment::end(Timestamp(940), 1_000, 100).words, "ended 1 min ago");
    }

    #[test]
    fn what_is_due_warns_when_it_is_late() {
        let due = |at| Moment::due(Timestamp(at), 1_000);
        assert_eq!((due(1_090).words, due(1_090).gravity), ("in 1 min 30 s".to_owned(), Gravity::Good));
        assert_eq!((due(940).words, due(940).gravity), ("was due 1 min ago".to_owned(), Gravity::Warning));
    }

    #[test]
    fn a_warning_has_a_sign_beside_its_colour() {
        let html = Moment::end(Timestamp(1_060), 1_000, 100).render().unwrap();
        assert_eq!(
            html,
            "<span class=\"when warning\"><span aria-hidden=\"true\">▲</span> 1 min left</span> \
             <time datetime=\"1970-01-01T00:17:40Z\">1970-01-01 00:17:40Z</time>"
        );
    }
}
