//! `quash client` and `quash verifier`: services that call quash, and their secrets.

use std::collections::BTreeMap;
use std::time::Duration;

use clap::builder::{PossibleValue, PossibleValuesParser};
use clap::{ArgGroup, Args, Subcommand};
use quash_core::model::Rights;

use super::account::{PageArgs, span};
use super::context::{CommandContext, unexpected};
use crate::control::{
    ClientAddedShown, ClientPage, ClientReply, ClientRequest, ClientShown, InstanceShown, Kind, NewExpiry,
    Reply, Request, Secret,
};
use crate::data_dir::IfMissing;
use crate::error::CommandError;
use crate::moment::Moment;
use crate::output;

#[derive(Subcommand)]
pub(super) enum ClientCommand {
    /// Add a client and print its secret, which is shown only once. A public client has none
    Add(AddArgs),
    /// List clients, sorted by name; verifiers are listed separately
    List(PageArgs),
    /// Show a client or a verifier, without its secret
    Show {
        /// Its name
        name: String,
    },
    /// Change what a client or a verifier may do, or when its secret expires
    Change(ChangeArgs),
    /// Give a client or a verifier a new secret and print it, which is shown only once: the one before is no longer
    /// accepted
    Renew {
        /// Its name
        name: String,
    },
    /// Remove a client: its secret is no longer accepted
    Remove {
        /// The client's name
        name: String,
    },
}

#[derive(Subcommand)]
pub(super) enum VerifierCommand {
    /// Add a verifier, which may follow the feed and introspect tokens, and print its secret, which is shown
    /// only once
    Add {
        /// Its name: 1 to 64 characters from a to z, 0 to 9, '.', '_' and '-'
        name: String,
    },
    /// List verifiers, sorted by name
    List(PageArgs),
    /// Remove a verifier: its secret is no longer accepted
    Remove {
        /// The verifier's name
        name: String,
    },
}

#[derive(Args)]
#[command(group = ArgGroup::new("rights").required(true).multiple(true))]
pub(super) struct AddArgs {
    /// Its name: 1 to 64 characters from a to z, 0 to 9, '.', '_' and '-'
    name: String,
    /// Give it a right; repeat this for each
    #[arg(long, group = "rights", value_name = "RIGHT", value_parser = rights())]
    right: Vec<String>,
    /// Allow it to follow the feed, and to revoke and query revocations in this namespace only: for another
    /// issuer's site, such as Django with Simple JWT. It can't introspect tokens
    #[arg(long, group = "rights", conflicts_with_all = ["right", "public"])]
    namespace: Option<String>,
    /// Add it without a secret, allowed to revoke tokens: for an app on users' devices, which can't keep a
    /// secret
    #[arg(long, group = "rights", conflicts_with = "right")]
    public: bool,
    /// Refuse its secret after this time, such as 90d
    #[arg(long, value_name = "SPAN", value_parser = span, conflicts_with = "public")]
    expires: Option<Duration>,
}

#[derive(Args)]
#[command(group = ArgGroup::new("changes").required(true).multiple(true))]
pub(super) struct ChangeArgs {
    /// Its name
    name: String,
    /// Give it these rights instead of those that it has; repeat this for each
    #[arg(long, group = "changes", value_name = "RIGHT", value_parser = rights())]
    right: Vec<String>,
    /// Refuse its secret after this time from now on, such as 90d
    #[arg(long, group = "changes", value_name = "SPAN", value_parser = span, conflicts_with = "never_expires")]
    expires: Option<Duration>,
    /// Accept its secret until it is removed
    #[arg(long, group = "changes")]
    never_expires: bool,
}

/// The rights of clients with a secret.
fn rights() -> PossibleValuesParser {
    PossibleValuesParser::new([
        PossibleValue::new("feed").help("Follow the feed of revocations"),
        PossibleValue::new("introspect").help("Introspect tokens"),
        PossibleValue::new("revoke").help("Revoke tokens"),
        PossibleValue::new("accounts")
            .help("Add and change accounts, with their password hashes: it could sign in as any user"),
        PossibleValue::new("read").help("See accounts, sessions, verifiers, nodes, statistics and keys"),
        PossibleValue::new("sessions").help("End sessions"),
        PossibleValue::new("keys").help("Rotate and revoke signing keys"),
        PossibleValue::new("clients").help("Add, change and remove clients, with rights that it has itself"),
        PossibleValue::new("audit").help("Read the audit"),
    ])
}

