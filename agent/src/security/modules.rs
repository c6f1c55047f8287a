//! Kernel modules against the baseline, the kernel's taint, and modules that are loaded but hide
//! from the list, which is what rootkits do.

use super::check::{Check, Context, Coverage, Items, Outcome, Reason, shown};
use crate::exposition::{Kind, Page};
use crate::node::Tree;

pub mod list;

pub struct Modules;

impl Check for Modules {
    fn run(&mut self, context: &Context, page: &mut Page) -> Outcome {
        look(context, page).unwrap_or_else(Outcome::failed)
    }
}

fn look(context: &Context, page: &mut Page) -> Result<Outcome, String> {
    let node = &*context.node;
    let mut coverage = Coverage::default();
    let mut text = Vec::new();
    let named = |name: &str, error: &dyn std::fmt::Display| {
        format!("{}: {error}", node.path(Tree::Proc, name).display())
    };
    let mut taint = Vec::new();
    node.read(Tree::Proc, "sys/kernel/tainted", &mut taint)
        .map_err(|error| named("sys/kernel/tainted", &error))?;
    let bits = list::tainted(&taint).map_err(|error| named("sys/kernel/tainted", &error))?;
    coverage.examined += 1;
    page.single(
        "kai_security_kernel_taint",
        "The kernel's taint as its bits; 0 for a kernel that is not tainted.",
        Kind::Gauge,
        bits as f64,
    );
    let mut family = page.family(
        "kai_security_kernel_tainted",
        "Whether the kernel is tainted, by reason.",
        Kind::Gauge,
    );
    for (bit, flag) in list::FLAGS.iter().enumerate() {
        let set = f64::from(u8::from(bits >> bit & 1 == 1));
        family.sample(&[("flag", flag.as_bytes())], set);
    }
    drop(family);
    let mut items = Items::new();
    let read = node.read(Tree::Proc, "modules", &mut text);
    match read {
        Ok(()) => {}
        // A kernel that can load none.
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => text.clear(),
        Err(error) => return Err(named("modules", &error)),
    }
    let loaded = list::modules(&text).map_err(|error| named("modules", &error))?;
    for module in &loaded {
        coverage.examined += 1;
        items.insert(
            format!("module {}", shown(module.name)),
            format!("taint={}", shown(module.taint)),
        );
    }
    // Built-in modules have no `initstate`; a loaded one has, whether it is in the list or not.
    let mut hidden = 0_u64;
    match node.list(Tree::Sys, "module") {
        Ok(names) => {
            for name in names {
                let state = format!("module/{name}/initstate");
                if node.version(Tree::Sys, &state).is_ok()
                    && !loaded.iter().any(|module| module.name == name.as_bytes())
                {
                    hidden += 1;
                    items.insert(format!("module {name}"), "hidden=yes".to_owned());
                }
            }
            coverage.examined += 1;
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
        Err(error) => coverage.skip("/sys/module", Reason::of(&error)),
    }
    context.progress.step();
    page.single(
        "kai_security_kernel_modules",
        "Kernel modules that are loaded.",
        Kind::Gauge,
        loaded.len() as f64,
    );
    page.single(
        "kai_security_kernel_modules_hidden",
        "Modules that sysfs knows and the list of modules does not.",
        Kind::Gauge,
        hidden as f64,
    );
    Ok(Outcome {
        coverage,
        seen: Some(items),
        ..Outcome::default()
    })
}
