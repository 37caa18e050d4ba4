//! The statements over `tally` and `recent`. Each is a transaction by itself; its parameters are in the order of
//! the places. The database's clock alone decides, and a place that isn't given back within 30 seconds expires.

/// Reserves a place: the failures that count, and the attempts that are being evaluated, must leave one.
/// Parameters: key, most failures, longest lock.
pub(super) const RESERVE: &str = "INSERT INTO tally AS t (key, running) \
    SELECT $1, ARRAY[now()] FROM set_config('synchronous_commit', 'off', true) \
    ON CONFLICT (key) DO UPDATE SET running = array_append(ARRAY(\
        SELECT r FROM unnest(t.running) AS r WHERE r > now() - interval '30 seconds' ORDER BY r), now()) \
    WHERE (SELECT count(*) FROM unnest(t.running) AS r WHERE r > now() - interval '30 seconds') \
        < greatest(1, $2 - CASE WHEN t.changed_at > now() - $3 * interval '1 millisecond' \
            THEN t.failures ELSE 0 END) \
    RETURNING 1";

/// Gives places back, the oldest first: those that remain are of attempts that began at the same time or later.
/// Parameters: keys, and the number of places of each.
pub(super) const RELEASE: &str = "WITH locked AS (\
        SELECT t.key, a.places FROM unnest($1, $2) AS a (key, places) JOIN tally t ON t.key = a.key \
        ORDER BY t.key FOR NO KEY UPDATE OF t) \
    UPDATE tally SET running = (ARRAY(\
        SELECT r FROM unnest(running) AS r WHERE r > now() - interval '30 seconds' ORDER BY r))[locked.places + 1:] \
    FROM locked, set_config('synchronous_commit', 'off', true) WHERE tally.key = locked.key";

/// The milliseconds until a lock ends. Parameter: key.
pub(super) const LOCKED_FOR: &str = "SELECT ceil(extract(epoch FROM locked_until - now()) * 1000)::bigint FROM tally \
    WHERE key = $1 AND locked_until > now()";

/// Counts a failure; the last permitted one locks in the same statement, for twice as long as the lock before.
/// Parameters: key, most failures, longest lock, consecutive locks in the store, first lock.
pub(super) const FAILED: &str = "INSERT INTO tally AS t (key, failures, locks, locked_until) \
    SELECT $1, CASE WHEN $2 > 1 THEN 1 ELSE 0 END, CASE WHEN $2 > 1 THEN $4 ELSE $4 + 1 END, \
        CASE WHEN $2 <= 1 THEN now() + least($3::float8, $5 * power(2, least($4, 40))) * interval '1 millisecond' END \
    FROM set_config('synchronous_commit', 'off', true) \
    ON CONFLICT (key) DO UPDATE SET (failures, locks, locked_until, changed_at) = (\
        SELECT CASE WHEN n < $2 THEN n ELSE 0 END, CASE WHEN n < $2 THEN l ELSE least(l, 1000000) + 1 END, \
            CASE WHEN n < $2 THEN t.locked_until \
                ELSE now() + least($3::float8, $5 * power(2, least(l, 40))) * interval '1 millisecond' END, now() \
        FROM (SELECT greatest(t.locks, $4) AS l, 1 + CASE WHEN t.changed_at > now() - $3 * interval '1 millisecond' \
            THEN t.failures ELSE 0 END AS n) AS counted) \
    RETURNING t.failures = 0";

/// Parameter: key.
pub(super) const CLEAR: &str = "UPDATE tally SET failures = 0, locks = 0, locked_until = NULL \
    FROM set_config('synchronous_commit', 'off', true) \
    WHERE key = $1 AND (failures > 0 OR locks > 0 OR locked_until IS NOT NULL)";

/// Reserves one of the failures that a window has left. Parameters: kind, key, most failures, span.
pub(super) const BEGIN: &str = "INSERT INTO recent AS r (kind, key, running, until) \
    SELECT $1, $2, ARRAY[now()], now() + interval '30 seconds' FROM set_config('synchronous_commit', 'off', true) \
    ON CONFLICT (kind, key) DO UPDATE SET \
        running = array_append(ARRAY(\
            SELECT b FROM unnest(r.running) AS b WHERE b > now() - interval '30 seconds' ORDER BY b), now()), \
        until = greatest(r.until, excluded.until) \
    WHERE (SELECT count(*) FROM unnest(r.running) AS b WHERE b > now() - interval '30 seconds') \
        + (SELECT count(*) FROM unnest(r.at) AS a WHERE a > now() - $4 * interval '1 millisecond') < $3 \
    RETURNING 1";

/// Like [`RELEASE`]. Parameters: kinds, keys, and the number of places of each.
pub(super) const END: &str = "WITH locked AS (\
        SELECT r.kind, r.key, a.places FROM unnest($1, $2, $3) AS a (kind, key, places) \
        JOIN recent r ON (r.kind, r.key) = (a.kind, a.key) ORDER BY r.kind, r.key FOR NO KEY UPDATE OF r) \
    UPDATE recent SET running = (ARRAY(\
        SELECT b FROM unnest(running) AS b WHERE b > now() - interval '30 seconds' ORDER BY b))[locked.places + 1:] \
    FROM locked, set_config('synchronous_commit', 'off', true) \
    WHERE (recent.kind, recent.key) = (locked.kind, locked.key)";

