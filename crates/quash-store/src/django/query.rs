//! The statements that read a Django site's tables, for SQLite and PostgreSQL.

use quash_core::model::Timestamp;

use super::Cell;

/// A column of a table.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct DjangoColumn {
    pub name: String,
    /// Whether it is the table's primary key.
    pub is_key: bool,
    pub(super) kind: ColumnKind,
}

/// A type whose values Django writes otherwise than the database does.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum ColumnKind {
    Boolean,
    Integer,
    Real,
    /// A UUID, of which Django stores 32 digits in SQLite.
    Uuid,
    Other,
}

/// The values to read of each user.
#[derive(Clone, Debug)]
pub struct UserQuery {
    /// The table, with its schema if it has one, as in `public.auth_user`.
    pub table: String,
    /// The primary key.
    pub key: DjangoColumn,
    /// Columns of the table.
    pub columns: Vec<DjangoColumn>,
    /// The column of the table `<table>_groups` with the user's key, to read the names of the user's groups.
    pub groups_by: Option<String>,
    /// The column of the tables `<table>_user_permissions` and `<table>_groups` with the user's key, to read the
    /// permissions of the user and of the user's groups, each as `app_label.codename`.
    pub permissions_by: Option<String>,
}

/// The database's form of SQL.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Dialect {
    Sqlite,
    Postgres,
}

/// A statement that reads rows in the order of a key.
#[derive(Debug)]
pub(super) struct Statement {
    selected: String,
    from: String,
    condition: Option<String>,
    key: String,
}

impl DjangoColumn {
    /// A column with the type that the database declares.
    pub(crate) fn new(name: String, declared: &str, is_key: bool) -> Self {
        let declared = declared.to_ascii_lowercase();
        let kind = match declared.as_str() {
            "bool" | "boolean" => ColumnKind::Boolean,
            "char(32)" | "uuid" => ColumnKind::Uuid,
            "int2" | "int4" | "int8" | "bigint" | "integer" | "smallint" => ColumnKind::Integer,
            "float4" | "float8" | "numeric" | "real" => ColumnKind::Real,
            _ => ColumnKind::Other,
        };
        Self { name, is_key, kind }
    }
}

impl ColumnKind {
    /// Converts a value to what Django makes of it. A value that doesn't fit the type stays as it is.
    pub(super) fn refine(self, cell: &mut Cell) {
        let refined = match (self, &*cell) {
            (Self::Boolean, Cell::Integer(0)) => Some(Cell::Bool(false)),
            (Self::Boolean, Cell::Integer(1)) => Some(Cell::Bool(true)),
            (Self::Boolean, Cell::Text(text)) if text == "t" => Some(Cell::Bool(true)),
            (Self::Boolean, Cell::Text(text)) if text == "f" => Some(Cell::Bool(false)),
            (Self::Integer, Cell::Text(text)) => text.parse().ok().map(Cell::Integer),
            (Self::Real, Cell::Text(text)) => text.parse().ok().map(Cell::Real),
            (Self::Uuid, Cell::Text(text)) => with_hyphens(text).map(Cell::Text),
            _ => None,
        };
        if let Some(refined) = refined {
            *cell = refined;
        }
    }
}

impl UserQuery {
    pub(super) fn kinds(&self) -> Vec<ColumnKind> {
        std::iter::once(&self.key).chain(&self.columns).map(|column| column.kind).collect()
    }

    pub(super) fn statement(&self, dialect: Dialect) -> Statement {
        let own = |column: &DjangoColumn| format!("u.{}", quoted(&column.name));
        let key = own(&self.key);
        let mut selected: Vec<_> = std::iter::once(key.clone()).chain(self.columns.iter().map(own)).collect();
        let list = match dialect {
            Dialect::Sqlite => "json_group_array",
            Dialect::Postgres => "json_agg",
        };
        let groups = dialect.table(&format!("{}_groups", self.table));
        if let Some(by) = &self.groups_by {
            let by = quoted(by);
            selected.push(format!(
                "(SELECT {list}(g.name) FROM {groups} x JOIN auth_group g ON g.id = x.group_id WHERE x.{by} = {key})"
            ));
        }
        if let Some(by) = &self.permissions_by {
            let (by, own) = (quoted(by), dialect.table(&format!("{}_user_permissions", self.table)));
            selected.push(format!(
                "(SELECT {list}(c.app_label || '.' || p.codename) FROM auth_permission p \
                 JOIN django_content_type c ON c.id = p.content_type_id WHERE p.id IN \
                 (SELECT o.permission_id FROM {own} o WHERE o.{by} = {key} UNION \
                 SELECT gp.permission_id FROM auth_group_permissions gp JOIN {groups} x ON x.group_id = gp.group_id \
                 WHERE x.{by} = {key}))"
            ));
        }
        Statement {
            selected: selected.join(", "),
            from: format!("{} u", dialect.table(&self.table)),
            condition: None,
            key,
        }
    }
}

