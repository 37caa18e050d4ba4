//! The identity of a database: the system identifier and the timeline of its server, and the oids of the database
//! and of the log's table. Each connection is compared with what this process uses, so that it never reads or
//! writes another server than the one whose log it knows.
//!
//! A promoted standby has the same system and another timeline: this process then compares what it knows of the
//! log before it uses the server (`fail_over.rs`). Another system or oid is another database.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::watch;
use tokio_postgres::error::SqlState;
use tokio_postgres::types::Type;
use tokio_postgres::{Client, Row};

use crate::postgres::fault::message;

/// The identity of a database. A part that the server doesn't offer is `None`, and isn't compared.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub(in crate::postgres) struct Identity {
    system: Option<String>,
    pub(in crate::postgres) timeline: Option<i32>,
    database: Option<i64>,
    log: Option<i64>,
    /// Whether commits wait for a standby.
    pub(in crate::postgres) is_synchronous: bool,
    /// The timeline on which the database was used last, as it says itself.
    recorded: Option<i32>,
}

/// How one identity relates to another.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(in crate::postgres) enum Relation {
    Same,
    /// The same database with another history: a promoted or recovered server.
    OtherTimeline,
    /// A copy, or another database.
    Other(Part),
}

/// A part of an identity.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(in crate::postgres) enum Part {
    System,
    Database,
    Log,
    /// What the database has recorded about itself.
    Recorded,
}

/// The statement that reads the parts of an identity that a server offers.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(in crate::postgres) struct Reading(String);

/// The identity of the server that this process uses, and of the other one that its connections have found.
#[derive(Debug)]
pub(in crate::postgres) struct History {
    reading: Reading,
    own: Mutex<Identity>,
    /// Rises when connections that are open mustn't be used any more.
    generation: AtomicU64,
    /// A server with another timeline, until this process has taken it over.
    found: Mutex<Option<Identity>>,
    /// Whether there is one.
    is_due: watch::Sender<bool>,
    /// The number of servers that were taken over: leases on the old one may be unknown to the new one.
    taken: AtomicU64,
}

const SYSTEM: &str = "(SELECT CAST(system_identifier AS text) FROM pg_control_system())";
const TIMELINE: &str = "CAST(('x' || substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8))::bit(32) AS int)";
/// A commit must wait for each standby that could be promoted: with fewer of several, the promoted one may lack it, and
/// the old primary could still commit.
const REST: &str = "(SELECT CAST(oid AS bigint) FROM pg_database WHERE datname = current_database()), \
    CAST(CAST(to_regclass('revocation_log') AS oid) AS bigint), \
    (SELECT CASE WHEN s = '' OR s LIKE '%*%' THEN false \
        WHEN s LIKE '%(%' THEN CAST(substring(s FROM '([0-9]+)[ ]*[(]') AS int) >= cardinality(string_to_array(s, ',')) \
        ELSE s NOT LIKE '%,%' END FROM current_setting('synchronous_standby_names') AS s), (SELECT timeline FROM cluster WHERE id = 1)";

/// The errors of a server that doesn't offer a part.
const NOT_OFFERED: [SqlState; 3] =
    [SqlState::UNDEFINED_FUNCTION, SqlState::INSUFFICIENT_PRIVILEGE, SqlState::FEATURE_NOT_SUPPORTED];

const STORED: &str = "SELECT system_identifier, timeline, CAST(database_oid AS bigint), CAST(log_oid AS bigint), \
    is_synchronous, timeline FROM cluster WHERE id = 1";

/// Until a process has waited for a term, the server may lack rows of leases.
pub(in crate::postgres) const UNSETTLE: &str = "UPDATE cluster SET settled = false WHERE id = 1";

/// Parts that the server doesn't offer are kept as they are.
const RECORD: &str = "UPDATE cluster SET system_identifier = coalesce($1, system_identifier), \
    timeline = coalesce($2, timeline), database_oid = CAST($3 AS oid), log_oid = CAST($4 AS oid), \
    is_synchronous = $5 WHERE id = 1";

