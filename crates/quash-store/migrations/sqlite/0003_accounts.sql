-- What becomes of accounts: one-time passwords, locks in a row, claims of their own; and subjects that were somebody's.

ALTER TABLE account ADD COLUMN must_change INTEGER; -- until when the password may be used, for changing it alone
ALTER TABLE account ADD COLUMN locks INTEGER NOT NULL DEFAULT 0;
ALTER TABLE account ADD COLUMN claims TEXT; -- a JSON object

-- Subjects of deleted accounts. None is given out again.
CREATE TABLE gone (
    subject TEXT NOT NULL PRIMARY KEY
) STRICT, WITHOUT ROWID;
