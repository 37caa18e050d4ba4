//! The table of endpoints. Each endpoint's file under `api/` describes it.

use std::sync::Arc;

use axum::Router;
use axum::extract::{Request, State};
use axum::middleware::{from_fn, from_fn_with_state};
use axum::response::Response;
use axum::routing::{MethodRouter, any, delete, get, options, post};
use quash_service::Service;
use quash_verify::GuardLayer;
use tower_http::catch_panic::CatchPanicLayer;

use crate::api;
use crate::api::describe::describe;
use crate::barred;
use crate::cors::across_origins;
use crate::cross_site::{same_site, same_site_with_cookies};
use crate::door::Door;
use crate::effective::effective;
use crate::error::Fault;
use crate::layers::{admit, bound, surround};
use crate::listed::Listed;
use crate::metrics::DroppedLines;
use crate::negotiation::negotiate;
use crate::pages;
use crate::paths::Endpoint;
use crate::settings::{DoorSettings, Registration};
use crate::unread::read_out;

/// The methods of a read-only path.
const READ: &str = "GET, HEAD";
/// The methods of a path that only accepts data.
const WRITTEN: &str = "POST";
/// The methods of a page with a form.
const SHOWN: &str = "GET, HEAD, POST";

pub fn router(service: Service, settings: DoorSettings) -> Router {
    router_counting(service, settings, &DroppedLines::default())
}

/// Like [`router`], but adds the server's count of dropped log lines to the metrics.
pub fn router_counting(service: Service, settings: DoorSettings, dropped: &DroppedLines) -> Router {
    let door = Arc::new(Door::new(service, settings, dropped));
    let panicked = Arc::clone(&door);
    let on_panic = move |payload: Box<dyn std::any::Any + Send>| {
        let text = payload
            .downcast_ref::<String>()
            .map(String::as_str)
            .or_else(|| payload.downcast_ref::<&str>().copied());
        Fault::internal(format!("a handler panicked: {}", text.unwrap_or_default()))
            .into_problem(&panicked.settings)
    };
    endpoints(&door)
        .into_router()
        .fallback(any(not_found))
        .layer(CatchPanicLayer::custom(on_panic))
        .layer(from_fn_with_state(Arc::clone(&door), bound))
        .layer(from_fn_with_state(Arc::clone(&door), same_site_with_cookies))
        .layer(from_fn_with_state(Arc::clone(&door), across_origins))
        .layer(from_fn_with_state(Arc::clone(&door), admit))
        .layer(from_fn_with_state(Arc::clone(&door), surround))
        .layer(from_fn(read_out))
        .with_state(door)
}

/// The paths of all endpoints, with `{…}` for parameters, for tests that must reach each of them.
pub fn paths(service: Service, settings: DoorSettings) -> Vec<String> {
    endpoints(&Arc::new(Door::new(service, settings, &DroppedLines::default()))).into_paths()
}

fn endpoints(door: &Arc<Door>) -> Listed {
    let door = Arc::clone(door);
    let ending = Listed::new()
        .merge(simple_jwt(&door, Endpoint::TokenBlacklist, post(api::blacklist::blacklist)))
        .merge(simple_jwt(&door, Endpoint::Logout, post(api::logout::log_out)))
        .merge(guarded(
            &door,
            Endpoint::Me,
            "GET, HEAD, PATCH, DELETE",
            get(api::me::me).patch(api::own::rename).delete(api::own::delete),
        ))
        .merge(guarded(&door, Endpoint::MePassword, "POST", post(api::own::change_password)))
        .merge(guarded(&door, "/v1/me/deactivate", "POST", post(api::own::deactivate)))
        .merge(guarded(&door, "/v1/me/sessions/end-others", "POST", post(api::sessions::end_others)))
        .merge(guarded(&door, "/v1/me/sessions/end-all", "POST", post(api::sessions::end_all)))
        .merge(guarded(&door, "/v1/me/sessions/{sid}", "DELETE", delete(api::sessions::end_one)))
        .route("/v1/password", only("POST", post(api::own::change_one_time_password)))
        .merge(own(&door, Endpoint::PasswordResetConfirm, WRITTEN, post(api::password_reset::confirm)))
        .merge(
            guarded(&door, "/v1/me/email/confirm", WRITTEN, post(api::email::confirm))
                .layered(|router| router.layer(from_fn_with_state(Arc::clone(&door), same_site))),
        )
        .route("/oauth2/revoke", only(WRITTEN, post(api::oauth::revoke::revoke)))
        .layered(|router| router.layer(from_fn_with_state(Arc::clone(&door), effective)));
    Listed::new()
        .merge(ending)
        .merge(simple_jwt(&door, Endpoint::Token, post(api::token::obtain)))
        .merge(simple_jwt(&door, Endpoint::TokenRefresh, post(api::refresh::refresh)))
        .merge(simple_jwt(&door, Endpoint::TokenSliding, post(api::token::obtain_sliding)))
        .merge(simple_jwt(&door, Endpoint::TokenSlidingRefresh, post(api::refresh::refresh_sliding)))
        .merge(simple_jwt(&door, Endpoint::TokenVerify, post(api::verify::verify)))
        .merge(guarded(&door, "/v1/forward-auth", READ, get(api::forward_auth::forward_auth)))
        .merge(guarded(&door, "/v1/me/sessions", READ, get(api::sessions::list)))
        .merge(own(&door, Endpoint::PasswordReset, WRITTEN, post(api::password_reset::request)))
        .merge(own(&door, Endpoint::EmailVerification, WRITTEN, post(api::email_verification::request)))
        .merge(own(
            &door,
            Endpoint::EmailVerificationConfirm,
            WRITTEN,
            post(api::email_verification::confirm),
        ))
        .merge(registration(&door))
        .merge(
            guarded(&door, "/v1/me/email", WRITTEN, post(api::email::request))
                .layered(|router| router.layer(from_fn_with_state(Arc::clone(&door), same_site))),
        )
        .merge(own(&door, pages::RESET, SHOWN, get(pages::reset::show).post(pages::reset::send)))
        .merge(own(
            &door,
            pages::VERIFY,
            SHOWN,
            get(pages::confirm::show_verification).post(pages::confirm::send_verification),
        ))
        .merge(own(
            &door,
            pages::EMAIL,
            SHOWN,
            get(pages::confirm::show_email).post(pages::confirm::send_email),
        ))
        .route(pages::STYLE, only(READ, get(pages::style)))
        .route("/v1/feed", only(READ, get(api::feed::stream)))
        .route("/v1/feed/snapshot", only(READ, get(api::feed::snapshot)))
        .route("/v1/feed/lease", only(READ, get(api::feed::lease)))
        .route("/.well-known/jwks.json", only(READ, get(api::jwks::jwks)))
        .route("/metrics", only(READ, get(api::metrics::metrics)))
        .route("/.well-known/oauth-authorization-server", only(READ, get(api::oauth::metadata::metadata)))
        .route(
            "/.well-known/oauth-authorization-server/{*path}",
            only(READ, get(api::oauth::metadata::metadata_of_path)),
        )
        .route("/oauth2/introspect", only(WRITTEN, post(api::oauth::introspect::introspect)))
        .route("/livez", only(READ, get(api::health::livez)))
        .route("/readyz", only(READ, get(api::health::readyz)))
        .route("/", only(READ, get(pages::home::show)))
        .route("/docs/errors/", only(READ, get(pages::errors::index)))
        .route("/docs/errors/{code}", only(READ, get(pages::errors::show)))
}

