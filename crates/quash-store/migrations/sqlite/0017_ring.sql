-- The numbers of changes of the signing keys, and of the settings that define tokens: a process that reads another number
-- than before holds old ones.
ALTER TABLE feed_head ADD COLUMN ring INTEGER NOT NULL DEFAULT 0;
ALTER TABLE feed_head ADD COLUMN settings INTEGER NOT NULL DEFAULT 0;
