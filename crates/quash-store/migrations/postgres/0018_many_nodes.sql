-- The schema of a database that any number of processes share. Moments are milliseconds since 1970, numbers of the log are
-- below 2^53. Texts that are compared or ordered are compared by their bytes. A rotation changes no column of an index of
-- `session`, save `keep_bucket` four times a day, so that it writes no index.

-- One row: what processes must notice when another one changes it. The head of the log is its newest entry, or the newest
-- deleted one (`base_seq`, `base_chain`) if that is newer.
CREATE TABLE cluster (
    id                  int    PRIMARY KEY CHECK (id = 1),
    system_identifier   text,
    timeline            int,
    log_oid             oid,
    settled             boolean NOT NULL DEFAULT true,
    log_id              bytea   NOT NULL CHECK (length(log_id) = 16),
    schema_fence        int     NOT NULL DEFAULT 0,
    settings            bigint  NOT NULL DEFAULT 0,
    ring                bigint  NOT NULL DEFAULT 0,
    longest_lifetime_ms bigint  NOT NULL DEFAULT 0,
    sessions_before     bigint  NOT NULL DEFAULT 0,
    foreign_after       bigint  NOT NULL DEFAULT 0,
    base_seq            bigint  NOT NULL,
    base_chain          bytea   NOT NULL CHECK (length(base_chain) = 32),
    forgotten_at        bigint  NOT NULL DEFAULT 0,
    forgotten_until     bigint  NOT NULL DEFAULT 0
);
-- Epoch 1, no entry yet: 1 * 2^34 + 0.
INSERT INTO cluster (id, log_id, base_seq, base_chain)
    VALUES (1, uuid_send(gen_random_uuid()), 17179869184, decode(repeat('00', 32), 'hex'));

-- One row, locked by whoever appends to the log, and never updated: a counter that is updated keeps its dead versions while
-- any long snapshot is open.
CREATE TABLE log_lock (id int PRIMARY KEY CHECK (id = 1));
INSERT INTO log_lock VALUES (1);

CREATE TABLE account (
    subject           text   COLLATE "C" PRIMARY KEY,
    username          text   NOT NULL,
    username_folded   text   COLLATE "C" NOT NULL UNIQUE,
    email             text,
    email_folded      text   COLLATE "C", -- NULL: none, or another account has the same one
    email_verified_at bigint,
    password          text,
    password_class    text   COLLATE "C",
    must_change       bigint,
    mark              text, -- the mark of the hash that Django nodes have, where quash has set another password since
    state             text   NOT NULL CHECK (state IN ('active', 'locked', 'deactivated')),
    state_at          bigint, -- locked: until when; deactivated: since when
    locked_at         bigint,
    locks             bigint NOT NULL DEFAULT 0,
    sessions_before   bigint NOT NULL,
    foreign_after     bigint NOT NULL DEFAULT 0,
    version           bigint NOT NULL,
    created_at        bigint NOT NULL,
    last_login_at     bigint,
    claims            text, -- NULL: the account never had any; '{}': an operator has removed them
    claims_adopted    boolean NOT NULL DEFAULT false,
    devices           text   NOT NULL DEFAULT '',
    CHECK (email IS NOT NULL OR email_folded IS NULL),
    CHECK (email IS NOT NULL OR email_verified_at IS NULL),
    CHECK ((state = 'active') = (state_at IS NULL))
) WITH (fillfactor = 80);
CREATE UNIQUE INDEX account_email ON account (email_folded) WHERE email_folded IS NOT NULL;
CREATE INDEX account_password_class ON account (password_class) WHERE password_class IS NOT NULL;
-- Subjects that are numbers: the conditions are those of `Subject::number`.
CREATE INDEX account_number ON account (CAST(subject AS bigint)) WHERE subject ~ '^[1-9][0-9]{0,14}$';

-- Subjects of deleted accounts. None is given out again.
CREATE TABLE gone (
    subject text    COLLATE "C" PRIMARY KEY,
    blanked boolean NOT NULL DEFAULT false -- whether what is personal about it in the audit has been blanked
);
CREATE INDEX gone_unblanked ON gone (subject) WHERE NOT blanked;
CREATE INDEX gone_number ON gone (CAST(subject AS bigint)) WHERE subject ~ '^[1-9][0-9]{0,14}$';