/// The unexpired tokens of Simple JWT's blacklist.
pub(super) fn blacklisted(dialect: Dialect, now: Timestamp) -> Statement {
    let (now, expires_at) = match dialect {
        // Django writes a time as a text in UTC, which sorts by time.
        Dialect::Sqlite => (format!("datetime({}, 'unixepoch')", now.as_secs()), "o.expires_at"),
        Dialect::Postgres => (format!("to_timestamp({})", now.as_secs()), "o.expires_at"),
    };
    Statement {
        selected: format!("b.id, o.jti, {expires_at}"),
        from:
            "token_blacklist_blacklistedtoken b JOIN token_blacklist_outstandingtoken o ON o.id = b.token_id"
                .into(),
        condition: Some(format!("{expires_at} > {now}")),
        key: "b.id".into(),
    }
}

impl Dialect {
    /// The quoted name of a table. In PostgreSQL it may have a schema.
    pub(super) fn table(self, name: &str) -> String {
        match (self, name.split_once('.')) {
            (Self::Postgres, Some((schema, table))) => format!("{}.{}", quoted(schema), quoted(table)),
            _ => quoted(name),
        }
    }
}

impl Statement {
    /// The statement for all rows.
    pub(super) fn whole(&self) -> String {
        let Self { selected, from, condition, key } = self;
        let condition = condition.as_ref().map(|one| format!(" WHERE {one}")).unwrap_or_default();
        format!("SELECT {selected} FROM {from}{condition} ORDER BY {key}")
    }

    /// The statement for the first page or, with the parameter `:after`, for the one after a key.
    pub(super) fn page(&self, is_first: bool) -> String {
        let Self { selected, from, condition, key } = self;
        let after = (!is_first).then(|| format!("{key} > :after"));
        let conditions: Vec<_> = condition.iter().cloned().chain(after).collect();
        let conditions = if conditions.is_empty() {
            String::new()
        } else {
            format!(" WHERE {}", conditions.join(" AND "))
        };
        format!("SELECT {selected} FROM {from}{conditions} ORDER BY {key} LIMIT {}", super::PAGE)
    }
}

/// Quotes a name. A name with NUL can't be quoted, and becomes one that doesn't exist.
fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\"").replace('\0', "\u{fffd}"))
}

/// Formats a UUID of 32 digits as Django does.
fn with_hyphens(text: &str) -> Option<String> {
    let is_digits = text.len() == 32 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    is_digits.then(|| {
        let groups = [0..8, 8..12, 12..16, 16..20, 20..32];
        groups.map(|digits| text.get(digits).unwrap_or_default().to_ascii_lowercase()).join("-")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_those_of_django() {
        let refined = |declared: &str, cell: Cell| {
            let mut cell = cell;
            DjangoColumn::new("x".into(), declared, false).kind.refine(&mut cell);
            cell
        };
        assert_eq!(refined("bool", Cell::Integer(1)), Cell::Bool(true));
        assert_eq!(refined("bool", Cell::Text("f".into())), Cell::Bool(false));
        assert_eq!(refined("bool", Cell::Integer(2)), Cell::Integer(2));
        assert_eq!(refined("int8", Cell::Text("17".into())), Cell::Integer(17));
        assert_eq!(refined("integer", Cell::Text("x".into())), Cell::Text("x".into()));
        assert_eq!(
            refined("char(32)", Cell::Text("01a20af06b5c7a69b6b4905ed54a13a4".into())),
            Cell::Text("01a20af0-6b5c-7a69-b6b4-905ed54a13a4".into())
        );
        assert_eq!(refined("varchar(32)", Cell::Text("17".into())), Cell::Text("17".into()));
    }

    #[test]
    fn names_are_quoted() {
        assert_eq!(Dialect::Sqlite.table("a\"; DROP"), "\"a\"\"; DROP\"");
        assert_eq!(Dialect::Postgres.table("shop.auth_user"), "\"shop\".\"auth_user\"");
        assert_eq!(Dialect::Sqlite.table("shop.auth_user"), "\"shop.auth_user\"");
    }
}
