-- Which server, and which history of it, the data belongs to. All parts are NULL until a process has recorded them. Copies of a
-- table's database by a template keep the table's oid, so that of the database is compared, too.
ALTER TABLE cluster ADD COLUMN database_oid oid;
-- Whether commits waited for a standby when a process looked last: only then is it certain that a promoted one has them all.
ALTER TABLE cluster ADD COLUMN is_synchronous boolean NOT NULL DEFAULT false;
-- The timeline on which a process of the issuer has compared what it knew of the log. NULL: a verifier's row.
ALTER TABLE lease ADD COLUMN compared_on int;
