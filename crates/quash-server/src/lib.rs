//! The HTTP crate. `routes.rs` is the table of endpoints, `api/` has one file per endpoint, `error/` maps each
//! refusal to a status, a code and a text. `net/` serves connections, `middleware/` wraps the endpoints,
//! `request/` reads requests. It contains no rules and no queries; a handler calls one use case.

mod routes;

mod listed;

mod state;

mod api;

mod pages;

mod middleware;

mod request;

mod error;

mod settings;

mod response;

mod metrics;

mod openapi;

mod net;

mod outage;

mod process_usage;

pub use error::code::Code;
pub use metrics::{DroppedLines, ProgramMetrics};
pub use net::accept::serve;
pub use net::listen::{Listener, SocketFault};
pub use net::tls::{Tls, TlsFault, TlsFaultKind, TlsFiles, validity as certificate_validity};
pub use routes::{admin_operations, openapi, paths, router, router_counting};
pub use settings::origin::{Origin, OriginFault};
pub use settings::paths::{Endpoint, Paths, PathsFault, is_path, is_reserved};
pub use settings::proxies::{ForwardingHeader, Proxies, ProxiesFault};
pub use settings::public_url::{PublicUrl, PublicUrlFault};
pub use settings::{Compat, CorsSettings, HttpSettings, MailWay, RefreshCookie, Registration};
// `HttpSettings` contains these.
pub use quash_verify::{SchemeCase, TokenHeader};
// The guard provides it to applications; the binary uses the same.
pub use quash_verify::SystemClock;

/// The paths of the pages that links in mails open, and the stylesheet that mails share with them.
pub mod linked_pages {
    pub use crate::pages::{EMAIL, RESET, STYLESHEET, VERIFY};
}

#[cfg(fuzzing)]
pub mod fuzz;
