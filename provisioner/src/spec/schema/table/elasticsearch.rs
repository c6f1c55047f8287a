//! `systems.elasticsearch.lifecycle`: from the index that is written to until its deletion.

use super::super::{Field, Kind, Object};
use super::{DURATION, TEXT};
use crate::spec::format::Format;

pub(super) static LIFECYCLE: Object = Object {
    name: "lifecycle",
    doc: "What becomes of an index.",
    fields: &[
        Field::new(
            "rollover",
            Kind::Object(&ROLLOVER),
            "{ age: 1d, size: 10Gi }",
            "When the next index is begun; what comes first decides. Documents are deleted index by \
             index, so none is kept longer than its retention and this age.",
        ),
        Field::new(
            "warm",
            Kind::Object(&WARM),
            "{ after: 2d, forceMerge: true }",
            "What becomes of an index that is not written to any more; nothing where it is absent.",
        ),
    ],
    reserved: &["cold", "frozen", "delete", "maxSize"],
};

pub(super) static SNAPSHOTS: Object = Object {
    name: "snapshots",
    doc: "Daily snapshots, by SLM of Elasticsearch or the snapshot management of OpenSearch.",
    fields: &[
        Field::new(
            "repository",
            TEXT,
            "backups",
            "A repository that is registered in the cluster.",
        )
        .required(),
        Field::new(
            "at",
            Kind::Text(Format::TimeOfDay),
            "\"01:30\"",
            "Time of day, UTC.",
        )
        .default("\"01:30\""),
        Field::new(
            "keep",
            Kind::Integer { min: 1, max: 1_000 },
            "14",
            "How many are kept; the oldest go first.",
        )
        .default("14"),
    ],
    reserved: &["schedule", "indices"],
};

pub(super) static AGENT_ACCESS: Object = Object {
    name: "agentAccess",
    doc: "Rights for the agent alone: on this stack's data streams of logs to create documents, read \
          them and see how the streams are made; on the cluster to see its health and tasks.",
    fields: &[
        Field::new(
            "grant",
            Kind::List {
                item: &Kind::Enum {
                    values: &["apiKey", "role"],
                    reserved: &[],
                },
                unique: true,
                min: 1,
            },
            "[apiKey, role]",
            "`apiKey`: a key that the agent uses; its secret is kept in the stack's folder of secrets. \
             `role`: a role for a user whom somebody gives the agent by hand.",
        )
        .default("[apiKey]"),
        Field::new(
            "rotation",
            Kind::Integer {
                min: 0,
                max: 1_000_000,
            },
            "1",
            "Grows to have the key made anew; the old one ends when the agent uses the new one.",
        )
        .default("0"),
        Field::new(
            "mayDelete",
            Kind::Bool,
            "true",
            "Lets the agent take back a line that a rollover doubled; without it such lines are counted.",
        )
        .default("false"),
    ],
    reserved: &[],
};

static ROLLOVER: Object = Object {
    name: "rollover",
    doc: "When the next index is begun.",
    fields: &[
        Field::new(
            "age",
            DURATION,
            "1d",
            "Age of an index; a seventh of the retention and at most a day where nothing is said.",
        ),
        Field::new(
            "size",
            Kind::Text(Format::Bytes),
            "10Gi",
            "Size of its largest primary shard.",
        )
        .default("10Gi"),
    ],
    reserved: &["documents"],
};

static WARM: Object = Object {
    name: "warm",
    doc: "An index that is not written to any more.",
    fields: &[
        Field::new(
            "after",
            DURATION,
            "2d",
            "Time since the next index was begun.",
        )
        .required(),
        Field::new(
            "forceMerge",
            Kind::Bool,
            "true",
            "Merges each shard into one segment: smaller and quicker to search.",
        )
        .default("true"),
        Field::new(
            "shrink",
            Kind::Integer { min: 1, max: 64 },
            "1",
            "Number of primary shards that it is shrunk to.",
        ),
        Field::new(
            "replicas",
            Kind::Integer { min: 0, max: 8 },
            "0",
            "Copies of each shard.",
        ),
        Field::new(
            "allocate",
            Kind::Map {
                key: Format::LabelName,
                value: &TEXT,
            },
            "{ box_type: warm }",
            "Attributes of the nodes that it moves to (`node.attr.<name>`); without them \
             Elasticsearch moves it by its data tiers.",
        ),
    ],
    reserved: &[],
};
