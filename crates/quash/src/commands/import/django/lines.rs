//! The JSON lines of `manage.py dumpdata --format jsonl`: an object `{"model", "pk", "fields"}` a line, in any order.
//! Groups, permissions and the blacklist are read before the users.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use quash_core::model::Timestamp;
use serde::Deserialize;
use serde_json::{Map, Value};
use zeroize::Zeroizing;

use super::claims::{ClaimMapping, ClaimSource};
use super::source::{BYTE_ORDER_MARK, Fields, Item, OptionalField, SourceUser};
use super::user::parse_time;
use crate::control::RevokeToken;
use crate::error::{CommandError, Exit};

/// The longest line, in bytes.
const LINE_BYTES: u64 = 256 * 1024;
/// The users that are read at once.
const PAGE: usize = 500;

/// A file of JSON lines.
pub(super) struct Lines {
    path: PathBuf,
    model: String,
    fields: Fields,
    columns: BTreeSet<String>,
    catalogue: Catalogue,
    has_groups: bool,
    has_permissions: bool,
    /// The users' model has a field that says whether a user is active.
    has_active: bool,
    /// Fields that no user has, in words.
    pub(super) missing: Vec<String>,
    /// The number of users.
    pub(super) users: u64,
}

/// Reads the users of a file.
pub(super) struct LineReader<'l> {
    lines: &'l Lines,
    input: Input,
}

/// The groups and permissions of a site, by their keys.
#[derive(Default)]
struct Catalogue {
    groups: BTreeMap<String, Group>,
    /// Each as `content type` and `codename`.
    permissions: BTreeMap<String, (String, String)>,
    apps: BTreeMap<String, String>,
    /// The keys of the outstanding tokens that are blacklisted.
    blacklisted: BTreeSet<String>,
}

struct Group {
    name: String,
    permissions: Vec<Value>,
}

#[derive(Deserialize)]
struct Entry {
    model: String,
    #[serde(default)]
    pk: Value,
    fields: Map<String, Value>,
}

/// The number of a line, and its object or the reason why it has none.
type NumberedLine = (u64, Result<Entry, String>);

/// The lines of a file, numbered from 1.
struct Input {
    file: BufReader<File>,
    path: PathBuf,
    number: u64,
}

impl Lines {
    pub(super) fn open(
        path: &Path,
        model: &str,
        fields: Fields,
        mapping: &ClaimMapping,
    ) -> Result<Self, CommandError> {
        let mut lines = Self {
            path: path.to_owned(),
            model: model.to_lowercase(),
            fields,
            columns: mapping.columns(),
            catalogue: Catalogue::default(),
            has_groups: mapping.has(&ClaimSource::Groups),
            has_permissions: mapping.has(&ClaimSource::Permissions),
            has_active: false,
            missing: Vec::new(),
            users: 0,
        };
        let (mut input, mut broken) = (Input::open(path)?, None);
        let mut known = BTreeSet::from([lines.fields.key.clone()]);
        while let Some((number, entry)) = input.next()? {
            match entry {
                Ok(entry) if entry.model.to_lowercase() == lines.model => {
                    lines.users += 1;
                    known.extend(entry.fields.into_iter().map(|(name, _)| name));
                }
                Ok(entry) => lines.catalogue.add(entry),
                Err(reason) => broken = broken.or(Some(format!("; line {number}: {reason}"))),
            }
        }
        if lines.users == 0 {
            let broken = broken.unwrap_or_default();
            return Err(CommandError::new(
                Exit::NotFound,
                format!("{} has no {}{broken}", path.display(), lines.model),
            )
            .hint("name the site's user model with --table, such as accounts.user"));
        }
        lines.check(&known)?;
        Ok(lines)
    }

    /// Compares the fields that are read with those that the users have.
    ///
    /// # Errors
    /// No user has a field that is needed, or that the operator has named.
    fn check(&mut self, known: &BTreeSet<String>) -> Result<(), CommandError> {
        let Fields { subject, username, password, email, active, last_login, verified, .. } = &self.fields;
        let required = [
            (subject.as_ref(), "--subject-column NAME, and the primary key's name with --column key=NAME"),
            (Some(username), "--column username=NAME, such as username=email"),
            (Some(password), "--column password=NAME"),
            (verified.as_ref(), "--email-verified column:NAME"),
        ];
        let required = required.into_iter().filter_map(|(name, remedy)| Some((name?, remedy)));
        let claims = self.columns.iter().map(|name| (name, "another column in the mapping of claims"));
        let optional = [email, active, last_login];
        let named = optional.iter().filter(|field| field.is_required).map(|field| (&field.name, "--column"));
        if let Some((name, remedy)) =
            required.chain(claims).chain(named).find(|(name, _)| !known.contains(*name))
        {
            let known: Vec<_> = known.iter().map(String::as_str).collect();
            return Err(CommandError::new(Exit::Usage, format!("no {} has a field {name}", self.model))
                .hint(format!("name another one with {remedy}; the fields are {}", known.join(", "))));
        }
        let missing = optional.iter().filter(|field| !known.contains(&field.name));
        let missing = missing.map(|OptionalField { name, effect, .. }| {
            format!("no {} has a field {name}: {effect}", self.model)
        });
        self.missing = missing.collect();
        self.has_active = known.contains(&active.name);
        Ok(())
    }

