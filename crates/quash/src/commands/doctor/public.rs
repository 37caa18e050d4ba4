//! Requests `http.public_url` as a client does.

use std::time::Duration;

use http::header::{DATE, LOCATION};
use jiff::fmt::rfc2822;
use quash_core::model::{Clock, Timestamp};
use quash_server::{SystemClock, certificate_validity};
use quash_service::doctor::{CertificateEnd, PublicAnswer, PublicFacts};
use reqwest::redirect::Policy;
use reqwest::tls::TlsInfo;
use reqwest::{Client, Response};
use serde::Deserialize;

use crate::error::with_causes;
use crate::settings::Settings;

/// The timeout of each request.
const TIMEOUT: Duration = Duration::from_secs(5);
/// The longest key set, in bytes.
const BYTES: usize = 64 * 1024;

/// Whether a client accepts a certificate that isn't valid.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Certificates {
    Valid,
    /// To read the certificate alone.
    Any,
}

#[derive(Deserialize)]
struct KeySet {
    keys: Vec<Key>,
}

#[derive(Deserialize)]
struct Key {
    kid: Option<String>,
}

/// Requests `/livez` and the key set. `None`: there is no public URL.
pub(super) async fn probe(settings: &Settings) -> Option<PublicFacts> {
    let url = settings.http.public_url.as_ref()?.to_string();
    match get(&url, "/livez", Certificates::Valid).await {
        Ok(answer) => {
            let certificate = certificate_end(&answer);
            let kids = match answer.status().as_u16() {
                200 => kids(&url).await,
                _ => None,
            };
            Some(PublicFacts { certificate, answer: Ok(read(&answer, kids)) })
        }
        Err(fault) => {
            let seen = get(&url, "/livez", Certificates::Any).await.ok();
            Some(PublicFacts { certificate: seen.as_ref().and_then(certificate_end), answer: Err(fault) })
        }
    }
}

async fn get(url: &str, path: &str, certificates: Certificates) -> Result<Response, String> {
    let client = Client::builder()
        .redirect(Policy::none())
        .timeout(TIMEOUT)
        .no_proxy()
        .user_agent("quash")
        .tls_info(true)
        .tls_danger_accept_invalid_certs(certificates == Certificates::Any)
        .build();
    let client = client.map_err(|error| with_causes(&error))?;
    let sent = client.get(format!("{url}{path}")).send().await;
    sent.map_err(|error| with_causes(&error.without_url()))
}

fn read(answer: &Response, kids: Option<Vec<String>>) -> PublicAnswer {
    let text = |name| answer.headers().get(name).and_then(|value| value.to_str().ok());
    let date = text(DATE).and_then(|date| rfc2822::DateTimeParser::new().parse_timestamp(date).ok());
    let now = SystemClock.now();
    let clock_difference = date.map(|date| {
        let date = Timestamp::from_secs(date.as_second());
        now.floor_to_secs().since(date).max(date.since(now))
    });
    PublicAnswer {
        status: answer.status().as_u16(),
        location: text(LOCATION).filter(|_| answer.status().is_redirection()).map(str::to_owned),
        clock_difference,
        kids,
    }
}

async fn kids(url: &str) -> Option<Vec<String>> {
    let mut answer = get(url, "/.well-known/jwks.json", Certificates::Valid).await.ok()?;
    let mut text = Vec::new();
    while let Some(chunk) = answer.chunk().await.ok()? {
        if text.len() + chunk.len() > BYTES {
            return None;
        }
        text.extend_from_slice(&chunk);
    }
    let set: KeySet = serde_json::from_slice(&text).ok()?;
    Some(set.keys.into_iter().filter_map(|key| key.kid).collect())
}

fn certificate_end(answer: &Response) -> Option<CertificateEnd> {
    let certificate = answer.extensions().get::<TlsInfo>()?.peer_certificate()?;
    let (from, until) = certificate_validity(certificate).ok()?;
    let now = SystemClock.now();
    Some(if now < from {
        CertificateEnd::NotYetValid
    } else if now > until {
        CertificateEnd::Expired(now.since(until))
    } else {
        CertificateEnd::Left(until.since(now))
    })
}
