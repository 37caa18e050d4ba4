//! An axum service that requires a valid token. `orders.rs` has the service; this file reads the command line
//! and listens.
#![expect(clippy::print_stdout, reason = "prints the address that it listens on")]

mod orders;

use std::error::Error;
use std::net::SocketAddr;
use std::path::PathBuf;

use clap::Parser;
use tokio::net::TcpListener;

/// Shows the orders of the user whose token a request carries, at /orders.
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
    let service = orders::service(&args.issuer, credential.trim()).await?;
    let listener = TcpListener::bind(args.listen).await?;
    println!("listening on {}", listener.local_addr()?);
    axum::serve(listener, service).await?;
    Ok(())
}
