//! An axum service for whoever has a live token. What it is about is in `orders.rs`; here it is given its address, its
//! credential and a place to listen.
#![expect(clippy::print_stdout, reason = "a program for a terminal says where it listens")]

mod orders;

use std::error::Error;
use std::net::SocketAddr;
use std::path::PathBuf;

use clap::Parser;
use tokio::net::TcpListener;

/// Tells whoever has a live token of an issuer what they have ordered, at /orders.
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
    let service = orders::service(&args.issuer, credential.trim()).await?;
    let listener = TcpListener::bind(args.listen).await?;
    println!("listening on {}", listener.local_addr()?);
    axum::serve(listener, service).await?;
    Ok(())
}
