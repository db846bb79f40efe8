CREATE TABLE IF NOT EXISTS sessions (
    id bytea PRIMARY KEY,
    created_at timestamptz NOT NULL,
    expires_at timestamptz NOT NULL,
    idle_expires_at timestamptz NOT NULL,
    ended boolean NOT NULL DEFAULT false,
    user_name bytea NOT NULL,
    user_agent bytea NOT NULL,
    contents jsonb NOT NULL,
    -- To the hour, so that an update within the hour changes no indexed column: PostgreSQL then writes no index.
    stale_hour timestamptz NOT NULL GENERATED ALWAYS AS (
        date_bin('1 hour', least(expires_at, idle_expires_at), timestamptz '2000-01-01 00:00:00+00')
    ) STORED
) WITH (fillfactor = 80);

CREATE INDEX IF NOT EXISTS sessions_stale_hour ON sessions (stale_hour);
CREATE INDEX IF NOT EXISTS sessions_user_name ON sessions (sha256(user_name), created_at) WHERE user_name <> '';

COMMENT ON TABLE sessions IS 'HTTP sessions, written by the web servers; expired ones are swept';
COMMENT ON COLUMN sessions.id IS 'SHA-256 of the secret in the visitor''s cookie';
COMMENT ON COLUMN sessions.expires_at IS 'when the session ends at the latest; of an ended one, until when that is remembered';
COMMENT ON COLUMN sessions.idle_expires_at IS 'when the session ends unless it is used before';
COMMENT ON COLUMN sessions.user_name IS 'who is logged in, in UTF-8; empty for nobody';
COMMENT ON COLUMN sessions.contents IS 'the session''s values: JSON texts by key; of an ended one, what is kept of it';
