-- Credentials that expire, and the audit from its end: by time, by event and by actor. What happens most, and what most
-- do, is found soon without an index.
ALTER TABLE client ADD COLUMN expires_at INTEGER; -- NULL: the secret doesn't expire
ALTER TABLE client ADD COLUMN last_used_at INTEGER; -- NULL: never
ALTER TABLE client ADD COLUMN version INTEGER NOT NULL DEFAULT 0; -- the number of changes
CREATE INDEX audit_at ON audit (at);
CREATE INDEX audit_event ON audit (event, at) WHERE event NOT IN ('signed_in', 'session_ended');
CREATE INDEX audit_actor ON audit (actor, at) WHERE actor <> 'owner';
