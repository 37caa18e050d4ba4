-- What mails let their readers do, and mails that are to be sent. Neither links nor codes are kept.

CREATE TABLE flow (
    id         BLOB    NOT NULL PRIMARY KEY CHECK (length(id) = 16),
    purpose    TEXT    NOT NULL CHECK (purpose IN ('reset', 'verification', 'email_change')),
    matter     BLOB    NOT NULL UNIQUE CHECK (length(matter) = 16), -- purpose and account, hashed: the newest flow alone
    subject    TEXT, -- NULL: nobody's
    address    TEXT,
    binding    BLOB    NOT NULL CHECK (length(binding) = 16), -- password and address as they were, hashed
    tries      INTEGER NOT NULL CHECK (tries >= 0),
    created_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX flow_expires ON flow (expires_at, id);

CREATE TABLE mail (
    id         BLOB    NOT NULL PRIMARY KEY CHECK (length(id) = 16),
    kind       TEXT    NOT NULL,
    recipient  TEXT, -- NULL: nobody
    whom       BLOB    NOT NULL CHECK (length(whom) = 16), -- the recipient, hashed
    flow       BLOB CHECK (length(flow) = 16),
    created_at INTEGER NOT NULL,
    due_at     INTEGER NOT NULL,
    keep_until INTEGER NOT NULL,
    attempts   INTEGER NOT NULL,
    doubts     INTEGER NOT NULL,
    sent_at    INTEGER
) STRICT, WITHOUT ROWID;
CREATE INDEX mail_due ON mail (due_at, id) WHERE sent_at IS NULL;
CREATE INDEX mail_whom ON mail (whom, created_at);
CREATE INDEX mail_kept ON mail (keep_until, id);
