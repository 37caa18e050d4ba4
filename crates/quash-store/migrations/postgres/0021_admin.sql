-- Credentials that expire, and the audit from its end: by time, by event and by actor. What happens most, and what most
-- do, is found soon without an index.
ALTER TABLE client ADD COLUMN expires_at bigint; -- NULL: the secret doesn't expire
ALTER TABLE client ADD COLUMN last_used_at bigint; -- NULL: never
ALTER TABLE client ADD COLUMN version bigint NOT NULL DEFAULT 0; -- the number of changes
CREATE INDEX audit_at ON audit (at, number) WHERE number IS NOT NULL;
CREATE INDEX audit_event ON audit (event, at, number)
    WHERE number IS NOT NULL AND event <> 'signed_in' AND event <> 'session_ended';
CREATE INDEX audit_actor ON audit (actor, at, number) WHERE number IS NOT NULL AND actor <> 'owner';
