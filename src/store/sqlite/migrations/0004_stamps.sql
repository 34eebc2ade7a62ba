-- A random number for each write, by which a reader of the log finds out that the database was restored
-- from a backup: the log that it sees then is not the one that it saw.
ALTER TABLE api_key_changes ADD COLUMN stamp INTEGER NOT NULL DEFAULT 0;
