-- What lists are read from. See `list.rs` for which index serves which condition.

-- All that a list looks at in most keys, so that it leaves the records alone while it searches.
CREATE INDEX api_keys_in_force ON api_keys (id, status, name, created_at, expires_at)
    WHERE status <> 'revoked';

CREATE INDEX api_keys_with_a_status ON api_keys (status, id);
CREATE INDEX api_keys_of_a_kind ON api_keys ((client IS NOT NULL), id, status);
CREATE INDEX api_keys_for_all_servers ON api_keys (id, all_servers, status) WHERE all_servers;
CREATE INDEX api_keys_by_expiry ON api_keys (expires_at, id, status) WHERE expires_at IS NOT NULL;
CREATE INDEX api_keys_by_creation ON api_keys (created_at, id, status);
CREATE INDEX api_key_servers_by_server ON api_key_servers (server, key_id);

-- Since when each key is idle: since its last use, or since it was made. `number` stands for the key in
-- the index of names; unlike a row number of `api_keys` it survives a VACUUM.
CREATE TABLE api_key_listing (
    number     INTEGER NOT NULL PRIMARY KEY,
    key_id     TEXT    NOT NULL UNIQUE,
    idle_since INTEGER NOT NULL -- milliseconds since 1970
) STRICT;

CREATE INDEX api_key_listing_by_idleness ON api_key_listing (idle_since, key_id);

-- The names, cut into pieces of three characters. A NUL ends a name there, so those that hold one are
-- indexed as well.
CREATE VIRTUAL TABLE api_key_names USING fts5 (name, content = '', tokenize = 'trigram');

CREATE INDEX api_keys_with_a_nul ON api_keys (id) WHERE instr(name, char(0)) > 0;

INSERT INTO api_key_listing (key_id, idle_since)
SELECT k.id, coalesce((SELECT max(u.at) FROM api_key_uses u WHERE u.key_id = k.id), k.created_at)
FROM api_keys k ORDER BY k.id;

INSERT INTO api_key_names (rowid, name)
SELECT l.number, k.name FROM api_key_listing l JOIN api_keys k ON k.id = l.key_id ORDER BY l.number;

CREATE TRIGGER api_key_is_made AFTER INSERT ON api_keys BEGIN
    INSERT INTO api_key_listing (key_id, idle_since) VALUES (new.id, new.created_at);
    INSERT INTO api_key_names (rowid, name)
    SELECT number, new.name FROM api_key_listing WHERE key_id = new.id;
END;

CREATE TRIGGER api_key_is_renamed AFTER UPDATE OF name ON api_keys WHEN new.name <> old.name BEGIN
    INSERT INTO api_key_names (api_key_names, rowid, name)
    SELECT 'delete', number, old.name FROM api_key_listing WHERE key_id = old.id;
    INSERT INTO api_key_names (rowid, name)
    SELECT number, new.name FROM api_key_listing WHERE key_id = new.id;
END;

CREATE TRIGGER api_key_is_redated AFTER UPDATE OF created_at ON api_keys
WHEN new.created_at <> old.created_at BEGIN
    UPDATE api_key_listing
    SET idle_since = coalesce(
        (SELECT max(at) FROM api_key_uses WHERE key_id = new.id), new.created_at)
    WHERE key_id = new.id;
END;

CREATE TRIGGER api_key_is_gone AFTER DELETE ON api_keys BEGIN
    INSERT INTO api_key_names (api_key_names, rowid, name)
    SELECT 'delete', number, old.name FROM api_key_listing WHERE key_id = old.id;
    DELETE FROM api_key_listing WHERE key_id = old.id;
END;

CREATE TRIGGER api_key_is_used_first AFTER INSERT ON api_key_uses BEGIN
    UPDATE api_key_listing
    SET idle_since = (SELECT max(at) FROM api_key_uses WHERE key_id = new.key_id)
    WHERE key_id = new.key_id;
END;

CREATE TRIGGER api_key_is_used_again AFTER UPDATE OF at ON api_key_uses WHEN new.at <> old.at BEGIN
    UPDATE api_key_listing
    SET idle_since = (SELECT max(at) FROM api_key_uses WHERE key_id = new.key_id)
    WHERE key_id = new.key_id;
END;