    pub(super) fn name(&self) -> String {
        self.path.display().to_string()
    }

    pub(super) fn users(&self) -> Result<LineReader<'_>, CommandError> {
        Ok(LineReader { lines: self, input: Input::open(&self.path)? })
    }

    /// Returns the unexpired tokens of the blacklist.
    pub(super) fn blacklisted(&self, now: Timestamp) -> Result<Vec<RevokeToken>, CommandError> {
        let mut tokens = Vec::new();
        if self.catalogue.blacklisted.is_empty() {
            return Ok(tokens);
        }
        let mut input = Input::open(&self.path)?;
        while let Some((_, entry)) = input.next()? {
            let Ok(entry) = entry else { continue };
            if entry.model != "token_blacklist.outstandingtoken"
                || !self.catalogue.blacklisted.contains(&key_of(&entry.pk))
            {
                continue;
            }
            let expires_ms = entry.fields.get("expires_at").and_then(|time| parse_time(time).ok().flatten());
            let is_expired = expires_ms.is_some_and(|at| at <= now.as_millis());
            if let Some(Value::String(name)) = entry.fields.get("jti")
                && !is_expired
            {
                tokens.push(RevokeToken { name: name.clone(), expires_ms });
            }
        }
        Ok(tokens)
    }

    fn user(&self, place: String, entry: Entry) -> Item {
        let Entry { pk, fields, .. } = entry;
        // Several fields of an account may be taken from the same one.
        let get = |name: &str| match fields.get(name) {
            Some(value) => value.clone(),
            None if name == self.fields.key => pk.clone(),
            None => Value::Null,
        };
        let names = |value: Value| match value {
            Value::Array(references) => references,
            _ => Vec::new(),
        };
        let (groups, permissions) = (names(get("groups")), names(get("user_permissions")));
        let columns: BTreeMap<_, _> = self.columns.iter().map(|name| (name.clone(), get(name))).collect();
        let user = SourceUser {
            subject: self.fields.subject.as_deref().map_or_else(|| pk.clone(), get),
            username: get(&self.fields.username),
            email: get(&self.fields.email.name),
            password: get(&self.fields.password),
            active: self.has_active.then(|| get(&self.fields.active.name)),
            last_login: get(&self.fields.last_login.name),
            verified: self.fields.verified.as_deref().map(get).unwrap_or_default(),
            columns,
            groups: Vec::new(),
            permissions: Vec::new(),
            place,
        };
        match self.rights(&groups, &permissions) {
            Ok((groups, permissions)) => Item::User(Box::new(SourceUser { groups, permissions, ..user })),
            Err(reason) => Item::Broken { place: user.place, reason },
        }
    }

    /// Returns the names of the groups, and of the permissions of the user and of these groups.
    fn rights(&self, groups: &[Value], permissions: &[Value]) -> Result<(Vec<String>, Vec<String>), String> {
        let (mut names, mut rights) = (Vec::new(), Vec::new());
        if !self.has_groups && !self.has_permissions {
            return Ok((names, rights));
        }
        for reference in groups {
            let group = self.catalogue.group(reference)?;
            names.push(group.name.clone());
            if self.has_permissions {
                for reference in &group.permissions {
                    rights.push(self.catalogue.permission(reference)?);
                }
            }
        }
        if self.has_permissions {
            for reference in permissions {
                rights.push(self.catalogue.permission(reference)?);
            }
        }
        Ok((names, rights))
    }
}

impl LineReader<'_> {
    pub(super) fn next(&mut self) -> Result<Vec<Item>, CommandError> {
        let mut items = Vec::new();
        while items.len() < PAGE {
            let Some((number, entry)) = self.input.next()? else { break };
            match entry {
                Ok(entry) if entry.model.to_lowercase() == self.lines.model => {
                    items.push(self.lines.user(format!("line {number}"), entry));
                }
                Ok(_) => {}
                Err(reason) => items.push(Item::Broken { place: format!("line {number}"), reason }),
            }
        }
        Ok(items)
    }
}

