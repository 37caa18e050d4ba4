//! A router that lists its paths, so that a test can reach every endpoint.

use std::sync::Arc;

use axum::Router;
use axum::routing::MethodRouter;

use crate::state::AppState;

/// A router and its paths. `routes.rs` builds its router only with this type, so that no endpoint is missing.
pub(crate) struct ListedRouter {
    router: Router<Arc<AppState>>,
    paths: Vec<String>,
}

impl ListedRouter {
    pub(crate) fn new() -> Self {
        Self { router: Router::new(), paths: Vec::new() }
    }

    /// Adds a path, with `{…}` for parameters.
    pub(crate) fn route(mut self, path: &str, methods: MethodRouter<Arc<AppState>>) -> Self {
        self.paths.push(path.to_owned());
        Self { router: self.router.route(path, methods), ..self }
    }

    pub(crate) fn merge(mut self, other: Self) -> Self {
        self.paths.extend(other.paths);
        Self { router: self.router.merge(other.router), ..self }
    }

    /// Wraps all paths so far in a layer.
    pub(crate) fn layered(self, layer: impl FnOnce(Router<Arc<AppState>>) -> Router<Arc<AppState>>) -> Self {
        Self { router: layer(self.router), ..self }
    }

    pub(crate) fn into_router(self) -> Router<Arc<AppState>> {
        self.router
    }

    pub(crate) fn into_paths(self) -> Vec<String> {
        self.paths
    }
}
