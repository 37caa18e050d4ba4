-- Keys that are published before they sign, and keys that were struck. What was `retires_at` now says of each state but
-- the current one when: next and struck, since when; retiring, until when.

CREATE TABLE signing_key_anew (
    kid        TEXT    NOT NULL PRIMARY KEY,
    algorithm  TEXT    NOT NULL,
    state      TEXT    NOT NULL CHECK (state IN ('next', 'current', 'retiring', 'struck')),
    state_at   INTEGER,
    secret     BLOB    NOT NULL, -- of a pair that was struck, the public half
    created_at INTEGER NOT NULL,
    source     TEXT    NOT NULL CHECK (source IN ('made', 'settings')),
    CHECK ((state = 'current') = (state_at IS NULL))
) STRICT, WITHOUT ROWID;

INSERT INTO signing_key_anew (kid, algorithm, state, state_at, secret, created_at, source)
    SELECT kid, algorithm, state, retires_at, secret, created_at, source FROM signing_key;

DROP TABLE signing_key;
ALTER TABLE signing_key_anew RENAME TO signing_key;

CREATE UNIQUE INDEX signing_key_current ON signing_key (state) WHERE state = 'current';
CREATE UNIQUE INDEX signing_key_next ON signing_key (state) WHERE state = 'next';
CREATE INDEX signing_key_age ON signing_key (created_at, kid);
