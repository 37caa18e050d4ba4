//! The HTTP crate. `routes.rs` is the table of endpoints, `error.rs` maps each refusal to a status, a code
//! and a text, and `api/` has one file per endpoint. It contains no rules and no queries; a handler calls one
//! use case.

mod routes;

mod listed;

mod door;

mod api;

mod code;

mod error;

mod barred;

mod body;

mod charset;

mod paths;

mod client;

mod forwarding;

mod surrogates;

mod refused_body;

mod oauth_error;

mod cookie;

mod device;

mod label;

mod answer;

mod negotiation;

mod settings;

mod origin;

mod layers;

mod cors;

mod cross_site;

mod effective;

mod metrics;

mod public_url;

mod pages;

mod letters;

mod accept;

mod listen;

mod connection;

mod sending;

mod tls;

mod unread;

mod memory;

mod metered;

mod keep_alive;

mod host;

mod certificate;

pub use accept::serve;
pub use code::Code;
pub use cookie::RefreshCookie;
pub use forwarding::{ForwardingHeader, Proxies, ProxiesFault};
pub use letters::{Written, write};
pub use listen::{Listener, SocketFault};
pub use metrics::DroppedLines;
pub use origin::{Origin, OriginFault};
pub use paths::{Endpoint, Paths, PathsFault, is_path, is_reserved};
pub use public_url::{PublicUrl, PublicUrlFault};
pub use routes::{paths, router, router_counting};
pub use settings::{Compat, CorsSettings, DoorSettings, MailWay, Registration};
pub use tls::{Tls, TlsFault, TlsFaultKind, TlsFiles};
// `DoorSettings` contains these.
pub use quash_verify::{SchemeCase, TokenHeader};
// The guard provides it to applications; the binary uses the same.
pub use quash_verify::SystemClock;

#[cfg(fuzzing)]
pub mod fuzz;
