//! The reasons of windows beneath the strip: confidence, savings and risk of each.

use std::fmt::{self, Write};

use scaling_core::web::escaped;

use super::WeekStrip;
use crate::WindowReason;

/// Confidence, savings and risk of one window, as short texts.
pub(super) struct Told {
    /// Held days of held-out days.
    pub(super) held: String,
    /// Lower bound of that proportion.
    pub(super) least: String,
    /// Pod-hours a week.
    pub(super) saves: String,
    /// Share of the requests.
    pub(super) risk: String,
}

/// What stands where nothing is known.
const NONE: &str = "–";

impl Told {
    pub(super) fn of(reason: Option<&WindowReason>) -> Self {
        let none = || NONE.to_owned();
        let confidence = reason.map(|reason| reason.confidence).filter(|confidence| confidence.days() > 0);
        let told = |text: Option<String>| text.unwrap_or_else(none);
        Self {
            held: told(confidence.map(|held| format!("{}/{}", held.held_days(), held.days()))),
            least: told(confidence.map(|held| format!("{:.0} %", (held.lower_bound() * 100.0).floor()))),
            saves: told(reason.and_then(|reason| reason.saves_pod_hours_a_week).map(|saved| format!("{saved:.1}"))),
            risk: told(reason.and_then(|reason| reason.risk).map(|risk| format!("{:.1} %", risk * 100.0))),
        }
    }
}

impl WeekStrip<'_> {
    /// The reason of a window.
    pub(super) fn reason(&self, window: &str) -> Option<&WindowReason> {
        self.reasons.iter().find(|reason| reason.window == window)
    }

    /// A table of windows with their confidence, savings and risk; nothing without reasons.
    pub(super) fn why(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.reasons.is_empty() {
            return Ok(());
        }
        let name = |window: &crate::Window| crate::one_line(window.name());
        let width = self.schedule.windows().iter().map(|window| name(window).chars().count()).fold(6, usize::max);
        writeln!(f, "{:width$}  HELD ON  AT LEAST  SAVES (POD-HOURS/WEEK)  RISK", "WINDOW")?;
        for window in self.schedule.windows() {
            let Told { held, least, saves, risk } = Told::of(self.reason(window.name()));
            writeln!(f, "{:width$}  {held:>7}  {least:>8}  {saves:>22}  {risk}", name(window))?;
        }
        Ok(())
    }

    /// The reasons as a list of a page; nothing without reasons.
    pub(super) fn why_html(&self, page: &mut String) {
        if self.reasons.is_empty() {
            return;
        }
        page.push_str("<ul class=\"why\">\n");
        for reason in self.reasons {
            let _ = writeln!(page, "<li>{}</li>", escaped(&reason.to_string()));
        }
        page.push_str("</ul>\n");
    }
}
