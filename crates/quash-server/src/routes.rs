//! The table of endpoints. Each endpoint's file under `api/` describes it.

mod admin;

use std::sync::Arc;

use axum::Router;
use axum::middleware::{from_fn, from_fn_with_state};
use axum::response::IntoResponse;
use axum::routing::any;
use http::Method;
use quash_core::model::Right;
use quash_service::Service;
use quash_verify::issuer::GuardLayer;
use serde_json::Value;
use tower_http::catch_panic::CatchPanicLayer;

use crate::api::describe::{describe, describe_options};
use crate::api::{
    account_changes, blacklist, email, email_verification, feed, forward_auth, health, jwks, logout, me,
    metrics, oauth, openapi_json, password_reset, refresh, registration, revocations, sessions, token,
    verify,
};
use crate::error::http_error::HttpError;
use crate::listed::{ListedMethods, ListedRouter, delete, get, post, with_right};
use crate::metrics::ProgramMetrics;
use crate::middleware::cors::{Cors, across_origins};
use crate::middleware::cross_site::{same_site, same_site_with_cookies};
use crate::middleware::errors::{ErrorFormat, render_errors};
use crate::middleware::layers::{admit, bound, log_and_add_headers};
use crate::middleware::negotiation::negotiate;
use crate::middleware::token_rejection;
use crate::middleware::wait_effective::effective;
use crate::net::drain_body::drain_unread_body;
use crate::openapi::{self, layers};
use crate::pages;
use crate::settings::paths::Endpoint;
use crate::settings::{HttpSettings, RefreshCookie, Registration};
use crate::state::AppState;

pub fn router(service: Service, settings: HttpSettings) -> Router {
    router_counting(service, settings, &ProgramMetrics::default())
}

/// Like [`router`], with the metrics that the program knows.
pub fn router_counting(service: Service, settings: HttpSettings, program: &ProgramMetrics) -> Router {
    let state = state_of(service, settings, program);
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
    let state = state_of(service, settings, &ProgramMetrics::default());
    endpoints(&state).into_endpoints().into_iter().map(|endpoint| endpoint.path).collect()
}

/// The operations of the admin API, each with the right that it needs, for tests that must reach each of them.
pub fn admin_operations(service: Service, settings: HttpSettings) -> Vec<(Method, String, Right)> {
    let state = state_of(service, settings, &ProgramMetrics::default());
    let endpoints = endpoints(&state).into_endpoints();
    let rights = endpoints.iter().flat_map(|endpoint| {
        endpoint.rights().map(|(method, right)| (method.clone(), endpoint.path.clone(), right))
    });
    rights.collect()
}

fn state_of(service: Service, settings: HttpSettings, program: &ProgramMetrics) -> Arc<AppState> {
    Arc::new(AppState::new(service, settings, program, document))
}

/// The OpenAPI document about these endpoints.
pub fn openapi(service: Service, settings: HttpSettings) -> Value {
    document(&state_of(service, settings, &ProgramMetrics::default()))
}

fn document(state: &Arc<AppState>) -> Value {
    let endpoints = endpoints(state).described(layers::everywhere);
    let endpoints = match state.settings.refresh_cookie {
        RefreshCookie::On => endpoints.described(layers::same_site_with_cookies),
        RefreshCookie::Off => endpoints,
    };
    openapi::document(&endpoints.into_endpoints(), &state.settings)
}

