//! `grafana.ini` of a managed Grafana: on this machine only, telling nobody, asking nobody.

use std::path::PathBuf;

use crate::layout::Layout;
use crate::model::Stack;
use crate::render::local;

/// Beside the database that they open, so that both are kept or purged together.
pub const PASSWORD: &str = "data/grafana/secrets/admin-password";
pub const KEY: &str = "data/grafana/secrets/secret-key";

const DATABASE: &str = "data/grafana/db";
const PLUGINS: &str = "data/grafana/plugins";
/// Empty, so that nothing is provisioned from the archive's own examples.
const PROVISIONING: &str = "data/grafana/provisioning";

pub fn folders() -> Vec<PathBuf> {
    [DATABASE, PLUGINS, PROVISIONING]
        .map(PathBuf::from)
        .to_vec()
}

pub fn text(stack: &Stack, layout: &Layout) -> String {
    let at = |path: &str| layout.root.join(path).display().to_string();
    let port = stack.ports.grafana();
    let sections: [(&str, Vec<(&str, String)>); 12] = [
        (
            "server",
            vec![
                ("protocol", "http".into()),
                ("http_addr", "127.0.0.1".into()),
                ("http_port", port.to_string()),
                ("root_url", local(port, "/")),
            ],
        ),
        (
            "paths",
            vec![
                ("data", at(DATABASE)),
                ("logs", at("log")),
                ("plugins", at(PLUGINS)),
                ("provisioning", at(PROVISIONING)),
            ],
        ),
        (
            "security",
            vec![
                ("admin_user", super::ADMIN.into()),
                ("admin_password", format!("$__file{{{}}}", at(PASSWORD))),
                ("secret_key", format!("$__file{{{}}}", at(KEY))),
                ("disable_gravatar", "true".into()),
            ],
        ),
        (
            "users",
            vec![
                ("allow_sign_up", "false".into()),
                ("allow_org_create", "false".into()),
            ],
        ),
        // Whoever reaches this machine's loopback may look; changing takes the password.
        (
            "auth.anonymous",
            vec![("enabled", "true".into()), ("org_role", "Viewer".into())],
        ),
        (
            "analytics",
            vec![
                ("reporting_enabled", "false".into()),
                ("check_for_updates", "false".into()),
                ("check_for_plugin_updates", "false".into()),
                ("feedback_links_enabled", "false".into()),
            ],
        ),
        // Plugins are those of the archive; none is fetched behind the back of `observe.lock`.
        (
            "plugins",
            vec![
                ("preinstall_auto_update", "false".into()),
                ("plugin_admin_enabled", "false".into()),
            ],
        ),
        ("news", vec![("news_feed_enabled", "false".into())]),
        ("snapshots", vec![("external_enabled", "false".into())]),
        ("help", vec![("enabled", "false".into())]),
        // Prometheus judges, Alertmanager tells; a second judge would only differ.
        ("unified_alerting", vec![("enabled", "false".into())]),
        (
            "log",
            vec![("mode", "console".into()), ("level", "warn".into())],
        ),
    ];
    let mut out = String::new();
    for (name, keys) in sections {
        out.push_str(&format!("[{name}]\n"));
        for (key, value) in keys {
            out.push_str(&format!("{key} = {value}\n"));
        }
        out.push('\n');
    }
    out
}
