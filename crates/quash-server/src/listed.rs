//! A router that lists its endpoints, so that a test can reach each of them and `openapi/` can describe them;
//! and the methods of a path, which list their names for the header `Allow`. axum sets this header too, but after
//! all layers and without a space after the comma, which Django writes.
//!
//! No method can be added without the function that describes it, and no layer without the function that adds its
//! answers to the descriptions.

use std::sync::Arc;

use axum::Router;
use axum::handler::Handler;
use axum::middleware::from_fn_with_state;
use axum::routing::{MethodFilter, MethodRouter};
use http::Method;
use quash_core::model::Right;

use crate::error::http_error::HttpError;
use crate::openapi::operation::Operation;
use crate::request::admin::{describe_right, require_right};
use crate::state::AppState;

/// Describes what a handler reads and answers.
pub(crate) type Describe = fn() -> Operation;
/// Adds what a layer reads and answers.
pub(crate) type DescribeLayer = fn(Operation) -> Operation;

/// A router and its endpoints. `routes.rs` builds its router only with this type, so that no endpoint is missing.
pub(crate) struct ListedRouter {
    router: Router<Arc<AppState>>,
    endpoints: Vec<ListedEndpoint>,
}

/// A path with its methods, for their description.
#[derive(Clone)]
pub(crate) struct ListedEndpoint {
    /// With `{…}` for parameters.
    pub(crate) path: String,
    methods: Vec<ListedMethod>,
    layers: Vec<DescribeLayer>,
}

/// A method of a path.
#[derive(Clone)]
struct ListedMethod {
    method: Method,
    describe: Describe,
    /// The right that it needs, if it is one of the admin API.
    right: Option<Right>,
}

impl ListedRouter {
    pub(crate) fn new() -> Self {
        Self { router: Router::new(), endpoints: Vec::new() }
    }

    /// Adds a path, with `{…}` for parameters.
    pub(crate) fn route(self, path: &str, methods: ListedMethods) -> Self {
        self.closed_route(path, &methods.refusing_others())
    }

    /// Like [`ListedRouter::route`], for methods that refuse others already.
    pub(crate) fn closed_route(mut self, path: &str, methods: &ListedMethods) -> Self {
        let ListedMethods { methods, described, layers, .. } = methods.clone();
        self.endpoints.push(ListedEndpoint { path: path.to_owned(), methods: described, layers });
        Self { router: self.router.route(path, methods), ..self }
    }

    pub(crate) fn merge(mut self, other: Self) -> Self {
        self.endpoints.extend(other.endpoints);
        Self { router: self.router.merge(other.router), ..self }
    }

    /// Wraps all paths so far in a layer.
    pub(crate) fn layered(
        self,
        layer: impl FnOnce(Router<Arc<AppState>>) -> Router<Arc<AppState>>,
        describe: DescribeLayer,
    ) -> Self {
        let described = self.described(describe);
        Self { router: layer(described.router), ..described }
    }

    /// Describes a layer around all paths so far that isn't part of this router.
    pub(crate) fn described(mut self, describe: DescribeLayer) -> Self {
        self.endpoints.iter_mut().for_each(|endpoint| endpoint.layers.push(describe));
        self
    }

    pub(crate) fn into_router(self) -> Router<Arc<AppState>> {
        self.router
    }

    pub(crate) fn into_endpoints(self) -> Vec<ListedEndpoint> {
        self.endpoints
    }
}

impl ListedEndpoint {
    /// Returns the methods that need a right of the admin API.
    pub(crate) fn rights(&self) -> impl Iterator<Item = (&Method, Right)> {
        self.methods.iter().filter_map(|listed| listed.right.map(|right| (&listed.method, right)))
    }

    /// Returns the description of each method, complete with that of each layer.
    pub(crate) fn operations(&self) -> impl Iterator<Item = Operation> {
        self.methods.iter().map(|ListedMethod { method, describe, right }| {
            let operation = describe().at(method.clone());
            let operation = match right {
                Some(right) => describe_right(operation, *right),
                None => operation,
            };
            self.layers.iter().fold(operation, |operation, layer| layer(operation))
        })
    }
}

/// The methods of a path, in the order in which `Allow` lists them.
#[derive(Clone, Default)]
pub(crate) struct ListedMethods {
    methods: MethodRouter<Arc<AppState>>,
    names: Vec<&'static str>,
    described: Vec<ListedMethod>,
    layers: Vec<DescribeLayer>,
}

