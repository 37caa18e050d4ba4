//! Requests about clients, verifiers among them, and how these are shown.

use quash_core::model::{Client, ClientName, Note, Right, Rights};
use quash_service::{ClientFault, Failure, Service, VerifierNow, VerifierState};
use serde::{Deserialize, Serialize};

use super::Secret;
use super::found::{failed, is_full};
use super::hex;
use super::words;
use crate::error::{CommandError, Exit};
use crate::moment::Moment;

/// What is asked about clients.
#[derive(Clone, Serialize, Deserialize)]
#[serde(tag = "clients", rename_all = "snake_case", deny_unknown_fields)]
pub(crate) enum ClientRequest {
    /// Add one.
    Add {
        /// Its name.
        name: String,
        /// What it may do, in words.
        rights: String,
    },
    /// A page of them.
    List {
        /// Which kind.
        kind: Kind,
        /// After which name.
        after: Option<String>,
        /// At most so many.
        limit: u32,
    },
    /// Remove one.
    Remove {
        /// Which kind it must be of.
        kind: Kind,
        /// Its name.
        name: String,
    },
}

/// Which clients are meant.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Kind {
    /// Those that follow the log.
    Verifier,
    /// The others.
    Client,
}

/// A client, without its secret.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub(crate) struct ClientShown {
    /// Its name.
    pub(crate) name: String,
    /// What it may do: some of `feed`, `introspect` and `revoke`, or `revoke_as_public` alone.
    pub(crate) rights: Vec<String>,
    /// When it was added.
    pub(crate) created_at: Moment,
    /// Processes that have followed the feed with it within the hour, as this server has seen them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) instances: Vec<InstanceShown>,
}

/// A process that follows the feed.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub(crate) struct InstanceShown {
    /// The number that it has chosen.
    pub(crate) instance: String,
    /// `leased`, `stale` or `not_bound`.
    pub(crate) state: String,
    /// How far it had come when it last asked.
    pub(crate) confirmed: u64,
}

/// A client that was added.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub(crate) struct ClientAddedShown {
    /// The client.
    #[serde(flatten)]
    pub(crate) client: ClientShown,
    /// Its secret. It is shown once; a public client has none.
    pub(crate) secret: Option<Secret>,
}

/// A page of clients.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub(crate) struct ClientPage {
    /// In the order of their names.
    pub(crate) clients: Vec<ClientShown>,
    /// What `--after` must say to get the next page; `null` on the last.
    pub(crate) next: Option<String>,
}

/// What a request about clients gets.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum ClientReply {
    /// One was added.
    Added(ClientAddedShown),
    /// A page of them.
    Listed(ClientPage),
    /// One was removed.
    Removed(ClientShown),
}

/// Executes a request about clients.
///
/// # Errors
/// It fails, with words for the operator.
pub(super) async fn execute(
    service: &Service,
    request: ClientRequest,
    author: Option<String>,
) -> Result<ClientReply, CommandError> {
    let note = author.map(|author| Note { author: Some(author), text: None });
    match request {
        ClientRequest::Add { name, rights } => {
            add(service, &name, &rights, note).await.map(ClientReply::Added)
        }
        ClientRequest::List { kind, after, limit } => {
            list(service, kind, after, limit).await.map(ClientReply::Listed)
        }
        ClientRequest::Remove { kind, name } => {
            let removed = service
                .remove_client(&name, kind.meant(), note)
                .await
                .map_err(|fault| not_changed(&name, kind, fault))?;
            Ok(ClientReply::Removed(ClientShown::new(&removed)))
        }
    }
}

async fn add(
    service: &Service,
    name: &str,
    rights: &str,
    note: Option<Note>,
) -> Result<ClientAddedShown, CommandError> {
    let rights = Rights::parse(rights).filter(|rights| *rights != Rights::default());
    let rights =
        rights.ok_or_else(|| CommandError::new(Exit::Usage, "a client needs a right that quash knows"))?;
    if rights.has(Right::RevokeAsPublic) && rights != Rights::PUBLIC {
        return Err(CommandError::new(
            Exit::Usage,
            "a public client has no secret, and may do nothing that needs one",
        ));
    }
    let kind = if rights.has(Right::Feed) { Kind::Verifier } else { Kind::Client };
    let added = if rights == Rights::PUBLIC {
        service.add_public_client(name, note).await.map(|client| (client, None))
    } else {
        service
            .add_client(name, rights, note)
            .await
            .map(|(client, secret)| (client, Some(Secret::new(secret.into_text()))))
    };
    let (client, secret) = added.map_err(|fault| not_changed(name, kind, fault))?;
    Ok(ClientAddedShown { client: ClientShown::new(&client), secret })
}

async fn list(
    service: &Service,
    kind: Kind,
    after: Option<String>,
    limit: u32,
) -> Result<ClientPage, CommandError> {
    let name = |name: String| {
        ClientName::parse(&name).map_err(|fault| CommandError::new(Exit::Usage, format!("the name {fault}")))
    };
    let after = after.map(name).transpose()?;
    let page = service.clients(after.as_ref(), limit).await.map_err(|failure| failed(&failure))?;
    let next = page.last().filter(|_| is_full(page.len(), limit)).map(|client| client.name.to_string());
    let seen = service.verifiers();
    let shown = |client: &Client| {
        let own = seen.iter().filter(|verifier| verifier.id.name == client.name.as_str());
        ClientShown { instances: own.map(InstanceShown::new).collect(), ..ClientShown::new(client) }
    };
    let clients = page.iter().filter(|client| kind.meant()(client)).map(shown).collect();
    Ok(ClientPage { clients, next })
}

fn not_changed(name: &str, kind: Kind, fault: ClientFault) -> CommandError {
    match fault {
        ClientFault::Failed(Failure::Unavailable(fault)) => words::unavailable(&fault),
        ClientFault::Failed(failure @ Failure::Refused(_)) => failed(&failure),
        ClientFault::Name(_) => CommandError::new(Exit::Usage, fault.to_string()),
        ClientFault::Taken => CommandError::new(Exit::Conflict, format!("there is a client or verifier \"{name}\" already"))
            .hint("a secret can't be shown again: remove it and add it anew, and give the new secret to the service"),
        ClientFault::Unknown => CommandError::new(Exit::NotFound, format!("there is no {} \"{name}\"", kind.as_str()))
            .hint("`quash client list` and `quash verifier list` show them"),
    }
}

impl Kind {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Verifier => "verifier",
            Self::Client => "client",
        }
    }

    fn meant(self) -> fn(&Client) -> bool {
        match self {
            Self::Verifier => Client::is_verifier,
            Self::Client => |client| !client.is_verifier(),
        }
    }
}

impl ClientShown {
    fn new(client: &Client) -> Self {
        let rights = client.rights.iter().map(|right| right.as_str().to_owned()).collect();
        Self {
            name: client.name.to_string(),
            rights,
            created_at: Moment(client.created_at),
            instances: Vec::new(),
        }
    }
}

impl InstanceShown {
    fn new(seen: &VerifierNow) -> Self {
        let state = match seen.state {
            VerifierState::Confirmed => "leased",
            state => state.as_str(),
        };
        Self { instance: hex(&seen.id.number), state: state.into(), confirmed: seen.confirmed.as_u64() }
    }
}
