//! Adds, changes and removes clients, on behalf of an operator or of a client with the right `clients`. Such a client
//! gives no right that it doesn't have itself, and no later expiry, so it never obtains the secret of a client that may do more.

use quash_core::model::{
    Actor, Change, Client, ClientEdit, ClientName, ClientNameFault, Note, Right, Rights, SecretDigest,
    Timestamp,
};
use quash_store::StoreError;

use super::client_secret::{ClientSecret, digest_of_public};
use crate::context::Service;
use crate::failure::Failure;
use crate::retry::{Uncommitted, retry};

/// A client to add.
#[derive(Clone, Debug)]
pub struct NewClient<'a> {
    pub name: &'a str,
    /// Of a client that is limited to a namespace, they are always [`Rights::NAMESPACE`].
    pub rights: Rights,
    pub namespace: Option<&'a str>,
    pub expires_at: Option<Timestamp>,
}

/// The values of a client to change.
#[derive(Clone, Copy, Debug, Default)]
pub struct ClientUpdate {
    pub rights: Option<Rights>,
    /// `Some(None)`: the secret doesn't expire any more.
    pub expires_at: Option<Option<Timestamp>>,
}

/// The author of a change of clients.
#[derive(Clone, Copy, Debug)]
pub enum ClientAuthor<'a> {
    Operator,
    Client(&'a Client),
}

/// A reason why a client isn't added, changed or removed.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum ClientFault {
    /// The text isn't a valid name.
    #[error("the name {0}")]
    Name(#[source] ClientNameFault),
    #[error("there is a client of this name already")]
    Taken,
    #[error("there is no client of this name")]
    Unknown,
    #[error("the settings have no such namespace")]
    Namespace,
    #[error(
        "a client needs at least one right, and one with a secret can't have the right `revoke_as_public`"
    )]
    Rights,
    #[error("the rights of a client of a namespace can't be changed")]
    NamespaceRights,
    #[error("a public client has no secret, no expiry and no other right")]
    Public,
    #[error("the secret must expire in the future")]
    Expiry,
    /// The author lacks this right.
    #[error("the right `{}` is missing: a client gives only rights that it has itself", .0.as_str())]
    NotGranted(Right),
    /// The author's secret expires earlier.
    #[error("the secret must not expire later than that of the client that gives it")]
    ExpiryNotGranted,
    /// The author was changed or removed, or its secret has expired, since its request began.
    #[error("the credential isn't valid any more")]
    Author,
    /// The client isn't the one that the author has seen.
    #[error("the client has changed")]
    Changed,
    /// A failure on our side.
    #[error("the client could not be changed now")]
    Failed(Failure),
}

impl Service {
    /// Adds a client with a new secret on behalf of an operator.
    ///
    /// # Errors
    /// The name is taken or invalid, or the store is unavailable.
    pub async fn add_client(
        &self,
        name: &str,
        rights: Rights,
        note: Option<Note>,
    ) -> Result<(Client, ClientSecret), ClientFault> {
        let new = NewClient { name, rights, namespace: None, expires_at: None };
        self.create_client(new, ClientAuthor::Operator, note).await
    }

    /// Adds a client of one namespace: it follows the feed, and introspects and revokes in that namespace.
    ///
    /// # Errors
    /// The name is taken or invalid, the settings have no such namespace, or the store is unavailable.
    pub async fn add_namespace_client(
        &self,
        name: &str,
        namespace: &str,
        note: Option<Note>,
    ) -> Result<(Client, ClientSecret), ClientFault> {
        let namespace = Some(namespace);
        let new = NewClient { name, rights: Rights::NAMESPACE, namespace, expires_at: None };
        self.create_client(new, ClientAuthor::Operator, note).await
    }

    /// Adds a client with a new secret.
    ///
    /// # Errors
    /// A value is invalid, the name is taken, the author lacks a right, or the store is unavailable.
    pub async fn create_client(
        &self,
        new: NewClient<'_>,
        author: ClientAuthor<'_>,
        note: Option<Note>,
    ) -> Result<(Client, ClientSecret), ClientFault> {
        let NewClient { name, rights, namespace, expires_at } = new;
        if namespace.is_some_and(|name| self.policy().tokens.namespace(name).is_none()) {
            return Err(ClientFault::Namespace);
        }
        let rights = if namespace.is_some() { Rights::NAMESPACE } else { checked(rights)? };
        let client =
            Client { namespace: namespace.map(str::to_owned), expires_at, ..self.new_client(name, rights)? };
        self.check_expiry(expires_at)?;
        self.check_gives(author, rights, expires_at).await?;
        let secret = ClientSecret::new(&client, &*self.context.entropy);
        self.write_client(client.clone(), secret.digest(), author, note).await?;
        Ok((client, secret))
    }

