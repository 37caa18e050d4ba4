//! The targets, one file each. A target takes any bytes, and panics if a property doesn't hold.

mod bodies;
mod events;
mod feed;
mod keys;
mod settings;
mod tokens;

use std::sync::OnceLock;

const TARGETS: [(&str, fn(&[u8])); 6] = [
    ("tokens", tokens::run),
    ("keys", keys::run),
    ("bodies", bodies::run),
    ("settings", settings::run),
    ("feed", feed::run),
    ("events", events::run),
];

/// Runs the target that `QUASH_FUZZ` names.
pub(crate) fn run(data: &[u8]) {
    static CHOSEN: OnceLock<fn(&[u8])> = OnceLock::new();
    CHOSEN.get_or_init(|| {
        let name = std::env::var("QUASH_FUZZ").unwrap_or_default();
        let found = TARGETS.iter().find(|(target, _)| *target == name);
        found
            .map(|(_, run)| *run)
            .unwrap_or_else(|| panic!("QUASH_FUZZ must name one of {:?}", TARGETS.map(|(name, _)| name)))
    })(data);
}
