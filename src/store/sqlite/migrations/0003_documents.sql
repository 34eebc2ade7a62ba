-- The definitions of owners and plans.
CREATE TABLE api_key_documents (
    subject  TEXT    NOT NULL PRIMARY KEY, -- owner:NAME or plan:NAME
    revision INTEGER NOT NULL,
    body     TEXT    NOT NULL              -- JSON, nothing secret
) STRICT;

-- When each secret was last used. Written in batches, outside the revisions.
CREATE TABLE api_key_uses (
    key_id     TEXT    NOT NULL,
    credential INTEGER NOT NULL,
    at         INTEGER NOT NULL,           -- milliseconds since 1970
    PRIMARY KEY (key_id, credential)
) STRICT, WITHOUT ROWID;

-- What was taken of each quota in the period that began at `period`.
CREATE TABLE api_key_quotas (
    key_id TEXT    NOT NULL,
    name   TEXT    NOT NULL,
    period INTEGER NOT NULL,               -- milliseconds since 1970
    taken  INTEGER NOT NULL,
    PRIMARY KEY (key_id, name)
) STRICT, WITHOUT ROWID;

ALTER TABLE api_keys ADD COLUMN plan TEXT;
ALTER TABLE api_keys ADD COLUMN client TEXT;

CREATE INDEX api_keys_of_an_owner ON api_keys (owner, id);
CREATE INDEX api_keys_on_a_plan ON api_keys (plan, id) WHERE plan IS NOT NULL;

-- The log and the trail name owners and plans as well from here on.
ALTER TABLE api_key_changes RENAME COLUMN key_id TO subject;
ALTER TABLE api_key_audit RENAME COLUMN key_id TO subject;