impl Reading {
    /// Finds out which parts the server offers. A managed service may refuse some; each is reported in words.
    ///
    /// # Errors
    /// A part can't be read for another reason: the server may offer it.
    pub(in crate::postgres) async fn probe(
        client: &Client,
    ) -> Result<(Self, Vec<String>), tokio_postgres::Error> {
        let mut missing = Vec::new();
        let mut offered = async |part: &'static str, null: &'static str, name: &str| match client
            .query_typed(&format!("SELECT {part}"), &[])
            .await
        {
            Ok(_) => Ok(part),
            Err(error) if error.code().is_some_and(|code| NOT_OFFERED.contains(code)) => {
                missing.push(format!("{name} ({})", message(&error)));
                Ok(null)
            }
            Err(error) => Err(error),
        };
        let system = offered(SYSTEM, "CAST(NULL AS text)", "its system identifier").await?;
        let timeline = offered(TIMELINE, "CAST(NULL AS int)", "its timeline").await?;
        Ok((Self(format!("SELECT {system}, {timeline}, {REST}")), missing))
    }

    /// Reads the server's identity.
    pub(in crate::postgres) async fn read(&self, client: &Client) -> Result<Identity, tokio_postgres::Error> {
        identity(&client.query_typed(&self.0, &[]).await?)
    }

    pub(in crate::postgres) fn statement(&self) -> &str {
        &self.0
    }
}

/// Decodes an identity.
pub(in crate::postgres) fn identity(rows: &[Row]) -> Result<Identity, tokio_postgres::Error> {
    let Some(row) = rows.first() else { return Ok(Identity::default()) };
    Ok(Identity {
        system: row.try_get(0)?,
        timeline: row.try_get(1)?,
        database: row.try_get(2)?,
        log: row.try_get(3)?,
        is_synchronous: row.try_get(4)?,
        recorded: row.try_get(5)?,
    })
}

impl Identity {
    /// The identity that is recorded in the database. `None`: the row is missing.
    pub(in crate::postgres) async fn stored(client: &Client) -> Result<Option<Self>, tokio_postgres::Error> {
        let rows = client.query_typed(STORED, &[]).await?;
        if rows.is_empty() { Ok(None) } else { identity(&rows).map(Some) }
    }

    /// Whether a process has waited for a lease's term since the server was promoted.
    pub(in crate::postgres) async fn is_settled(client: &Client) -> Result<bool, tokio_postgres::Error> {
        let rows = client.query_typed("SELECT settled FROM cluster WHERE id = 1", &[]).await?;
        rows.first().map_or(Ok(true), |row| row.try_get(0))
    }

    /// Records that no process has waited for a lease's term yet.
    pub(in crate::postgres) async fn unsettle(client: &Client) -> Result<(), tokio_postgres::Error> {
        client.execute_typed(UNSETTLE, &[]).await.map(drop)
    }

    /// Records this identity in the database.
    pub(in crate::postgres) async fn record(&self, client: &Client) -> Result<(), tokio_postgres::Error> {
        let values: [(&(dyn tokio_postgres::types::ToSql + Sync), Type); 5] = [
            (&self.system, Type::TEXT),
            (&self.timeline, Type::INT4),
            (&self.database, Type::INT8),
            (&self.log, Type::INT8),
            (&self.is_synchronous, Type::BOOL),
        ];
        client.execute_typed(RECORD, &values).await.map(drop)
    }

    /// Whether it lacks a part that the server tells.
    pub(in crate::postgres) fn lacks_part_of(&self, found: &Self) -> bool {
        (self.system.is_none() && found.system.is_some())
            || (self.timeline.is_none() && found.timeline.is_some())
            || (self.database.is_none() && found.database.is_some())
            || (self.log.is_none() && found.log.is_some())
    }

    /// Compares the parts that both have.
    pub(in crate::postgres) fn relation(&self, found: &Self) -> Relation {
        if differ(self.system.as_ref(), found.system.as_ref()) {
            Relation::Other(Part::System)
        } else if differ(self.database.as_ref(), found.database.as_ref()) {
            Relation::Other(Part::Database)
        } else if differ(self.log.as_ref(), found.log.as_ref()) {
            Relation::Other(Part::Log)
        } else if self.has_lost_record(found) {
            // A standby has what its primary has recorded.
            Relation::Other(Part::Recorded)
        } else if differ(self.timeline.as_ref(), found.timeline.as_ref()) || self.is_twin(found) {
            Relation::OtherTimeline
        } else {
            Relation::Same
        }
    }

