-- What lists are read from. See `list.rs` for which index serves which condition.

-- All that a list looks at in most keys, so that it leaves the records alone while it searches.
CREATE INDEX api_keys_in_force ON api_keys (id) INCLUDE (status, created_at, expires_at)
    WHERE status <> 'revoked';

CREATE INDEX api_keys_with_a_status ON api_keys (status, id);
CREATE INDEX api_keys_of_clients ON api_keys (id, status) WHERE client IS NOT NULL;
CREATE INDEX api_keys_of_no_client ON api_keys (id, status) WHERE client IS NULL;
CREATE INDEX api_keys_for_all_servers ON api_keys (id, status) WHERE all_servers;
CREATE INDEX api_keys_by_expiry ON api_keys (expires_at, id, status) WHERE expires_at IS NOT NULL;
CREATE INDEX api_keys_by_creation ON api_keys (created_at, id, status);
CREATE INDEX api_key_servers_by_server ON api_key_servers (server, key_id);

-- The pieces of three characters that a name has, its ASCII letters in lower case. An index of such lists
-- needs no extension, which many a database does not let its users have. A name that is longer than any
-- manager makes it is not cut up: it is marked by what is no piece.
CREATE FUNCTION api_key_name_pieces(name TEXT) RETURNS TEXT[]
    LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS $$
    SELECT CASE WHEN length(name) > 1000 THEN '{long}' ELSE coalesce(
        (SELECT array_agg(DISTINCT substr(lower(name COLLATE "C"), at, 3))
         FROM generate_series(1, length(name) - 2) at), '{}') END
$$;

CREATE INDEX api_keys_by_name ON api_keys USING gin (api_key_name_pieces(name));
