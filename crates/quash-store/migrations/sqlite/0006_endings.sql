-- Why a watermark ended a session: the first entry over its account, or over everything, after the session was opened.

ALTER TABLE audit ADD COLUMN watermark INTEGER; -- the number to which a watermark rose
UPDATE audit SET watermark = seq WHERE reason IS NOT NULL
    AND event NOT IN ('session_ended', 'token_ended', 'claims_changed', 'revoked');
CREATE INDEX audit_watermark ON audit (subject, watermark) WHERE watermark IS NOT NULL;