impl Catalogue {
    fn add(&mut self, entry: Entry) {
        let Entry { model, pk, mut fields } = entry;
        let mut take = |name: &str| fields.remove(name).unwrap_or_default();
        match model.as_str() {
            "auth.group" => {
                let name = take("name").as_str().unwrap_or_default().to_owned();
                let permissions = match take("permissions") {
                    Value::Array(permissions) => permissions,
                    _ => Vec::new(),
                };
                // Without a primary key, it is named by its natural one.
                let key = if pk.is_null() { natural(&name) } else { key_of(&pk) };
                self.groups.insert(key, Group { name, permissions });
            }
            "auth.permission" => {
                let codename = take("codename").as_str().unwrap_or_default().to_owned();
                self.permissions.insert(key_of(&pk), (key_of(&take("content_type")), codename));
            }
            "contenttypes.contenttype" => {
                self.apps.insert(key_of(&pk), take("app_label").as_str().unwrap_or_default().to_owned());
            }
            "token_blacklist.blacklistedtoken" => {
                self.blacklisted.insert(key_of(&take("token")));
            }
            _ => {}
        }
    }

    fn group(&self, reference: &Value) -> Result<&Group, String> {
        let by_name = |name: &str| self.groups.values().find(|group| group.name == name);
        let found = match reference {
            Value::Array(natural) => natural.first().and_then(Value::as_str).and_then(by_name),
            key => self.groups.get(&key_of(key)),
        };
        found.ok_or_else(|| format!("the file lacks its group {reference}: dump auth.group, too"))
    }

    /// Returns a permission as `app_label.codename`.
    fn permission(&self, reference: &Value) -> Result<String, String> {
        let missing = || {
            format!("the file lacks its permission {reference}: dump auth.permission and contenttypes, too")
        };
        if let Value::Array(natural) = reference {
            let mut parts = natural.iter().map(Value::as_str);
            return match (parts.next().flatten(), parts.next().flatten()) {
                (Some(codename), Some(app)) => Ok(format!("{app}.{codename}")),
                _ => Err(missing()),
            };
        }
        let (content_type, codename) = self.permissions.get(&key_of(reference)).ok_or_else(missing)?;
        let app = self.apps.get(content_type).ok_or_else(missing)?;
        Ok(format!("{app}.{codename}"))
    }
}

impl Input {
    fn open(path: &Path) -> Result<Self, CommandError> {
        match File::open(path) {
            Ok(file) => Ok(Self { file: BufReader::new(file), path: path.to_owned(), number: 0 }),
            Err(error) => Err(Self::failed(path, &error)),
        }
    }

    /// Reads the next line that isn't blank. The reason never quotes the line, which may contain a hash.
    fn next(&mut self) -> Result<Option<NumberedLine>, CommandError> {
        loop {
            let mut bytes = Zeroizing::new(Vec::new());
            let read = self.file.by_ref().take(LINE_BYTES + 1).read_until(b'\n', &mut bytes);
            read.map_err(|error| Self::failed(&self.path, &error))?;
            if bytes.is_empty() {
                return Ok(None);
            }
            self.number += 1;
            // A line break isn't part of the length.
            if bytes.len() as u64 > LINE_BYTES && !bytes.ends_with(b"\n") {
                self.file.skip_until(b'\n').map_err(|error| Self::failed(&self.path, &error))?;
                return Ok(Some((self.number, Err(format!("it is longer than {LINE_BYTES} bytes")))));
            }
            let mut line = bytes.as_slice();
            if self.number == 1 {
                line = line.strip_prefix(BYTE_ORDER_MARK).unwrap_or(line);
            }
            if !line.trim_ascii().is_empty() {
                return Ok(Some((self.number, parsed(line))));
            }
        }
    }

    fn failed(path: &Path, error: &std::io::Error) -> CommandError {
        CommandError::failure(format!("{} can't be read: {error}", path.display()))
    }
}

fn parsed(bytes: &[u8]) -> Result<Entry, String> {
    serde_json::from_slice(bytes).map_err(|error| match error.classify() {
        serde_json::error::Category::Data => "it isn't an object with model, pk and fields".to_owned(),
        _ => format!("it isn't JSON: column {}", error.column()),
    })
}

fn key_of(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

fn natural(name: &str) -> String {
    format!("name {name}")
}
