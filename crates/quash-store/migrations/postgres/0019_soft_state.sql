-- Soft state: what the processes share beside the data. Moments that only the database compares are timestamps.

-- Leases of the processes that follow the log: verifiers, and the processes of the issuer, which have an empty name. Two
-- credentials may choose the same number, so the name is a part of the key. `renewal` is from a sequence: it is never given
-- again, also after a deletion. Logged: a commit of unlogged rows alone waits for no standby.
CREATE SEQUENCE lease_renewal;
CREATE TABLE lease (
    name      text    COLLATE "C" NOT NULL,
    instance  bytea   NOT NULL CHECK (length(instance) = 16),
    kind      text    NOT NULL CHECK (kind = CASE name WHEN '' THEN 'node' ELSE 'verifier' END),
    renewal   bigint  NOT NULL,
    confirmed bigint  NOT NULL DEFAULT 0,
    ring      bigint  NOT NULL DEFAULT 0,
    term_ms   bigint  NOT NULL, -- the longest of its leases
    bound     boolean NOT NULL,
    has_left  boolean NOT NULL DEFAULT false, -- the lease was given back, and is never granted again
    host      text,
    pid       bigint,
    PRIMARY KEY (name, instance)
) WITH (fillfactor = 50);

-- Numbers of the log that requests wait for.
CREATE TABLE wanted (seq bigint PRIMARY KEY, at timestamptz NOT NULL DEFAULT now());

-- Counters of attempts and requests. A crash of the database empties them, and lifts no lock of an account's row.
-- `running` has the moments at which attempts have reserved a place; one that is never given back expires.
CREATE UNLOGGED TABLE tally (
    key          bytea PRIMARY KEY,
    running      timestamptz[] NOT NULL DEFAULT '{}',
    failures     int NOT NULL DEFAULT 0,
    locks        int NOT NULL DEFAULT 0,
    locked_until timestamptz,
    changed_at   timestamptz NOT NULL DEFAULT now() -- its newest failure
) WITH (fillfactor = 70);
-- Failures within a window, and requests within a fixed time from the first one. A row may be deleted at `until`.
CREATE UNLOGGED TABLE recent (
    kind    smallint NOT NULL,
    key     bytea    NOT NULL,
    at      timestamptz[] NOT NULL DEFAULT '{}',
    running timestamptz[] NOT NULL DEFAULT '{}',
    until   timestamptz NOT NULL,
    PRIMARY KEY (kind, key)
) WITH (fillfactor = 70);
