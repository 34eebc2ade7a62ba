-- What looks wrong about keys: the last alert of each key and rule.
CREATE TABLE api_key_alerts (
    key_id          TEXT COLLATE "C" NOT NULL REFERENCES api_keys (id) ON DELETE CASCADE,
    rule            TEXT COLLATE "C" NOT NULL,
    is_open         BOOLEAN NOT NULL,
    raised_at       BIGINT  NOT NULL, -- milliseconds since 1970
    ended_at        BIGINT,           -- nothing while it is open
    acknowledged_at BIGINT,
    acknowledged_by TEXT,
    body            TEXT    NOT NULL, -- the whole alert but for the acknowledgement, as JSON
    PRIMARY KEY (key_id, rule)
);

CREATE INDEX api_key_alerts_by_time ON api_key_alerts (is_open, raised_at);

-- What is usual for keys, so that a restart does not raise everything anew.
CREATE TABLE api_key_habits (
    key_id  TEXT COLLATE "C" NOT NULL PRIMARY KEY REFERENCES api_keys (id) ON DELETE CASCADE,
    seen_at BIGINT NOT NULL, -- milliseconds since 1970
    body    TEXT   NOT NULL  -- JSON
);

CREATE INDEX api_key_habits_by_time ON api_key_habits (seen_at);