/// Counts a failure. Parameters: kind, key, most failures, span.
pub(super) const FAILED_IN: &str = "INSERT INTO recent AS r (kind, key, at, until) \
    SELECT $1, $2, ARRAY[now()], now() + $4 * interval '1 millisecond' \
    FROM set_config('synchronous_commit', 'off', true) \
    ON CONFLICT (kind, key) DO UPDATE SET \
        at = ARRAY(SELECT n.a FROM (SELECT a FROM unnest(array_append(r.at, now())) AS a \
            WHERE a > now() - $4 * interval '1 millisecond' ORDER BY a DESC LIMIT $3) AS n ORDER BY n.a), \
        until = greatest(r.until, excluded.until)";

/// The failures that count, and the milliseconds until the oldest doesn't. Parameters: kind, key, span.
pub(super) const FAILURES: &str = "SELECT count(*), \
        ceil(extract(epoch FROM min(a) + $3 * interval '1 millisecond' - now()) * 1000)::bigint \
    FROM recent, unnest(at) AS a \
    WHERE kind = $1 AND key = $2 AND a > now() - $3 * interval '1 millisecond'";

/// Counts a request under each limit, or under none if one of them is seen to be used up. Returns the limits that
/// had room: fewer than were asked for if another process was faster.
/// Parameters: kinds, keys, the most requests, and spans.
pub(super) const TAKE: &str = "WITH asked AS (\
        SELECT a.kind, a.key, a.most, a.span * interval '1 millisecond' AS span \
        FROM unnest($1, $2, $3, $4) AS a (kind, key, most, span)), \
    used_up AS (\
        SELECT count(*) AS n FROM asked a JOIN recent r ON (r.kind, r.key) = (a.kind, a.key) \
        WHERE cardinality(r.at) >= a.most AND r.at[1] > now() - a.span) \
    INSERT INTO recent AS r (kind, key, at, until) \
    SELECT a.kind, a.key, ARRAY[now()], now() + a.span \
    FROM asked a, used_up, set_config('synchronous_commit', 'off', true) \
    WHERE used_up.n = 0 ORDER BY a.kind, a.key \
    ON CONFLICT (kind, key) DO UPDATE SET \
        at = CASE WHEN r.at[1] > now() - (excluded.until - now()) \
            THEN array_append(r.at, now()) ELSE excluded.at END, \
        until = CASE WHEN r.at[1] > now() - (excluded.until - now()) THEN r.until ELSE excluded.until END \
    WHERE cardinality(r.at) < (SELECT a.most FROM unnest($1, $2, $3) AS a (kind, key, most) \
            WHERE (a.kind, a.key) = (r.kind, r.key)) \
        OR r.at[1] <= now() - (excluded.until - now()) \
    RETURNING r.kind, r.key";

/// Takes the newest request out of each count. Parameters: kinds, keys.
pub(super) const GIVE_BACK: &str = "WITH locked AS (\
        SELECT r.kind, r.key FROM unnest($1, $2) AS a (kind, key) \
        JOIN recent r ON (r.kind, r.key) = (a.kind, a.key) ORDER BY r.kind, r.key FOR NO KEY UPDATE OF r) \
    UPDATE recent SET at = trim_array(at, least(1, cardinality(at))) \
    FROM locked, set_config('synchronous_commit', 'off', true) \
    WHERE (recent.kind, recent.key) = (locked.kind, locked.key)";

/// Parameter: longest lock.
pub(super) const FORGET_TALLIES: &str = "DELETE FROM tally WHERE key IN (\
        SELECT key FROM tally WHERE changed_at < now() - greatest(3600000, $1) * interval '1 millisecond' \
            AND (locked_until IS NULL OR locked_until < now()) \
            AND NOT EXISTS (SELECT FROM unnest(running) AS r WHERE r > now() - interval '30 seconds') \
        ORDER BY key FOR UPDATE SKIP LOCKED) \
    AND set_config('synchronous_commit', 'off', true) = 'off'";

/// Deletes rows that count nothing, and those that expire first beyond a number of each kind. Parameter: that number.
pub(super) const FORGET_RECENT: &str = "WITH gone AS (\
        SELECT kind, key FROM recent WHERE until < now() OR (kind, key) IN (\
            SELECT kind, key FROM (SELECT kind, key, row_number() OVER (PARTITION BY kind ORDER BY until DESC) AS n \
                FROM recent) AS numbered WHERE n > $1) \
        ORDER BY kind, key FOR UPDATE SKIP LOCKED) \
    DELETE FROM recent USING gone, set_config('synchronous_commit', 'off', true) \
    WHERE (recent.kind, recent.key) = (gone.kind, gone.key)";
