//! Checks of the PostgreSQL server. Opening the store refuses a server with `fsync` or `full_page_writes` off.

use quash_store::PostgresServer;

use super::{EngineKind, Facts, Verdict};

/// The oldest major version that its project maintains (the last release of version 14 was in November 2026).
const OLDEST_MAINTAINED: i32 = 15;

/// Judges the server; with another engine there is nothing to judge.
fn judge(facts: &Facts, judge: impl Fn(&PostgresServer) -> Verdict) -> Option<Verdict> {
    if facts.settings.as_ref()?.engine != EngineKind::Postgres {
        return Some(Verdict::Fine);
    }
    Some(judge(facts.postgres.as_ref()?))
}

pub(super) fn version(facts: &Facts) -> Option<Verdict> {
    judge(facts, |server| {
        if server.major_version >= OLDEST_MAINTAINED {
            return Verdict::Fine;
        }
        Verdict::warning(
            format!("the database is PostgreSQL {}", server.major_version),
            "its project publishes no more fixes for this version, also not for vulnerabilities",
            "upgrade it with pg_upgrade, and then run `quash epoch accept`",
        )
    })
}

pub(super) fn commit(facts: &Facts) -> Option<Verdict> {
    judge(facts, |server| match server.synchronous_commit.as_str() {
        "off" => Verdict::note(
            "synchronous_commit is off for quash's database user",
            "quash switches it on for each of its changes, but other programs that use this user may lose theirs",
            "set synchronous_commit = on for the user, or leave it if only quash uses it",
        ),
        _ => Verdict::Fine,
    })
}

pub(super) fn superuser(facts: &Facts) -> Option<Verdict> {
    judge(facts, |server| {
        if !server.is_superuser {
            return Verdict::Fine;
        }
        Verdict::warning(
            "quash's database user is a superuser",
            "an attacker who takes over quash may read and change all databases of the server, and its files",
            "create a user that owns the database alone, and name it in storage.url",
        )
    })
}

pub(super) fn standby(facts: &Facts) -> Option<Verdict> {
    judge(facts, |server| {
        if server.standbys == 0 || server.waits_for_standby {
            return Verdict::Fine;
        }
        Verdict::note(
            format!(
                "{} standbys follow the database, and synchronous_standby_names is empty",
                server.standbys
            ),
            "a promotion may lose the newest changes; unless nodes prove that nothing is lost, all users must then sign \
             in again",
            "set synchronous_standby_names to the standby that is promoted, such as 'db2', or to all of several: \
             'ANY 2 (db2, db3)'",
        )
    })
}

pub(super) fn encryption(facts: &Facts) -> Option<Verdict> {
    judge(facts, |server| {
        if server.is_encrypted || server.is_local {
            return Verdict::Fine;
        }
        Verdict::problem(
            "the connection to the database isn't encrypted, and leads to another machine",
            "a pooler or a tunnel between them may carry password hashes in clear over the network",
            "use the server's own address with sslmode=verify-full",
        )
    })
}
