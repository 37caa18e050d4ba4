//! The keys of `[http]` about proxies, origins and connections.

use std::time::Duration;

use quash_server::{ForwardingHeader, Proxies};

use super::{EVERY_KEY, load_from};

#[test]
fn keys_about_proxies_origins_and_connections_are_read() {
    let settings = load_from(EVERY_KEY, &[], &[]).expect("all of it is valid");
    let trusted = ["10.0.0.0/8", "unix"].map(|text| Proxies::parse(text).expect("proxies"));
    assert_eq!(
        (settings.http.trusted_proxies, settings.http.forwarding_header),
        (trusted.to_vec(), ForwardingHeader::Forwarded)
    );
    let origins: Vec<_> = settings.http.cors_origins.iter().map(|origin| origin.as_str()).collect();
    assert_eq!(origins, ["https://app.example", "http://localhost:3000"]);
    let (cors, headers) = (&settings.http.cors, r#"["traceparent", "sentry-trace"] ["server-timing"] 3600s"#);
    assert_eq!(format!("{:?} {:?} {:?}", cors.allow_headers, cors.expose_headers, cors.max_age), headers);
    assert_eq!((settings.idle_timeout, settings.memory), (Duration::from_secs(120), Some(64 * 1024 * 1024)));
    assert_eq!(
        settings.http.public_url.map(|url| url.to_string()).as_deref(),
        Some("https://id.example/auth")
    );
}
