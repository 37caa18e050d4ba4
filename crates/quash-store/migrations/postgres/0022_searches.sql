-- Searches of operators: accounts by their state, in the order of their names, and the sessions that a client has opened. The
-- state is computed without the time: a lock that has expired leaves its state behind.
CREATE INDEX account_standing ON account ((CASE WHEN state <> 'active' THEN state
    WHEN email IS NOT NULL AND email_verified_at IS NULL THEN 'unverified' ELSE 'active' END), username_folded);
CREATE INDEX session_client ON session (client, sid) WHERE client IS NOT NULL AND ended_reason IS NULL;
