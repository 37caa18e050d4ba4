//! The users in a site's database: which columns are read, and what they mean.

use std::collections::BTreeMap;

use quash_store::{Cell, DjangoColumn, DjangoSource, UserQuery};
use serde_json::{Number, Value};

use super::claims::{ClaimMapping, ClaimSource};
use super::source::{Fields, Item, OptionalField, SourceUser, unreadable};
use super::user::parse_time;
use crate::control::RevokeToken;
use crate::error::{CommandError, Exit};

/// The places of the values in a row.
pub(super) struct Layout {
    pub(super) query: UserQuery,
    /// Fields that the table lacks, in words.
    pub(super) missing: Vec<String>,
    subject: usize,
    username: usize,
    password: usize,
    email: Option<usize>,
    active: Option<usize>,
    last_login: Option<usize>,
    verified: Option<usize>,
    claims: Vec<(String, usize)>,
    groups: Option<usize>,
    permissions: Option<usize>,
}

/// The columns to read.
struct Chosen<'a> {
    table: &'a str,
    known: &'a [DjangoColumn],
    columns: Vec<DjangoColumn>,
    missing: Vec<String>,
}

impl Layout {
    pub(super) async fn new(
        database: &DjangoSource,
        table: &str,
        fields: &Fields,
        mapping: &ClaimMapping,
    ) -> Result<Self, CommandError> {
        let known = database.columns(table).await.map_err(unreadable)?;
        if known.is_empty() {
            return Err(CommandError::new(
                Exit::NotFound,
                format!("{} has no table {table}", database.name()),
            )
            .hint("name the table of the site's user model with --table, such as accounts_user"));
        }
        let mut chosen = Chosen { table, known: &known, columns: Vec::new(), missing: Vec::new() };
        let key = chosen.find(&fields.key, "--column key=NAME")?.clone();
        if !key.is_key {
            return Err(CommandError::new(
                Exit::Usage,
                format!("{} isn't the primary key of {table}", key.name),
            )
            .hint("name the primary key with --column key=NAME"));
        }
        let subject = match &fields.subject {
            None => 0,
            Some(name) => chosen.required(name, "--subject-column NAME")?,
        };
        let username = chosen.required(&fields.username, "--column username=NAME, such as username=email")?;
        let password = chosen.required(&fields.password, "--column password=NAME")?;
        let email = chosen.optional(&fields.email)?;
        let active = chosen.optional(&fields.active)?;
        let last_login = chosen.optional(&fields.last_login)?;
        let verified = match &fields.verified {
            None => None,
            Some(name) => Some(chosen.required(name, "--email-verified column:NAME")?),
        };
        let claims = mapping.columns().into_iter().map(|name| {
            let at = chosen.required(&name, "another column in the mapping of claims")?;
            Ok((name, at))
        });
        let claims = claims.collect::<Result<Vec<_>, CommandError>>()?;
        let has_groups = mapping.has(&ClaimSource::Groups);
        let has_permissions = mapping.has(&ClaimSource::Permissions);
        let by = if has_groups || has_permissions { Some(user_column(database, table).await?) } else { None };
        let Chosen { columns, missing, .. } = chosen;
        let next = 1 + columns.len();
        let query = UserQuery {
            table: table.to_owned(),
            key,
            columns,
            groups_by: by.clone().filter(|_| has_groups),
            permissions_by: by.filter(|_| has_permissions),
        };
        Ok(Self {
            query,
            missing,
            subject,
            username,
            password,
            email,
            active,
            last_login,
            verified,
            claims,
            groups: has_groups.then_some(next),
            permissions: has_permissions.then_some(next + usize::from(has_groups)),
        })
    }

    pub(super) fn item(&self, row: Vec<Cell>) -> Item {
        let values: Vec<_> = row.into_iter().map(value).collect();
        let at = |at: usize| values.get(at).cloned().unwrap_or_default();
        let maybe = |place: Option<usize>| place.map(at).unwrap_or_default();
        let place = format!("user {}", text_of(&at(0)));
        let list = |place: Option<usize>| match maybe(place) {
            Value::String(json) => serde_json::from_str(&json),
            _ => Ok(Vec::new()),
        };
        let (Ok(groups), Ok(permissions)) = (list(self.groups), list(self.permissions)) else {
            return Item::Broken {
                place,
                reason: "the names of its groups or permissions aren't texts".into(),
            };
        };
        let columns: BTreeMap<_, _> =
            self.claims.iter().map(|(name, place)| (name.clone(), at(*place))).collect();
        Item::User(Box::new(SourceUser {
            place,
            subject: at(self.subject),
            username: at(self.username),
            email: maybe(self.email),
            password: at(self.password),
            active: self.active.map(at),
            last_login: maybe(self.last_login),
            verified: maybe(self.verified),
            columns,
            groups,
            permissions,
        }))
    }
}

impl Chosen<'_> {
    fn find(&self, name: &str, remedy: &str) -> Result<&DjangoColumn, CommandError> {
        self.known.iter().find(|column| column.name == name).ok_or_else(|| {
            let known: Vec<_> = self.known.iter().map(|column| column.name.as_str()).collect();
            CommandError::new(Exit::Usage, format!("the table {} has no column {name}", self.table))
                .hint(format!("name another one with {remedy}; its columns are {}", known.join(", ")))
        })
    }

    /// Adds a column, and returns its place in a row, after the primary key.
    fn required(&mut self, name: &str, remedy: &str) -> Result<usize, CommandError> {
        let column = self.find(name, remedy)?.clone();
        self.columns.push(column);
        Ok(self.columns.len())
    }

    fn optional(&mut self, field: &OptionalField) -> Result<Option<usize>, CommandError> {
        let OptionalField { name, effect, is_required } = field;
        if *is_required || self.known.iter().any(|column| column.name == *name) {
            return self.required(name, "--column").map(Some);
        }
        self.missing.push(format!("the table {} has no column {name}: {effect}", self.table));
        Ok(None)
    }
}

/// Returns the column of the tables of groups and permissions that has the user's key: `user_id`, or that of another
/// model's name.
async fn user_column(database: &DjangoSource, table: &str) -> Result<String, CommandError> {
    let groups = format!("{table}_groups");
    let columns = database.columns(&groups).await.map_err(unreadable)?;
    let others = columns.into_iter().filter(|column| column.name != "id" && column.name != "group_id");
    let mut names = others.map(|column| column.name);
    match (names.next(), names.next()) {
        (Some(name), None) => Ok(name),
        _ => Err(CommandError::new(Exit::Usage, format!("{groups} isn't a table of users and their groups"))
            .hint("leave groups and permissions out of the mapping of claims: this user model has none")),
    }
}

/// Returns the token in a row of the blacklist.
pub(super) fn token(row: Vec<Cell>) -> Option<RevokeToken> {
    let mut values = row.into_iter().skip(1).map(value);
    match (values.next(), values.next()) {
        (Some(Value::String(name)), Some(expiry)) => {
            Some(RevokeToken { name, expires_ms: parse_time(&expiry).ok().flatten() })
        }
        _ => None,
    }
}

fn value(cell: Cell) -> Value {
    match cell {
        Cell::Null => Value::Null,
        Cell::Bool(value) => Value::Bool(value),
        Cell::Integer(number) => Value::from(number),
        Cell::Real(number) => Number::from_f64(number).map_or(Value::Null, Value::Number),
        Cell::Text(text) => Value::String(text),
        // No field takes a list.
        Cell::Bytes => Value::Array(Vec::new()),
    }
}

fn text_of(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}