    /// Adds a public client.
    ///
    /// # Errors
    /// The name is taken or invalid, or the store is unavailable.
    pub async fn add_public_client(&self, name: &str, note: Option<Note>) -> Result<Client, ClientFault> {
        let client = self.new_client(name, Rights::PUBLIC)?;
        let digest = digest_of_public(&client.name);
        self.write_client(client.clone(), digest, ClientAuthor::Operator, note).await?;
        Ok(client)
    }

    fn new_client(&self, name: &str, rights: Rights) -> Result<Client, ClientFault> {
        Ok(Client {
            name: ClientName::parse(name).map_err(ClientFault::Name)?,
            rights,
            created_at: self.context.clock.now(),
            namespace: None,
            expires_at: None,
            version: 0,
        })
    }

    async fn write_client(
        &self,
        client: Client,
        digest: SecretDigest,
        author: ClientAuthor<'_>,
        note: Option<Note>,
    ) -> Result<(), ClientFault> {
        let change = Change::AddClient { client, digest, actor: author.actor(), note };
        self.context.store.commit(change).await.map(drop).map_err(|error| match error {
            StoreError::Conflict => ClientFault::Taken,
            StoreError::Full | StoreError::Unavailable(_) | StoreError::Unknown(_) => {
                ClientFault::Failed(error.into())
            }
        })
    }

    /// Gives a client other rights or another expiry. `meant` refuses a client that isn't the one that the author
    /// means.
    ///
    /// # Errors
    /// There is no client of this name, a value is invalid, the author lacks a right that the client then has, or
    /// the store is unavailable.
    pub async fn change_client(
        &self,
        name: &str,
        update: ClientUpdate,
        meant: impl Fn(&Client) -> Result<(), ClientFault> + Send + Sync,
        author: ClientAuthor<'_>,
        note: Option<Note>,
    ) -> Result<Client, ClientFault> {
        if let Some(expires_at) = update.expires_at {
            self.check_expiry(expires_at)?;
        }
        let rights = update.rights.map(checked).transpose()?;
        retry!({
            let client = self.client_to_change(name).await?;
            meant(&client).map_err(Uncommitted::Failed)?;
            if client.namespace.is_some() && rights.is_some() {
                return Err(Uncommitted::Failed(ClientFault::NamespaceRights));
            }
            let rights = rights.unwrap_or(client.rights);
            let expires_at = update.expires_at.unwrap_or(client.expires_at);
            self.check_gives(author, rights, expires_at).await.map_err(Uncommitted::Failed)?;
            if (rights, expires_at) == (client.rights, client.expires_at) {
                return Ok(client);
            }
            self.edit_client(client, (rights, expires_at), None, author, note.clone()).await
        })
    }

    /// Gives a client a new secret. The one before is no longer accepted.
    ///
    /// # Errors
    /// As [`Service::change_client`].
    pub async fn renew_client_secret(
        &self,
        name: &str,
        meant: impl Fn(&Client) -> Result<(), ClientFault> + Send + Sync,
        author: ClientAuthor<'_>,
        note: Option<Note>,
    ) -> Result<(Client, ClientSecret), ClientFault> {
        retry!({
            let client = self.client_to_change(name).await?;
            meant(&client).map_err(Uncommitted::Failed)?;
            let values = (client.rights, client.expires_at);
            self.check_gives(author, values.0, values.1).await.map_err(Uncommitted::Failed)?;
            let secret = ClientSecret::new(&client, &*self.context.entropy);
            let digest = Some(secret.digest());
            Ok((self.edit_client(client, values, digest, author, note.clone()).await?, secret))
        })
    }

    /// Removes a client on behalf of an operator.
    ///
    /// # Errors
    /// There is no client of this name that satisfies `meant`, or the store is unavailable.
    pub async fn remove_client(
        &self,
        name: &str,
        meant: fn(&Client) -> bool,
        note: Option<Note>,
    ) -> Result<Client, ClientFault> {
        let meant = |client: &Client| if meant(client) { Ok(()) } else { Err(ClientFault::Unknown) };
        self.remove_client_if(name, meant, ClientAuthor::Operator, note).await
    }

