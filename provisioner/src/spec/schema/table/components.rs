//! `components:`, how the programs of the systems get here.

use super::super::{Field, Kind, Object};
use crate::spec::format::Format;

pub(super) static COMPONENTS: Object = Object {
    name: "components",
    doc: "How the programs of the systems get here.",
    fields: &[
        Field::new(
            "allow",
            Kind::List {
                item: &Kind::Enum {
                    values: &[
                        "workspace",
                        "path",
                        "cache",
                        "archive",
                        "debian",
                        "go",
                        "maven",
                    ],
                    reserved: &["mirror"],
                },
                unique: true,
                min: 1,
            },
            "[cache, archive]",
            "Sources that may be used; their order stays the one below.",
        )
        .default("[workspace, path, cache, archive, debian, go, maven]"),
        Field::new(
            "mirrors",
            Kind::Object(&MIRRORS),
            "{ archive: \"https://mirror.example.org/archives\" }",
            "What stands in for a source's own address.",
        ),
        Field::new(
            "locked",
            Kind::Bool,
            "true",
            "Use only what `observe.lock` pins already.",
        )
        .default("false"),
    ],
    reserved: &["policy", "pins"],
};

const MIRROR: Kind = Kind::Text(Format::Mirror);

static MIRRORS: Object = Object {
    name: "mirrors",
    doc: "One per source: a base address, or a folder.",
    fields: &[
        Field::new(
            "archive",
            MIRROR,
            "/srv/mirror/archives",
            "For official archives.",
        ),
        Field::new(
            "debian",
            MIRROR,
            "https://mirror.example.org/debian",
            "For Debian packages.",
        ),
        Field::new(
            "go",
            MIRROR,
            "https://goproxy.example.org",
            "For Go modules.",
        ),
        Field::new(
            "maven",
            MIRROR,
            "https://mirror.example.org/maven",
            "For Maven artifacts.",
        ),
    ],
    reserved: &[],
};
