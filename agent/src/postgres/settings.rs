//! `pg_settings`: a family for each of the server's own settings that is a number or a switch, in
//! seconds or bytes where it has such a unit.

use tokio_postgres::SimpleQueryRow;

use crate::exposition::{Kind, Page};

/// What our own query set for itself is not the server's.
pub const SQL: &str = "SELECT name, CASE WHEN source = 'session' THEN reset_val ELSE setting END,
  coalesce(unit, ''), vartype FROM pg_settings
WHERE vartype IN ('bool', 'integer', 'real') AND name <> 'sync_commit_cancel_wait' ORDER BY 1";

/// Writes the families, or says which setting cannot be read.
pub fn write(rows: &[SimpleQueryRow], server: &str, page: &mut Page) -> Result<(), String> {
    for row in rows {
        let text = |index: usize| row.get(index).unwrap_or_default();
        let (name, setting, unit, kind) = (text(0), text(1), text(2), text(3));
        let Some((value, measured)) = value(setting, unit, kind) else {
            return Err(format!(
                "the setting {name} is \"{setting}\" in \"{unit}\", which is not understood"
            ));
        };
        let mut metric = format!("pg_settings_{}", in_a_name(name));
        let mut help = format!("Server Parameter: {name}");
        if !measured.is_empty() {
            metric = format!("{metric}_{measured}");
            help = format!("{help} [Units converted to {measured}.]");
        }
        let mut family = page.family(&metric, &help, Kind::Gauge);
        family.sample(&[("server", server.as_bytes())], value);
    }
    Ok(())
}

fn in_a_name(setting: &str) -> String {
    let allowed = |c: char| c.is_ascii_alphanumeric() || c == '_';
    setting
        .chars()
        .map(|c| if allowed(c) { c } else { '_' })
        .collect()
}

/// The value and what it is measured in.
pub fn value(setting: &str, unit: &str, kind: &str) -> Option<(f64, &'static str)> {
    if kind == "bool" {
        return Some((f64::from(u8::from(setting == "on")), ""));
    }
    let number: f64 = setting.parse().ok()?;
    let (times, divided, measured) = scale(unit)?;
    // -1 says "off" or "as the other one", in whatever unit.
    let value = if setting == "-1" {
        number
    } else {
        number * times / divided
    };
    Some((value, measured))
}

/// What to multiply by, what to divide by (a product with 0.001 is not the same), and the unit.
fn scale(unit: &str) -> Option<(f64, f64, &'static str)> {
    let digits = unit.len() - unit.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    let times: f64 = if digits == 0 {
        1.0
    } else {
        unit[..digits].parse().ok()?
    };
    let (factor, measured) = match &unit[digits..] {
        "" if digits == 0 => (1.0, ""),
        "us" => return Some((times, 1e6, "seconds")),
        "ms" => return Some((times, 1e3, "seconds")),
        "s" => (1.0, "seconds"),
        "min" => (60.0, "seconds"),
        "h" => (3600.0, "seconds"),
        "d" => (86_400.0, "seconds"),
        "B" => (1.0, "bytes"),
        "kB" => (1024.0, "bytes"),
        "MB" => (1_048_576.0, "bytes"),
        "GB" => (1_073_741_824.0, "bytes"),
        "TB" => (1_099_511_627_776.0, "bytes"),
        _ => return None,
    };
    Some((times * factor, 1.0, measured))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_become_seconds_and_bytes() {
        assert_eq!(value("on", "", "bool"), Some((1.0, "")));
        assert_eq!(value("off", "", "bool"), Some((0.0, "")));
        assert_eq!(value("100", "", "integer"), Some((100.0, "")));
        assert_eq!(
            value("16384", "8kB", "integer"),
            Some((134_217_728.0, "bytes"))
        );
        assert_eq!(value("5", "min", "integer"), Some((300.0, "seconds")));
        assert_eq!(value("9", "ms", "integer"), Some((0.009, "seconds")));
        assert_eq!(value("-1", "kB", "integer"), Some((-1.0, "bytes")));
        assert_eq!(value("0.5", "", "real"), Some((0.5, "")));
        assert_eq!(value("x", "", "integer"), None);
        assert_eq!(value("1", "parsec", "integer"), None);
        assert_eq!(in_a_name("auto_explain.log-x$"), "auto_explain_log_x_");
    }
}
