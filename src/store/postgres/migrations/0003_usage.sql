-- What keys were used for. A series is what requests have in common; `whose` is the id of a key, or `*`,
-- `*server`, `*operation` or `*carrier` for the sums over all requests. Empty texts and zero stand for
-- what is not known.
CREATE TABLE api_usage_series (
    id         BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    whose      TEXT COLLATE "C" NOT NULL,
    credential BIGINT NOT NULL,
    server     TEXT COLLATE "C" NOT NULL,
    operation  TEXT COLLATE "C" NOT NULL,
    outcome    TEXT COLLATE "C" NOT NULL,
    status     TEXT COLLATE "C" NOT NULL,
    carrier    TEXT COLLATE "C" NOT NULL,
    UNIQUE (whose, credential, server, operation, outcome, status, carrier)
);

-- Its numbers by the hour. Latencies are texts such as `12:3 14:1`: buckets and how many are in them.
-- Pages have room, so that an update stays within its page.
CREATE TABLE api_usage_hours (
    series   BIGINT NOT NULL,
    at       BIGINT NOT NULL, -- hours since 1970
    requests BIGINT NOT NULL,
    cost     BIGINT NOT NULL,
    latency  TEXT   NOT NULL,
    PRIMARY KEY (series, at)
) WITH (fillfactor = 70);

CREATE INDEX api_usage_hours_by_age ON api_usage_hours (at);

-- And by the day.
CREATE TABLE api_usage_days (
    series   BIGINT NOT NULL,
    at       BIGINT NOT NULL, -- days since 1970
    requests BIGINT NOT NULL,
    cost     BIGINT NOT NULL,
    latency  TEXT   NOT NULL,
    PRIMARY KEY (series, at)
) WITH (fillfactor = 70);

CREATE INDEX api_usage_days_by_age ON api_usage_days (at);

-- The last batch of each recorder, so that one that is sent again counts once.
CREATE TABLE api_usage_recorders (
    recorder TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    number   BIGINT NOT NULL,
    at       BIGINT NOT NULL  -- milliseconds since 1970
);

-- When, from where and for what keys were last used.
CREATE TABLE api_usage_last (
    key_id     TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    at         BIGINT NOT NULL, -- milliseconds since 1970
    address    TEXT   NOT NULL,
    carrier    TEXT   NOT NULL,
    credential BIGINT NOT NULL,
    server     TEXT   NOT NULL,
    operation  TEXT   NOT NULL
) WITH (fillfactor = 70);

-- Keys that were deleted: what is still on its way is not to be kept for them.
CREATE TABLE api_usage_gone (
    key_id TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    at     BIGINT NOT NULL      -- milliseconds since 1970
);