pub(super) async fn run(command: ClientCommand, context: &CommandContext) -> Result<(), CommandError> {
    match command {
        ClientCommand::Add(AddArgs { name, namespace: Some(namespace), expires, .. }) => {
            add(name, Rights::NAMESPACE, Some(namespace), expires, context).await
        }
        ClientCommand::Add(AddArgs { name, public: true, .. }) => {
            add(name, Rights::PUBLIC, None, None, context).await
        }
        ClientCommand::Add(AddArgs { name, right, expires, .. }) => {
            add(name, Rights::parse(&right.join(" ")).unwrap_or_default(), None, expires, context).await
        }
        ClientCommand::Show { name } => show(ClientRequest::Show { name }, context).await,
        ClientCommand::Change(ChangeArgs { name, right, expires, never_expires }) => {
            let rights = (!right.is_empty()).then(|| right.join(" "));
            let expires = match expires {
                Some(span) => NewExpiry::After(span.as_secs()),
                None if never_expires => NewExpiry::Never,
                None => NewExpiry::Unchanged,
            };
            show(ClientRequest::Change { name, rights, expires }, context).await
        }
        ClientCommand::Renew { name } => renew(name, context).await,
        ClientCommand::List(page) => list(Kind::Client, page, context).await,
        ClientCommand::Remove { name } => remove(Kind::Client, name, context).await,
    }
}

pub(super) async fn run_verifier(
    command: VerifierCommand,
    context: &CommandContext,
) -> Result<(), CommandError> {
    match command {
        VerifierCommand::Add { name } => add(name, Rights::VERIFIER, None, None, context).await,
        VerifierCommand::List(page) => list(Kind::Verifier, page, context).await,
        VerifierCommand::Remove { name } => remove(Kind::Verifier, name, context).await,
    }
}

/// Adds a client. Only the secret goes to stdout, so that it can be piped into a secret store.
async fn add(
    name: String,
    rights: Rights,
    namespace: Option<String>,
    expires: Option<Duration>,
    context: &CommandContext,
) -> Result<(), CommandError> {
    let word = if rights == Rights::VERIFIER && namespace.is_none() { "verifier" } else { "client" };
    let request = ClientRequest::Add {
        name,
        rights: rights.to_string(),
        namespace,
        expires_in: expires.map(|span| span.as_secs()),
    };
    let ClientReply::Added(added) = ask(request, context).await? else { return Err(unexpected()) };
    let ClientAddedShown { client, secret } = &added;
    let about_secret = if secret.is_some() {
        "the secret is shown only once"
    } else {
        "it has no secret: its client_id is its name"
    };
    output::note(&format!("added {} ({}); {about_secret}", client.name, may(client)));
    let printed = context.print(&added, || secret.as_ref().map_or(&*client.name, Secret::expose).to_owned());
    printed.map_err(|error| match secret {
        Some(_) => error.hint(format!(
            "{0} was added, but its secret is lost: create another with `quash {word} remove {0}` and `quash {word} add {0}`",
            client.name
        )),
        None => error.hint(format!("{} was added", client.name)),
    })
}

async fn show(request: ClientRequest, context: &CommandContext) -> Result<(), CommandError> {
    let ClientReply::Shown(client) = ask(request, context).await? else { return Err(unexpected()) };
    context.print(&client, || shown(&client))
}

/// Prints a new secret, alone on stdout as that of a new client.
async fn renew(name: String, context: &CommandContext) -> Result<(), CommandError> {
    let ClientReply::Added(renewed) = ask(ClientRequest::Renew { name }, context).await? else {
        return Err(unexpected());
    };
    let ClientAddedShown { client, secret } = &renewed;
    output::note(&format!(
        "{} has a new secret, which is shown only once; the one before is no longer accepted",
        client.name
    ));
    context.print(&renewed, || secret.as_ref().map_or("", Secret::expose).to_owned())
}

