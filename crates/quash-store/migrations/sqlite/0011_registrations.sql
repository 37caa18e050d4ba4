-- Registrations wait in their flow until the address is confirmed, and mails are sent in the order of their priority.

ALTER TABLE flow ADD COLUMN username TEXT; -- NULL: no registration
ALTER TABLE flow ADD COLUMN username_folded TEXT;
ALTER TABLE flow ADD COLUMN email_folded TEXT;
ALTER TABLE flow ADD COLUMN password TEXT; -- a hash, as accounts keep it
ALTER TABLE flow ADD COLUMN password_class TEXT;
CREATE INDEX flow_username ON flow (username_folded, created_at, id) WHERE username_folded IS NOT NULL;
CREATE INDEX flow_email ON flow (email_folded, created_at, id) WHERE email_folded IS NOT NULL;

ALTER TABLE mail ADD COLUMN subject TEXT; -- the recipient's account
ALTER TABLE mail ADD COLUMN priority INTEGER NOT NULL DEFAULT 1 CHECK (priority BETWEEN 0 AND 2); -- 0 is sent first
CREATE INDEX mail_waiting ON mail (priority, due_at, id) WHERE sent_at IS NULL;

-- Earlier versions kept a flow and a mail for each request that meant no account.
DELETE FROM flow WHERE subject IS NULL;
DELETE FROM mail WHERE recipient IS NULL;
