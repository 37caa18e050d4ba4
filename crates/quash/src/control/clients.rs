//! Requests about clients, including verifiers, and the shapes of their replies.

use std::time::Duration;

use quash_core::hex;
use quash_core::model::{Client, ClientName, Note, Right, Rights, StoredClient, Timestamp};
use quash_service::{
    ClientAuthor, ClientFault, ClientUpdate, Failure, NewClient, Service, VerifierInfo, VerifierState,
};
use serde::{Deserialize, Serialize};

use super::Secret;
use super::lookup::{failed, is_full};
use super::messages;
use crate::error::{CommandError, Exit};
use crate::moment::Moment;

/// A request about clients.
#[derive(Clone, Serialize, Deserialize)]
#[serde(tag = "clients", rename_all = "snake_case", deny_unknown_fields)]
pub(crate) enum ClientRequest {
    Add {
        name: String,
        /// The rights, in the text form of [`Rights`].
        rights: String,
        /// The only namespace in which it may introspect and revoke.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        namespace: Option<String>,
        /// How long its secret is accepted, in seconds.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        expires_in: Option<u64>,
    },
    Show {
        name: String,
    },
    Change {
        name: String,
        /// The rights, in the text form of [`Rights`]; `None`: they stay.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        rights: Option<String>,
        /// How long its secret is accepted, in seconds from now on.
        expires: NewExpiry,
    },
    /// Gives a client a new secret.
    Renew {
        name: String,
    },
    /// Returns a page of clients, after the name `after`.
    List {
        kind: Kind,
        after: Option<String>,
        limit: u32,
    },
    Remove {
        /// The kind that the client must have.
        kind: Kind,
        name: String,
    },
}

/// A change of a secret's expiry.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum NewExpiry {
    Unchanged,
    Never,
    /// After this many seconds.
    After(u64),
}

/// A kind of clients.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Kind {
    /// Clients that follow the feed.
    Verifier,
    /// Clients that aren't only verifiers.
    Client,
}

/// A client, without its secret.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub(crate) struct ClientShown {
    pub(crate) name: String,
    /// Words of [`Right`]; `revoke_as_public` is alone.
    pub(crate) rights: Vec<String>,
    pub(crate) created_at: Moment,
    /// The only namespace in which it may introspect and revoke.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) namespace: Option<String>,
    /// The time from which on its secret isn't accepted; `null`: it doesn't expire.
    #[serde(default)]
    pub(crate) expires_at: Option<Moment>,
    /// The last use of its secret, to the minute; `null`: it was never used.
    #[serde(default)]
    pub(crate) last_used_at: Option<Moment>,
    /// Processes that followed the feed of this server with its secret within the last hour.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) instances: Vec<InstanceShown>,
}

/// A process that follows the feed.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub(crate) struct InstanceShown {
    /// The id that the process has chosen.
    pub(crate) instance: String,
    /// `leased`, `stale` or `not_bound`.
    pub(crate) state: String,
    /// The sequence number that it last confirmed.
    pub(crate) confirmed: u64,
    /// The machine that it says it runs on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) host: Option<String>,
    /// Its process id there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) pid: Option<u32>,
}

/// An added client.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub(crate) struct ClientAddedShown {
    #[serde(flatten)]
    pub(crate) client: ClientShown,
    /// The secret, shown only once; `null` for a public client.
    pub(crate) secret: Option<Secret>,
}

/// A page of clients.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub(crate) struct ClientPage {
    /// Sorted by name.
    pub(crate) clients: Vec<ClientShown>,
    /// The value of `--after` for the next page; `null` on the last page.
    pub(crate) next: Option<String>,
}

/// The reply to a request about clients.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum ClientReply {
    Added(ClientAddedShown),
    Listed(ClientPage),
    Shown(ClientShown),
    Removed(ClientShown),
}

