//! `kubernetes:`, what holds with `runsOn: kubernetes`.

use super::super::{Field, Kind, Object};
use crate::spec::format::Format;

pub(super) static KUBERNETES: Object = Object {
    name: "kubernetes",
    doc: "What holds with `runsOn: kubernetes`.",
    fields: &[
        Field::new(
            "namespace",
            Kind::Text(Format::Name),
            "kai-observe",
            "Namespace of Prometheus and Alertmanager. The agent has one of its own, \
             `<namespace>-agent`, because only it may see folders of the node.",
        )
        .default("kai-observe"),
        Field::new(
            "images",
            Kind::Object(&IMAGES),
            "{ agent: \"registry.example.org/kai-agent:0.1.0\" }",
            "Container images.",
        ),
        Field::new(
            "imagePullSecrets",
            Kind::List {
                item: &Kind::Text(Format::Name),
                unique: true,
                min: 0,
            },
            "[registry]",
            "Secrets of both namespaces that open the registry.",
        )
        .default("[]"),
        Field::new(
            "storageClass",
            Kind::Text(Format::Name),
            "fast",
            "Class of the volumes; without it the cluster's default.",
        ),
    ],
    reserved: &[
        "context",
        "labels",
        "annotations",
        "nodeSelector",
        "tolerations",
        "ingress",
    ],
};

static IMAGES: Object = Object {
    name: "images",
    doc: "Container images, each with a version or a digest.",
    fields: &[
        Field::new(
            "agent",
            Kind::Text(Format::Image),
            "registry.example.org/kai-agent:0.1.0",
            "Built by `deploy/Containerfile`; none is published, so `runsOn: kubernetes` needs it.",
        ),
        Field::new(
            "prometheus",
            Kind::Text(Format::Image),
            "registry.example.org/prometheus:v3.5.0",
            "Without it Prometheus' own, at `systems.prometheus.version`.",
        ),
        Field::new(
            "alertmanager",
            Kind::Text(Format::Image),
            "registry.example.org/alertmanager:v0.28.1",
            "Without it Alertmanager's own, at `systems.alertmanager.version`.",
        ),
        Field::new(
            "kubeState",
            Kind::Text(Format::Image),
            "registry.example.org/kube-state-metrics:v2.17.0",
            "Without it kube-state-metrics' own, at `systems.kubeState.version`.",
        ),
    ],
    reserved: &[],
};

pub(super) static RESOURCES: Object = Object {
    name: "resources",
    doc: "What a container of a cluster asks for; what is left out has the default of its system.",
    fields: &[
        Field::new(
            "cpu",
            Kind::Text(Format::Cpu),
            "250m",
            "Share of a processor that it is sure of; it may use more when there is more.",
        ),
        Field::new(
            "memory",
            Kind::Text(Format::Bytes),
            "160Mi",
            "Memory that it is sure of, and its limit.",
        ),
    ],
    reserved: &["limits", "requests"],
};

pub(super) const REPLICAS: Kind = Kind::Integer { min: 1, max: 9 };
