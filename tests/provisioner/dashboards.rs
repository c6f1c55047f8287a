//! The compiled dashboards against Grafana's own types: every dashboard, every panel's options and
//! fields and every query is a typed literal for the TypeScript compiler, where a wrong or unknown
//! field is an error.

// Always true here; it tells clippy that helpers are test code too.
#![cfg(test)]

use std::path::{Path, PathBuf};
use std::process::Command;

use kai_observe::dashboards::grafana::{Sources, Target, compile};
use kai_observe::dashboards::sources;
use serde_json::{Value, json};

/// Exact versions: a type-check that moves by itself is no test.
const PACKAGES: [&str; 3] = [
    "@grafana/schema@13.2.3",
    "@grafana/grafana-foundation-sdk@0.0.21",
    "typescript@5.9.3",
];

/// What the sources need of Grafana's types. Enums of the types are texts in JSON, hence `Plain`.
const HEAD: &str = r"
import type { Dashboard } from '@grafana/schema/dist/esm/raw/dashboard/x/Dashboard_types.gen';
import type * as Stat from '@grafana/schema/dist/esm/raw/composable/stat/panelcfg/x/StatPanelCfg_types.gen';
import type * as BarGauge from '@grafana/schema/dist/esm/raw/composable/bargauge/panelcfg/x/BarGaugePanelCfg_types.gen';
import type * as TimeSeries from '@grafana/schema/dist/esm/raw/composable/timeseries/panelcfg/x/TimeSeriesPanelCfg_types.gen';
import type * as Table from '@grafana/schema/dist/esm/raw/composable/table/panelcfg/x/TablePanelCfg_types.gen';
import type * as Logs from '@grafana/schema/dist/esm/raw/composable/logs/panelcfg/x/LogsPanelCfg_types.gen';
import type { Dataquery as Prometheus } from '@grafana/grafana-foundation-sdk/prometheus';
import type { dataquery as Elasticsearch } from '@grafana/grafana-foundation-sdk/elasticsearch';
type Plain<T> = unknown extends T ? T
  : T extends string ? `${T}`
  : T extends number ? (`${T}` extends `${infer N extends number}` ? N : T)
  : T extends readonly (infer U)[] ? Plain<U>[]
  : T extends object ? { [K in keyof T as K extends `_${string}` ? never : K]: Plain<T[K]> }
  : T;
";

/// The tools, got once and kept; or why there are none.
fn tools() -> Result<PathBuf, String> {
    let has = |program: &str| Command::new(program).arg("--version").output().is_ok();
    if !has("node") || !has("npm") {
        return Err("node or npm is not on PATH".into());
    }
    let cache = std::env::var_os("KAI_CACHE").map(PathBuf::from);
    let cache = kai_observe::layout::cache_folder(cache.as_deref()).map_err(|e| e.to_string())?;
    let name = PACKAGES.join("+").replace(['/', '@'], "_");
    let place = cache.join("tools").join(name);
    if place.join("node_modules/typescript/bin/tsc").is_file() {
        return Ok(place);
    }
    let parent = cache.join("tools");
    std::fs::create_dir_all(&parent).map_err(|e| e.to_string())?;
    let fresh = tempfile::tempdir_in(&parent).map_err(|e| e.to_string())?;
    std::fs::write(fresh.path().join("package.json"), "{}").map_err(|e| e.to_string())?;
    let output = Command::new("npm")
        .args([
            "install",
            "--no-audit",
            "--no-fund",
            "--ignore-scripts",
            "--save-exact",
        ])
        .args(PACKAGES)
        .current_dir(fresh.path())
        .output()
        .map_err(|e| e.to_string())?;
    if !output.status.success() {
        let text = String::from_utf8_lossy(&output.stderr);
        return Err(format!("npm could not get {}: {text}", PACKAGES.join(", ")));
    }
    // Whoever was first wins; both hold the same.
    let _ = std::fs::rename(fresh.path(), &place);
    Ok(place)
}