/// Executes a request about clients.
///
/// # Errors
/// The request fails. The error is written for the operator.
pub(super) async fn execute(
    service: &Service,
    request: ClientRequest,
    author: Option<String>,
) -> Result<ClientReply, CommandError> {
    let note = author.map(|author| Note { author: Some(author), text: None });
    match request {
        ClientRequest::Add { name, rights, namespace, expires_in } => {
            let expires_at = expires_in.map(|secs| after(service, secs)).transpose()?;
            add(service, &name, &rights, namespace.as_deref(), expires_at, note).await.map(ClientReply::Added)
        }
        ClientRequest::Show { name } => show(service, &name).await.map(ClientReply::Shown),
        ClientRequest::Change { name, rights, expires } => {
            let rights = rights.as_deref().map(parsed_rights).transpose()?;
            let expires_at = match expires {
                NewExpiry::Unchanged => None,
                NewExpiry::Never => Some(None),
                NewExpiry::After(secs) => Some(Some(after(service, secs)?)),
            };
            let update = ClientUpdate { rights, expires_at };
            service
                .change_client(&name, update, |_| Ok(()), ClientAuthor::Operator, note)
                .await
                .map_err(|fault| not_changed(&name, Kind::Client, fault))?;
            show(service, &name).await.map(ClientReply::Shown)
        }
        ClientRequest::Renew { name } => {
            let renewed = service.renew_client_secret(&name, |_| Ok(()), ClientAuthor::Operator, note).await;
            let (_, secret) = renewed.map_err(|fault| not_changed(&name, Kind::Client, fault))?;
            let client = show(service, &name).await?;
            Ok(ClientReply::Added(ClientAddedShown { client, secret: Some(Secret::new(secret.into_text())) }))
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
    namespace: Option<&str>,
    expires_at: Option<Timestamp>,
    note: Option<Note>,
) -> Result<ClientAddedShown, CommandError> {
    let rights = parsed_rights(rights)?;
    if rights.has(Right::RevokeAsPublic) && rights != Rights::PUBLIC {
        return Err(CommandError::new(
            Exit::Usage,
            "a public client has no secret, so it can't have a right that needs one",
        ));
    }
    let added = if rights == Rights::PUBLIC && namespace.is_none() {
        service.add_public_client(name, note).await.map(|client| (client, None))
    } else {
        let new = NewClient { name, rights, namespace, expires_at };
        service
            .create_client(new, ClientAuthor::Operator, note)
            .await
            .map(|(client, secret)| (client, Some(Secret::new(secret.into_text()))))
    };
    let (client, secret) = added.map_err(|fault| not_changed(name, Kind::Client, fault))?;
    Ok(ClientAddedShown { client: ClientShown::new(&client), secret })
}

async fn show(service: &Service, name: &str) -> Result<ClientShown, CommandError> {
    let found = service.client_named(name).await.map_err(|failure| failed(&failure))?;
    let stored = found.ok_or_else(|| not_changed(name, Kind::Client, ClientFault::Unknown))?;
    Ok(ClientShown::stored(&stored))
}

fn parsed_rights(rights: &str) -> Result<Rights, CommandError> {
    let rights = Rights::parse(rights).filter(|rights| *rights != Rights::default());
    rights.ok_or_else(|| CommandError::new(Exit::Usage, "a client needs at least one known right"))
}

/// Returns the time so many seconds from now on.
fn after(service: &Service, secs: u64) -> Result<Timestamp, CommandError> {
    const LONGEST: u64 = 100 * 366 * 24 * 3600;
    match secs {
        1..=LONGEST => Ok(service.now() + Duration::from_secs(secs)),
        _ => Err(CommandError::new(Exit::Usage, "a secret expires after one second to 100 years")),
    }
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
    let next =
        page.last().filter(|_| is_full(page.len(), limit)).map(|stored| stored.client.name.to_string());
    let seen = service.verifiers().await.map_err(|failure| failed(&failure))?;
    let shown = |stored: &StoredClient| {
        let own = seen.iter().filter(|verifier| verifier.id.name == stored.client.name.as_str());
        ClientShown { instances: own.map(InstanceShown::new).collect(), ..ClientShown::stored(stored) }
    };
    let clients = page.iter().filter(|stored| kind.meant()(&stored.client)).map(shown).collect();
    Ok(ClientPage { clients, next })
}

fn not_changed(name: &str, kind: Kind, fault: ClientFault) -> CommandError {
    match fault {
        ClientFault::Failed(Failure::Unavailable(fault)) => messages::unavailable(&fault),
        ClientFault::Failed(failure @ Failure::Refused(_)) => failed(&failure),
        ClientFault::Name(_)
        | ClientFault::Rights
        | ClientFault::NamespaceRights
        | ClientFault::Public
        | ClientFault::Expiry
        | ClientFault::NotGranted(_)
        | ClientFault::ExpiryNotGranted
        | ClientFault::Author => CommandError::new(Exit::Usage, fault.to_string()),
        ClientFault::Changed => CommandError::new(Exit::Conflict, fault.to_string()),
        ClientFault::Taken => {
            CommandError::new(Exit::Conflict, format!("a client or verifier \"{name}\" exists already"))
                .hint("a secret can't be shown again: `quash client renew` gives the client a new one")
        }
        ClientFault::Namespace => CommandError::new(Exit::Usage, fault.to_string()).hint(
            "write `namespace` into a section [foreign.<name>] of the settings, and restart the server",
        ),
        ClientFault::Unknown => {
            CommandError::new(Exit::NotFound, format!("there is no {} \"{name}\"", kind.as_str()))
                .hint("`quash client list` and `quash verifier list` show them")
        }
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
            // A client that follows the feed and has other rights is in both lists.
            Self::Client => |client| !client.is_only_verifier(),
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
            namespace: client.namespace.clone(),
            expires_at: client.expires_at.map(Moment),
            last_used_at: None,
            instances: Vec::new(),
        }
    }

    fn stored(StoredClient { client, last_used_at }: &StoredClient) -> Self {
        Self { last_used_at: last_used_at.map(Moment), ..Self::new(client) }
    }
}

impl InstanceShown {
    fn new(info: &VerifierInfo) -> Self {
        let state = match info.state {
            VerifierState::Confirmed => "leased",
            state => state.as_str(),
        };
        Self {
            instance: hex::encode(&info.id.number),
            state: state.into(),
            confirmed: info.confirmed.as_u64(),
            host: info.label.host().map(Into::into),
            pid: info.label.pid(),
        }
    }
}
