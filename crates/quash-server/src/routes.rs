//! The table of endpoints. Each endpoint's file under `api/` describes it.

use std::sync::Arc;

use axum::Router;
use axum::middleware::{from_fn, from_fn_with_state};
use axum::response::IntoResponse;
use axum::routing::{MethodRouter, any};
use quash_service::Service;
use quash_verify::issuer::GuardLayer;
use tower_http::catch_panic::CatchPanicLayer;

use crate::api;
use crate::api::describe::describe;
use crate::error::http_error::HttpError;
use crate::listed::{ListedMethods, ListedRouter, delete, get, patch, post};
use crate::metrics::ProgramMetrics;
use crate::middleware::cors::{Cors, across_origins};
use crate::middleware::cross_site::{same_site, same_site_with_cookies};
use crate::middleware::errors::{ErrorFormat, render_errors};
use crate::middleware::layers::{admit, bound, log_and_add_headers};
use crate::middleware::negotiation::negotiate;
use crate::middleware::token_rejection;
use crate::middleware::wait_effective::effective;
use crate::net::drain_body::drain_unread_body;
use crate::pages;
use crate::settings::paths::Endpoint;
use crate::settings::{HttpSettings, Registration};
use crate::state::AppState;

pub fn router(service: Service, settings: HttpSettings) -> Router {
    router_counting(service, settings, &ProgramMetrics::default())
}

/// Like [`router`], with the metrics that the program knows.
pub fn router_counting(service: Service, settings: HttpSettings, program: &ProgramMetrics) -> Router {
    let state = Arc::new(AppState::new(service, settings, program));
    let cors = Arc::new(Cors::new(&state.settings));
    let on_panic = |payload: Box<dyn std::any::Any + Send>| {
        let text = payload
            .downcast_ref::<String>()
            .map(String::as_str)
            .or_else(|| payload.downcast_ref::<&str>().copied());
        HttpError::internal(format!("a handler panicked: {}", text.unwrap_or_default())).into_response()
    };
    endpoints(&state)
        .into_router()
        .fallback(any(not_found))
        .layer(CatchPanicLayer::custom(on_panic))
        .layer(from_fn(bound))
        .layer(from_fn_with_state(Arc::clone(&state), same_site_with_cookies))
        .layer(from_fn_with_state(cors, across_origins))
        .layer(from_fn(admit))
        .layer(from_fn_with_state((Arc::clone(&state), ErrorFormat::Problem), render_errors))
        .layer(from_fn_with_state(Arc::clone(&state), log_and_add_headers))
        .layer(from_fn(drain_unread_body))
        .with_state(state)
}

/// The paths of all endpoints, with `{…}` for parameters, for tests that must reach each of them.
pub fn paths(service: Service, settings: HttpSettings) -> Vec<String> {
    endpoints(&Arc::new(AppState::new(service, settings, &ProgramMetrics::default()))).into_paths()
}

fn endpoints(state: &Arc<AppState>) -> ListedRouter {
    let state = Arc::clone(state);
    let ending = ListedRouter::new()
        .merge(simple_jwt(&state, Endpoint::TokenBlacklist, post(api::blacklist::blacklist)))
        .merge(simple_jwt(&state, Endpoint::Logout, post(api::logout::log_out)))
        .merge(guarded(
            &state,
            Endpoint::Me,
            get(api::me::me).patch(api::account_changes::rename).delete(api::account_changes::delete),
        ))
        .merge(guarded(&state, Endpoint::MePassword, post(api::account_changes::change_password)))
        .merge(guarded(&state, "/v1/me/deactivate", post(api::account_changes::deactivate)))
        .merge(guarded(&state, "/v1/me/sessions/end-others", post(api::sessions::end_others)))
        .merge(guarded(&state, "/v1/me/sessions/end-all", post(api::sessions::end_all)))
        .merge(guarded(&state, "/v1/me/sessions/{sid}", delete(api::sessions::end_one)))
        .route("/v1/password", post(api::account_changes::change_one_time_password))
        .merge(own(&state, Endpoint::PasswordResetConfirm, post(api::password_reset::confirm)))
        .merge(
            guarded(&state, "/v1/me/email/confirm", post(api::email::confirm))
                .layered(|router| router.layer(from_fn_with_state(Arc::clone(&state), same_site))),
        )
        .route("/oauth2/revoke", post(api::oauth::revoke::revoke))
        .route("/v1/revocations", post(api::revocations::revoke))
        .route("/admin/v1/accounts/{subject}", patch(api::accounts::change))
        .layered(|router| router.layer(from_fn_with_state(Arc::clone(&state), effective)));
    ListedRouter::new()
        .merge(ending)
        .merge(simple_jwt(&state, Endpoint::Token, post(api::token::obtain)))
        .merge(simple_jwt(&state, Endpoint::TokenRefresh, post(api::refresh::refresh)))
        .merge(simple_jwt(&state, Endpoint::TokenSliding, post(api::token::obtain_sliding)))
        .merge(simple_jwt(&state, Endpoint::TokenSlidingRefresh, post(api::refresh::refresh_sliding)))
        .merge(simple_jwt(&state, Endpoint::TokenVerify, post(api::verify::verify)))
        .merge(guarded(&state, "/v1/forward-auth", get(api::forward_auth::forward_auth)))
        .merge(guarded(&state, "/v1/me/sessions", get(api::sessions::list)))
        .merge(own(&state, Endpoint::PasswordReset, post(api::password_reset::request)))
        .merge(own(&state, Endpoint::EmailVerification, post(api::email_verification::request)))
        .merge(own(&state, Endpoint::EmailVerificationConfirm, post(api::email_verification::confirm)))
        .merge(registration(&state))
        .merge(
            guarded(&state, "/v1/me/email", post(api::email::request))
                .layered(|router| router.layer(from_fn_with_state(Arc::clone(&state), same_site))),
        )
        .merge(page(&state, pages::RESET, get(pages::reset::show).post(pages::reset::send)))
        .merge(page(
            &state,
            pages::VERIFY,
            get(pages::confirm::show_verification).post(pages::confirm::send_verification),
        ))
        .merge(page(&state, pages::EMAIL, get(pages::confirm::show_email).post(pages::confirm::send_email)))
        .route(pages::STYLE, get(pages::style))
        .route("/v1/feed", get(api::feed::stream))
        .route("/v1/feed/snapshot", get(api::feed::snapshot))
        .route("/v1/feed/lease", get(api::feed::lease).delete(api::feed::give_back))
        .route("/.well-known/jwks.json", get(api::jwks::jwks))
        .route("/metrics", get(api::metrics::metrics))
        .route("/.well-known/oauth-authorization-server", get(api::oauth::metadata::metadata))
        .route("/.well-known/oauth-authorization-server/{*path}", get(api::oauth::metadata::metadata_of_path))
        .route("/v1/revocations/query", post(api::revocations::query))
        .route("/admin/v1/accounts/batch", post(api::accounts::batch).patch(api::accounts::change_batch))
        .route("/admin/v1/accounts/{subject}/sessions", get(api::sessions::list_of_account))
        .route("/oauth2/introspect", post(api::oauth::introspect::introspect))
        .route("/livez", get(api::health::livez))
        .route("/readyz", get(api::health::readyz))
        .route("/", get(pages::home::show))
        .route("/docs/errors/", get(pages::errors::index))
        .route("/docs/errors/{code}", get(pages::errors::show))
}

