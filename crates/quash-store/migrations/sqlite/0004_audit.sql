-- What has happened, one row for each event, in the order of commits. What is personal stands apart, so that it can be
-- blanked.

CREATE TABLE audit_head (
    id   INTEGER NOT NULL PRIMARY KEY CHECK (id = 1),
    last INTEGER NOT NULL -- the newest number that was given
) STRICT;
INSERT INTO audit_head VALUES (1, 0);

CREATE TABLE audit (
    id      INTEGER NOT NULL PRIMARY KEY,
    at      INTEGER NOT NULL,
    event   TEXT    NOT NULL,
    actor   TEXT    NOT NULL,
    reason  TEXT,
    subject TEXT,
    sid     BLOB CHECK (length(sid) = 16),
    kid     TEXT,
    seq     INTEGER,
    person  BLOB CHECK (length(person) = 32), -- the hash over what is personal
    chain   BLOB CHECK (length(chain) = 32)   -- the hash over this entry and all before it, once it is sealed
) STRICT;
CREATE INDEX audit_subject ON audit (subject, id) WHERE subject IS NOT NULL;

CREATE TABLE audit_person (
    id      INTEGER NOT NULL PRIMARY KEY REFERENCES audit (id) ON DELETE CASCADE,
    salt    BLOB CHECK (length(salt) = 16),
    name    TEXT,
    address TEXT,
    device  TEXT,
    author  TEXT,
    note    TEXT
) STRICT;

-- What vouches for the entries between two places. What comes before the first is forgotten.
CREATE TABLE audit_seal (
    id          INTEGER NOT NULL PRIMARY KEY CHECK (id = 1),
    first_id    INTEGER NOT NULL,
    first_chain BLOB    NOT NULL CHECK (length(first_chain) = 32),
    last_id     INTEGER NOT NULL,
    last_chain  BLOB    NOT NULL CHECK (length(last_chain) = 32),
    at          INTEGER NOT NULL,
    signed      TEXT    NOT NULL
) STRICT;

-- Whether what is personal about a deleted account has been blanked.
ALTER TABLE gone ADD COLUMN blanked INTEGER NOT NULL DEFAULT 0;
CREATE INDEX gone_unblanked ON gone (blanked) WHERE blanked = 0;