/// What the TypeScript compiler says of the dashboards; nothing is good.
fn type_check(tools: &Path, dashboards: &[Value]) -> String {
    let folder = tempfile::tempdir().unwrap();
    std::os::unix::fs::symlink(
        tools.join("node_modules"),
        folder.path().join("node_modules"),
    )
    .unwrap();
    let mut text = HEAD.to_owned();
    for (n, dashboard) in dashboards.iter().enumerate() {
        text.push_str(&literal(&format!("d{n}"), "Dashboard", dashboard));
        for panel in dashboard["panels"].as_array().unwrap() {
            let plugin = match panel["type"].as_str().unwrap() {
                "row" => continue,
                "stat" => "Stat",
                "bargauge" => "BarGauge",
                "timeseries" => "TimeSeries",
                "table" => "Table",
                "logs" => "Logs",
                other => panic!("no types for {other}"),
            };
            let name = format!("d{n}p{}", panel["id"]);
            let options = format!("{plugin}.Options");
            text.push_str(&literal(&format!("{name}o"), &options, &panel["options"]));
            let custom = &panel["fieldConfig"]["defaults"]["custom"];
            if !custom.is_null() {
                let kind = format!("{plugin}.FieldConfig");
                text.push_str(&literal(&format!("{name}c"), &kind, custom));
            }
            for (m, target) in panel["targets"].as_array().unwrap().iter().enumerate() {
                let kind = match target["datasource"]["type"].as_str().unwrap() {
                    "prometheus" => "Prometheus",
                    _ => "Elasticsearch",
                };
                text.push_str(&literal(&format!("{name}t{m}"), kind, target));
            }
        }
    }
    std::fs::write(folder.path().join("check.ts"), text).unwrap();
    let output = Command::new("node")
        .arg(tools.join("node_modules/typescript/bin/tsc"))
        .args([
            "--noEmit",
            "--strict",
            "--skipLibCheck",
            "--pretty",
            "false",
        ])
        .args([
            "--moduleResolution",
            "bundler",
            "--module",
            "esnext",
            "--target",
            "es2022",
        ])
        .arg("check.ts")
        .current_dir(folder.path())
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(output.status.success(), text.is_empty(), "{text}");
    text
}

fn literal(name: &str, kind: &str, value: &Value) -> String {
    format!("export const {name}: Plain<{kind}> = {value};\n")
}

fn compiled() -> Vec<Value> {
    let target = Target {
        uid: "kai-abc-local-x".into(),
        owner: "abc-local".into(),
        stack: "ticketing local".into(),
        sources: Sources {
            prometheus: Some("p".into()),
            elasticsearch: Some("e".into()),
            jaeger: Some("j".into()),
        },
    };
    sources()
        .into_iter()
        .map(|(_, source)| compile(&source.unwrap(), &target))
        .collect()
}

#[test]
fn every_field_is_one_that_grafana_knows() {
    let tools = match tools() {
        Ok(tools) => tools,
        Err(why) => return eprintln!("not run: type-check of the dashboards: {why}"),
    };
    let good = compiled();
    assert_eq!(type_check(&tools, &good), "");

    // The check is one: each of these is an error, and all are found.
    let mut bad = good;
    let panel = bad[0]["panels"].as_array_mut().unwrap();
    let stat = panel.iter_mut().find(|p| p["type"] == "stat").unwrap();
    stat["options"]["graphMod"] = json!("area");
    stat["targets"][0]["exprr"] = json!("up");
    let graph = panel
        .iter_mut()
        .find(|p| p["type"] == "timeseries")
        .unwrap();
    graph["fieldConfig"]["defaults"]["custom"]["drawStyle"] = json!("lines");
    graph["gridPos"]["x"] = json!("0");
    bad[1]["templating"]["list"][0]["hidden"] = json!(true);
    let said = type_check(&tools, &bad);
    for wrong in [
        "graphMod",
        "exprr",
        "\"lines\"",
        "not assignable to type 'number'",
        "hidden",
    ] {
        assert!(said.contains(wrong), "{wrong}:\n{said}");
    }
}
