//! A service on tower and hyper alone that requires a valid token. `greeting.rs` has the service; this file
//! reads the command line and listens.
#![expect(clippy::print_stdout, reason = "prints the address that it listens on")]

mod greeting;

use std::error::Error;
use std::net::SocketAddr;
use std::path::PathBuf;

use clap::Parser;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto::Builder;
use hyper_util::service::TowerToHyperService;
use tokio::net::TcpListener;

/// Greets the user whose token a request carries, at every path.
#[derive(Parser)]
struct Args {
    /// Address of the quash server that issues the tokens.
    issuer: String,
    /// File with the credential that `quash verifier add` printed.
    credential_file: PathBuf,
    /// Address to listen on.
    #[arg(default_value = "127.0.0.1:3000")]
    listen: SocketAddr,
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let args = Args::parse();
    let credential = std::fs::read_to_string(args.credential_file)?;
    let service = TowerToHyperService::new(greeting::service(&args.issuer, credential.trim()).await?);
    let listener = TcpListener::bind(args.listen).await?;
    println!("listening on {}", listener.local_addr()?);
    loop {
        let (stream, _) = listener.accept().await?;
        let service = service.clone();
        tokio::spawn(async move {
            // Connection errors, such as a client that disconnects, end only this task.
            let _ = Builder::new(TokioExecutor::new()).serve_connection(TokioIo::new(stream), service).await;
        });
    }
}