fn endpoints(state: &Arc<AppState>) -> ListedRouter {
    let state = Arc::clone(state);
    let ending = ListedRouter::new()
        .merge(simple_jwt(
            &state,
            Endpoint::TokenBlacklist,
            post(blacklist::blacklist, blacklist::describe_blacklist),
        ))
        .merge(simple_jwt(&state, Endpoint::Logout, post(logout::log_out, logout::describe_log_out)))
        .merge(guarded(
            &state,
            Endpoint::Me,
            get(me::me, me::describe_me)
                .patch(account_changes::rename, account_changes::describe_rename)
                .delete(account_changes::delete, account_changes::describe_delete),
        ))
        .merge(guarded(
            &state,
            Endpoint::MePassword,
            post(account_changes::change_password, account_changes::describe_change_password),
        ))
        .merge(guarded(
            &state,
            "/v1/me/deactivate",
            post(account_changes::deactivate, account_changes::describe_deactivate),
        ))
        .merge(guarded(
            &state,
            "/v1/me/sessions/end-others",
            post(sessions::end_others, sessions::describe_end_others),
        ))
        .merge(guarded(
            &state,
            "/v1/me/sessions/end-all",
            post(sessions::end_all, sessions::describe_end_all),
        ))
        .merge(guarded(
            &state,
            "/v1/me/sessions/{sid}",
            delete(sessions::end_one, sessions::describe_end_one),
        ))
        .route(
            "/v1/password",
            post(
                account_changes::change_one_time_password,
                account_changes::describe_change_one_time_password,
            ),
        )
        .merge(own(
            &state,
            Endpoint::PasswordResetConfirm,
            post(password_reset::confirm, password_reset::describe_confirm),
        ))
        .merge(
            guarded(&state, "/v1/me/email/confirm", post(email::confirm, email::describe_confirm)).layered(
                |router| router.layer(from_fn_with_state(Arc::clone(&state), same_site)),
                layers::same_site,
            ),
        )
        .route("/oauth2/revoke", post(oauth::revoke::revoke, oauth::revoke::describe_revoke))
        .route("/v1/revocations", post(revocations::revoke, revocations::describe_revoke))
        .merge(admin::ending(&state))
        .layered(|router| router.layer(from_fn_with_state(Arc::clone(&state), effective)), layers::effective);
    ListedRouter::new()
        .merge(ending)
        .merge(simple_jwt(&state, Endpoint::Token, post(token::obtain, token::describe_obtain)))
        .merge(simple_jwt(&state, Endpoint::TokenRefresh, post(refresh::refresh, refresh::describe_refresh)))
        .merge(simple_jwt(
            &state,
            Endpoint::TokenSliding,
            post(token::obtain_sliding, token::describe_obtain_sliding),
        ))
        .merge(simple_jwt(
            &state,
            Endpoint::TokenSlidingRefresh,
            post(refresh::refresh_sliding, refresh::describe_refresh_sliding),
        ))
        .merge(simple_jwt(&state, Endpoint::TokenVerify, post(verify::verify, verify::describe_verify)))
        .merge(guarded(
            &state,
            "/v1/forward-auth",
            get(forward_auth::forward_auth, forward_auth::describe_forward_auth),
        ))
        .merge(guarded(&state, "/v1/me/sessions", get(sessions::list, sessions::describe_list)))
        .merge(own(
            &state,
            Endpoint::PasswordReset,
            post(password_reset::request, password_reset::describe_request),
        ))
        .merge(own(
            &state,
            Endpoint::EmailVerification,
            post(email_verification::request, email_verification::describe_request),
        ))
        .merge(own(
            &state,
            Endpoint::EmailVerificationConfirm,
            post(email_verification::confirm, email_verification::describe_confirm),
        ))
        .merge(registration_if_open(&state))
        .merge(guarded(&state, "/v1/me/email", post(email::request, email::describe_request)).layered(
            |router| router.layer(from_fn_with_state(Arc::clone(&state), same_site)),
            layers::same_site,
        ))
        .merge(page(
            &state,
            pages::RESET,
            get(pages::reset::show, pages::reset::describe_show)
                .post(pages::reset::send, pages::reset::describe_send),
        ))
        .merge(page(
            &state,
            pages::VERIFY,
            get(pages::confirm::show_verification, pages::confirm::describe_show_verification)
                .post(pages::confirm::send_verification, pages::confirm::describe_send_verification),
        ))
        .merge(page(
            &state,
            pages::EMAIL,
            get(pages::confirm::show_email, pages::confirm::describe_show_email)
                .post(pages::confirm::send_email, pages::confirm::describe_send_email),
        ))
        .route(pages::STYLE, get(pages::style, pages::describe_style))
        .route("/v1/feed", get(feed::stream, feed::describe_stream))
        .route("/v1/feed/snapshot", get(feed::snapshot, feed::describe_snapshot))
        .route(
            "/v1/feed/lease",
            get(feed::lease, feed::describe_lease).delete(feed::give_back, feed::describe_give_back),
        )
        .route("/.well-known/jwks.json", get(jwks::jwks, jwks::describe_jwks))
        .route("/metrics", get(metrics::metrics, metrics::describe_metrics))
        .route(
            "/.well-known/oauth-authorization-server",
            get(oauth::metadata::metadata, oauth::metadata::describe_metadata),
        )
        .route(
            "/.well-known/oauth-authorization-server/{*path}",
            get(oauth::metadata::metadata_of_path, oauth::metadata::describe_metadata_of_path),
        )
        .route("/v1/revocations/query", post(revocations::query, revocations::describe_query))
        .merge(admin::ending_nothing(&state))
        .route(
            "/admin/v1/accounts/{subject}/sessions",
            with_right(
                &state,
                Right::Accounts,
                get(sessions::list_of_account, sessions::describe_list_of_account),
            ),
        )
        .route(
            "/oauth2/introspect",
            post(oauth::introspect::introspect, oauth::introspect::describe_introspect),
        )
        .route("/livez", get(health::livez, health::describe_livez))
        .route("/readyz", get(health::readyz, health::describe_readyz))
        .route("/", get(pages::home::show, pages::home::describe_show))
        .route("/openapi.json", get(openapi_json::show, openapi_json::describe_show))
        .route("/docs", get(pages::docs::show, pages::docs::describe_show))
        .route("/docs/errors/", get(pages::errors::index, pages::errors::describe_index))
        .route("/docs/errors/{code}", get(pages::errors::show, pages::errors::describe_show))
}

