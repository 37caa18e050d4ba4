-- Two accounts never share an address by which they are found: a unique index says so, and not a condition of the
-- statements that write. Where two have the same one, the one that has confirmed it keeps it, or else the older account;
-- the other keeps the address, and isn't found by it. The table is made anew because its check didn't allow that.
PRAGMA defer_foreign_keys = ON;

CREATE TABLE account_before AS SELECT *, row_number() OVER (
    PARTITION BY email_folded ORDER BY email_verified_at IS NULL, created_at, subject
) AS place FROM account;
DROP TABLE account;

CREATE TABLE account (
    subject           TEXT    NOT NULL PRIMARY KEY,
    username          TEXT    NOT NULL,
    username_folded   TEXT    NOT NULL UNIQUE,
    email             TEXT,
    email_folded      TEXT, -- NULL: none, or another account has the same one
    email_verified_at INTEGER,
    password          TEXT,
    password_class    TEXT,
    must_change       INTEGER,
    mark              TEXT, -- the mark of the hash that Django nodes have, where quash has set another password since
    state             TEXT    NOT NULL CHECK (state IN ('active', 'locked', 'deactivated')),
    state_at          INTEGER, -- locked: until when; deactivated: since when
    locked_at         INTEGER,
    locks             INTEGER NOT NULL DEFAULT 0,
    sessions_before   INTEGER NOT NULL,
    foreign_after     INTEGER NOT NULL DEFAULT 0,
    version           INTEGER NOT NULL,
    created_at        INTEGER NOT NULL,
    last_login_at     INTEGER,
    claims            TEXT, -- NULL: the account never had any; '{}': an operator has removed them
    claims_adopted    INTEGER NOT NULL DEFAULT 0,
    devices           TEXT    NOT NULL DEFAULT '',
    CHECK (email IS NOT NULL OR email_folded IS NULL),
    CHECK (email IS NOT NULL OR email_verified_at IS NULL),
    CHECK ((state = 'active') = (state_at IS NULL))
) STRICT, WITHOUT ROWID;

INSERT INTO account (subject, username, username_folded, email, email_folded, email_verified_at, password, password_class,
    must_change, mark, state, state_at, locked_at, locks, sessions_before, foreign_after, version, created_at, last_login_at,
    claims, claims_adopted, devices)
SELECT subject, username, username_folded, email, iif(place = 1, email_folded, NULL), email_verified_at, password, password_class,
    must_change, mark, state, state_at, locked_at, locks, sessions_before, foreign_after, version, created_at, last_login_at,
    claims, claims_adopted, devices
FROM account_before;
DROP TABLE account_before;

CREATE UNIQUE INDEX account_email ON account (email_folded) WHERE email_folded IS NOT NULL;
CREATE INDEX account_password_class ON account (password_class) WHERE password_class IS NOT NULL;
CREATE INDEX account_number ON account (CAST(subject AS INTEGER))
    WHERE length(subject) <= 15 AND subject GLOB '[1-9]*' AND subject NOT GLOB '*[^0-9]*';
