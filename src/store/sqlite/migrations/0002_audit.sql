-- The audit trail: one row for each write, under its revision. It names deleted keys too.
CREATE TABLE api_key_audit (
    revision INTEGER NOT NULL PRIMARY KEY,
    at       INTEGER NOT NULL, -- milliseconds since 1970
    actor    TEXT    NOT NULL,
    source   TEXT,
    action   TEXT    NOT NULL,
    key_id   TEXT    NOT NULL,
    before   TEXT,             -- JSON, nothing secret
    after    TEXT              -- JSON, nothing secret
) STRICT;

CREATE INDEX api_key_audit_of_a_key ON api_key_audit (key_id, revision);
CREATE INDEX api_key_audit_of_an_actor ON api_key_audit (actor, revision);
