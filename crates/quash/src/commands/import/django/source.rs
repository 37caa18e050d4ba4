//! The source of an import: a site's database, or the JSON lines of `manage.py dumpdata`.

use std::collections::BTreeMap;
use std::io::Read as _;
use std::path::Path;

use quash_core::model::Timestamp;
use quash_store::{DjangoSource, Rows, SourceError};
use serde_json::Value;

use super::super::super::postgres_url::{has_password, is_postgres};
use super::claims::ClaimMapping;
use super::database::Layout;
use super::lines::{LineReader, Lines};
use crate::control::RevokeToken;
use crate::error::{CommandError, Exit};
use crate::settings::SecretText;

/// The mark that some programs write at the start of a text in UTF-8.
pub(super) const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// The fields of a user, and where the source has them.
pub(super) struct Fields {
    pub(super) key: String,
    /// `None`: the primary key.
    pub(super) subject: Option<String>,
    pub(super) username: String,
    pub(super) password: String,
    pub(super) email: OptionalField,
    pub(super) active: OptionalField,
    pub(super) last_login: OptionalField,
    /// Says whether the address is confirmed.
    pub(super) verified: Option<String>,
}

/// A field that some user models lack.
pub(super) struct OptionalField {
    pub(super) name: String,
    /// What it means for all users if the model lacks it.
    pub(super) effect: &'static str,
    /// The operator has named it, so it must exist.
    pub(super) is_required: bool,
}

/// A user as the source has it. A value that the source lacks is null.
#[derive(Default)]
pub(super) struct SourceUser {
    /// The user's primary key, or the line of the file.
    pub(super) place: String,
    pub(super) subject: Value,
    pub(super) username: Value,
    pub(super) email: Value,
    pub(super) password: Value,
    /// `None`: the model has no such field.
    pub(super) active: Option<Value>,
    pub(super) last_login: Value,
    pub(super) verified: Value,
    /// The columns for claims.
    pub(super) columns: BTreeMap<String, Value>,
    pub(super) groups: Vec<String>,
    pub(super) permissions: Vec<String>,
}

/// An item of the source: a user, or a line that isn't one.
pub(super) enum Item {
    User(Box<SourceUser>),
    Broken { place: String, reason: String },
}

pub(super) enum Source {
    Database(DjangoSource, Box<Layout>),
    Lines(Lines),
}

pub(super) enum Users<'s> {
    Database(Rows<'s>, &'s Layout),
    Lines(LineReader<'s>),
}

/// Returns the URL or the path of the source. A password isn't taken from the command line.
pub(super) fn named(
    argument: Option<String>,
    file: Option<&Path>,
    environment: Option<SecretText>,
) -> Result<SecretText, CommandError> {
    let usage = |message: String, hint: &str| CommandError::new(Exit::Usage, message).hint(hint);
    if let Some(path) = file {
        return SecretText::read(path)
            .map_err(|fault| usage(format!("{} {}", path.display(), fault.fault), &fault.remedy));
    }
    match argument {
        Some(url) if is_postgres(&url) && has_password(&url) => Err(usage(
            "SOURCE contains a password, which other users of this machine can read".into(),
            "write the URL into a file with mode 0600 and name it with --source-file, or set QUASH_IMPORT_SOURCE",
        )),
        Some(source) => Ok(SecretText::new(source)),
        None => environment.ok_or_else(|| {
            usage(
                "no source is given".into(),
                "name a postgres:// URL, an SQLite file or a file of JSON lines, or set QUASH_IMPORT_SOURCE",
            )
        }),
    }
}

impl Source {
    /// Opens a source. `table` is the table of the users or, in JSON lines, their model.
    pub(super) async fn open(
        source: &SecretText,
        table: Option<&str>,
        fields: Fields,
        mapping: &ClaimMapping,
    ) -> Result<Self, CommandError> {
        let text = source.expose();
        if is_postgres(text) {
            let database = DjangoSource::postgres(text).await.map_err(unreadable)?;
            return Self::database(database, table, &fields, mapping).await;
        }
        let path = Path::new(text);
        match Format::of(path)? {
            Format::Sqlite => {
                Self::database(DjangoSource::sqlite(path).map_err(unreadable)?, table, &fields, mapping).await
            }
            Format::Lines => {
                Lines::open(path, table.unwrap_or("auth.user"), fields, mapping).map(Self::Lines)
            }
        }
    }