/// A path that follows Simple JWT: with and without a trailing slash; POST only; OPTIONS describes it;
/// content negotiation comes first.
fn simple_jwt(door: &Arc<Door>, endpoint: Endpoint, methods: MethodRouter<Arc<Door>>) -> Listed {
    let methods = methods.merge(options(describe)).fallback(token_method_not_allowed);
    let methods = methods.layer(from_fn_with_state(Arc::clone(door), negotiate));
    at(door, endpoint, &methods)
}

/// A path that requires a live access token.
fn guarded(
    door: &Arc<Door>,
    place: impl Into<Place>,
    allow: &'static str,
    methods: MethodRouter<Arc<Door>>,
) -> Listed {
    let at_the_gate = Arc::clone(door);
    let header = Arc::new(door.settings.token_header.clone());
    let guard = GuardLayer::new(door.service.guard().clone(), header, move |barred, _: &http::HeaderMap| {
        barred::marked(
            barred,
            Fault::of_barred(barred, &at_the_gate.service.policy().tokens.names)
                .into_problem(&at_the_gate.settings),
        )
    });
    at(
        door,
        place,
        &only(allow, methods).layer(guard).layer(from_fn_with_state(Arc::clone(door), barred::explain)),
    )
}

/// A path that needs no token and refuses requests from pages of other sites.
fn own(
    door: &Arc<Door>,
    place: impl Into<Place>,
    allow: &'static str,
    methods: MethodRouter<Arc<Door>>,
) -> Listed {
    at(door, place, &only(allow, methods))
        .layered(|router| router.layer(from_fn_with_state(Arc::clone(door), same_site)))
}

/// The registration endpoint, if the settings enable it.
fn registration(door: &Arc<Door>) -> Listed {
    match door.settings.registration {
        Registration::Open => own(door, Endpoint::Registration, WRITTEN, post(api::registration::register)),
        Registration::Closed => Listed::new(),
    }
}

/// The place of an endpoint: a fixed path, or the configured one.
enum Place {
    Path(&'static str),
    Chosen(Endpoint),
}

impl From<&'static str> for Place {
    fn from(path: &'static str) -> Self {
        Self::Path(path)
    }
}

impl From<Endpoint> for Place {
    fn from(endpoint: Endpoint) -> Self {
        Self::Chosen(endpoint)
    }
}

fn at(door: &Arc<Door>, place: impl Into<Place>, methods: &MethodRouter<Arc<Door>>) -> Listed {
    match place.into() {
        Place::Path(path) => Listed::new().route(path, methods.clone()),
        Place::Chosen(endpoint) => {
            let paths = door.settings.paths_of(endpoint);
            paths.iter().fold(Listed::new(), |router, path| router.route(path, methods.clone()))
        }
    }
}

/// Answers every method that the path doesn't allow with a problem document.
fn only(allow: &'static str, methods: MethodRouter<Arc<Door>>) -> MethodRouter<Arc<Door>> {
    methods.fallback(move |State(door): State<Arc<Door>>, request: Request| async move {
        Fault::method_not_allowed(request.method(), allow).into_problem(&door.settings)
    })
}

async fn token_method_not_allowed(State(door): State<Arc<Door>>, request: Request) -> Response {
    Fault::method_not_allowed(request.method(), "POST, OPTIONS").into_token_answer(&door.settings)
}

async fn not_found(State(door): State<Arc<Door>>) -> Response {
    Fault::not_found().into_problem(&door.settings)
}
