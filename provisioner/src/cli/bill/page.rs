//! The bill as one HTML file that needs nothing beside it: a picture of the days, a table of the
//! teams, a table of the services. Pure.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::{Bill, Day, bytes, change, number};

/// Told apart by people who do not see all colours (Okabe and Ito); from the ninth on they begin anew.
const COLORS: [&str; 8] = [
    "#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00", "#f0e442", "#999999",
];

const STYLE: &str = "\
body{font:15px/1.45 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;color:#1a1a1a;background:#fff}
h1{font-size:1.5rem;margin:0}h2{font-size:1.1rem;margin:2rem 0 .5rem}p{margin:.3rem 0;color:#555}
table{border-collapse:collapse;width:100%}th,td{padding:.3rem .6rem;border-bottom:1px solid #ddd;text-align:left;vertical-align:top}
th{font-weight:600;color:#555}td.n,th.n{text-align:right;font-variant-numeric:tabular-nums;white-space:nowrap}
.k{display:inline-block;width:.75rem;height:.75rem;margin-right:.4rem;border-radius:2px}
.d{color:#555;font-size:.85rem;overflow-wrap:anywhere}svg{width:100%;height:auto;display:block}svg text{font:11px system-ui,sans-serif;fill:#555}
@media(prefers-color-scheme:dark){body{background:#161616;color:#eee}th,p,.d{color:#aaa}td,th{border-color:#333}svg text{fill:#aaa}}
";

/// Measures of the picture.
const WIDTH: f64 = 900.0;
const HEIGHT: f64 = 260.0;
const LEFT: f64 = 64.0;
const BOTTOM: f64 = 24.0;
const TOP: f64 = 10.0;

pub fn html(bill: &Bill, environment: &str, made: &str) -> String {
    let teams = teams(bill);
    let colors: BTreeMap<&str, &str> = teams
        .keys()
        .enumerate()
        .map(|(index, team)| (*team, COLORS[index % COLORS.len()]))
        .collect();
    let mut out = String::from("<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">");
    let _ = write!(
        out,
        "<meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">\
         <title>Log lines, {days} days ({at})</title><style>{STYLE}</style></head><body>\n\
         <h1>Log lines, {days} days</h1>\n<p>Environment {at}, made {made}. Bytes are those of \
         documents before compression; series are those of now.</p>\n",
        days = bill.days,
        at = escaped(environment),
    );
    if !bill.by_day.is_empty() {
        out.push_str("<h2>Bytes by day and team</h2>\n");
        picture(&mut out, &bill.by_day, &colors);
    }
    out.push_str("<h2>Teams</h2>\n<table><tr><th>Team<th class=n>Lines<th class=n>Bytes<th class=n>Part<th class=n>Series</tr>\n");
    let all: f64 = teams.values().map(|sum| sum.1).sum();
    for (team, (lines, sum, series)) in &teams {
        let part = if all > 0.0 { sum / all * 100.0 } else { 0.0 };
        let _ = writeln!(
            out,
            "<tr><td><span class=k style=\"background:{}\"></span>{}<td class=n>{}<td class=n>{}\
             <td class=n>{part:.0}%<td class=n>{}</tr>",
            colors.get(team).copied().unwrap_or(COLORS[7]),
            named(team),
            number(*lines),
            bytes(*sum),
            number(*series)
        );
    }
    out.push_str("</table>\n<h2>Services</h2>\n<table><tr><th>Service<th>Team<th class=n>Lines<th class=n>Bytes<th class=n>Change<th class=n>Left out<th class=n>Series</tr>\n");
    for row in &bill.rows {
        let _ = write!(out, "<tr><td>{}", named(&row.service));
        for (reason, lines) in &row.reasons {
            let _ = write!(
                out,
                "<div class=d>{} left out: {}</div>",
                number(*lines),
                escaped(reason)
            );
        }
        for kind in &row.top_errors {
            let _ = write!(
                out,
                "<div class=d>{} errors: {}</div>",
                kind.lines,
                escaped(&kind.pattern)
            );
        }
        let _ = writeln!(
            out,
            "<td>{}<td class=n>{}<td class=n>{}<td class=n>{}<td class=n>{}<td class=n>{}</tr>",
            named(&row.team),
            number(row.kept.lines),
            bytes(row.kept.bytes),
            change(row),
            number(row.dropped.lines),
            row.series.map_or_else(|| "–".to_owned(), number)
        );
    }
    out.push_str("</table>\n");
    if let Some(reason) = &bill.errors_missing {
        let _ = writeln!(out, "<p>Errors were not read: {}</p>", escaped(reason));
    }
    out.push_str("</body></html>\n");
    out
}

/// Lines, bytes and series of each team.
fn teams(bill: &Bill) -> BTreeMap<&str, (f64, f64, f64)> {
    let mut teams: BTreeMap<&str, (f64, f64, f64)> = BTreeMap::new();
    for row in &bill.rows {
        let sum = teams.entry(&row.team).or_default();
        sum.0 += row.kept.lines;
        sum.1 += row.kept.bytes;
        sum.2 += row.series.unwrap_or_default();
    }
    teams
}

/// A column for each day, the teams on top of each other.
fn picture(out: &mut String, days: &[Day], colors: &BTreeMap<&str, &str>) {
    let sum = |day: &Day| day.teams.values().sum::<f64>();
    let most = round_up(days.iter().map(sum).fold(0.0, f64::max));
    let (room, tall) = (WIDTH - LEFT, HEIGHT - TOP - BOTTOM);
    let _ = writeln!(
        out,
        "<svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" aria-label=\"Bytes by day and team\">"
    );
    for step in 0..=4 {
        let value = most * f64::from(step) / 4.0;
        let y = TOP + tall - tall * f64::from(step) / 4.0;
        let _ = writeln!(
            out,
            "<line x1=\"{LEFT}\" x2=\"{WIDTH}\" y1=\"{y:.1}\" y2=\"{y:.1}\" stroke=\"#8884\"/>\
             <text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>",
            LEFT - 6.0,
            y + 4.0,
            bytes(value)
        );
    }
    let step = room / days.len().max(1) as f64;
    // As many names as there is room for.
    let every = days.len().div_ceil(12).max(1);
    for (index, day) in days.iter().enumerate() {
        let x = LEFT + step * index as f64;
        let mut y = TOP + tall;
        for (team, value) in &day.teams {
            let height = tall * value / most;
            y -= height;
            let _ = writeln!(
                out,
                "<rect x=\"{:.1}\" y=\"{y:.1}\" width=\"{:.1}\" height=\"{height:.1}\" fill=\"{}\">\
                 <title>{}, {}: {}</title></rect>",
                x + step * 0.1,
                step * 0.8,
                colors.get(team.as_str()).copied().unwrap_or(COLORS[7]),
                escaped(&day.name),
                named(team),
                bytes(*value)
            );
        }
        if index.is_multiple_of(every) {
            let _ = writeln!(
                out,
                "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{}</text>",
                x + step / 2.0,
                HEIGHT - 6.0,
                escaped(&day.name)
            );
        }
    }
    out.push_str("</svg>\n");
}

/// One, two or five times a power of ten; never nothing.
fn round_up(value: f64) -> f64 {
    let mut power = 1.0;
    while power * 10.0 < value {
        power *= 10.0;
    }
    let fits = [1.0, 2.0, 5.0, 10.0].map(|times| times * power);
    fits.into_iter().find(|fit| *fit >= value).unwrap_or(value)
}

fn named(name: &str) -> String {
    if name.is_empty() {
        return "<i>none</i>".to_owned();
    }
    escaped(name)
}

fn escaped(text: &str) -> String {
    text.chars().fold(String::new(), |mut out, letter| {
        match letter {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            other => out.push(other),
        }
        out
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::{Amount, Kind, Row};
    use super::*;

    fn bill(text: &str, value: f64) -> Bill {
        let row = Row {
            team: text.to_owned(),
            service: text.to_owned(),
            kept: Amount {
                lines: value,
                bytes: value,
            },
            reasons: [(text.to_owned(), value)].into(),
            top_errors: vec![Kind {
                pattern: text.to_owned(),
                lines: 7,
            }],
            series: Some(value),
            ..Row::default()
        };
        Bill {
            days: 7,
            rows: vec![row],
            by_day: vec![Day {
                name: "11-30".to_owned(),
                teams: [(text.to_owned(), value)].into(),
            }],
            errors_missing: Some(text.to_owned()),
        }
    }

    #[test]
    fn a_page_shows_its_figures_and_needs_nothing() {
        let page = html(&bill("booking", 1_500_000.0), "prod", "today");
        for part in ["booking", "1.5 MB", "100%", "<rect", "7 errors", "11-30"] {
            assert!(page.contains(part), "{part}: {page}");
        }
        for outside in ["http://", "https://", "<script", "<link", "@import"] {
            assert!(!page.contains(outside), "{outside}");
        }
    }

    proptest! {
        #[test]
        fn whatever_a_service_says_stays_text(text in "[<>&\"'a-z/ ]{1,30}", value in 0.0..1e15) {
            let page = html(&bill(&text, value), &text, "today");
            prop_assert!(!page.contains("NaN") && !page.contains("inf"));
            // Of the marks that are ours, none more than with a harmless name.
            let plain = html(&bill("x", value), "x", "today");
            prop_assert_eq!(page.matches('<').count(), plain.matches('<').count());
            prop_assert_eq!(page.matches('>').count(), plain.matches('>').count());
        }

        #[test]
        fn the_scale_holds_everything(value in 0.0..1e18) {
            let most = round_up(value);
            prop_assert!(most >= value && most >= 1.0 && most <= value.max(1.0) * 10.0);
        }
    }
}
