//! The command line: the commands, and the files that run them.

mod account;
mod account_selector;
mod audit;
mod backup;
mod client;
mod completions;
mod config;
mod demo;
mod epoch;
mod import;
mod key;
mod listen;
mod man;
mod migrate;
mod node;
mod password_cost;
mod policy;

mod context;
mod definition;
mod doctor;
mod postgres_url;
mod progress;
mod prompt;
mod revoke;
mod serve;
mod session;
mod token;

use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};

use crate::entropy::SystemEntropy;
use crate::error::CommandError;
use crate::output::OutputFormat;
use context::CommandContext;
use quash_server::SystemClock;

const EXIT_CODES: &str = "\
Exit codes:
   0  success
   1  failure
   2  the command line or a setting is wrong
   3  another process uses the data directory or the address
   4  the requested object doesn't exist
   5  conflict: the name is taken, or the current state doesn't allow the change
   6  a token was verified and is refused, or the audit is not what was sealed
   7  success, but not every verifier has confirmed it
   8  doctor has warnings
   9  doctor has found problems
  75  temporarily unavailable; try again

Settings come from quash.toml in the data directory (or --config), from the environment as
QUASH_<SECTION>_<KEY>, and from --set; each later one wins. `quash config` helps with them.";

/// JWT sessions that end when you say so.
#[derive(Parser)]
#[command(name = "quash", version, after_help = EXIT_CODES, max_term_width = 120)]
pub(crate) struct Cli {
    #[command(flatten)]
    global: GlobalArgs,
    #[command(subcommand)]
    command: Command,
}

/// The arguments of every command.
#[derive(Args, Clone)]
struct GlobalArgs {
    /// The data directory [default: ./quash-data; environment: QUASH_DATA_DIR]
    #[arg(long, global = true, value_name = "DIR", help_heading = "Global options")]
    data_dir: Option<std::path::PathBuf>,
    /// The settings file [default: quash.toml in the data directory, if there is one; environment:
    /// QUASH_CONFIG]
    #[arg(long, global = true, value_name = "FILE", help_heading = "Global options")]
    config: Option<std::path::PathBuf>,
    /// A setting, which overrides the file and the environment; may be given several times
    #[arg(long, global = true, value_name = "SECTION.KEY=VALUE", help_heading = "Global options")]
    set: Vec<String>,
    /// Print JSON instead of text
    #[arg(long, global = true, help_heading = "Global options")]
    json: bool,
    /// Also print sequence numbers of the log; JSON output always has them
    #[arg(long, short, global = true, help_heading = "Global options")]
    verbose: bool,
}

#[derive(Subcommand)]
enum Command {
    /// Run the server
    Serve(serve::ServeArgs),
    /// Add, list, show and change accounts
    #[command(subcommand)]
    Account(account::AccountCommand),
    /// List an account's sessions, and end one
    #[command(subcommand)]
    Session(session::SessionCommand),
    /// Revoke tokens that were issued before now
    #[command(subcommand)]
    Revoke(revoke::RevokeCommand),
    /// Show the audit, and check that it is intact
    #[command(subcommand)]
    Audit(audit::AuditCommand),
    /// Copy the database to a new file, also while the server runs. The master key isn't in it
    Backup(backup::BackupArgs),
    /// Replace the database with a backup. All users must sign in again; no server may run
    Restore(backup::RestoreArgs),
    /// Move the data from an SQLite file to PostgreSQL, or back. Sessions continue; no server may run
    Migrate(migrate::MigrateArgs),
    /// Import the users and the settings of a Django site, without Django
    #[command(subcommand)]
    Import(import::ImportCommand),
    /// Open a PostgreSQL database again that was restored, upgraded or copied; no node may run
    #[command(subcommand)]
    Epoch(epoch::EpochCommand),
    /// Show which events end which sessions and tokens
    #[command(subcommand)]
    Policy(policy::PolicyCommand),
    /// List, rotate and retire the keys that sign and verify tokens
    #[command(subcommand)]
    Key(key::KeyCommand),
    /// Add, list and remove services that introspect or revoke tokens
    #[command(subcommand)]
    Client(client::ClientCommand),
    /// Add, list and remove services that follow the feed of revocations
    #[command(subcommand)]
    Verifier(client::VerifierCommand),
    /// List the processes that share a PostgreSQL database
    #[command(subcommand)]
    Node(node::NodeCommand),
    /// Inspect and verify tokens
    #[command(subcommand)]
    Token(token::TokenCommand),
    /// Check the installation: settings, files, the store, and what clients see. Exit code 8 for warnings, 9 for
    /// problems
    Doctor(doctor::DoctorArgs),
    /// Check and show settings, and get help with writing them
    #[command(subcommand)]
    Config(config::ConfigCommand),
    /// Measure the cost of hashing a password on this machine, and propose settings
    PasswordCost {
        /// The longest time that a hash may take on one core
        #[arg(long, value_name = "SPAN", default_value = "100ms")]
        target: String,
    },
    /// Print a shell completion script
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
    /// Print the manual page of quash, or write one for each command
    Man {
        /// The directory to write them into, such as share/man/man1; it must exist
        #[arg(long, value_name = "DIR")]
        out: Option<std::path::PathBuf>,
    },
    /// Start a temporary server, and show that a log-out ends a token at once
    Demo,
}

impl Cli {
    /// Returns the format of results.
    pub(crate) fn form(&self) -> OutputFormat {
        if self.global.json { OutputFormat::Json } else { OutputFormat::Text }
    }

    /// Returns whether the command is a server, which a blocked output stream must not stop.
    pub(crate) fn is_server(&self) -> bool {
        matches!(self.command, Command::Serve(_))
    }
}

/// Runs the command. A command without an error may still return another exit code than 0.
pub(crate) async fn run(cli: Cli) -> Result<ExitCode, CommandError> {
    let form = cli.form();
    let listen = match &cli.command {
        Command::Serve(args) => args.listen.clone(),
        _ => None,
    };
    let context = CommandContext::new(cli.global, listen, form);
    let done = execute(cli.command, &context).await;
    context.close().await;
    done
}

async fn execute(command: Command, context: &CommandContext) -> Result<ExitCode, CommandError> {
    match command {
        Command::Serve(args) => serve::run(&args, context).await,
        Command::Account(command) => account::run(command, context).await,
        Command::Session(command) => session::run(command, context).await,
        Command::Revoke(command) => revoke::run(command, context).await,
        Command::Audit(command) => audit::run(command, context).await,
        Command::Backup(args) => backup::back_up(args, context).await,
        Command::Restore(args) => backup::restore(args, context).await,
        Command::Migrate(args) => migrate::run(args, context).await,
        Command::Import(command) => import::run(command, context).await,
        Command::Epoch(command) => epoch::run(command, context).await,
        Command::Policy(command) => policy::run(command, context).await,
        Command::Key(command) => key::run(command, context).await,
        Command::Client(command) => client::run(command, context).await,
        Command::Verifier(command) => client::run_verifier(command, context).await,
        Command::Node(command) => node::run(command, context).await,
        Command::Token(command) => return token::run(command, context).await,
        Command::Doctor(args) => return doctor::run(&args, context).await,
        Command::Config(command) => config::run(&command, context),
        Command::PasswordCost { target } => {
            password_cost::run(&target, &SystemClock, &SystemEntropy, context)
        }
        Command::Completions { shell } => completions::run(shell, context),
        Command::Man { out } => man::run(out.as_deref(), context),
        Command::Demo => demo::run(context).await,
    }?;
    Ok(ExitCode::SUCCESS)
}

#[cfg(test)]
mod tests;
