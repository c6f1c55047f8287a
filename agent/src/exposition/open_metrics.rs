//! The text format made into OpenMetrics 1.0, for who takes nothing else. Every sample keeps its name,
//! because dashboards and rules know it: a counter without `_total`, which OpenMetrics does not allow,
//! is of unknown type there, and so is one whose name without `_total` another family has.

use std::collections::HashSet;

/// Of a page in the text format 0.0.4, as [`merge`](super::merge) writes it.
pub fn from_text(page: &[u8]) -> Vec<u8> {
    let text = String::from_utf8_lossy(page);
    let types = text.lines().filter_map(|line| line.strip_prefix("# TYPE "));
    let names: HashSet<&str> = types.filter_map(|line| line.split(' ').next()).collect();
    let mut out = String::with_capacity(text.len() + 1024);
    let mut help = "";
    for line in text.lines() {
        if let Some(rest) = line.strip_prefix("# HELP ") {
            help = rest.split_once(' ').map_or("", |(_, help)| help);
        } else if let Some((name, kind)) = line
            .strip_prefix("# TYPE ")
            .and_then(|rest| rest.split_once(' '))
        {
            let base = name
                .strip_suffix("_total")
                .filter(|base| !names.contains(base));
            let (name, kind) = match (kind, base) {
                ("counter", Some(base)) => (base, "counter"),
                ("counter" | "untyped", _) => (name, "unknown"),
                (kind, _) => (name, kind),
            };
            out.push_str(&format!("# HELP {name} "));
            // Backslashes and line ends are escaped already.
            out.push_str(&help.replace('"', "\\\""));
            out.push_str(&format!("\n# TYPE {name} {kind}\n"));
        } else {
            out.push_str(line);
            out.push('\n');
        }
    }
    out.push_str("# EOF\n");
    out.into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_samples_stay() {
        let page = "# HELP a_total About \"a\".\n# TYPE a_total counter\na_total{x=\"1\"} 1\n\
                    # HELP b B\n# TYPE b counter\nb 2\n\
                    # HELP c C\n# TYPE c gauge\nc 3\n\
                    # HELP c_total C\n# TYPE c_total counter\nc_total 4\n\
                    # HELP d D\n# TYPE d untyped\nd 5\n";
        let expected = "# HELP a About \\\"a\\\".\n# TYPE a counter\na_total{x=\"1\"} 1\n\
                        # HELP b B\n# TYPE b unknown\nb 2\n\
                        # HELP c C\n# TYPE c gauge\nc 3\n\
                        # HELP c_total C\n# TYPE c_total unknown\nc_total 4\n\
                        # HELP d D\n# TYPE d unknown\nd 5\n# EOF\n";
        assert_eq!(
            String::from_utf8(from_text(page.as_bytes())).unwrap(),
            expected
        );
    }
}
