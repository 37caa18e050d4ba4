//! Gathers the facts of the settings.

use quash_core::model::Clock;
use quash_server::{MailWay, RefreshCookie, Registration, SystemClock, Tls};
use quash_service::doctor::{EngineKind, Listens, MailFacts, PublicUrlFacts, SettingsFacts, TrustedNetwork};
use tracing::level_filters::LevelFilter;

use crate::mail;
use crate::settings::{Engine, Listen, Loaded, Settings};

pub(super) fn gather(loaded: &Loaded) -> SettingsFacts {
    let settings = &loaded.settings;
    let http = &settings.http;
    let is_other = |warning: &&String| !settings.weak_keys.contains(warning);
    SettingsFacts {
        policy: settings.policy.clone(),
        algorithm: settings.keys.algorithm,
        rotate_every: settings.keys.rotate_every,
        weak_keys: settings.weak_keys.clone(),
        warnings: settings.warnings.iter().filter(is_other).cloned().collect(),
        listens: listens(&settings.listen),
        certificate: certificate(settings),
        behind_proxy: http.behind_proxy,
        trusted: trusted(settings),
        public_url: http.public_url.as_ref().map(|url| {
            let site = url.site().to_owned();
            PublicUrlFacts {
                text: url.to_string(),
                is_https: url.origin().as_str().starts_with("https://"),
                is_loopback: url.is_loopback(),
                site,
            }
        }),
        has_cookie: http.refresh_cookie == RefreshCookie::On,
        cors_origins: http.cors_origins.iter().map(ToString::to_string).collect(),
        registration_is_open: http.registration == Registration::Open,
        mail: match mail::way(settings) {
            MailWay::Sent => MailFacts::Sent,
            MailWay::Written => MailFacts::Printed,
            MailWay::Waiting(_) => MailFacts::Waiting,
        },
        engine: match settings.engine {
            Engine::Sqlite => EngineKind::Sqlite,
            Engine::Memory => EngineKind::Memory,
            Engine::Postgres(_) => EngineKind::Postgres,
        },
        idle_timeout: settings.idle_timeout,
        log_is_verbose: settings.log.level > LevelFilter::INFO,
        digest: loaded.digest(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
    }
}

fn listens(listen: &Listen) -> Listens {
    match listen {
        Listen::Tcp(address) if address.ip().to_canonical().is_loopback() => Listens::Loopback,
        Listen::Tcp(_) => Listens::Network,
        Listen::Unix(_) => Listens::Unix,
    }
}

/// Loads the certificate and its key as the server does.
fn certificate(settings: &Settings) -> Option<Result<std::time::Duration, String>> {
    let now = SystemClock.now();
    let loaded = Tls::load(settings.tls.clone()?, now);
    Some(loaded.map(|tls| tls.valid_until().since(now)).map_err(|fault| fault.to_string()))
}

fn trusted(settings: &Settings) -> Vec<TrustedNetwork> {
    let network = |proxies: &quash_server::Proxies| TrustedNetwork {
        text: proxies.to_string(),
        host_bits: proxies.host_bits(),
        is_public: proxies.is_public(),
    };
    settings.http.trusted_proxies.iter().map(network).collect()
}
