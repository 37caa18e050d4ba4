-- Other services that speak to quash in their own name, and which of them has opened a session. No secret is kept.

CREATE TABLE client (
    name       TEXT    NOT NULL PRIMARY KEY,
    digest     BLOB    NOT NULL UNIQUE CHECK (length(digest) = 32), -- SHA-256 of its secret
    rights     TEXT    NOT NULL,
    created_at INTEGER NOT NULL
) STRICT;

ALTER TABLE session ADD COLUMN client TEXT; -- its name; a session outlives the client that opened it
