//! Tests that SQLite finds each statement's rows by an index, never by scanning a table.

use rusqlite::Connection;

use super::named::{KEY_COLUMNS, table_of};
use super::statements::*;
use super::{SqliteOptions, open_writer};

const STATEMENTS: &[&str] = &[
    BEGIN_WRITE,
    BEGIN_READ,
    COMMIT,
    ROLLBACK,
    SAVEPOINT,
    RELEASE,
    ROLLBACK_MEMBER,
    WAL_STATUS,
    WAL_PASSIVE,
    WAL_RESTART,
    HEAD,
    ACCOUNT_BY_NAME,
    ACCOUNT_BY_SUBJECT,
    ACCOUNT_BY_EMAIL,
    ACCOUNTS,
    ACCOUNTS_IN,
    ACCOUNTS_STANDING,
    ACCOUNTS_ADDRESSED,
    ACCOUNTS_PART,
    COUNT_ACCOUNTS,
    IS_GONE,
    LARGEST_NUMBER,
    PASSWORD_CLASS_AFTER,
    LIVE_SESSIONS,
    IDLEST,
    SESSION,
    ADOPTED,
    SESSIONS_OF,
    EXAMINED,
    EXAMINED_OF,
    EXAMINED_OPENED_BY,
    LIVE,
    LIVE_OF,
    LIVE_OPENED_BY,
    SESSIONS_PART,
    COUNT_SESSIONS,
    ENTRIES_AFTER,
    ENTRIES_BETWEEN,
    ENTRIES_OF,
    REVOKED_ALREADY,
    ADOPTED_ALREADY,
    ADOPTED_BEFORE,
    FREED_AT,
    KEYS,
    CLIENT_BY_SECRET,
    CLIENTS,
    CLIENT_BY_NAME,
    REMEMBERED,
    SECRET,
    LOG_END,
    ADD_ENTRY,
    MOVE_HEAD,
    ADD_ACCOUNT,
    OPEN_SESSION,
    ADOPT,
    REHASH,
    LAST_LOGIN,
    ADOPT_CLAIMS,
    COUNT_LOCKS,
    KNOW_DEVICE,
    ROTATE,
    BIND_SESSION,
    SURVIVE,
    END_SESSION,
    EDIT_ACCOUNT,
    KEEP_ADOPTIONS,
    FORGET_SESSIONS_OF,
    FORGET_ADOPTIONS,
    DELETE_ACCOUNT,
    ADD_GONE,
    NEXT_AUDIT,
    ADD_AUDIT,
    ADD_PERSON,
    AUDIT_HEAD,
    SEAL_ENTRY,
    SALT_PERSON,
    SET_SEAL,
    RAISE_AUDIT,
    FORGET_AUDIT,
    UNBLANKED,
    BLANK_PERSONS,
    ALL_BLANKED,
    AUDIT,
    AUDIT_OF,
    AUDIT_BEFORE,
    AUDIT_OF_BEFORE,
    AUDIT_OF_EVENT_BEFORE,
    AUDIT_OF_ACTOR_BEFORE,
    FIRST_ENDING,
    END_EVERYTHING,
    RETIRE_KEY,
    MAKE_CURRENT,
    ADD_KEY,
    DROP_KEY,
    ADD_CLIENT,
    CHANGE_CLIENT,
    USE_CLIENT,
    REMOVE_CLIENT,
    REVOKE_KEY,
    ADD_SECRET,
    REMEMBER,
    ADVANCE_RING,
    APPLY_SETTINGS,
    RAISE_LONGEST_LIFETIME,
    MARK_ENTRIES,
    FORGET_SESSIONS,
    DELETE_ENTRIES,
    RAISE_FORGOTTEN,
    FLOW,
    REGISTRATION_BY_NAME,
    REGISTRATION_BY_EMAIL,
    FLOW_ABOUT,
    END_FLOW_ABOUT,
    START_FLOW,
    SPEND_TRY,
    USE_FLOW,
    ADD_MAIL,
    MAILS_COUNTED,
    MAILS_DUE,
    NEXT_MAIL,
    TRY_MAIL,
    MAIL_SENT,
    MAIL_NOT_SENT,
    DROP_MAIL,
    FORGET_FLOWS,
    FORGET_MAILS,
];

