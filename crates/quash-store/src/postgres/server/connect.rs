//! Connects to the primary: TLS, and the pool's connections. `url.rs` has the rules for the URL.

use std::fmt;
use std::ops::Deref;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use deadpool::managed::{self, Metrics, QueueMode, RecycleError, RecycleResult, TimeoutType};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};
use rustls_platform_verifier::BuilderVerifierExt;
use tokio_postgres::config::{ChannelBinding, SslMode};
use tokio_postgres::error::SqlState;
use tokio_postgres::tls::{MakeTlsConnect, TlsConnect};
use tokio_postgres::{AsyncMessage, Config, NoTls, Socket};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::prepared::Statements;
use crate::postgres::StatementNames;
use crate::postgres::server::hosts::{CONNECT_TIMEOUT, ConnectError, Hosts, address};
use crate::postgres::server::identity::History;
use crate::postgres::server::url::{DatabaseUrl, Encryption, UrlFault};
use crate::{OpenError, StoreError};

/// A database, as a URL names it.
#[derive(Clone)]
pub(in crate::postgres) struct Target {
    hosts: Hosts,
    tls: Option<MakeRustlsConnect>,
    names: StatementNames,
    /// The database without user and password, for errors.
    shown: String,
    /// The identity that the server of each new connection must have.
    history: Option<Arc<History>>,
    /// The number of requests for a connection that have failed.
    failed: Arc<AtomicU64>,
}

/// A connection of the pool.
#[derive(Debug)]
pub(in crate::postgres) struct Connection {
    statements: Statements,
    /// The server has sent a warning: a commit may not have reached the standby.
    warned: Arc<AtomicBool>,
    /// A transaction may be open. Such a connection isn't used again.
    pub(in crate::postgres) is_open: bool,
    /// The generation of [`History`] at which it was opened.
    generation: u64,
}

/// The time after which a connection that isn't used is given back.
const IDLE: Duration = Duration::from_secs(10);

pub(in crate::postgres) type Pool = managed::Pool<Target>;
pub(in crate::postgres) type Pooled = managed::Object<Target>;

impl Target {
    /// Parses a URL, and reads the authorities that it names.
    ///
    /// # Errors
    /// The URL is malformed, or names servers or a TLS mode that quash doesn't use.
    pub(in crate::postgres) fn parse(url: &str) -> Result<Self, UrlFault> {
        let DatabaseUrl { mut config, encryption } = DatabaseUrl::parse(url)?;
        let tls = match encryption {
            Encryption::Verified(roots) => Some(tls(roots.as_deref())?),
            Encryption::Off => None,
        };
        config.ssl_mode(if tls.is_some() { SslMode::Require } else { SslMode::Disable });
        if tls.is_none() {
            config.channel_binding(ChannelBinding::Disable);
        }
        if config.get_connect_timeout().is_none() {
            config.connect_timeout(CONNECT_TIMEOUT);
        }
        config.keepalives_idle(Duration::from_secs(30)).tcp_user_timeout(Duration::from_secs(30));
        if config.get_application_name().is_none() {
            config.application_name("quash");
        }
        Ok(Self {
            hosts: Hosts::of(&config),
            tls,
            names: StatementNames::None,
            shown: shown(&config),
            history: None,
            failed: Arc::default(),
        })
    }

    /// The database without user and password.
    pub(in crate::postgres) fn shown(&self) -> &str {
        &self.shown
    }

    /// Compares the server of each new connection of the pool with `history`.
    pub(in crate::postgres) fn compared_with(self, history: Arc<History>) -> Self {
        Self { history: Some(history), ..self }
    }

    /// The number of requests for a connection that have failed.
    pub(in crate::postgres) fn failed(&self) -> u64 {
        self.failed.load(Ordering::Relaxed)
    }

    pub(in crate::postgres) fn with(self, names: StatementNames) -> Self {
        Self { names, ..self }
    }

    pub(in crate::postgres) fn history(&self) -> Option<&Arc<History>> {
        self.history.as_ref()
    }

    /// Opens a connection without comparing its server.
    pub(in crate::postgres) async fn connect(&self) -> Result<Connection, ConnectError> {
        match &self.tls {
            Some(tls) => self.connect_with(tls.clone()).await,
            None => self.connect_with(NoTls).await,
        }
    }

    async fn connect_with<T>(&self, tls: T) -> Result<Connection, ConnectError>
    where
        T: MakeTlsConnect<Socket> + Clone + Send + Sync + 'static,
        T::Stream: Send,
        T::TlsConnect: Send,
        <T::TlsConnect as TlsConnect<Socket>>::Future: Send,
    {
        let (client, mut connection) = self.hosts.connect(tls).await?;
        let warned = Arc::new(AtomicBool::new(false));
        let flag = Arc::clone(&warned);
        // Ends when the client is dropped.
        tokio::spawn(async move {
            while let Some(Ok(message)) = std::future::poll_fn(|cx| connection.poll_message(cx)).await {
                if let AsyncMessage::Notice(notice) = message
                    && [SqlState::WARNING, SqlState::ADMIN_SHUTDOWN].contains(notice.code())
                {
                    flag.store(true, Ordering::Release);
                }
            }
        });
        let statements = Statements::new(client, self.names);
        Ok(Connection { statements, warned, is_open: false, generation: 0 })
    }