    /// Removes a client and invalidates its secret. Sessions that it has opened stay. The author may lack rights of
    /// the client.
    ///
    /// # Errors
    /// There is no client of this name, `meant` refuses it, or the store is unavailable.
    pub async fn remove_client_if(
        &self,
        name: &str,
        meant: impl Fn(&Client) -> Result<(), ClientFault> + Send + Sync,
        author: ClientAuthor<'_>,
        note: Option<Note>,
    ) -> Result<Client, ClientFault> {
        let context = &*self.context;
        retry!({
            let found = self.client_named(name).await?;
            let client = found.ok_or(Uncommitted::Failed(ClientFault::Unknown))?.client;
            meant(&client).map_err(Uncommitted::Failed)?;
            self.check_author(author).await.map_err(Uncommitted::Failed)?;
            let (at, actor, note) = (context.clock.now(), author.actor(), note.clone());
            let change = Change::RemoveClient { client: client.clone(), at, actor, note };
            context.store.commit(change).await?;
            context.feed.broadcast.recheck_credentials();
            Ok(client)
        })
    }

    async fn client_to_change(&self, name: &str) -> Result<Client, Uncommitted<ClientFault>> {
        let found = self.client_named(name).await?;
        let client = found.ok_or(Uncommitted::Failed(ClientFault::Unknown))?.client;
        if client.rights == Rights::PUBLIC {
            return Err(Uncommitted::Failed(ClientFault::Public));
        }
        Ok(client)
    }

    async fn edit_client(
        &self,
        client: Client,
        (rights, expires_at): (Rights, Option<Timestamp>),
        digest: Option<SecretDigest>,
        author: ClientAuthor<'_>,
        note: Option<Note>,
    ) -> Result<Client, Uncommitted<ClientFault>> {
        let (at, actor) = (self.context.clock.now(), author.actor());
        let edit = ClientEdit { client: client.clone(), rights, expires_at, digest, at, actor, note };
        self.context.store.commit(Change::ChangeClient(Box::new(edit))).await?;
        self.context.feed.broadcast.recheck_credentials();
        Ok(Client { rights, expires_at, version: client.version + 1, ..client })
    }

    /// Checks that the author is the client that was authenticated before the body of its request arrived.
    async fn check_author(&self, author: ClientAuthor<'_>) -> Result<(), ClientFault> {
        let ClientAuthor::Client(author) = author else { return Ok(()) };
        let found = self.client_named(author.name.as_str()).await?;
        let is_same = found.is_some_and(|stored| stored.client == *author);
        if is_same && !author.is_expired(self.context.clock.now()) {
            Ok(())
        } else {
            Err(ClientFault::Author)
        }
    }

    /// Checks that the author may give these rights until this time.
    async fn check_gives(
        &self,
        author: ClientAuthor<'_>,
        rights: Rights,
        expires_at: Option<Timestamp>,
    ) -> Result<(), ClientFault> {
        self.check_author(author).await?;
        let ClientAuthor::Client(author) = author else { return Ok(()) };
        if let Some(right) = rights.iter().find(|right| !author.may_administer(*right)) {
            return Err(ClientFault::NotGranted(right));
        }
        let is_longer = |until| expires_at.is_none_or(|expires_at| expires_at > until);
        if author.expires_at.is_some_and(is_longer) { Err(ClientFault::ExpiryNotGranted) } else { Ok(()) }
    }

    fn check_expiry(&self, expires_at: Option<Timestamp>) -> Result<(), ClientFault> {
        match expires_at {
            Some(expires_at) if expires_at <= self.context.clock.now() => Err(ClientFault::Expiry),
            Some(_) | None => Ok(()),
        }
    }
}

impl ClientAuthor<'_> {
    fn actor(self) -> Actor {
        match self {
            Self::Operator => Actor::Operator,
            Self::Client(client) => Actor::Client(client.name.clone()),
        }
    }
}

/// Checks the rights of a client with a secret.
fn checked(rights: Rights) -> Result<Rights, ClientFault> {
    let is_valid = rights != Rights::default() && !rights.has(Right::RevokeAsPublic);
    if is_valid { Ok(rights) } else { Err(ClientFault::Rights) }
}

impl From<Failure> for ClientFault {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure)
    }
}
