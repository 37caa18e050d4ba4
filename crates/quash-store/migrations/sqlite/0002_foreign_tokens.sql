-- Tokens of other issuers, each of which may open one session; what tokens say besides our own claims; what comparing
-- with a password's hash costs; where a signing key comes from; and settings that the next start must know.

-- Tokens of other issuers minted up to this moment count no longer.
ALTER TABLE account ADD COLUMN foreign_after INTEGER NOT NULL DEFAULT 0;
ALTER TABLE account ADD COLUMN last_login_at INTEGER;
ALTER TABLE account ADD COLUMN password_class TEXT;
CREATE INDEX account_password_class ON account (password_class) WHERE password_class IS NOT NULL;
-- The one class there was.
UPDATE account SET password_class = 'argon2id$v=19$m=19456,t=2,p=1' WHERE password LIKE '$argon2id$v=19$m=19456,t=2,p=1$%';
ALTER TABLE feed_head ADD COLUMN foreign_after INTEGER NOT NULL DEFAULT 0;

ALTER TABLE session ADD COLUMN claims TEXT; -- a JSON object
-- The token that opened the session, as its scope, and its `exp`: as long as it could be presented, the row is kept.
ALTER TABLE session ADD COLUMN foreign_key BLOB CHECK (length(foreign_key) = 16);
ALTER TABLE session ADD COLUMN foreign_until INTEGER CHECK ((foreign_key IS NULL) = (foreign_until IS NULL));
CREATE UNIQUE INDEX session_foreign ON session (foreign_key) WHERE foreign_key IS NOT NULL;
DROP INDEX session_idle;
CREATE INDEX session_kept ON session (max(idle_until, coalesce(foreign_until, 0)), sid);

ALTER TABLE signing_key ADD COLUMN source TEXT NOT NULL DEFAULT 'made' CHECK (source IN ('made', 'settings'));

CREATE TABLE remembered (
    name  TEXT NOT NULL PRIMARY KEY,
    value TEXT NOT NULL
) STRICT, WITHOUT ROWID;
