//! The command line: what can be typed, and which file does the work.

mod account;
mod audit;
mod backup;
mod client;
mod completions;
mod config;
mod demo;
mod key;
mod listen;
mod man;
mod password_cost;
mod policy;

mod definition;
mod place;
mod prompt;
mod revoke;
mod serve;
mod session;
mod token;
mod which;

use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};

use crate::entropy::SystemEntropy;
use crate::error::CommandError;
use crate::output::Form;
use place::Place;
use quash_server::SystemClock;

const EXIT_CODES: &str = "\
Exit codes:
   0  done
   1  something went wrong
   2  the command line or a setting is wrong
   3  another process has the data directory or the address
   4  what was asked for isn't there
   5  what was asked for is taken, or has happened already
   6  a token was verified and is refused, or the audit is not what was sealed
   7  it is done, and not every verifier has confirmed it
  75  it can't be done now; try again

Settings come from quash.toml in the data directory (or --config), from the environment as
QUASH_<SECTION>_<KEY>, and from --set; each later one wins. `quash config` helps with them.";

/// JWT sessions that end when you say so.
#[derive(Parser)]
#[command(name = "quash", version, after_help = EXIT_CODES, max_term_width = 120)]
pub(crate) struct Cli {
    #[command(flatten)]
    place: PlaceArgs,
    #[command(subcommand)]
    command: Command,
}

/// What every command takes.
#[derive(Args, Clone)]
struct PlaceArgs {
    /// The directory with everything quash must not lose [default: ./quash-data; environment: QUASH_DATA_DIR]
    #[arg(long, global = true, value_name = "DIR", help_heading = "Place and form")]
    data_dir: Option<std::path::PathBuf>,
    /// The settings file [default: quash.toml in the data directory, if there is one; environment: QUASH_CONFIG]
    #[arg(long, global = true, value_name = "FILE", help_heading = "Place and form")]
    config: Option<std::path::PathBuf>,
    /// One setting, over the file and the environment; may be given several times
    #[arg(long, global = true, value_name = "SECTION.KEY=VALUE", help_heading = "Place and form")]
    set: Vec<String>,
    /// Print JSON instead of text
    #[arg(long, global = true, help_heading = "Place and form")]
    json: bool,
    /// Print the numbers of the log, too; JSON always does
    #[arg(long, short, global = true, help_heading = "Place and form")]
    verbose: bool,
}

#[derive(Subcommand)]
enum Command {
    /// Run the server
    Serve(serve::ServeArgs),
    /// Add accounts, look at them and change them
    #[command(subcommand)]
    Account(account::AccountCommand),
    /// Look at an account's sessions and end one
    #[command(subcommand)]
    Session(session::SessionCommand),
    /// Revoke what was issued before
    #[command(subcommand)]
    Revoke(revoke::RevokeCommand),
    /// Look at what has happened, and whether the record of it is intact
    #[command(subcommand)]
    Audit(audit::AuditCommand),
    /// Copy all that quash keeps to a new file, while it runs or not. The master key isn't in it
    Backup(backup::BackupArgs),
    /// Put a backup in the place of the database. Everybody must sign in again; no server may run
    Restore(backup::RestoreArgs),
    /// Look at what ends what
    #[command(subcommand)]
    Policy(policy::PolicyCommand),
    /// Look at the keys that tokens are signed and verified with, and let another one sign
    #[command(subcommand)]
    Key(key::KeyCommand),
    /// Add services that ask whether tokens hold or end them, list them and remove them
    #[command(subcommand)]
    Client(client::ClientCommand),
    /// Add services that follow the feed of revocations, list them and remove them
    #[command(subcommand)]
    Verifier(client::VerifierCommand),
    /// Look at tokens, and judge them
    #[command(subcommand)]
    Token(token::TokenCommand),
    /// Check settings, show those that hold, and get help with writing them
    #[command(subcommand)]
    Config(config::ConfigCommand),
    /// Measure what hashing a password costs on this machine, and propose settings
    PasswordCost {
        /// How long a hash may take on one core
        #[arg(long, value_name = "SPAN", default_value = "100ms")]
        target: String,
    },
    /// Print what makes a shell complete commands and flags of quash
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
    /// Print the manual page of quash, or write one for each command
    Man {
        /// The directory to write them into, such as share/man/man1; it must be there
        #[arg(long, value_name = "DIR")]
        out: Option<std::path::PathBuf>,
    },
    /// Sign in, call, log out, call again: see a token die, in a server of its own
    Demo,
}

impl Cli {
    /// How results are printed.
    pub(crate) fn form(&self) -> Form {
        if self.place.json { Form::Json } else { Form::Text }
    }

    /// Whether the command runs until it is stopped, so that a blocked stream must not hold it up.
    pub(crate) fn is_server(&self) -> bool {
        matches!(self.command, Command::Serve(_))
    }
}

/// Does what was typed. What ends without an error may still have another exit code than 0.
///
/// # Errors
/// It can't be done.
pub(crate) async fn run(cli: Cli) -> Result<ExitCode, CommandError> {
    let form = cli.form();
    let listen = match &cli.command {
        Command::Serve(args) => args.listen.clone(),
        _ => None,
    };
    let place = Place::new(cli.place, listen, form);
    match cli.command {
        Command::Serve(_) => serve::run(&place).await,
        Command::Account(command) => account::run(command, &place).await,
        Command::Session(command) => session::run(command, &place).await,
        Command::Revoke(command) => revoke::run(command, &place).await,
        Command::Audit(command) => audit::run(command, &place).await,
        Command::Backup(args) => backup::back_up(args, &place).await,
        Command::Restore(args) => backup::restore(args, &place).await,
        Command::Policy(command) => policy::run(command, &place).await,
        Command::Key(command) => key::run(command, &place).await,
        Command::Client(command) => client::run(command, &place).await,
        Command::Verifier(command) => client::run_verifier(command, &place).await,
        Command::Token(command) => return token::run(command, &place).await,
        Command::Config(command) => config::run(&command, &place),
        Command::PasswordCost { target } => password_cost::run(&target, &SystemClock, &SystemEntropy, &place),
        Command::Completions { shell } => completions::run(shell, &place),
        Command::Man { out } => man::run(out.as_deref(), &place),
        Command::Demo => demo::run(&place).await,
    }?;
    Ok(ExitCode::SUCCESS)
}

#[cfg(test)]
mod tests;
