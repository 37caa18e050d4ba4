//! The service: all the code that it takes to refuse ended sessions, in at most 15 lines.

use axum::{Router, routing::get};
use quash_verify::{Auth, StartError, Verifier};

#[derive(serde::Deserialize)]
struct User {
    user_id: String,
}

pub(crate) async fn service(issuer: &str, credential: &str) -> Result<Router, StartError> {
    let verifier = Verifier::builder(issuer).credential(credential).start().await?;
    Ok(Router::new().route("/orders", get(orders)).layer(verifier.layer()))
}

async fn orders(Auth(who): Auth<User>) -> String {
    format!("orders of {}", who.user_id)
}
