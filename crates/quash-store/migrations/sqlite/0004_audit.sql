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
    seq     INTEGER
) STRICT;
CREATE INDEX audit_subject ON audit (subject, id) WHERE subject IS NOT NULL;

CREATE TABLE audit_person (
    id      INTEGER NOT NULL PRIMARY KEY REFERENCES audit (id) ON DELETE CASCADE,
    name    TEXT,
    address TEXT,
    device  TEXT,
    author  TEXT,
    note    TEXT
) STRICT;
