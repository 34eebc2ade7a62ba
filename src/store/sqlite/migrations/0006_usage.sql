-- What keys were used for. A series is what requests have in common; `whose` is the id of a key, or `*`,
-- `*server`, `*operation` or `*carrier` for the sums over all requests. Empty texts and zero stand for
-- what is not known.
CREATE TABLE api_usage_series (
    id         INTEGER NOT NULL PRIMARY KEY,
    whose      TEXT    NOT NULL,
    credential INTEGER NOT NULL,
    server     TEXT    NOT NULL,
    operation  TEXT    NOT NULL,
    outcome    TEXT    NOT NULL,
    status     TEXT    NOT NULL,
    carrier    TEXT    NOT NULL,
    UNIQUE (whose, credential, server, operation, outcome, status, carrier)
) STRICT;

-- Its numbers by the hour. Latencies are texts such as `12:3 14:1`: buckets and how many are in them.
CREATE TABLE api_usage_hours (
    series   INTEGER NOT NULL,
    at       INTEGER NOT NULL, -- hours since 1970
    requests INTEGER NOT NULL,
    cost     INTEGER NOT NULL,
    latency  TEXT    NOT NULL,
    PRIMARY KEY (series, at)
) STRICT, WITHOUT ROWID;

CREATE INDEX api_usage_hours_by_age ON api_usage_hours (at);

-- And by the day.
CREATE TABLE api_usage_days (
    series   INTEGER NOT NULL,
    at       INTEGER NOT NULL, -- days since 1970
    requests INTEGER NOT NULL,
    cost     INTEGER NOT NULL,
    latency  TEXT    NOT NULL,
    PRIMARY KEY (series, at)
) STRICT, WITHOUT ROWID;

CREATE INDEX api_usage_days_by_age ON api_usage_days (at);

-- The last batch of each recorder, so that one that is sent again counts once.
CREATE TABLE api_usage_recorders (
    recorder TEXT    NOT NULL PRIMARY KEY,
    number   INTEGER NOT NULL,
    at       INTEGER NOT NULL  -- milliseconds since 1970
) STRICT, WITHOUT ROWID;

-- When, from where and for what keys were last used.
CREATE TABLE api_usage_last (
    key_id     TEXT    NOT NULL PRIMARY KEY,
    at         INTEGER NOT NULL, -- milliseconds since 1970
    address    TEXT    NOT NULL,
    carrier    TEXT    NOT NULL,
    credential INTEGER NOT NULL,
    server     TEXT    NOT NULL,
    operation  TEXT    NOT NULL
) STRICT, WITHOUT ROWID;

-- Keys that were deleted: what is still on its way is not to be kept for them.
CREATE TABLE api_usage_gone (
    key_id TEXT    NOT NULL PRIMARY KEY,
    at     INTEGER NOT NULL      -- milliseconds since 1970
) STRICT, WITHOUT ROWID;