#[test]
fn every_statement_uses_an_index() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("quash.db");
    super::file::lock::create_private(&path).expect("a file");
    let conn = open_writer(&path, &SqliteOptions::default()).expect("a database");
    for &statement in STATEMENTS {
        let steps = plan(&conn, statement);
        // There are few keys, and all of them are read. A constant row belongs to no table.
        let whole =
            |step: &&String| step.starts_with("SCAN") && *step != "SCAN CONSTANT ROW" && statement != KEYS;
        assert_eq!(steps.iter().find(whole), None, "{statement}\n{steps:#?}");
        // An account has a limited number of live sessions, and few entries; every other order comes from an index.
        let is_of_one_account = [IDLEST, AUDIT_OF_BEFORE].contains(&statement);
        let sorted = steps.iter().any(|step| step.contains("TEMP B-TREE") && !is_of_one_account);
        assert!(!sorted, "{statement}\n{steps:#?}");
    }
}

#[test]
fn every_statement_has_a_table_and_named_parameters() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("quash.db");
    super::file::lock::create_private(&path).expect("a file");
    let conn = open_writer(&path, &SqliteOptions::default()).expect("a database");
    let keys_of = |table: &str| -> Vec<String> {
        let mut columns =
            conn.prepare("SELECT name FROM pragma_table_info(:table) WHERE pk > 0").expect("a statement");
        let names = columns.query_map(&[(":table", table)], |row| row.get(0)).expect("columns");
        names.collect::<Result<_, _>>().expect("names")
    };
    for (table, column) in KEY_COLUMNS {
        assert_eq!(keys_of(table), [*column], "{table}");
    }
    for &statement in STATEMENTS {
        let is_about_rows =
            ["SELECT ", "INSERT ", "UPDATE ", "DELETE "].iter().any(|verb| statement.starts_with(verb));
        let table = table_of(statement);
        assert_eq!(
            table.is_some_and(|table| !keys_of(table).is_empty()),
            is_about_rows,
            "{statement}: {table:?}"
        );
        let prepared = conn.prepare(statement).expect(statement);
        for number in 1..=prepared.parameter_count() {
            let name = prepared.parameter_name(number);
            assert!(name.is_some_and(|name| name.starts_with(':')), "{statement}: {name:?}");
        }
    }
}

#[test]
fn every_statement_is_checked() {
    let source = include_str!("statements.rs");
    assert_eq!(source.matches("pub(super) const ").count(), STATEMENTS.len(), "add it to the list above");
    let others = [
        include_str!("apply.rs"),
        include_str!("apply/accounts.rs"),
        include_str!("apply/keys.rs"),
        include_str!("apply/log.rs"),
        include_str!("apply/sessions.rs"),
        include_str!("audit.rs"),
        include_str!("file/checkpoint.rs"),
        include_str!("mail.rs"),
        include_str!("reader.rs"),
        include_str!("mail.rs"),
        include_str!("rows.rs"),
        include_str!("search.rs"),
        include_str!("write.rs"),
        include_str!("writer.rs"),
    ];
    for source in others {
        for verb in ["\"SELECT ", "\"INSERT ", "\"UPDATE ", "\"DELETE ", "\"PRAGMA "] {
            assert!(!source.contains(verb), "{verb} outside of statements.rs");
        }
    }
}

fn plan(conn: &Connection, statement: &str) -> Vec<String> {
    let mut explained = conn.prepare(&format!("EXPLAIN QUERY PLAN {statement}")).expect(statement);
    let mut steps = explained.raw_query();
    let mut to_store_error = vec![];
    while let Some(step) = steps.next().expect(statement) {
        to_store_error.push(step.get(3).expect("a step"));
    }
    to_store_error
}