    /// Whether the other has the same timeline by chance: two standbys of one primary that are promoted get the same
    /// number. The database of the second one doesn't say that it was used on this timeline.
    fn is_twin(&self, found: &Self) -> bool {
        found.timeline.is_some() && found.recorded != found.timeline && found.recorded != self.recorded
    }

    /// Whether the other is the same server, and doesn't say any more on which timeline it was used.
    fn has_lost_record(&self, found: &Self) -> bool {
        let is_same = found.timeline.is_some() && found.timeline == self.timeline;
        is_same && self.recorded.is_some() && found.recorded.is_none()
    }

    /// Whether the other can be a standby of this one, which replicates what is recorded here.
    pub(in crate::postgres) fn may_be_followed_by(&self, found: &Self) -> bool {
        found.recorded >= self.timeline
    }

    /// This identity once it is recorded in the database.
    #[must_use]
    pub(in crate::postgres) fn recorded(self) -> Self {
        Self { recorded: self.timeline.or(self.recorded), ..self }
    }
}

fn differ<T: PartialEq>(one: Option<&T>, other: Option<&T>) -> bool {
    one.zip(other).is_some_and(|(one, other)| one != other)
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::System => "the server has another system identifier than the one that is recorded in it",
            Self::Database => "its oid isn't the one that is recorded in it",
            Self::Log => "the oid of the table revocation_log isn't the one that is recorded in it",
            Self::Recorded => "its table cluster has lost its row",
        })
    }
}

impl History {
    pub(in crate::postgres) fn new(reading: Reading, own: Identity) -> Arc<Self> {
        Arc::new(Self {
            reading,
            own: Mutex::new(own),
            generation: AtomicU64::new(0),
            found: Mutex::default(),
            is_due: watch::Sender::new(false),
            taken: AtomicU64::new(0),
        })
    }

    pub(in crate::postgres) fn reading(&self) -> &Reading {
        &self.reading
    }

