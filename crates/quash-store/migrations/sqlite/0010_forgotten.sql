-- What has been deleted from the log: `min_seq` is its highest number, `forgotten_at` when the newest of it was committed, and
-- `forgotten_until` the latest moment until which one of it was to be remembered. No token that an entry of it may have been
-- about is taken any more.
ALTER TABLE feed_head ADD COLUMN forgotten_at INTEGER NOT NULL DEFAULT 0;
ALTER TABLE feed_head ADD COLUMN forgotten_until INTEGER NOT NULL DEFAULT 0;
