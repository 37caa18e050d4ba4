//! Checks that the lists of `support/paths.rs`, which other tests walk over, name each path of the router.

use crate::support;

use quash_server::{HttpSettings, Registration, paths};
use support::{CLIENT_PATHS, MAIL_PATHS, OTHER_PATHS, OWN_PATHS, READ_PATHS, TOKEN_PATHS, World};

#[tokio::test]
async fn each_path_of_the_router_is_listed() {
    let world = World::open().await;
    let settings = HttpSettings { registration: Registration::Open, ..HttpSettings::default() };
    let listed: Vec<&str> = TOKEN_PATHS
        .iter()
        .map(|(path, _)| *path)
        .chain(OWN_PATHS.iter().map(|(_, path, _)| *path))
        .chain(READ_PATHS)
        .chain(CLIENT_PATHS)
        .chain(MAIL_PATHS)
        .chain(OTHER_PATHS)
        .collect();
    for path in paths(world.service.clone(), settings) {
        assert!(listed.iter().any(|listed| is_of(listed, &path)), "{path}: add it to support/paths.rs");
    }
}

/// Returns whether a listed path is one of the paths that a path of the router stands for.
fn is_of(listed: &str, path: &str) -> bool {
    let segments = |path: &str| path.trim_end_matches('/').split('/').map(str::to_owned).collect::<Vec<_>>();
    let (listed, path) = (segments(listed), segments(path));
    listed.len() == path.len()
        && listed.iter().zip(&path).all(|(listed, path)| listed == path || path.starts_with('{'))
}
