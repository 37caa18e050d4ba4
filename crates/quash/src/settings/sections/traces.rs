//! `[traces]`: traces of requests, sent to a collector.

use http::HeaderValue;
use http::uri::{Parts, Uri};

use crate::settings::engine::fault::Reported;
use crate::settings::engine::key::{DefaultsTo, Key, Optional};
use crate::settings::engine::kind::{Secret, Text, Whole};
use crate::settings::engine::section::Section;
use crate::settings::engine::table::{Naming, Table};
use crate::settings::engine::web::is_insecure;

pub(super) const TABLE: Table = Table {
    name: "traces",
    doc: "traces of requests, sent to a collector",
    naming: Naming::One,
    keys: &[&ENDPOINT, &AUTHORIZATION, &SAMPLED_PERCENT],
};

const ENDPOINT: Key<Text, Optional> = Key {
    name: "endpoint",
    kind: Text,
    unset: Optional { example: "\"http://127.0.0.1:4318\"" },
    doc: "The address of an OpenTelemetry collector that takes OTLP over HTTP, without `/v1/traces`. Without \
          it, there are no traces.",
};
const AUTHORIZATION: Key<Secret, Optional> = Key {
    name: "authorization",
    kind: Secret,
    unset: Optional { example: "\"collector.authorization\"" },
    doc: "The value of the header `Authorization` for the collector, such as `Bearer` and a token. Requires \
          https, except on loopback.",
};
const SAMPLED_PERCENT: Key<Whole> = Key {
    name: "sampled_percent",
    kind: Whole { least: 0, most: 100 },
    unset: DefaultsTo("100"),
    doc: "The part of the requests that are traced. A request with the header `traceparent` (W3C) is traced if \
          its sender traces it.",
};

/// The collector of traces.
#[derive(Clone, Debug)]
pub(crate) struct TraceSettings {
    /// The address to which traces are sent.
    pub(crate) url: String,
    /// The header that authenticates quash.
    pub(crate) authorization: Option<HeaderValue>,
    pub(crate) sampled_percent: u32,
}

pub(super) fn read(mut section: Section<'_>) -> Result<Option<TraceSettings>, Reported> {
    let (endpoint, authorization) = (section.read(&ENDPOINT), section.secret(&AUTHORIZATION));
    let sampled_percent = section.read(&SAMPLED_PERCENT);
    let (endpoint, authorization, sampled_percent) = (endpoint?, authorization?, sampled_percent?);
    let Some(endpoint) = endpoint else {
        return match authorization {
            None => Ok(None),
            Some(_) => Err(section.fault(
                &AUTHORIZATION,
                "is set without a collector",
                "set traces.endpoint, or leave out traces.authorization",
            )),
        };
    };
    if !is_web_address(&endpoint) {
        return Err(section.fault(
            &ENDPOINT,
            "isn't an http or https address",
            "write it like \"http://127.0.0.1:4318\"",
        ));
    }
    if authorization.is_some() && is_insecure(&endpoint) {
        return Err(section.fault(
            &ENDPOINT,
            "would send traces.authorization unencrypted",
            "use https, or leave out traces.authorization",
        ));
    }
    let header = authorization.as_ref().map(|secret| HeaderValue::from_str(secret.expose())).transpose();
    let Ok(mut authorization) = header else {
        return Err(section.fault(
            &AUTHORIZATION,
            "has a character that a header can't have",
            "write one line of printable ASCII characters",
        ));
    };
    authorization.iter_mut().for_each(|value| value.set_sensitive(true));
    let url = format!("{}/v1/traces", endpoint.trim_end_matches('/'));
    Ok(Some(TraceSettings { url, authorization, sampled_percent }))
}

/// Returns whether a text is an http or https address without a user, a query or a fragment.
fn is_web_address(text: &str) -> bool {
    let parts = text.parse::<Uri>().ok().map(Uri::into_parts);
    let Some(Parts { scheme: Some(scheme), authority: Some(authority), path_and_query, .. }) = parts else {
        return false;
    };
    let has_query = path_and_query.is_some_and(|path| path.query().is_some());
    matches!(scheme.as_str(), "http" | "https")
        && !authority.as_str().contains('@')
        && !has_query
        && !text.contains('#')
}
