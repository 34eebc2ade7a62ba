-- Messages of webhooks that were given up. They are numbered without gaps, so that the last number tells
-- how many there have been.
CREATE TABLE api_key_letters (
    number BIGINT NOT NULL PRIMARY KEY,
    id     TEXT COLLATE "C" NOT NULL UNIQUE,
    bytes  BIGINT NOT NULL, -- the length of the text
    body   TEXT   NOT NULL  -- JSON, nothing secret
);
