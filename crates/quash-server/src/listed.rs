//! A router that lists its paths, so that a test can reach every endpoint.

use std::sync::Arc;

use axum::Router;
use axum::routing::MethodRouter;

use crate::door::Door;

/// A router and its paths. `routes.rs` builds its router only with this type, so that no endpoint is missing.
pub(crate) struct Listed {
    router: Router<Arc<Door>>,
    paths: Vec<String>,
}

impl Listed {
    pub(crate) fn new() -> Self {
        Self { router: Router::new(), paths: Vec::new() }
    }

    /// Adds a path, with `{…}` for parameters.
    pub(crate) fn route(mut self, path: &str, methods: MethodRouter<Arc<Door>>) -> Self {
        self.paths.push(path.to_owned());
        Self { router: self.router.route(path, methods), ..self }
    }

    pub(crate) fn merge(mut self, other: Self) -> Self {
        self.paths.extend(other.paths);
        Self { router: self.router.merge(other.router), ..self }
    }

    /// Wraps all paths so far in a layer.
    pub(crate) fn layered(self, layer: impl FnOnce(Router<Arc<Door>>) -> Router<Arc<Door>>) -> Self {
        Self { router: layer(self.router), ..self }
    }

    pub(crate) fn into_router(self) -> Router<Arc<Door>> {
        self.router
    }

    pub(crate) fn into_paths(self) -> Vec<String> {
        self.paths
    }
}
