-- Tokens of other issuers that have opened sessions of accounts which were deleted since, as their scopes, with their `exp`: as
-- long as one could be presented, it must open no other session.
CREATE TABLE adopted (
    key   BLOB    NOT NULL PRIMARY KEY CHECK (length(key) = 16),
    until INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX adopted_until ON adopted (until, key);

-- When a lock was set: before that moment it doesn't hold. NULL where another version of quash has set it.
ALTER TABLE account ADD COLUMN locked_at INTEGER;
-- Whether the claims are those of an adopted token. NULL in `claims`: the account never had any; '{}': an operator has removed
-- them.
ALTER TABLE account ADD COLUMN claims_adopted INTEGER NOT NULL DEFAULT 0;
-- The mark of the hash that Django nodes have, where quash has set another password since.
ALTER TABLE account ADD COLUMN mark TEXT;