async fn list(kind: Kind, page: PageArgs, context: &CommandContext) -> Result<(), CommandError> {
    let PageArgs { limit, after } = page;
    let ClientReply::Listed(page) = ask(ClientRequest::List { kind, after, limit }, context).await? else {
        return Err(unexpected());
    };
    context.print(&page, || listed(&page, kind))
}

async fn remove(kind: Kind, name: String, context: &CommandContext) -> Result<(), CommandError> {
    let ClientReply::Removed(removed) = ask(ClientRequest::Remove { kind, name }, context).await? else {
        return Err(unexpected());
    };
    context.print(&removed, || format!("removed {}: its secret is no longer accepted", removed.name))
}

async fn ask(request: ClientRequest, context: &CommandContext) -> Result<ClientReply, CommandError> {
    match context.ask(IfMissing::Refuse, Request::Clients(request)).await? {
        Reply::Clients(reply) => Ok(reply),
        _ => Err(unexpected()),
    }
}

/// Returns the rows of a verifier: one for each host on which processes follow with its credential.
fn verifier_rows(client: &ClientShown) -> Vec<[String; 4]> {
    let row = |host: Option<&str>, processes| {
        let host = host.unwrap_or("-").to_owned();
        [client.name.clone(), client.created_at.to_the_second(), host, processes]
    };
    let mut hosts = BTreeMap::<_, Vec<_>>::new();
    for instance in &client.instances {
        hosts.entry(instance.host.as_deref()).or_default().push(instance);
    }
    if hosts.is_empty() {
        return vec![row(None, "none".into())];
    }
    hosts.into_iter().map(|(host, instances)| row(host, processes(&instances))).collect()
}

/// Counts processes by their states.
fn processes(instances: &[&InstanceShown]) -> String {
    let count = |state| instances.iter().filter(|instance| instance.state == state).count();
    let counts = [("leased", "with a lease"), ("stale", "stale"), ("not_bound", "not bound")]
        .map(|(state, word)| (count(state), word));
    let told: Vec<_> = counts
        .iter()
        .filter(|(count, _)| *count > 0)
        .map(|(count, word)| format!("{count} {word}"))
        .collect();
    told.join(", ")
}

/// Says what a client may do. The rights `introspect` and `revoke` of a namespace's client concern
/// `/v1/revocations` and `/v1/revocations/query` in it, and not `/oauth2/`.
fn may(client: &ClientShown) -> String {
    match &client.namespace {
        Some(namespace) => format!("feed; revoke and query revocations in {namespace}"),
        None => client.rights.join(", "),
    }
}

/// Returns the values of a client, a line each.
fn shown(client: &ClientShown) -> String {
    let names = ["name", "may", "since", "last used", "expires"];
    output::pairs(&names.into_iter().zip(row(client)).collect::<Vec<_>>())
}

fn row(client: &ClientShown) -> [String; 5] {
    let time = |at: Option<Moment>| at.map_or_else(|| "never".to_owned(), Moment::to_the_second);
    [
        client.name.clone(),
        may(client),
        client.created_at.to_the_second(),
        time(client.last_used_at),
        time(client.expires_at),
    ]
}

fn listed(page: &ClientPage, kind: Kind) -> String {
    let table = match (page.clients.is_empty(), kind) {
        (true, Kind::Client) => "no clients".into(),
        (true, Kind::Verifier) => "no verifiers".into(),
        (false, Kind::Client) => {
            output::table(["name", "may", "since", "last used", "expires"], page.clients.iter().map(row))
        }
        (false, Kind::Verifier) => {
            output::table(["name", "since", "host", "processes"], page.clients.iter().flat_map(verifier_rows))
        }
    };
    match &page.next {
        Some(next) => format!("{table}\nthere may be more: --after {next}"),
        None => table,
    }
}
