//! The tables that a move copies, with the names of their columns in both engines.

/// The type of a column.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Kind {
    Number,
    Text,
    Bytes,
    /// An integer in SQLite.
    Flag,
}

/// A table. The names of its columns are the same in both engines, except the first one's and where
/// PostgreSQL joins.
#[derive(Debug)]
pub(crate) struct Table {
    /// Its name in SQLite.
    pub(crate) file: &'static str,
    /// Its name in PostgreSQL.
    pub(crate) server: &'static str,
    /// The `FROM` clause that reads it in PostgreSQL.
    pub(crate) from: &'static str,
    /// The key, by which rows are ordered, in SQLite.
    pub(crate) key: &'static str,
    /// The same in PostgreSQL.
    pub(crate) server_key: &'static str,
    /// The columns of PostgreSQL that are written with the key.
    pub(crate) written_key: &'static [&'static str],
    /// The columns, the key first.
    pub(crate) columns: &'static [(&'static str, Kind)],
}

use Kind::{Bytes, Flag, Number, Text};

const fn table(
    name: &'static str,
    written_key: &'static [&'static str],
    columns: &'static [(&'static str, Kind)],
) -> Table {
    let key = columns[0].0;
    Table { file: name, server: name, from: name, key, server_key: key, written_key, columns }
}

/// In an order in which rows are there before others refer to them.
pub(crate) const TABLES: &[Table] = &[
    table("account", &["subject"], ACCOUNT),
    table("gone", &["subject"], &[("subject", Text), ("blanked", Flag)]),
    table("session", &["sid"], SESSION),
    table("adopted", &["key"], &[("key", Bytes), ("until", Number)]),
    table("revocation_log", &["seq"], LOG),
    table("signing_key", &["kid"], SIGNING_KEY),
    table("secret", &["name"], &[("name", Text), ("secret", Bytes)]),
    Table {
        server: "setting",
        from: "setting",
        ..table("remembered", &["name"], &[("name", Text), ("value", Text)])
    },
    table("client", &["name"], CLIENT),
    // PostgreSQL numbers entries after their commit.
    Table { server_key: "number", ..table("audit", &["row", "number"], AUDIT) },
    Table {
        from: "audit_person JOIN audit USING (row)",
        server_key: "number",
        ..table("audit_person", &["row"], AUDIT_PERSON)
    },
    table("audit_seal", &["id"], AUDIT_SEAL),
    table("flow", &["id"], FLOW),
    table("mail", &["id"], MAIL),
];

const ACCOUNT: &[(&str, Kind)] = &[
    ("subject", Text),
    ("username", Text),
    ("username_folded", Text),
    ("email", Text),
    ("email_folded", Text),
    ("email_verified_at", Number),
    ("password", Text),
    ("password_class", Text),
    ("must_change", Number),
    ("mark", Text),
    ("state", Text),
    ("state_at", Number),
    ("locked_at", Number),
    ("locks", Number),
    ("sessions_before", Number),
    ("foreign_after", Number),
    ("version", Number),
    ("created_at", Number),
    ("last_login_at", Number),
    ("claims", Text),
    ("claims_adopted", Flag),
    ("devices", Text),
];

const SESSION: &[(&str, Kind)] = &[
    ("sid", Bytes),
    ("subject", Text),
    ("generation", Number),
    ("rotated_at", Number),
    ("seed", Bytes),
    ("opened_seq", Number),
    ("opened_at", Number),
    ("idle_until", Number),
    ("ends_at", Number),
    ("device", Text),
    ("address", Text),
    ("ended_reason", Text),
    ("ended_at", Number),
    ("ended_actor", Text),
    ("claims", Text),
    ("foreign_key", Bytes),
    ("foreign_until", Number),
    ("known_device", Bytes),
    ("client", Text),
];

const LOG: &[(&str, Kind)] = &[
    ("seq", Number),
    ("kind", Number),
    ("key", Bytes),
    ("drop_after", Number),
    ("reason", Text),
    ("at", Number),
    ("actor", Text),
    ("chain", Bytes),
    ("until", Number),
    ("marked_at", Number),
];

const SIGNING_KEY: &[(&str, Kind)] = &[
    ("kid", Text),
    ("algorithm", Text),
    ("state", Text),
    ("state_at", Number),
    ("secret", Bytes),
    ("created_at", Number),
    ("source", Text),
];

const CLIENT: &[(&str, Kind)] = &[
    ("name", Text),
    ("digest", Bytes),
    ("rights", Text),
    ("created_at", Number),
    ("namespace", Text),
    ("expires_at", Number),
    ("last_used_at", Number),
    ("version", Number),
];

const AUDIT: &[(&str, Kind)] = &[
    ("id", Number),
    ("at", Number),
    ("event", Text),
    ("actor", Text),
    ("reason", Text),
    ("subject", Text),
    ("sid", Bytes),
    ("kid", Text),
    ("seq", Number),
    ("watermark", Number),
    ("person", Bytes),
    ("chain", Bytes),
];

const AUDIT_PERSON: &[(&str, Kind)] = &[
    ("id", Number),
    ("salt", Bytes),
    ("name", Text),
    ("address", Text),
    ("device", Text),
    ("author", Text),
    ("note", Text),
];

const AUDIT_SEAL: &[(&str, Kind)] = &[
    ("id", Number),
    ("first_id", Number),
    ("first_chain", Bytes),
    ("last_id", Number),
    ("last_chain", Bytes),
    ("at", Number),
    ("signed", Text),
];

const FLOW: &[(&str, Kind)] = &[
    ("id", Bytes),
    ("purpose", Text),
    ("matter", Bytes),
    ("subject", Text),
    ("address", Text),
    ("binding", Bytes),
    ("tries", Number),
    ("created_at", Number),
    ("expires_at", Number),
    ("username", Text),
    ("username_folded", Text),
    ("email_folded", Text),
    ("password", Text),
    ("password_class", Text),
];

const MAIL: &[(&str, Kind)] = &[
    ("id", Bytes),
    ("kind", Text),
    ("recipient", Text),
    ("whom", Bytes),
    ("flow", Bytes),
    ("created_at", Number),
    ("due_at", Number),
    ("keep_until", Number),
    ("attempts", Number),
    ("doubts", Number),
    ("sent_at", Number),
    ("subject", Text),
    ("priority", Number),
];

impl Table {
    /// The statement by which SQLite reads the rows.
    pub(crate) fn read_from_file(&self) -> String {
        format!("SELECT {} FROM {} ORDER BY {}", self.names(self.key), self.file, self.key)
    }

    /// The statement by which SQLite writes a row.
    pub(crate) fn write_to_file(&self) -> String {
        let places: Vec<String> = (1..=self.columns.len()).map(|place| format!("?{place}")).collect();
        format!("INSERT INTO {} ({}) VALUES ({})", self.file, self.names(self.key), places.join(", "))
    }

    /// The statement by which PostgreSQL sends the rows.
    pub(crate) fn read_from_server(&self) -> String {
        let Self { from, server_key, .. } = self;
        format!("COPY (SELECT {} FROM {from} ORDER BY {server_key}) TO STDOUT", self.names(server_key))
    }

    /// The statement by which PostgreSQL receives the rows.
    pub(crate) fn write_to_server(&self) -> String {
        format!("COPY {} ({}) FROM STDIN", self.server, self.names(&self.written_key.join(", ")))
    }

    fn names(&self, key: &str) -> String {
        let others = self.columns.iter().skip(1).map(|(name, _)| *name);
        std::iter::once(key).chain(others).collect::<Vec<_>>().join(", ")
    }
}
