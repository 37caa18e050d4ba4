//! The HTTP crate. `routes.rs` is the table of endpoints, `error.rs` maps each refusal to a status, a code
//! and a text, and `api/` has one file per endpoint. It contains no rules and no queries; a handler calls one
//! use case.

mod routes;

mod listed;

mod app_state;

mod api;

mod code;

mod error;

mod token_rejection;

mod body;

mod charset;

mod paths;

mod client_info;

mod forwarding;

mod surrogates;

mod body_error;

mod oauth_error;

mod cookie;

mod device;

mod device_label;

mod response;

mod negotiation;

mod settings;

mod origin;

mod middleware;

mod cors;

mod cross_site;

mod wait_effective;

mod metrics;

mod public_url;

mod pages;

mod email_templates;

mod accept;

mod listen;

mod connection;

mod sending;

mod tls;

mod drain_body;

mod memory;

mod metered;

mod keep_alive;

mod host_header;

mod certificate;

pub use accept::serve;
pub use code::Code;
pub use cookie::RefreshCookie;
pub use email_templates::{RenderedEmail, render};
pub use forwarding::{ForwardingHeader, Proxies, ProxiesFault};
pub use listen::{Listener, SocketFault};
pub use metrics::DroppedLines;
pub use origin::{Origin, OriginFault};
pub use paths::{Endpoint, Paths, PathsFault, is_path, is_reserved};
pub use public_url::{PublicUrl, PublicUrlFault};
pub use routes::{paths, router, router_counting};
pub use settings::{Compat, CorsSettings, HttpSettings, MailWay, Registration};
pub use tls::{Tls, TlsFault, TlsFaultKind, TlsFiles};
// `HttpSettings` contains these.
pub use quash_verify::{SchemeCase, TokenHeader};
// The guard provides it to applications; the binary uses the same.
pub use quash_verify::SystemClock;

#[cfg(fuzzing)]
pub mod fuzz;
