//! Connects to the hosts of a URL, of which at most one is the primary. A host that doesn't answer must not keep a
//! node from a standby that was promoted.

use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use tokio::time::timeout;
use tokio_postgres::config::{Host, TargetSessionAttrs};
use tokio_postgres::tls::MakeTlsConnect;
use tokio_postgres::{Client, Config, Connection, Socket};

use crate::postgres::fault::message;

/// The time after which the next host is tried, too.
const NEXT_HOST: Duration = Duration::from_millis(250);

/// The longest time to connect to one host.
pub(in crate::postgres) const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// The hosts of a URL, each with all other parameters.
#[derive(Clone)]
pub(in crate::postgres) struct Hosts(Vec<Config>);

/// The reason why there is no connection.
#[derive(Debug, thiserror::Error)]
pub(in crate::postgres) enum ConnectError {
    #[error("{}", message(.0))]
    Postgres(tokio_postgres::Error),
    /// It has accepted the connection, or not even that.
    #[error("the server didn't answer within {} s", .0.as_secs())]
    Silent(Duration),
    /// Several hosts, each with its error.
    #[error("no host is a primary that answers ({})", each(.0))]
    NoPrimary(Vec<(String, ConnectError)>),
    /// The server isn't the one that this process uses.
    #[error("{0}")]
    Refused(String),
}

impl Hosts {
    /// Separates the hosts of a configuration. There is at least one.
    pub(in crate::postgres) fn of(config: &Config) -> Self {
        if config.get_hosts().len() < 2 {
            return Self(vec![config.clone()]);
        }
        Self((0..config.get_hosts().len()).map(|index| only(config, index)).collect())
    }

    /// Refuses replicas.
    pub(in crate::postgres) fn require_primary(&mut self) {
        for host in &mut self.0 {
            host.target_session_attrs(TargetSessionAttrs::ReadWrite);
        }
    }

    /// The longest time that [`Hosts::connect`] takes.
    pub(in crate::postgres) fn patience(&self) -> Duration {
        let others = u32::try_from(self.0.len() - 1).unwrap_or(u32::MAX);
        self.0.iter().map(answer_timeout).max().unwrap_or_default() + NEXT_HOST * others
    }

    /// Connects to the first host that is the primary. Begins in the order of the URL, and tries the next host
    /// when one has failed, or hasn't answered for [`NEXT_HOST`].
    pub(in crate::postgres) async fn connect<T>(
        &self,
        tls: T,
    ) -> Result<(Client, Connection<Socket, T::Stream>), ConnectError>
    where
        T: MakeTlsConnect<Socket> + Clone,
    {
        let mut untried = self.0.iter();
        let mut running = FuturesUnordered::new();
        let mut failed = Vec::new();
        loop {
            if let Some(host) = untried.next() {
                running.push(attempt(host, tls.clone()));
            }
            let first = if untried.len() == 0 {
                running.next().await
            } else {
                match timeout(NEXT_HOST, running.next()).await {
                    Ok(first) => first,
                    Err(_) => continue,
                }
            };
            match first {
                Some(Ok(connection)) => return Ok(connection),
                Some(Err(error)) => failed.push(error),
                None if failed.len() == 1 => return Err(failed.remove(0).1),
                None => return Err(ConnectError::NoPrimary(failed)),
            }
        }
    }
}

/// Connects to one host. An error names the host.
async fn attempt<T>(
    config: &Config,
    tls: T,
) -> Result<(Client, Connection<Socket, T::Stream>), (String, ConnectError)>
where
    T: MakeTlsConnect<Socket>,
{
    // tokio-postgres limits only the TCP connection, which the kernel of a stopped server accepts.
    let limit = answer_timeout(config);
    match timeout(limit, config.connect(tls)).await {
        Ok(Ok(connection)) => Ok(connection),
        Ok(Err(error)) => Err((address(config, 0), ConnectError::Postgres(error))),
        Err(_) => Err((address(config, 0), ConnectError::Silent(limit))),
    }
}

/// The time in which a host has to answer: twice that for the TCP connection, for TLS and the password.
fn answer_timeout(config: &Config) -> Duration {
    *config.get_connect_timeout().unwrap_or(&CONNECT_TIMEOUT) * 2
}

/// The host with this index and its port.
pub(in crate::postgres) fn address(config: &Config, index: usize) -> String {
    let port = port(config, index).unwrap_or(5432);
    match config.get_hosts().get(index) {
        Some(Host::Tcp(name)) => format!("{name}:{port}"),
        #[cfg(unix)]
        Some(Host::Unix(path)) => format!("{}:{port}", path.display()),
        None => "?".into(),
    }
}

fn port(config: &Config, index: usize) -> Option<u16> {
    config.get_ports().get(index).or(config.get_ports().first()).copied()
}

/// The configuration with one host alone.
fn only(config: &Config, index: usize) -> Config {
    let mut one = Config::new();
    match config.get_hosts().get(index) {
        Some(Host::Tcp(name)) => one.host(name),
        #[cfg(unix)]
        Some(Host::Unix(path)) => one.host_path(path),
        None => &mut one,
    };
    if let Some(address) = config.get_hostaddrs().get(index) {
        one.hostaddr(*address);
    }
    if let Some(port) = port(config, index) {
        one.port(port);
    }
    if let Some(user) = config.get_user() {
        one.user(user);
    }
    if let Some(password) = config.get_password() {
        one.password(password);
    }
    if let Some(database) = config.get_dbname() {
        one.dbname(database);
    }
    if let Some(options) = config.get_options() {
        one.options(options);
    }
    if let Some(name) = config.get_application_name() {
        one.application_name(name);
    }
    if let Some(limit) = config.get_connect_timeout() {
        one.connect_timeout(*limit);
    }
    if let Some(limit) = config.get_tcp_user_timeout() {
        one.tcp_user_timeout(*limit);
    }
    if let Some(interval) = config.get_keepalives_interval() {
        one.keepalives_interval(interval);
    }
    if let Some(retries) = config.get_keepalives_retries() {
        one.keepalives_retries(retries);
    }
    one.keepalives(config.get_keepalives())
        .keepalives_idle(config.get_keepalives_idle())
        .ssl_mode(config.get_ssl_mode())
        .ssl_negotiation(config.get_ssl_negotiation())
        .target_session_attrs(config.get_target_session_attrs())
        .channel_binding(config.get_channel_binding())
        .load_balance_hosts(config.get_load_balance_hosts());
    one
}

fn each(failed: &[(String, ConnectError)]) -> String {
    failed.iter().map(|(host, error)| format!("{host}: {error}")).collect::<Vec<_>>().join("; ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_host_keeps_all_parameters() {
        let parameters = "connect_timeout=7&tcp_user_timeout=8&keepalives=0&keepalives_idle=9&keepalives_interval=10\
            &keepalives_retries=11&application_name=me&options=-c%20geqo%3Doff&sslmode=require&sslnegotiation=direct\
            &target_session_attrs=read-write&channel_binding=require&load_balance_hosts=random";
        let parsed = |hosts: &str| -> Config {
            format!("postgres://dana:secret@{hosts}/quash?{parameters}").parse().expect("a URL")
        };
        let each = Hosts::of(&parsed("one:1,other:2")).0;
        assert_eq!(each, [parsed("one:1"), parsed("other:2")]);
    }
}