    /// A pool of at most `size` connections, which gives back those that it hasn't used for a while: other pools and
    /// nodes may need them. A caller waits at most `wait` for one.
    pub(in crate::postgres) fn pool(mut self, size: usize, wait: Duration) -> Result<Pool, OpenError> {
        // A host name or a load balancer may lead to a replica later, and most reads don't show which server
        // has answered.
        self.hosts.require_primary();
        let store = self.shown.clone();
        let create = self.hosts.patience();
        let pool = Pool::builder(self)
            .max_size(size)
            // A few requests use few connections; the others are given back.
            .queue_mode(QueueMode::Lifo)
            .wait_timeout(Some(wait))
            // Covers the comparison of the server, too.
            .create_timeout(Some(create))
            .runtime(deadpool::Runtime::Tokio1)
            .build()
            .map_err(|error| OpenError::Unusable { store, detail: error.to_string() })?;
        tokio::spawn(give_idle_back(pool.weak()));
        Ok(pool)
    }
}

/// Closes connections of a pool that aren't used, but for one, for as long as the pool is.
async fn give_idle_back(pool: managed::WeakPool<Target>) {
    loop {
        tokio::time::sleep(IDLE / 2).await;
        let Some(pool) = pool.upgrade() else { return };
        let mut kept = 0;
        pool.retain(|_, metrics| {
            let is_kept = kept == 0 || metrics.last_used() < IDLE;
            kept += usize::from(is_kept);
            is_kept
        });
    }
}

impl fmt::Debug for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Target").field(&self.shown).finish()
    }
}

impl managed::Manager for Target {
    type Type = Connection;
    type Error = ConnectError;

    async fn create(&self) -> Result<Connection, ConnectError> {
        // Read first: if another server is found while this connects, `recycle` drops this connection, too.
        let generation = self.history.as_ref().map_or(0, |history| history.generation());
        let mut connection = self.connect().await?;
        if let Some(history) = &self.history {
            let found = history.reading().read(&connection).await.map_err(ConnectError::Postgres)?;
            history.check(&found).map_err(ConnectError::Refused)?;
        }
        connection.generation = generation;
        Ok(connection)
    }

    async fn recycle(&self, connection: &mut Connection, _: &Metrics) -> RecycleResult<Self::Error> {
        if connection.is_open || connection.is_closed() {
            return Err(RecycleError::message("it is closed, or a transaction is open"));
        }
        if self.history.as_ref().is_some_and(|history| history.generation() != connection.generation) {
            return Err(RecycleError::message("it may lead to another server than before"));
        }
        Ok(())
    }
}

impl Connection {
    /// Returns whether the server has sent a warning since this was called last.
    pub(in crate::postgres) fn take_warning(&self) -> bool {
        self.warned.swap(false, Ordering::AcqRel)
    }
}

impl Deref for Connection {
    type Target = Statements;

    fn deref(&self) -> &Statements {
        &self.statements
    }
}

/// Takes a connection from a pool.
pub(in crate::postgres) async fn take(pool: &Pool) -> Result<Pooled, StoreError> {
    pool.get().await.map_err(|error| {
        pool.manager().failed.fetch_add(1, Ordering::Relaxed);
        StoreError::Unavailable(match error {
            managed::PoolError::Backend(error) => format!("cannot connect: {error}"),
            managed::PoolError::Timeout(TimeoutType::Create) => "the server didn't answer in time".into(),
            managed::PoolError::Timeout(_) => "all connections are in use".into(),
            other => other.to_string(),
        })
    })
}

/// The hosts and the name of a database, without user and password.
fn shown(config: &Config) -> String {
    let hosts: Vec<_> = (0..config.get_hosts().len()).map(|index| address(config, index)).collect();
    format!("the PostgreSQL database {} at {}", config.get_dbname().unwrap_or("?"), hosts.join(", "))
}

/// TLS that verifies the server's certificate and its name.
fn tls(roots: Option<&Path>) -> Result<MakeRustlsConnect, UrlFault> {
    let unusable = |error: rustls::Error| {
        UrlFault::new(
            format!("needs TLS, which can't be used ({error})"),
            "install the system's certificates, or add sslrootcert=FILE",
        )
    };
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(unusable)?;
    let config = match roots {
        Some(path) => builder.with_root_certificates(authorities(path)?),
        None => builder.with_platform_verifier().map_err(unusable)?,
    };
    Ok(MakeRustlsConnect::new(config.with_no_client_auth()))
}

/// Reads a file with certificates of authorities.
pub(in crate::postgres) fn authorities(path: &Path) -> Result<RootCertStore, UrlFault> {
    let failed = |detail: String| {
        UrlFault::new(
            format!("has sslrootcert={}, which can't be read: {detail}", path.display()),
            "name a PEM file with the certificate of the authority",
        )
    };
    let mut store = RootCertStore::empty();
    let certificates = CertificateDer::pem_file_iter(path).map_err(|error| failed(error.to_string()))?;
    for certificate in certificates {
        let certificate = certificate.map_err(|error| failed(error.to_string()))?;
        store.add(certificate).map_err(|error| failed(error.to_string()))?;
    }
    if store.is_empty() {
        return Err(failed("it contains no certificate".into()));
    }
    Ok(store)
}
