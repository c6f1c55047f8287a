//! Services that the stack starts itself: the example, or a laptop's.

use super::{READY_WITHIN, component, local};
use crate::layout::Layout;
use crate::model::{Service, Stack};
use crate::resource::{Address, Document, Loaded, Process, Reload, Resource};

pub fn render(stack: &Stack, layout: &Layout) -> Vec<Resource> {
    let mut out: Vec<Resource> = Vec::new();
    for service in stack.services.values() {
        let Some(run) = &service.run else { continue };
        let program = Address::component(&run.component);
        if !out.iter().any(|resource| resource.address == program) {
            out.push(component(&run.component, None, true));
        }
        let data = format!("data/{}", service.name);
        let process = Process {
            name: service.name.clone(),
            component: run.component.clone(),
            program: run.component.clone(),
            args: run
                .args
                .iter()
                .map(|arg| arg.replace("${data}", &layout.root.join(&data).to_string_lossy()))
                .collect(),
            env: run.env.clone(),
            data: vec![data.into()],
            ready: service
                .health
                .clone()
                .or_else(|| service.metrics.clone())
                .unwrap_or_else(|| local(0, "/")),
            ready_within: READY_WITHIN,
            ports: port_of(service).into_iter().collect(),
            config: Vec::new(),
            loaded: Loaded::AtStart,
            reload: Reload::Restart,
            java: None,
        };
        out.push(Resource {
            address: Address::process(&service.name),
            needs: vec![program],
            document: Document::Process(Box::new(process)),
        });
    }
    out
}

/// The loopback port on which the service will listen, when the stack starts it.
fn port_of(service: &Service) -> Option<u16> {
    let url = service.health.as_ref().or(service.metrics.as_ref())?;
    reqwest::Url::parse(url).ok()?.port_or_known_default()
}