/// A path that follows Simple JWT: with and without a trailing slash; POST only; OPTIONS describes it;
/// content negotiation comes first.
fn simple_jwt(state: &Arc<AppState>, endpoint: Endpoint, methods: ListedMethods) -> ListedRouter {
    let render = from_fn_with_state((Arc::clone(state), ErrorFormat::SimpleJwt), render_errors);
    let methods = methods.options(describe).into_method_router();
    // Negotiation indents rendered errors, and has errors of its own.
    let methods = methods.layer(render.clone()).layer(from_fn(negotiate)).layer(render);
    at(state, endpoint, &methods)
}

/// A path that requires a live access token.
fn guarded(state: &Arc<AppState>, place: impl Into<Route>, methods: ListedMethods) -> ListedRouter {
    let header = Arc::new(state.settings.token_header.clone());
    let guard = GuardLayer::new(state.service.guard().clone(), header, |rejection, _: &http::HeaderMap| {
        token_rejection::answer(rejection)
    });
    at(
        state,
        place,
        &methods
            .into_method_router()
            .layer(guard)
            .layer(from_fn_with_state(Arc::clone(state), token_rejection::explain)),
    )
}

/// A page that a link in a mail opens, with a form. Its errors are for the user.
fn page(state: &Arc<AppState>, path: &'static str, methods: ListedMethods) -> ListedRouter {
    let render = from_fn_with_state((Arc::clone(state), ErrorFormat::Page), render_errors);
    own(state, path, methods.layered(|methods| methods.layer(render)))
}

/// A path that needs no token and refuses requests from pages of other sites.
fn own(state: &Arc<AppState>, place: impl Into<Route>, methods: ListedMethods) -> ListedRouter {
    at(state, place, &methods.into_method_router())
        .layered(|router| router.layer(from_fn_with_state(Arc::clone(state), same_site)))
}

/// The registration endpoint, if the settings enable it.
fn registration(state: &Arc<AppState>) -> ListedRouter {
    match state.settings.registration {
        Registration::Open => own(state, Endpoint::Registration, post(api::registration::register)),
        Registration::Closed => ListedRouter::new(),
    }
}

/// The place of an endpoint: a fixed path, or the configured one.
enum Route {
    Path(&'static str),
    Chosen(Endpoint),
}

impl From<&'static str> for Route {
    fn from(path: &'static str) -> Self {
        Self::Path(path)
    }
}

impl From<Endpoint> for Route {
    fn from(endpoint: Endpoint) -> Self {
        Self::Chosen(endpoint)
    }
}

fn at(state: &Arc<AppState>, place: impl Into<Route>, methods: &MethodRouter<Arc<AppState>>) -> ListedRouter {
    match place.into() {
        Route::Path(path) => ListedRouter::new().layered_route(path, methods.clone()),
        Route::Chosen(endpoint) => {
            let paths = state.settings.paths_of(endpoint);
            paths.iter().fold(ListedRouter::new(), |router, path| router.layered_route(path, methods.clone()))
        }
    }
}

async fn not_found() -> HttpError {
    HttpError::not_found()
}