/// Methods that begin with `GET`, which includes `HEAD`.
pub(crate) fn get<H: Handler<T, Arc<AppState>>, T: 'static>(handler: H, describe: Describe) -> ListedMethods {
    ListedMethods::default().on((MethodFilter::GET, Method::GET), "GET, HEAD", handler, describe)
}

/// Methods that begin with `POST`.
pub(crate) fn post<H: Handler<T, Arc<AppState>>, T: 'static>(
    handler: H,
    describe: Describe,
) -> ListedMethods {
    ListedMethods::default().post(handler, describe)
}

/// Methods that begin with `PATCH`.
pub(crate) fn patch<H: Handler<T, Arc<AppState>>, T: 'static>(
    handler: H,
    describe: Describe,
) -> ListedMethods {
    ListedMethods::default().patch(handler, describe)
}

/// Methods that begin with `DELETE`.
pub(crate) fn delete<H: Handler<T, Arc<AppState>>, T: 'static>(
    handler: H,
    describe: Describe,
) -> ListedMethods {
    ListedMethods::default().delete(handler, describe)
}

/// Methods of the admin API: each needs this right.
pub(crate) fn with_right(state: &Arc<AppState>, right: Right, methods: ListedMethods) -> ListedMethods {
    let layer = from_fn_with_state((Arc::clone(state), right), require_right);
    let described = methods.described.into_iter().map(|listed| ListedMethod { right: Some(right), ..listed });
    ListedMethods { methods: methods.methods.route_layer(layer), described: described.collect(), ..methods }
}

impl ListedMethods {
    /// Adds other methods of the same path, which may need another right. Neither has layers that are described.
    pub(crate) fn and(mut self, other: Self) -> Self {
        self.names.extend(other.names);
        self.described.extend(other.described);
        self.layers.extend(other.layers);
        Self { methods: self.methods.merge(other.methods), ..self }
    }

    pub(crate) fn post<H: Handler<T, Arc<AppState>>, T: 'static>(
        self,
        handler: H,
        describe: Describe,
    ) -> Self {
        self.on((MethodFilter::POST, Method::POST), "POST", handler, describe)
    }

    pub(crate) fn patch<H: Handler<T, Arc<AppState>>, T: 'static>(
        self,
        handler: H,
        describe: Describe,
    ) -> Self {
        self.on((MethodFilter::PATCH, Method::PATCH), "PATCH", handler, describe)
    }

    pub(crate) fn delete<H: Handler<T, Arc<AppState>>, T: 'static>(
        self,
        handler: H,
        describe: Describe,
    ) -> Self {
        self.on((MethodFilter::DELETE, Method::DELETE), "DELETE", handler, describe)
    }

    pub(crate) fn options<H: Handler<T, Arc<AppState>>, T: 'static>(
        self,
        handler: H,
        describe: Describe,
    ) -> Self {
        self.on((MethodFilter::OPTIONS, Method::OPTIONS), "OPTIONS", handler, describe)
    }

    /// Wraps the methods in a layer; the refusal of others only if it was added before.
    pub(crate) fn layered(
        mut self,
        layer: impl FnOnce(MethodRouter<Arc<AppState>>) -> MethodRouter<Arc<AppState>>,
        describe: DescribeLayer,
    ) -> Self {
        self.layers.push(describe);
        Self { methods: layer(self.methods), ..self }
    }

    /// Refuses all other methods, and lists these in `Allow`.
    pub(crate) fn refusing_others(self) -> Self {
        let allow: Arc<str> = self.allow().into();
        let methods = self.methods.fallback(move |method: Method| {
            std::future::ready(HttpError::method_not_allowed(method, Arc::clone(&allow)))
        });
        Self { methods, ..self }
    }

    fn allow(&self) -> String {
        self.names.join(", ")
    }

    fn on<H: Handler<T, Arc<AppState>>, T: 'static>(
        mut self,
        (filter, method): (MethodFilter, Method),
        name: &'static str,
        handler: H,
        describe: Describe,
    ) -> Self {
        self.names.push(name);
        self.described.push(ListedMethod { method, describe, right: None });
        Self { methods: self.methods.on(filter, handler), ..self }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::openapi::operation::Tag;

    #[test]
    fn allow_lists_methods_in_their_order() {
        let handler = async || {};
        let operation = || Operation::new(Tag::Server, "test", "Tests");
        assert_eq!(post(handler, operation).options(handler, operation).allow(), "POST, OPTIONS");
        let methods = get(handler, operation).patch(handler, operation).delete(handler, operation);
        assert_eq!(methods.allow(), "GET, HEAD, PATCH, DELETE");
    }
}
