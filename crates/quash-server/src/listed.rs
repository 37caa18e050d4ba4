//! A router that lists its paths, so that a test can reach every endpoint; and the methods of a path, which
//! list their names for the header `Allow`. axum sets this header too, but after all layers and without a
//! space after the comma, which Django writes.

use std::sync::Arc;

use axum::Router;
use axum::handler::Handler;
use axum::routing::{MethodFilter, MethodRouter};
use http::Method;

use crate::error::http_error::HttpError;
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
    pub(crate) fn route(self, path: &str, methods: ListedMethods) -> Self {
        self.layered_route(path, methods.into_method_router())
    }

    /// Like [`ListedRouter::route`], for methods that are wrapped in layers.
    pub(crate) fn layered_route(mut self, path: &str, methods: MethodRouter<Arc<AppState>>) -> Self {
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

/// The methods of a path, in the order in which `Allow` lists them.
#[derive(Default)]
pub(crate) struct ListedMethods {
    methods: MethodRouter<Arc<AppState>>,
    names: Vec<&'static str>,
}

/// Methods that begin with `GET`, which includes `HEAD`.
pub(crate) fn get<H: Handler<T, Arc<AppState>>, T: 'static>(handler: H) -> ListedMethods {
    ListedMethods::default().on(MethodFilter::GET, "GET, HEAD", handler)
}

/// Methods that begin with `POST`.
pub(crate) fn post<H: Handler<T, Arc<AppState>>, T: 'static>(handler: H) -> ListedMethods {
    ListedMethods::default().post(handler)
}

/// Methods that begin with `PATCH`.
pub(crate) fn patch<H: Handler<T, Arc<AppState>>, T: 'static>(handler: H) -> ListedMethods {
    ListedMethods::default().patch(handler)
}

/// Methods that begin with `DELETE`.
pub(crate) fn delete<H: Handler<T, Arc<AppState>>, T: 'static>(handler: H) -> ListedMethods {
    ListedMethods::default().delete(handler)
}

impl ListedMethods {
    pub(crate) fn post<H: Handler<T, Arc<AppState>>, T: 'static>(self, handler: H) -> Self {
        self.on(MethodFilter::POST, "POST", handler)
    }

    pub(crate) fn patch<H: Handler<T, Arc<AppState>>, T: 'static>(self, handler: H) -> Self {
        self.on(MethodFilter::PATCH, "PATCH", handler)
    }

    pub(crate) fn delete<H: Handler<T, Arc<AppState>>, T: 'static>(self, handler: H) -> Self {
        self.on(MethodFilter::DELETE, "DELETE", handler)
    }

    pub(crate) fn options<H: Handler<T, Arc<AppState>>, T: 'static>(self, handler: H) -> Self {
        self.on(MethodFilter::OPTIONS, "OPTIONS", handler)
    }

    /// Wraps the methods so far in a layer, but not the refusal of others.
    pub(crate) fn layered(
        self,
        layer: impl FnOnce(MethodRouter<Arc<AppState>>) -> MethodRouter<Arc<AppState>>,
    ) -> Self {
        Self { methods: layer(self.methods), ..self }
    }

    /// Refuses all other methods, and lists these in `Allow`.
    pub(crate) fn into_method_router(self) -> MethodRouter<Arc<AppState>> {
        let allow: Arc<str> = self.allow().into();
        self.methods.fallback(move |method: Method| {
            std::future::ready(HttpError::method_not_allowed(method, Arc::clone(&allow)))
        })
    }

    fn allow(&self) -> String {
        self.names.join(", ")
    }

    fn on<H: Handler<T, Arc<AppState>>, T: 'static>(
        mut self,
        filter: MethodFilter,
        name: &'static str,
        handler: H,
    ) -> Self {
        self.names.push(name);
        Self { methods: self.methods.on(filter, handler), ..self }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn allow_lists_methods_in_their_order() {
        let handler = async || {};
        assert_eq!(post(handler).options(handler).allow(), "POST, OPTIONS");
        assert_eq!(get(handler).patch(handler).delete(handler).allow(), "GET, HEAD, PATCH, DELETE");
    }
}
