//! What a notice says. One set of templates serves PagerDuty, Slack and e-mail, so that the same
//! alert reads the same everywhere; the machine-readable labels let the inbox, and any script at
//! the receiver, tell which alert it was.

use serde_json::{Value, json};

/// `kai.tmpl`. Alertmanager's own functions only.
pub const TEMPLATE: &str = r#"{{ define "kai.title" -}}
{{ if eq .Status "resolved" }}Resolved: {{ end -}}
{{ if .CommonLabels.drill_id }}[drill] {{ end -}}
{{ if .CommonAnnotations.summary }}{{ .CommonAnnotations.summary }}
{{- else if .Alerts }}{{ (index .Alerts 0).Annotations.summary }}
{{- else }}{{ .CommonLabels.alertname }}{{ end -}}
{{ if gt (len .Alerts) 1 }} (+{{ len (slice .Alerts 1) }} more){{ end -}}
{{ end }}

{{ define "kai.link" -}}
{{ if .CommonAnnotations.runbook_url }}{{ .CommonAnnotations.runbook_url }}{{ else }}{{ .ExternalURL }}{{ end -}}
{{ end }}

{{ define "kai.text" -}}
{{ range .Alerts -}}
{{ .Labels.alertname }} ({{ .Labels.severity }}) {{ .Status }}
{{ if .Annotations.summary }}{{ .Annotations.summary }}
{{ end }}{{ if .Annotations.description }}{{ .Annotations.description }}
{{ end }}{{ if .Annotations.runbook_url }}runbook: {{ .Annotations.runbook_url }}
{{ end }}since: {{ .StartsAt.UTC.Format "2006-01-02 15:04:05 UTC" }}
{{ if eq .Status "resolved" }}until: {{ .EndsAt.UTC.Format "2006-01-02 15:04:05 UTC" }}
{{ end }}{{ range .Labels.SortedPairs }}  {{ .Name }}={{ .Value }}
{{ end }}
{{ end -}}
{{ end }}

{{ define "kai.html" -}}
<!doctype html><html><body style="font-family:sans-serif">
{{ range .Alerts }}<h3>{{ .Labels.alertname }} ({{ .Labels.severity }}) {{ .Status }}</h3>
<p>{{ .Annotations.summary }}</p><p>{{ .Annotations.description }}</p>
{{ if .Annotations.runbook_url }}<p>runbook: {{ .Annotations.runbook_url }}</p>{{ end }}
<table>{{ range .Labels.SortedPairs }}<tr><td>{{ .Name }}</td><td>{{ .Value }}</td></tr>{{ end }}</table>
{{ end }}</body></html>
{{ end }}

{{ define "kai.pagerduty.severity" -}}
{{ if eq .CommonLabels.severity "critical" }}critical{{ else if eq .CommonLabels.severity "warning" }}warning{{ else }}info{{ end -}}
{{ end }}

{{ define "kai.slack.color" -}}
{{ if eq .Status "resolved" }}good{{ else if eq .CommonLabels.severity "critical" }}danger{{ else }}warning{{ end -}}
{{ end }}
"#;

/// Label name at the receiver, template that fills it.
const LABELS: [(&str, &str); 8] = [
    ("alertname", "{{ .CommonLabels.alertname }}"),
    ("status", "{{ .Status }}"),
    ("severity", "{{ .CommonLabels.severity }}"),
    ("team", "{{ .CommonLabels.team }}"),
    ("service", "{{ .CommonLabels.service }}"),
    ("environment", "{{ .CommonLabels.environment }}"),
    ("drill_id", "{{ .CommonLabels.drill_id }}"),
    (
        "starts_at",
        "{{ with index .Alerts 0 }}{{ .StartsAt.UTC.Format \"2006-01-02T15:04:05.000Z\" }}{{ end }}",
    ),
];

/// PagerDuty's `custom_details`.
pub fn details() -> Value {
    let mut out = serde_json::Map::new();
    for (name, template) in LABELS {
        out.insert(name.to_owned(), json!(template));
    }
    out.insert("text".into(), json!("{{ template \"kai.text\" . }}"));
    Value::Object(out)
}

/// Fields of a Slack attachment.
pub fn fields() -> Value {
    LABELS
        .iter()
        .map(|(name, template)| json!({ "title": name, "value": template, "short": true }))
        .collect()
}

/// Headers of an e-mail.
pub fn headers() -> Value {
    let mut out = serde_json::Map::new();
    out.insert("Subject".into(), json!("{{ template \"kai.title\" . }}"));
    for (name, template) in LABELS {
        let header = match name {
            "drill_id" => "X-Kai-Drill".to_owned(),
            "starts_at" => "X-Kai-Starts-At".to_owned(),
            other => {
                let (first, rest) = other.split_at(1);
                format!("X-Kai-{}{rest}", first.to_uppercase())
            }
        };
        out.insert(header, json!(template));
    }
    Value::Object(out)
}