    /// The identity of the server that this process uses.
    pub(in crate::postgres) fn own(&self) -> Identity {
        self.own.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// A server that this process hasn't taken over, if one was found.
    pub(in crate::postgres) fn found(&self) -> Option<Identity> {
        self.found.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Follows whether there is one.
    pub(in crate::postgres) fn is_due(&self) -> watch::Receiver<bool> {
        self.is_due.subscribe()
    }

    /// Notes a server with another timeline.
    pub(in crate::postgres) fn find(&self, identity: Identity) {
        *self.found.lock().unwrap_or_else(PoisonError::into_inner) = Some(identity);
        self.is_due.send_replace(true);
    }

    /// Uses a server with another timeline from now on.
    pub(in crate::postgres) fn take_over(&self, identity: Identity) {
        // Before any read of its leases.
        self.unsettle();
        *self.own.lock().unwrap_or_else(PoisonError::into_inner) = identity.recorded();
        *self.found.lock().unwrap_or_else(PoisonError::into_inner) = None;
        // Those that were opened meanwhile may lead to the old server.
        self.end_connections();
        self.is_due.send_replace(false);
    }

    /// Notes that leases may be unknown to the server.
    pub(in crate::postgres) fn unsettle(&self) {
        self.taken.fetch_add(1, Ordering::AcqRel);
    }

    /// Rises when leases may be unknown to the server.
    pub(in crate::postgres) fn taken(&self) -> u64 {
        self.taken.load(Ordering::Acquire)
    }

    /// Notes whether commits wait for a standby now.
    pub(in crate::postgres) fn note_synchronous(&self, is_synchronous: bool) {
        self.own.lock().unwrap_or_else(PoisonError::into_inner).is_synchronous = is_synchronous;
    }

    /// The number that a connection must have to be used.
    pub(in crate::postgres) fn generation(&self) -> u64 {
        self.generation.load(Ordering::Acquire)
    }

    /// Compares a connection's server with the one that this process uses.
    ///
    /// # Errors
    /// It is another one; the text is for the log.
    pub(in crate::postgres) fn check(&self, found: &Identity) -> Result<(), String> {
        let own = self.own();
        let fault = match own.relation(found) {
            Relation::Same => return Ok(()),
            // Other connections still lead to the server that was promoted.
            Relation::OtherTimeline if found.timeline < own.timeline => {
                return Err(
                    "it is an old primary: its timeline is lower than that of the promoted server".into()
                );
            }
            Relation::OtherTimeline => {
                self.find(found.clone());
                "a standby was promoted, and it isn't known yet whether it lacks entries of the log"
                    .to_owned()
            }
            Relation::Other(part) => {
                format!("it is another database than before ({part}): restart quash, which says what to do")
            }
        };
        self.end_connections();
        Err(fault)
    }

    /// Ends all open connections: a pooler may have moved them.
    pub(in crate::postgres) fn end_connections(&self) {
        self.generation.fetch_add(1, Ordering::AcqRel);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn identity(system: Option<&str>, timeline: Option<i32>, database: i64, log: i64) -> Identity {
        Identity {
            system: system.map(Into::into),
            timeline,
            database: Some(database),
            log: Some(log),
            is_synchronous: false,
            recorded: timeline,
        }
    }

    #[test]
    fn a_second_standby_with_the_same_timeline_is_noticed() {
        let own = identity(Some("7"), Some(2), 5, 9);
        let twin = Identity { recorded: Some(1), ..own.clone() };
        assert_eq!(own.relation(&twin), Relation::OtherTimeline);
        assert!(!own.may_be_followed_by(&twin) && own.may_be_followed_by(&own));
        let history = History::new(Reading(String::new()), own);
        assert!(history.check(&twin).is_err());
        assert_eq!(history.found(), Some(twin.clone()));
        history.take_over(twin.clone());
        assert_eq!(history.check(&twin.recorded()), Ok(()));
        // A command has opened it, and records it later.
        let opened = Identity { recorded: Some(1), ..identity(Some("7"), Some(2), 5, 9) };
        assert_eq!(opened.relation(&opened), Relation::Same);
        assert_eq!(opened.relation(&opened.clone().recorded()), Relation::Same);
        let untold = Identity { timeline: None, ..identity(Some("7"), Some(2), 5, 9) };
        assert_eq!(untold.relation(&Identity { recorded: None, ..untold.clone() }), Relation::Same);
    }

    #[test]
    fn only_parts_that_both_have_are_compared() {
        let own = identity(Some("7"), Some(1), 5, 9);
        for (found, relation) in [
            (identity(Some("7"), Some(1), 5, 9), Relation::Same),
            (identity(None, None, 5, 9), Relation::Same),
            (identity(Some("7"), Some(2), 5, 9), Relation::OtherTimeline),
            (identity(Some("8"), Some(2), 5, 9), Relation::Other(Part::System)),
            (identity(Some("7"), Some(1), 6, 9), Relation::Other(Part::Database)),
            (identity(Some("7"), Some(1), 5, 8), Relation::Other(Part::Log)),
        ] {
            assert_eq!(own.relation(&found), relation, "{found:?}");
            assert_eq!(found.relation(&own), relation, "{found:?}");
        }
        let emptied = Identity { recorded: None, ..own.clone() };
        assert_eq!(own.relation(&emptied), Relation::Other(Part::Recorded));
        assert!(Identity::default().lacks_part_of(&own) && !own.lacks_part_of(&Identity::default()));
    }

    #[test]
    fn another_database_is_refused() {
        let history = History::new(Reading(String::new()), identity(Some("7"), Some(1), 5, 9));
        assert_eq!((history.check(&identity(Some("7"), Some(1), 5, 9)), history.generation()), (Ok(()), 0));
        let refused = history.check(&identity(Some("8"), Some(1), 5, 9)).expect_err("another server");
        assert!(refused.contains("restart quash"), "{refused}");
        assert_eq!(history.generation(), 1, "open connections may lead there, too");
    }

    #[test]
    fn old_primaries_and_promoted_standbys_are_refused() {
        let history = History::new(Reading(String::new()), identity(Some("7"), Some(2), 5, 9));
        let old = history.check(&identity(Some("7"), Some(1), 5, 9)).expect_err("the old primary");
        assert!(old.contains("old primary"), "{old}");
        assert_eq!(
            (history.found(), history.generation()),
            (None, 0),
            "connections to the new one stay open"
        );
        let promoted = identity(Some("7"), Some(3), 5, 9);
        assert!(history.check(&promoted).is_err());
        assert_eq!((history.found().as_ref(), *history.is_due().borrow()), (Some(&promoted), true));
        assert_eq!((history.generation(), history.taken()), (1, 0));
        history.take_over(promoted.clone());
        assert_eq!((history.check(&promoted), history.found(), history.taken()), (Ok(()), None, 1));
        assert!(!*history.is_due().borrow());
    }
}
