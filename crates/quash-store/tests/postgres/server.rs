//! The server of a test's database, as a proxy in front of it needs it.

use std::net::SocketAddr;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};
use tokio_postgres::Config;
use tokio_postgres::config::Host;

use crate::support::postgres::TestDatabase;

pub(crate) trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}

impl<T: AsyncRead + AsyncWrite + Unpin + Send> Stream for T {}

/// A connection to a server.
pub(crate) async fn server_of(config: &Config) -> Box<dyn Stream> {
    let port = config.get_ports().first().copied().unwrap_or(5432);
    match &config.get_hosts()[0] {
        Host::Tcp(name) => Box::new(TcpStream::connect((name.as_str(), port)).await.expect("a server")),
        Host::Unix(path) => {
            let socket = path.join(format!(".s.PGSQL.{port}"));
            Box::new(UnixStream::connect(socket).await.expect("a server"))
        }
    }
}

/// The URL of a database at the address of a proxy.
pub(crate) fn at_address(database: &TestDatabase, address: SocketAddr) -> String {
    let config: Config = database.url().parse().expect("a URL");
    let user = config.get_user().expect("a user");
    format!("postgres://{user}@{address}/{}", database.name())
}
