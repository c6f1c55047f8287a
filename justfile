# Short names for what CI and the README say in full.

# everything that must pass before a change lands
ci:
    .ci/run

# the example, watched
up:
    cargo run --release -- provision --spec examples/ticketing/observe.yaml

# stop the example and delete its data
down:
    cargo run --release -- destroy --spec examples/ticketing/observe.yaml --yes --purge

test:
    cargo test --workspace

lint:
    cargo fmt --all --check
    cargo clippy --workspace --all-targets -- -D warnings

# write golden files anew
bless:
    KAI_BLESS=1 cargo test --workspace

# needs the advisory database
advisories:
    cargo deny check advisories