    async fn database(
        database: DjangoSource,
        table: Option<&str>,
        fields: &Fields,
        mapping: &ClaimMapping,
    ) -> Result<Self, CommandError> {
        let layout = Layout::new(&database, table.unwrap_or("auth_user"), fields, mapping).await?;
        Ok(Self::Database(database, Box::new(layout)))
    }

    pub(super) fn name(&self) -> String {
        match self {
            Self::Database(database, _) => database.name().to_owned(),
            Self::Lines(lines) => lines.name(),
        }
    }

    /// Fields that the source lacks, in words.
    pub(super) fn missing(&self) -> &[String] {
        match self {
            Self::Database(_, layout) => &layout.missing,
            Self::Lines(lines) => &lines.missing,
        }
    }

    pub(super) async fn count(&self) -> Result<u64, CommandError> {
        match self {
            Self::Database(database, layout) => database.count(&layout.query.table).await.map_err(unreadable),
            Self::Lines(lines) => Ok(lines.users),
        }
    }

    pub(super) async fn users(&self) -> Result<Users<'_>, CommandError> {
        match self {
            Self::Database(database, layout) => {
                let rows = database.users(&layout.query).await.map_err(unreadable)?;
                Ok(Users::Database(rows, layout))
            }
            Self::Lines(lines) => lines.users().map(Users::Lines),
        }
    }

    /// Reads the unexpired tokens of the blacklist, and gives them to `revoke` in batches.
    pub(super) async fn blacklisted(
        &self,
        now: Timestamp,
        mut take: impl AsyncFnMut(Vec<RevokeToken>) -> Result<(), CommandError>,
    ) -> Result<(), CommandError> {
        let database = match self {
            Self::Database(database, _) => database,
            Self::Lines(lines) => return take(lines.blacklisted(now)?).await,
        };
        if database.columns("token_blacklist_blacklistedtoken").await.map_err(unreadable)?.is_empty() {
            return Ok(());
        }
        let mut rows = database.blacklisted(now).await.map_err(unreadable)?;
        loop {
            let page = rows.next().await.map_err(unreadable)?;
            if page.is_empty() {
                return Ok(());
            }
            take(page.into_iter().filter_map(super::database::token).collect()).await?;
        }
    }
}

impl Users<'_> {
    /// Reads the next users; empty at the end.
    pub(super) async fn next(&mut self) -> Result<Vec<Item>, CommandError> {
        match self {
            Self::Database(rows, layout) => {
                let page = rows.next().await.map_err(unreadable)?;
                Ok(page.into_iter().map(|row| layout.item(row)).collect())
            }
            Self::Lines(reader) => reader.next(),
        }
    }
}

/// The format of a file.
enum Format {
    Sqlite,
    Lines,
}

impl Format {
    /// Looks at the first bytes.
    fn of(path: &Path) -> Result<Self, CommandError> {
        let fault = |exit, detail: &str| CommandError::new(exit, format!("{} {detail}", path.display()));
        let mut start = [0; 16];
        let read = std::fs::File::open(path).and_then(|file| file.take(16).read(&mut start));
        let length = read.map_err(|error| fault(Exit::NotFound, &format!("can't be read: {error}")))?;
        let start = start.get(..length).unwrap_or_default();
        let start = start.strip_prefix(BYTE_ORDER_MARK).unwrap_or(start);
        match start.trim_ascii_start().first() {
            _ if start.starts_with(b"SQLite format 3\0") => Ok(Self::Sqlite),
            Some(b'{') => Ok(Self::Lines),
            Some(b'[') => Err(fault(Exit::Usage, "is one JSON list")
                .hint("write JSON lines: python manage.py dumpdata --format jsonl")),
            None => {
                Err(fault(Exit::Usage, "is empty")
                    .hint("name the site's database, or what dumpdata has written"))
            }
            Some(_) => Err(fault(Exit::Usage, "is neither an SQLite file nor JSON lines")
                .hint("name the site's database, or what `manage.py dumpdata --format jsonl` has written")),
        }
    }
}

/// The error for a database that can't be read.
pub(super) fn unreadable(error: SourceError) -> CommandError {
    let message = error.to_string();
    match error {
        SourceError::Url(_) => CommandError::new(Exit::Usage, message),
        SourceError::Unreadable { .. } => CommandError::failure(message)
            .hint("check that the source is a Django site's database; run the command again to continue"),
    }
}
