//! The statements over `lease` and `wanted`.

use std::time::Duration;

use quash_core::model::{Binding, InstanceId, ProcessLabel, Seq, Timestamp};
use tokio_postgres::Row;

use super::super::fault::{PostgresError, both};
use super::super::params::Params;
use super::super::server::identity;
use super::super::transaction::{Database, Transaction};
use super::sights::{Found, Renewal};
use crate::StoreError;
use crate::coordination::Known;

/// Renewals are random: a standby that is promoted may give numbers of a sequence again.
///
/// Rows are written in the order of their keys, so that two processes never wait for each other.
const RECORD: &str = "INSERT INTO lease AS l (name, instance, kind, renewal, term_ms, bound, host, pid) \
    SELECT a.name, a.instance, CASE a.name WHEN '' THEN 'node' ELSE 'verifier' END, \
        hashtextextended(gen_random_uuid()::text, 0), a.term_ms, a.bound, a.host, a.pid \
    FROM unnest($1, $2, $3, $4, $5, $6) AS a (name, instance, term_ms, bound, host, pid) \
    ORDER BY a.name COLLATE \"C\", a.instance \
    ON CONFLICT (name, instance) DO UPDATE SET renewal = excluded.renewal, \
        term_ms = greatest(l.term_ms, excluded.term_ms), bound = excluded.bound, host = excluded.host, \
        pid = excluded.pid WHERE NOT l.has_left \
    RETURNING l.name, l.instance";

const CONFIRM: &str = "WITH locked AS (\
        SELECT l.name, l.instance, a.seq, a.ring \
        FROM unnest($1, $2, $3, $4) AS a (name, instance, seq, ring) \
        JOIN lease l ON (l.name, l.instance) = (a.name, a.instance) \
        ORDER BY l.name, l.instance FOR NO KEY UPDATE OF l) \
    UPDATE lease SET confirmed = greatest(confirmed, locked.seq), ring = greatest(lease.ring, locked.ring) \
    FROM locked WHERE (lease.name, lease.instance) = (locked.name, locked.instance)";

/// A process that has no row gets one: its request for a lease may be under way.
const LEAVE: &str = "INSERT INTO lease AS l (name, instance, kind, renewal, term_ms, bound, has_left) \
    SELECT a.name, a.instance, CASE a.name WHEN '' THEN 'node' ELSE 'verifier' END, \
        hashtextextended(gen_random_uuid()::text, 0), 0, true, true \
    FROM unnest($1, $2) AS a (name, instance) \
    ORDER BY a.name COLLATE \"C\", a.instance \
    ON CONFLICT (name, instance) DO UPDATE SET renewal = excluded.renewal, has_left = true";

/// One row at least, so that an answer of a replica is recognized.
const READ: &str = "SELECT pg_is_in_recovery(), l.name, l.instance, l.renewal, l.confirmed, l.ring, l.term_ms, \
    l.bound, l.has_left, l.host, l.pid FROM (SELECT 1) AS one LEFT JOIN lease l ON true";

/// A row that was renewed since is kept, and one that is being renewed isn't waited for.
const FORGET: &str = "WITH gone AS (\
        SELECT l.name, l.instance FROM unnest($1, $2, $3) AS a (name, instance, renewal) \
        JOIN lease l ON (l.name, l.instance, l.renewal) = (a.name, a.instance, a.renewal) \
        FOR UPDATE OF l SKIP LOCKED) \
    DELETE FROM lease USING gone WHERE (lease.name, lease.instance) = (gone.name, gone.instance)";

const WANT: &str = "INSERT INTO wanted (seq) SELECT $1 FROM set_config('synchronous_commit', 'off', true) \
    ON CONFLICT DO NOTHING";
const TIME: &str = "SELECT (extract(epoch FROM clock_timestamp()) * 1000)::bigint";
const WANTED: &str = "SELECT max(seq) FROM wanted";
const FORGET_WANTED: &str = "DELETE FROM wanted WHERE at < now() - interval '1 hour' \
    AND set_config('synchronous_commit', 'off', true) = 'off'";

