-- Texts that are looked up or ordered are in the order of their bytes, whatever the database's locale.

-- The records. The columns beside `record` repeat what it says, for lists and for people; a row in
-- which they disagree is refused when it is read. Ids begin with a time, so new rows come at the end of
-- the index.
CREATE TABLE api_keys (
    id          TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    revision    BIGINT  NOT NULL,
    name        TEXT    NOT NULL,
    owner       TEXT COLLATE "C",
    plan        TEXT COLLATE "C",
    client      TEXT,
    status      TEXT    NOT NULL,
    all_servers BOOLEAN NOT NULL,
    created_at  BIGINT  NOT NULL, -- milliseconds since 1970
    expires_at  BIGINT,           -- milliseconds since 1970
    record      TEXT    NOT NULL  -- JSON
);

CREATE INDEX api_keys_of_an_owner ON api_keys (owner, id) WHERE owner IS NOT NULL;
CREATE INDEX api_keys_on_a_plan ON api_keys (plan, id) WHERE plan IS NOT NULL;

-- What a key is found by: one row for each handle of its secrets.
CREATE TABLE api_key_handles (
    handle TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    key_id TEXT COLLATE "C" NOT NULL REFERENCES api_keys (id) ON DELETE CASCADE
);

CREATE INDEX api_key_handles_of_a_key ON api_key_handles (key_id);

-- Which servers a key names, for lists.
CREATE TABLE api_key_servers (
    key_id TEXT COLLATE "C" NOT NULL REFERENCES api_keys (id) ON DELETE CASCADE,
    server TEXT COLLATE "C" NOT NULL,
    PRIMARY KEY (key_id, server)
);

-- The definitions of owners and plans.
CREATE TABLE api_key_documents (
    subject  TEXT COLLATE "C" NOT NULL PRIMARY KEY, -- owner:NAME or plan:NAME
    revision BIGINT NOT NULL,
    body     TEXT   NOT NULL                        -- JSON, nothing secret
);

-- The change log. It names deleted keys too, so `subject` refers to nothing. The stamp is a random
-- number, by which a reader finds out that the database was restored from a backup.
CREATE TABLE api_key_changes (
    revision BIGINT NOT NULL PRIMARY KEY,
    subject  TEXT   NOT NULL,
    stamp    BIGINT NOT NULL
);

-- The audit trail: one row for each write, under its revision. It names deleted keys too.
CREATE TABLE api_key_audit (
    revision BIGINT NOT NULL PRIMARY KEY,
    at       BIGINT NOT NULL, -- milliseconds since 1970
    actor    TEXT   NOT NULL,
    source   TEXT,
    action   TEXT   NOT NULL,
    subject  TEXT COLLATE "C" NOT NULL,
    before   TEXT,            -- JSON, nothing secret
    after    TEXT             -- JSON, nothing secret
);

CREATE INDEX api_key_audit_of_a_subject ON api_key_audit (subject, revision);
CREATE INDEX api_key_audit_of_an_actor ON api_key_audit (actor, revision);

-- The number of the last write, in the one row of its table. Whoever writes holds the row, so writes
-- are committed in the order of their numbers. The row is rewritten all the time: within its page.
CREATE TABLE api_key_counter (
    only_row BOOLEAN NOT NULL PRIMARY KEY DEFAULT TRUE CHECK (only_row),
    revision BIGINT  NOT NULL
) WITH (fillfactor = 10);

INSERT INTO api_key_counter (revision) VALUES (0);

-- When each secret was last used. Written in batches, outside the revisions. No index covers what
-- changes, and pages have room, so that an update stays within its page.
CREATE TABLE api_key_uses (
    key_id     TEXT COLLATE "C" NOT NULL REFERENCES api_keys (id) ON DELETE CASCADE,
    credential BIGINT NOT NULL,
    at         BIGINT NOT NULL,      -- milliseconds since 1970
    PRIMARY KEY (key_id, credential)
) WITH (fillfactor = 70);

-- What was taken of each quota in the period that began at `period`, and how much of it by the last
-- call, which that call reads as its answer.
CREATE TABLE api_key_quotas (
    key_id  TEXT COLLATE "C" NOT NULL REFERENCES api_keys (id) ON DELETE CASCADE,
    name    TEXT COLLATE "C" NOT NULL,
    period  BIGINT NOT NULL,         -- milliseconds since 1970
    taken   BIGINT NOT NULL,
    granted BIGINT NOT NULL,
    PRIMARY KEY (key_id, name)
) WITH (fillfactor = 70);