CREATE TABLE session (
    sid           bytea  PRIMARY KEY CHECK (length(sid) = 16),
    subject       text   COLLATE "C" NOT NULL REFERENCES account (subject),
    generation    bigint NOT NULL,
    rotated_at    bigint NOT NULL,
    seed          bytea  NOT NULL CHECK (length(seed) = 16),
    opened_seq    bigint NOT NULL,
    opened_at     bigint NOT NULL,
    idle_until    bigint NOT NULL,
    ends_at       bigint,
    device        text,
    address       text,
    ended_reason  text,
    ended_at      bigint,
    ended_actor   text,
    claims        text, -- a JSON object
    foreign_key   bytea CHECK (length(foreign_key) = 16),
    foreign_until bigint,
    known_device  bytea CHECK (length(known_device) = 16),
    client        text,
    -- The six hours after those in which the row is needed for the last time.
    keep_bucket   bigint NOT NULL GENERATED ALWAYS AS (greatest(idle_until, coalesce(foreign_until, 0)) / 21600000 + 1) STORED,
    CHECK ((ended_reason IS NULL) = (ended_at IS NULL) AND (ended_reason IS NULL) = (ended_actor IS NULL)),
    CHECK ((foreign_key IS NULL) = (foreign_until IS NULL))
) WITH (fillfactor = 70);
CREATE INDEX session_of ON session (subject, sid);
CREATE INDEX session_live ON session (subject, sid) WHERE ended_reason IS NULL;
CREATE UNIQUE INDEX session_foreign ON session (foreign_key) WHERE foreign_key IS NOT NULL;
CREATE INDEX session_kept ON session (keep_bucket);

-- Tokens of other issuers that have opened sessions of accounts which were deleted since.
CREATE TABLE adopted (
    key   bytea  PRIMARY KEY CHECK (length(key) = 16),
    until bigint NOT NULL
);
CREATE INDEX adopted_until ON adopted (until, key);

CREATE TABLE revocation_log (
    seq        bigint   PRIMARY KEY,
    kind       smallint NOT NULL,
    key        bytea    NOT NULL CHECK (length(key) = 16),
    drop_after bigint, -- NULL: never
    reason     text     NOT NULL,
    at         bigint   NOT NULL,
    actor      text     NOT NULL,
    chain      bytea    NOT NULL CHECK (length(chain) = 32),
    until      bigint, -- the time of the event; NULL: that of the entry
    marked_at  bigint,
    CHECK (marked_at IS NULL OR drop_after IS NOT NULL)
);
CREATE INDEX revocation_log_key ON revocation_log (key, seq);
CREATE INDEX revocation_log_unmarked ON revocation_log (drop_after, seq) WHERE marked_at IS NULL AND drop_after IS NOT NULL;
CREATE INDEX revocation_log_marked ON revocation_log (marked_at, seq) WHERE marked_at IS NOT NULL;

CREATE TABLE signing_key (
    kid        text   COLLATE "C" PRIMARY KEY,
    algorithm  text   NOT NULL,
    state      text   NOT NULL CHECK (state IN ('next', 'current', 'retiring', 'struck')),
    state_at   bigint,
    secret     bytea  NOT NULL, -- of a pair that was struck, the public half
    created_at bigint NOT NULL,
    source     text   NOT NULL CHECK (source IN ('made', 'settings')),
    CHECK ((state = 'current') = (state_at IS NULL))
);
CREATE UNIQUE INDEX signing_key_current ON signing_key (state) WHERE state = 'current';
CREATE UNIQUE INDEX signing_key_next ON signing_key (state) WHERE state = 'next';
CREATE INDEX signing_key_age ON signing_key (created_at, kid);

CREATE TABLE secret (name text COLLATE "C" PRIMARY KEY, secret bytea NOT NULL);

CREATE TABLE setting (name text COLLATE "C" PRIMARY KEY, value text NOT NULL);
-- What tells this store from others under the same master key.
INSERT INTO setting (name, value) VALUES ('store_id', replace(gen_random_uuid()::text, '-', ''));

CREATE TABLE client (
    name       text   COLLATE "C" PRIMARY KEY,
    digest     bytea  NOT NULL UNIQUE CHECK (length(digest) = 32), -- SHA-256 of its secret
    rights     text   NOT NULL,
    created_at bigint NOT NULL,
    namespace  text -- NULL: not limited
);

