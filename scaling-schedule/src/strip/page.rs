//! The strip as a page, whole in itself: no network, no fonts, no script.

use std::fmt::Write;

use scaling_core::web::{PALETTE, escaped};

use super::why::Told;
use super::{COLUMNS, Day, WeekStrip};

/// Units of a day and of the height in a chart.
const WIDTH: f64 = 480.0;
const HEIGHT: f64 = 100.0;

impl WeekStrip<'_> {
    /// The strip as a page of HTML that needs nothing beside it, on light and on dark paper. Below the seven days stands a table of the
    /// windows.
    pub fn to_html(&self) -> String {
        let days = self.days();
        let scale = self.scale(&days);
        let title = if self.title.is_empty() { "The week of a schedule" } else { self.title };
        let (title, zone) = (escaped(title), self.schedule.time_zone());
        let mut page = format!(
            "<!doctype html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n\
             <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n<title>{title}</title>\n<style>\n{PALETTE}{}</style>\n\
             <h1>{title}</h1>\n<p class=\"soft\">Wall clock of {zone}. Each day is as high as {scale:.0} pods.</p>\n",
            include_str!("style.css"),
        );
        page.push_str("<ul class=\"legend\"><li><i class=\"is-floor\"></i>floor of the schedule</li>");
        if self.band.is_some() {
            page.push_str(
                "<li><i class=\"is-middle\"></i>pods that the load needed, median</li>\
                 <li><i class=\"is-band\"></i>10th to 90th percentile</li>",
            );
        }
        page.push_str("</ul>\n");
        for day in &days {
            self.draw(&mut page, day, scale);
        }
        page.push_str("<div class=\"hours\" aria-hidden=\"true\">");
        for hour in (0..=24).step_by(3) {
            let _ = write!(page, "<span style=\"left:{}%\">{hour}</span>", f64::from(hour) * 100.0 / 24.0);
        }
        page.push_str("</div>\n");
        self.table(&mut page);
        self.why_html(&mut page);
        page.push_str("</html>\n");
        page
    }

    fn draw(&self, page: &mut String, day: &Day, scale: f64) {
        let height = |pods: f64| HEIGHT - (pods / scale).clamp(0.0, 1.0) * (HEIGHT - 4.0);
        let _ = write!(
            page,
            "<div class=\"day\"><b>{0}</b><svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" preserveAspectRatio=\"none\" role=\"img\" \
             aria-label=\"{0}\">",
            day.weekday
        );
        for hour in (3..24).step_by(3) {
            let x = f64::from(hour) * WIDTH / 24.0;
            let _ = write!(page, "<path class=\"hour\" d=\"M{x} 0V{HEIGHT}\"/>");
        }
        let column = |place: usize| place as f64 * WIDTH / COLUMNS as f64;
        let bands = self.bands(day.weekday);
        let (mut spread, mut middle, mut pen) = (String::new(), String::new(), 'M');
        for (place, band) in bands.iter().enumerate() {
            let Some(band) = band else {
                pen = 'M';
                continue;
            };
            let (x, top, bottom) = (column(place), height(band.high), height(band.low));
            let bottom = bottom.max(top + 0.6);
            let _ = write!(spread, "M{x:.1} {top:.1}h{:.1}V{bottom:.1}H{x:.1}Z", column(1));
            let _ = write!(middle, "{pen}{x:.1} {0:.1}H{1:.1}", height(band.middle), x + column(1));
            pen = 'L';
        }
        if !middle.is_empty() {
            let _ = write!(page, "<path class=\"band\" d=\"{spread}\"/><path class=\"middle\" d=\"{middle}\"/>");
        }
        self.floors(page, day, &height);
        page.push_str("</svg></div>\n");
    }

    /// The floor to the minute, and each stretch in which a window is open, with its bounds as a tooltip.
    fn floors(&self, page: &mut String, day: &Day, height: &impl Fn(f64) -> f64) {
        let start = day.weekday.num_days_from_monday() * 1440;
        let x = |minute: u32| f64::from(minute) * WIDTH / 1440.0;
        let mut line = String::new();
        for part in self.schedule.week().segments() {
            let (from, to) = (part.start_minute.max(start), part.end_minute.min(start + 1440));
            if from >= to {
                continue;
            }
            let pods = part.floor.unwrap_or(0).max(self.outside);
            let (left, right, top) = (x(from - start), x(to - start), height(f64::from(pods)));
            let pen = if line.is_empty() { 'M' } else { 'L' };
            let _ = write!(line, "{pen}{left:.1} {top:.1}H{right:.1}");
            if part.floor.is_some() {
                let clock = |minute: u32| format!("{:02}:{:02}", minute / 60, minute % 60);
                let most = part.ceiling.map_or_else(String::new, |max| format!(", max {max}"));
                let _ = write!(
                    page,
                    "<rect class=\"window\" x=\"{left:.1}\" y=\"{top:.1}\" width=\"{:.1}\" height=\"{:.1}\"><title>{}–{}: at least {pods} \
                     pods{most}</title></rect>",
                    right - left,
                    HEIGHT - top,
                    clock(from - start),
                    clock(to - start)
                );
            }
        }
        let _ = write!(page, "<path class=\"floor\" d=\"{line}\"/>");
    }

    fn table(&self, page: &mut String) {
        let schedule = self.schedule;
        if schedule.windows().is_empty() && schedule.events().is_empty() {
            page.push_str("<p>No windows.</p>\n");
            return;
        }
        page.push_str(
            "<div class=\"scroll\"><table><thead><tr><th>Window</th><th>Days</th><th>From</th><th>To</th><th class=\"number\">Min</th>\
             <th class=\"number\">Max</th>",
        );
        let is_explained = !self.reasons.is_empty();
        if is_explained {
            page.push_str(
                "<th class=\"number\">Held on days</th><th class=\"number\">At least</th>\
                 <th class=\"number\">Saves, pod-hours a week</th><th class=\"number\">Risk, of requests</th>",
            );
        }
        page.push_str("</tr></thead><tbody>\n");
        let mut row = |name: &str, days: &str, from: &str, to: &str, min: u32, max: Option<u32>| {
            let max = max.map_or_else(|| "–".to_owned(), |max| max.to_string());
            let _ = write!(
                page,
                "<tr><td>{}</td><td>{days}</td><td>{from}</td><td>{to}</td><td class=\"number\">{min}</td><td class=\"number\">{max}</td>",
                escaped(name)
            );
            if is_explained {
                let Told { held, least, saves, risk } = Told::of(self.reason(name));
                for told in [held, least, saves, risk] {
                    let _ = write!(page, "<td class=\"number\">{told}</td>");
                }
            }
            page.push_str("</tr>\n");
        };
        for window in schedule.windows() {
            let clock = |time: chrono::NaiveTime| time.format("%H:%M").to_string();
            let (days, from, to) = (window.days().to_string(), clock(window.from()), clock(window.to()));
            row(window.name(), &days, &from, &to, window.min(), window.max());
        }
        for event in schedule.events() {
            let clock = |at: chrono::NaiveDateTime| at.format("%F %H:%M").to_string();
            row(event.name(), "once", &clock(event.from()), &clock(event.to()), event.min(), event.max());
        }
        page.push_str("</tbody></table></div>\n");
    }
}
