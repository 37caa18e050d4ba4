//! A service on tower and hyper alone, for whoever has a live token. What it is about is in `greeting.rs`; here it is given
//! its address, its credential and a place to listen.
#![expect(clippy::print_stdout, reason = "a program for a terminal says where it listens")]

mod greeting;

use std::error::Error;
use std::net::SocketAddr;
use std::path::PathBuf;

use clap::Parser;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto::Builder;
use hyper_util::service::TowerToHyperService;
use tokio::net::TcpListener;

/// Greets whoever has a live token of an issuer, at every path.
#[derive(Parser)]
struct Args {
    /// Address of the quash that issues the tokens.
    issuer: String,
    /// A file with what `quash verifier add` has printed.
    credential_file: PathBuf,
    /// Where to listen.
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
            // A client that goes away is none of our business.
            let _ = Builder::new(TokioExecutor::new()).serve_connection(TokioIo::new(stream), service).await;
        });
    }
}
