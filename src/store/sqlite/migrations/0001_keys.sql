-- The records. The columns beside `record` repeat what it says, for lists and for people; a row in
-- which they disagree is refused when it is read.
CREATE TABLE api_keys (
    id          TEXT    NOT NULL PRIMARY KEY,
    revision    INTEGER NOT NULL,
    name        TEXT    NOT NULL,
    owner       TEXT,
    status      TEXT    NOT NULL,
    all_servers INTEGER NOT NULL,
    created_at  INTEGER NOT NULL, -- milliseconds since 1970
    expires_at  INTEGER,          -- milliseconds since 1970
    record      TEXT    NOT NULL  -- JSON
) STRICT;

-- What a key is found by: one row for each handle of its secrets.
CREATE TABLE api_key_handles (
    handle TEXT NOT NULL PRIMARY KEY,
    key_id TEXT NOT NULL REFERENCES api_keys (id) ON DELETE CASCADE
) STRICT, WITHOUT ROWID;

CREATE INDEX api_key_handles_of_a_key ON api_key_handles (key_id);

-- Which servers a key names, for lists.
CREATE TABLE api_key_servers (
    key_id TEXT NOT NULL REFERENCES api_keys (id) ON DELETE CASCADE,
    server TEXT NOT NULL,
    PRIMARY KEY (key_id, server)
) STRICT, WITHOUT ROWID;

-- The change log. It names deleted keys too, so `key_id` refers to nothing.
CREATE TABLE api_key_changes (
    revision INTEGER NOT NULL PRIMARY KEY,
    key_id   TEXT    NOT NULL
) STRICT;

-- The number of the last write, in the one row of its table.
CREATE TABLE api_key_counter (
    only     INTEGER NOT NULL PRIMARY KEY CHECK (only = 1),
    revision INTEGER NOT NULL
) STRICT;

INSERT INTO api_key_counter (only, revision) VALUES (1, 0);