/// A path that follows Simple JWT: with and without a trailing slash; POST only; OPTIONS describes it;
/// content negotiation comes first.
fn simple_jwt(state: &Arc<AppState>, endpoint: Endpoint, methods: ListedMethods) -> ListedRouter {
    let render = from_fn_with_state((Arc::clone(state), ErrorFormat::SimpleJwt), render_errors);
    let methods = methods.options(describe, describe_options).refusing_others();
    // Negotiation indents rendered errors, and has errors of its own.
    let methods = methods
        .layered(|methods| methods.layer(render.clone()), layers::rendered_as_simple_jwt)
        .layered(|methods| methods.layer(from_fn(negotiate)), layers::negotiated)
        .layered(|methods| methods.layer(render), layers::rendered_as_simple_jwt);
    at(state, endpoint, &methods)
}

/// A path that requires a live access token.
fn guarded(state: &Arc<AppState>, place: impl Into<Route>, methods: ListedMethods) -> ListedRouter {
    let header = Arc::new(state.settings.token_header.clone());
    let guard = GuardLayer::new(state.service.guard().clone(), header, |rejection, _: &http::HeaderMap| {
        token_rejection::answer(rejection)
    });
    let explain = from_fn_with_state(Arc::clone(state), token_rejection::explain);
    let methods =
        methods.refusing_others().layered(|methods| methods.layer(guard).layer(explain), layers::guarded);
    at(state, place, &methods)
}

/// A page that a link in a mail opens, with a form. Its errors are for the user.
fn page(state: &Arc<AppState>, path: &'static str, methods: ListedMethods) -> ListedRouter {
    let render = from_fn_with_state((Arc::clone(state), ErrorFormat::Page), render_errors);
    own(state, path, methods.layered(|methods| methods.layer(render), layers::rendered_as_page))
}

/// A path that needs no token and refuses requests from pages of other sites.
fn own(state: &Arc<AppState>, place: impl Into<Route>, methods: ListedMethods) -> ListedRouter {
    at(state, place, &methods.refusing_others())
        .layered(|router| router.layer(from_fn_with_state(Arc::clone(state), same_site)), layers::same_site)
}

/// The registration endpoint, if the settings enable it.
fn registration_if_open(state: &Arc<AppState>) -> ListedRouter {
    match state.settings.registration {
        Registration::Open => {
            own(state, Endpoint::Registration, post(registration::register, registration::describe_register))
        }
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

fn at(state: &Arc<AppState>, place: impl Into<Route>, methods: &ListedMethods) -> ListedRouter {
    match place.into() {
        Route::Path(path) => ListedRouter::new().closed_route(path, methods),
        Route::Chosen(endpoint) => {
            let paths = state.settings.paths_of(endpoint);
            paths.iter().fold(ListedRouter::new(), |router, path| router.closed_route(path, methods))
        }
    }
}

async fn not_found() -> HttpError {
    HttpError::not_found()
}
