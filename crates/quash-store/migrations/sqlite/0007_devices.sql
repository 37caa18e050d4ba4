-- The devices that an account is known on, and which of them has opened a session. No device token is kept.

ALTER TABLE account ADD COLUMN devices TEXT NOT NULL DEFAULT ''; -- ids in hex, each after a dot, the newest at the end
ALTER TABLE session ADD COLUMN known_device BLOB;