/// Whether the server's commits wait for a standby. This commit does, if they do: then the standby has all before it.
const SYNCHRONOUS: &str = "UPDATE cluster SET is_synchronous = $1 WHERE id = 1 AND is_synchronous <> $1";

const SETTLE: &str = "UPDATE cluster SET settled = true WHERE id = 1 AND NOT settled";

/// A request for a lease, as its row.
pub(super) struct NewRow<'a> {
    pub(super) id: &'a InstanceId,
    pub(super) binding: Binding,
    pub(super) label: &'a ProcessLabel,
    pub(super) term: Duration,
}

/// The keys of rows, as two parameters.
struct Keys<'a> {
    names: Vec<&'a str>,
    numbers: Vec<&'a [u8]>,
}

impl<'a> Keys<'a> {
    fn of(ids: impl Iterator<Item = &'a InstanceId>) -> Self {
        let (names, numbers) = ids.map(|id| (id.name.as_str(), id.number.as_slice())).unzip();
        Self { names, numbers }
    }
}

impl Database {
    /// Writes leases durably, and returns those that were granted: the others have been given back.
    pub(super) async fn record_leases(&self, rows: &[NewRow<'_>]) -> Result<Vec<InstanceId>, PostgresError> {
        let Keys { names, numbers } = Keys::of(rows.iter().map(|row| row.id));
        let terms: Vec<i64> = rows.iter().map(|row| millis(row.term)).collect();
        let bound: Vec<bool> = rows.iter().map(|row| row.binding == Binding::Bound).collect();
        let hosts: Vec<Option<&str>> = rows.iter().map(|row| row.label.host()).collect();
        let pids: Vec<Option<i64>> = rows.iter().map(|row| row.label.pid().map(i64::from)).collect();
        let transaction = self.begin_durable_unmarked().await?;
        let params: Params<'_> = &[&names, &numbers, &terms, &bound, &hosts, &pids];
        let (written, is_synchronous) =
            tokio::join!(transaction.query(RECORD, params), self.compare_server(&transaction));
        let (written, is_synchronous) = both(written, is_synchronous)?;
        let granted = written.iter().map(|row| id(row, 0)).collect::<Result<_, _>>()?;
        transaction.commit().await?;
        if is_synchronous && let Some(history) = self.target.history() {
            history.note_synchronous(true);
        }
        Ok(granted)
    }

    /// Compares the server with the one that this process uses: a pooler may have moved open connections. Returns
    /// whether commits wait for a standby, which is certain once this one has.
    async fn compare_server(&self, transaction: &Transaction<'_>) -> Result<bool, PostgresError> {
        let Some(history) = self.target.history() else { return Ok(false) };
        let found = identity::identity(&transaction.query(history.reading().statement(), &[]).await?)?;
        if let Err(fault) = history.check(&found) {
            history.end_connections();
            return Err(StoreError::Unavailable(fault).into());
        }
        if found.is_synchronous != history.own().is_synchronous {
            if !found.is_synchronous {
                history.note_synchronous(false);
            }
            transaction.execute(SYNCHRONOUS, &[&found.is_synchronous]).await?;
        }
        Ok(found.is_synchronous)
    }

    /// Notes that a lease's term has passed since the server was promoted.
    pub(super) async fn settle(&self) -> Result<(), StoreError> {
        self.query_once(SETTLE, &[]).await?;
        Ok(())
    }

    /// Writes what processes have confirmed. Those without a row are left out.
    pub(super) async fn confirm_leases(
        &self,
        confirmed: &[(InstanceId, Known)],
    ) -> Result<(), PostgresError> {
        let Keys { names, numbers } = Keys::of(confirmed.iter().map(|(id, _)| id));
        let seqs: Vec<i64> = confirmed.iter().map(|(_, known)| signed(known.seq.as_u64())).collect();
        let rings: Vec<i64> = confirmed.iter().map(|(_, known)| signed(known.ring)).collect();
        let transaction = self.begin_soft().await?;
        transaction.execute(CONFIRM, &[&names, &numbers, &seqs, &rings]).await?;
        Ok(transaction.commit().await?)
    }

    /// Marks leases as given back.
    pub(super) async fn leave_leases(&self, ids: &[InstanceId]) -> Result<(), PostgresError> {
        let Keys { names, numbers } = Keys::of(ids.iter());
        let transaction = self.begin_soft().await?;
        transaction.execute(LEAVE, &[&names, &numbers]).await?;
        Ok(transaction.commit().await?)
    }

    /// Reads all leases.
    pub(super) async fn read_leases(&self) -> Result<Vec<(InstanceId, Found)>, PostgresError> {
        let rows = self.query(READ, &[]).await?;
        let first = rows.first().ok_or(PostgresError::Value("no row of leases"))?;
        if first.try_get(0)? {
            return Err(StoreError::Unavailable("the server is a replica".into()).into());
        }
        let leases = rows.iter().filter(|row| !matches!(row.try_get::<_, Option<&str>>(1), Ok(None)));
        leases.map(|row| Ok((id(row, 1)?, found(row)?))).collect()
    }

    /// Deletes rows whose renewal is still the given one.
    pub(super) async fn forget_leases(&self, renewals: &[Renewal]) -> Result<(), StoreError> {
        if renewals.is_empty() {
            return Ok(());
        }
        let Keys { names, numbers } = Keys::of(renewals.iter().map(|renewal| &renewal.id));
        let numbers_of_renewals: Vec<i64> = renewals.iter().map(|renewal| renewal.number).collect();
        let transaction = self.begin_soft().await?;
        transaction.execute(FORGET, &[&names, &numbers, &numbers_of_renewals]).await?;
        transaction.commit().await
    }

    pub(super) async fn add_wanted(&self, seq: Seq) -> Result<(), StoreError> {
        self.query_once(WANT, &[&signed(seq.as_u64())]).await?;
        Ok(())
    }

    /// The time of the server's clock.
    pub(super) async fn time(&self) -> Result<Timestamp, PostgresError> {
        let rows = self.query(TIME, &[]).await?;
        let millis: i64 = rows.first().ok_or(PostgresError::Value("no time"))?.try_get(0)?;
        Ok(Timestamp::from_millis(millis))
    }

    /// The largest number that a request waits for, or recently did.
    pub(super) async fn wanted(&self) -> Result<Option<Seq>, PostgresError> {
        let rows = self.query(WANTED, &[]).await?;
        let seq: Option<i64> = rows.first().ok_or(PostgresError::Value("no number"))?.try_get(0)?;
        Ok(seq.map(|seq| Seq::from_u64(unsigned(seq))))
    }

    pub(super) async fn forget_wanted(&self) -> Result<(), StoreError> {
        self.query_once(FORGET_WANTED, &[]).await?;
        Ok(())
    }
}

fn found(row: &Row) -> Result<Found, PostgresError> {
    let pid: Option<i64> = row.try_get(10)?;
    let pid = pid.map(|pid| pid.to_string());
    let label = ProcessLabel::parse(row.try_get(9)?, pid.as_deref());
    Ok(Found {
        renewal: row.try_get(3)?,
        known: Known { seq: Seq::from_u64(unsigned(row.try_get(4)?)), ring: unsigned(row.try_get(5)?) },
        term: Duration::from_millis(unsigned(row.try_get(6)?)),
        binding: if row.try_get(7)? { Binding::Bound } else { Binding::NotBound },
        has_left: row.try_get(8)?,
        // Only for operators: a lease with an unreadable one counts as any other.
        label: label.unwrap_or_default(),
    })
}

/// The process in two columns.
fn id(row: &Row, first: usize) -> Result<InstanceId, PostgresError> {
    let number: &[u8] = row.try_get(first + 1)?;
    let number = number.try_into().map_err(|_| PostgresError::Value("the number of a process"))?;
    Ok(InstanceId { name: row.try_get(first)?, number })
}

fn millis(span: Duration) -> i64 {
    i64::try_from(span.as_millis()).unwrap_or(i64::MAX)
}

/// Numbers of the log are below 2^53.
fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

fn unsigned(number: i64) -> u64 {
    u64::try_from(number).unwrap_or(0)
}
