//! Entry points for `cargo xtask fuzz` only.

use axum::body::Body;
use axum::extract::Request;
use http::header::CONTENT_TYPE;
use quash_core::model::{Policy, limits};
use serde::Serialize;

use crate::HttpSettings;
use crate::api::feed;
use crate::error::presentation::Presentation;
use crate::request::fields::{Fields, Whitespace};

/// Reads a body as the endpoints do, and formats all its errors.
pub async fn body(media_type: &str, body: Vec<u8>) {
    let Ok(request) = Request::builder().header(CONTENT_TYPE, media_type).body(Body::from(body)) else {
        return;
    };
    let read = Fields::read(request).await.and_then(|mut fields| {
        let texts = [
            ("username", Whitespace::Trimmed),
            ("password", Whitespace::AsSent),
            ("refresh", Whitespace::Trimmed),
            ("token", Whitespace::Trimmed),
        ];
        for (name, take) in texts {
            let text = fields.text(name, take, limits::PASSWORD_CHARS);
            assert!(
                !text.contains('\0') && text.chars().count() <= limits::PASSWORD_CHARS,
                "{name}: {text:?}"
            );
        }
        fields.done()
    });
    if let Err(fault) = read {
        let shown = Presentation::of(&fault.into(), &Policy::default().tokens);
        let _ = shown.into_simple_jwt_response(&HttpSettings::default());
    }
}

/// Formats an event as the feed does.
pub fn event(name: &str, data: &impl Serialize) -> Vec<u8> {
    feed::event(name, data).expect("JSON").to_vec()
}
