//! `kai-observe verify`: the proofs as a table, as JSON, as JUnit.

use kai_contract::exit;

use super::Stop;
use super::args::{Common, ProofArgs, VerifyArgs};
use super::context::Context;
use super::ui::{Paint, Ui, short, wrap};
use crate::spec::Secrets;
use crate::systems::file;
use crate::verify::{Proof, Status, Subject, Verdict, verify};

/// Columns of the detail; the whole table fits 80.
const DETAIL: usize = 34;

pub async fn run(args: &VerifyArgs, common: &Common, ui: &Ui) -> Result<u8, Stop> {
    let context = Context::new(common, ui, Secrets::AssumePresent)?;
    let verdict = prove(&context, ui, &args.proofs, true).await?;
    table(ui, &verdict);
    result(&context, ui, &verdict);
    ui.json(&verdict);
    Ok(if verdict.failed == 0 {
        exit::OK
    } else {
        exit::UNHEALTHY
    })
}

/// Runs the proofs; `routes` sends a test notice along every route.
pub async fn prove(
    context: &Context,
    ui: &Ui,
    args: &ProofArgs,
    routes: bool,
) -> Result<Verdict, Stop> {
    let world = context.world(ui).await?;
    ui.stage("verify", "asking the running systems");
    let subject = Subject {
        stack: &context.stack,
        layout: &context.layout,
        resources: &context.resources,
        world: &world,
        patience: args.patience,
        routes,
    };
    let verdict = verify(&subject).await;
    if let Some(path) = &args.junit {
        file::write(path, junit(&verdict).as_bytes(), 0o644).map_err(Stop::error)?;
    }
    Ok(verdict)
}

/// Every proof in a row of its own.
pub fn table(ui: &Ui, verdict: &Verdict) {
    let mut area = "";
    for proof in &verdict.proofs {
        let shown = if proof.area == area { "" } else { proof.area };
        area = proof.area;
        row(
            ui,
            shown,
            &proof.name,
            &proof.detail,
            proof.status,
            proof.millis,
        );
    }
}

/// One row for each area that passed, and every proof that did not.
pub fn summary(ui: &Ui, verdict: &Verdict) {
    let mut areas: Vec<&str> = Vec::new();
    for proof in &verdict.proofs {
        if !areas.contains(&proof.area) {
            areas.push(proof.area);
        }
    }
    for area in areas {
        let (passed, other): (Vec<&Proof>, Vec<&Proof>) = verdict
            .proofs
            .iter()
            .filter(|proof| proof.area == area)
            .partition(|proof| proof.status == Status::Pass);
        let count = format!("{}/{}", passed.len(), passed.len() + other.len());
        let names: Vec<&str> = passed.iter().map(|proof| proof.name.as_str()).collect();
        if let Some(slowest) = passed.iter().map(|proof| proof.millis).max() {
            row(ui, area, &count, &names.join(", "), Status::Pass, slowest);
        }
        for (index, proof) in other.iter().enumerate() {
            let area = if passed.is_empty() && index == 0 {
                area
            } else {
                ""
            };
            row(
                ui,
                area,
                &proof.name,
                &proof.detail,
                proof.status,
                proof.millis,
            );
        }
    }
}

pub fn result(context: &Context, ui: &Ui, verdict: &Verdict) {
    let mut text = format!(
        "{} passed, {} failed, {} not run",
        verdict.passed, verdict.failed, verdict.not_run
    );
    if !verdict.complete {
        text.push_str(" (incomplete)");
    }
    let paint = if verdict.failed == 0 {
        Paint::Green
    } else {
        Paint::Red
    };
    ui.stage("result", &ui.paint(paint, &text));
    if context.stack.systems.inbox.is_some() {
        let port = context.stack.ports.inbox_http();
        ui.stage("inbox", &crate::render::local(port, "/"));
    }
}

fn row(ui: &Ui, area: &str, name: &str, detail: &str, status: Status, millis: u64) {
    let paint = match status {
        Status::Pass => Paint::Green,
        Status::Fail => Paint::Red,
        Status::NotInstalled | Status::NotRun => Paint::Yellow,
    };
    let lines = wrap(detail, DETAIL);
    let status = ui.paint(paint, status.word());
    let time = if millis == 0 {
        String::new()
    } else {
        format!(" {}", short(millis))
    };
    ui.line(&format!(
        "    {area:<10} {name:<17} {:<DETAIL$} {status}{time}",
        lines.first().map_or("", String::as_str),
    ));
    for line in lines.iter().skip(1) {
        ui.line(&format!("{:33}{line}", ""));
    }
}

/// The format that CI servers read: one suite, one case a proof.
pub fn junit(verdict: &Verdict) -> String {
    let mut out = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
    let seconds = |millis: u64| format!("{:.3}", millis as f64 / 1e3);
    let total: u64 = verdict.proofs.iter().map(|proof| proof.millis).sum();
    out.push_str(&format!(
        "<testsuite name=\"kai-observe verify\" tests=\"{}\" failures=\"{}\" skipped=\"{}\" time=\"{}\">\n",
        verdict.proofs.len(),
        verdict.proofs.iter().filter(|proof| proof.status == Status::Fail).count(),
        verdict.not_run,
        seconds(total)
    ));
    for proof in &verdict.proofs {
        out.push_str(&format!(
            "  <testcase classname=\"{}\" name=\"{}\" time=\"{}\">",
            escape(proof.area),
            escape(&proof.name),
            seconds(proof.millis)
        ));
        let detail = escape(&proof.detail);
        match proof.status {
            Status::Pass => out.push_str(&format!("<system-out>{detail}</system-out>")),
            Status::Fail => out.push_str(&format!("<failure message=\"{detail}\"/>")),
            Status::NotInstalled | Status::NotRun => {
                out.push_str(&format!("<skipped message=\"{detail}\"/>"));
            }
        }
        out.push_str("</testcase>\n");
    }
    out.push_str("</testsuite>\n");
    out
}

/// XML 1.0 text: markup is escaped, characters that XML cannot hold are replaced.
fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\t' | '\n' | '\r' => out.push(c),
            c if c < ' ' || c == '\u{fffe}' || c == '\u{ffff}' => out.push('\u{fffd}'),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn junit_counts_and_escapes() {
        let proof = |status, detail: &str| Proof {
            area: "rules",
            name: "a<b".into(),
            status,
            detail: detail.into(),
            millis: 1_500,
        };
        let text = junit(&Verdict::of(vec![
            proof(Status::Pass, "fine"),
            proof(Status::Fail, "x & \"y\"\u{1}"),
            proof(Status::NotRun, "later"),
        ]));
        assert!(
            text.contains("tests=\"3\" failures=\"1\" skipped=\"1\" time=\"4.500\""),
            "{text}"
        );
        assert!(
            text.contains("<failure message=\"x &amp; &quot;y&quot;\u{fffd}\"/>"),
            "{text}"
        );
        assert!(text.contains("name=\"a&lt;b\""), "{text}");
    }
}
