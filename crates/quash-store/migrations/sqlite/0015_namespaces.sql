-- Revocations in the namespaces of other issuers: clients that are limited to one, and events that were reported late.

ALTER TABLE client ADD COLUMN namespace TEXT; -- NULL: not limited
ALTER TABLE revocation_log ADD COLUMN until INTEGER; -- the time of the event; NULL: that of the entry
