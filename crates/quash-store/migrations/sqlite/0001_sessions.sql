-- Accounts, their sessions, the log of revocations, keys and secrets. Moments are milliseconds since 1970; numbers of
-- the log are below 2^53. A revocation's `before` isn't kept: its kind and its number give it.

CREATE TABLE account (
    subject           TEXT    NOT NULL PRIMARY KEY,
    username          TEXT    NOT NULL,
    username_folded   TEXT    NOT NULL UNIQUE,
    email             TEXT,
    email_folded      TEXT,
    email_verified_at INTEGER,
    password          TEXT,
    state             TEXT    NOT NULL CHECK (state IN ('active', 'locked', 'deactivated')),
    state_at          INTEGER, -- locked: until when; deactivated: since when
    sessions_before   INTEGER NOT NULL,
    version           INTEGER NOT NULL,
    created_at        INTEGER NOT NULL,
    CHECK ((email IS NULL) = (email_folded IS NULL)),
    CHECK (email IS NOT NULL OR email_verified_at IS NULL),
    CHECK ((state = 'active') = (state_at IS NULL))
) STRICT, WITHOUT ROWID;

-- Not unique: only a new account must bring an unused address.
CREATE INDEX account_email ON account (email_folded) WHERE email_folded IS NOT NULL;

CREATE TABLE session (
    sid          BLOB    NOT NULL PRIMARY KEY CHECK (length(sid) = 16),
    subject      TEXT    NOT NULL REFERENCES account (subject),
    generation   INTEGER NOT NULL,
    rotated_at   INTEGER NOT NULL,
    seed         BLOB    NOT NULL CHECK (length(seed) = 16),
    opened_seq   INTEGER NOT NULL,
    opened_at    INTEGER NOT NULL,
    idle_until   INTEGER NOT NULL,
    ends_at      INTEGER,
    device       TEXT,
    address      TEXT,
    ended_reason TEXT,
    ended_at     INTEGER,
    ended_actor  TEXT,
    CHECK ((ended_reason IS NULL) = (ended_at IS NULL) AND (ended_reason IS NULL) = (ended_actor IS NULL))
) STRICT, WITHOUT ROWID;

CREATE INDEX session_of ON session (subject, sid);
-- Holds nothing that a rotation changes.
CREATE INDEX session_live ON session (subject, sid) WHERE ended_reason IS NULL;
CREATE INDEX session_idle ON session (idle_until, sid);

-- One row. `seq` is the newest number, `chain` the hash over the log up to it; whoever follows the log from below
-- `min_seq` would miss what has been deleted.
CREATE TABLE feed_head (
    id                  INTEGER NOT NULL PRIMARY KEY CHECK (id = 1),
    seq                 INTEGER NOT NULL,
    chain               BLOB    NOT NULL CHECK (length(chain) = 32),
    min_seq             INTEGER NOT NULL,
    sessions_before     INTEGER NOT NULL,
    longest_lifetime_ms INTEGER NOT NULL
) STRICT;

-- Epoch 1, no entry yet: 1 * 2^34 + 0.
INSERT INTO feed_head VALUES (1, 17179869184, zeroblob(32), 17179869184, 0, 0);

CREATE TABLE revocation_log (
    seq        INTEGER NOT NULL PRIMARY KEY,
    kind       INTEGER NOT NULL,
    key        BLOB    NOT NULL CHECK (length(key) = 16),
    drop_after INTEGER, -- NULL: never
    reason     TEXT    NOT NULL,
    at         INTEGER NOT NULL,
    actor      TEXT    NOT NULL,
    chain      BLOB    NOT NULL CHECK (length(chain) = 32),
    marked_at  INTEGER,
    CHECK (marked_at IS NULL OR drop_after IS NOT NULL)
) STRICT;

CREATE INDEX revocation_log_key ON revocation_log (key);
CREATE INDEX revocation_log_unmarked ON revocation_log (drop_after) WHERE marked_at IS NULL;
CREATE INDEX revocation_log_marked ON revocation_log (marked_at) WHERE marked_at IS NOT NULL;

CREATE TABLE signing_key (
    kid        TEXT    NOT NULL PRIMARY KEY,
    algorithm  TEXT    NOT NULL,
    state      TEXT    NOT NULL CHECK (state IN ('current', 'retiring')),
    retires_at INTEGER,
    secret     BLOB    NOT NULL,
    created_at INTEGER NOT NULL,
    CHECK ((state = 'current') = (retires_at IS NULL))
) STRICT, WITHOUT ROWID;

CREATE UNIQUE INDEX signing_key_current ON signing_key (state) WHERE state = 'current';
CREATE INDEX signing_key_age ON signing_key (created_at, kid);

CREATE TABLE secret (
    name   TEXT NOT NULL PRIMARY KEY,
    secret BLOB NOT NULL
) STRICT, WITHOUT ROWID;