-- What has happened. The first reader after an entry's commit gives it its number, in the order of `row`.
CREATE TABLE audit (
    row       bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    number    bigint,
    at        bigint NOT NULL,
    event     text   NOT NULL,
    actor     text   NOT NULL,
    reason    text,
    subject   text   COLLATE "C",
    sid       bytea CHECK (length(sid) = 16),
    kid       text,
    seq       bigint,
    watermark bigint, -- the number to which a watermark rose
    person    bytea CHECK (length(person) = 32), -- the hash over what is personal
    chain     bytea CHECK (length(chain) = 32),  -- the hash over this entry and all before it, once it is sealed
    CHECK (chain IS NULL OR number IS NOT NULL)
);
CREATE UNIQUE INDEX audit_numbered ON audit (number) WHERE number IS NOT NULL;
CREATE INDEX audit_unnumbered ON audit (row) WHERE number IS NULL;
CREATE INDEX audit_subject ON audit (subject, number) WHERE subject IS NOT NULL;
CREATE INDEX audit_watermark ON audit (subject, watermark) WHERE watermark IS NOT NULL;
CREATE INDEX audit_watermark_everything ON audit (watermark) WHERE watermark IS NOT NULL AND subject IS NULL;

CREATE TABLE audit_person (
    row     bigint PRIMARY KEY REFERENCES audit (row) ON DELETE CASCADE,
    salt    bytea CHECK (length(salt) = 16),
    name    text,
    address text,
    device  text,
    author  text,
    note    text
);

-- One row: the newest number that was given. Whoever numbers or seals entries locks it.
CREATE TABLE audit_number (id int PRIMARY KEY CHECK (id = 1), last bigint NOT NULL);
INSERT INTO audit_number VALUES (1, 0);

CREATE TABLE audit_seal (
    id          int    PRIMARY KEY CHECK (id = 1),
    first_id    bigint NOT NULL,
    first_chain bytea  NOT NULL CHECK (length(first_chain) = 32),
    last_id     bigint NOT NULL,
    last_chain  bytea  NOT NULL CHECK (length(last_chain) = 32),
    at          bigint NOT NULL,
    signed      text   NOT NULL
);

CREATE TABLE flow (
    id              bytea  PRIMARY KEY CHECK (length(id) = 16),
    purpose         text   NOT NULL,
    matter          bytea  NOT NULL UNIQUE CHECK (length(matter) = 16),
    subject         text   COLLATE "C",
    address         text,
    binding         bytea  NOT NULL CHECK (length(binding) = 16),
    tries           bigint NOT NULL CHECK (tries >= 0),
    created_at      bigint NOT NULL,
    expires_at      bigint NOT NULL,
    username        text, -- NULL: no registration
    username_folded text   COLLATE "C",
    email_folded    text   COLLATE "C",
    password        text,
    password_class  text
);
CREATE INDEX flow_expires ON flow (expires_at, id);
CREATE INDEX flow_username ON flow (username_folded, created_at, id) WHERE username_folded IS NOT NULL;
CREATE INDEX flow_email ON flow (email_folded, created_at, id) WHERE email_folded IS NOT NULL;

CREATE TABLE mail (
    id         bytea  PRIMARY KEY CHECK (length(id) = 16),
    kind       text   NOT NULL,
    recipient  text, -- NULL: nobody
    whom       bytea  NOT NULL CHECK (length(whom) = 16), -- the recipient, hashed
    flow       bytea CHECK (length(flow) = 16),
    created_at bigint NOT NULL,
    due_at     bigint NOT NULL,
    keep_until bigint NOT NULL,
    attempts   bigint NOT NULL,
    doubts     bigint NOT NULL,
    sent_at    bigint,
    subject    text   COLLATE "C",
    priority   smallint NOT NULL CHECK (priority BETWEEN 0 AND 2)
);
CREATE INDEX mail_due ON mail (due_at, id) WHERE sent_at IS NULL;
CREATE INDEX mail_waiting ON mail (priority, due_at, id) WHERE sent_at IS NULL;
CREATE INDEX mail_whom ON mail (whom, created_at);
CREATE INDEX mail_kept ON mail (keep_until, id);

-- One row for each write transaction: whether it was committed, when its outcome is unknown. A process that can't tell writes
-- the row itself, as `claimed`.
CREATE TABLE mark (
    writer  bytea   NOT NULL CHECK (length(writer) = 16),
    batch   bigint  NOT NULL,
    claimed boolean NOT NULL DEFAULT false,
    at      timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (writer, batch)
);
CREATE INDEX mark_at ON mark (at);

-- For operators only.
CREATE TABLE node (
    instance        bytea PRIMARY KEY CHECK (length(instance) = 16),
    host            text,
    version         text,
    started_at      timestamptz NOT NULL DEFAULT now(),
    settings_digest text
);
