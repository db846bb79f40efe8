CREATE TABLE IF NOT EXISTS sessions (
    id bytea PRIMARY KEY,
    created_at timestamptz NOT NULL,
    expires_at timestamptz NOT NULL,
    idle_expires_at timestamptz NOT NULL,
    ended boolean NOT NULL DEFAULT false,
    user_name bytea NOT NULL,
    user_agent bytea NOT NULL,
    contents jsonb NOT NULL,
    -- Rounded down to the hour: an update within the hour changes no indexed column, and PostgreSQL writes no index.
    stale_hour timestamptz NOT NULL GENERATED ALWAYS AS (
        date_bin('1 hour', least(expires_at, idle_expires_at), timestamptz '2000-01-01 00:00:00+00')
    ) STORED
) WITH (fillfactor = 80);

CREATE INDEX IF NOT EXISTS sessions_stale_hour ON sessions (stale_hour);
CREATE INDEX IF NOT EXISTS sessions_user_name ON sessions (sha256(user_name), created_at) WHERE user_name <> '';

COMMENT ON TABLE sessions IS 'HTTP sessions, written by the web servers, which also delete expired ones';
COMMENT ON COLUMN sessions.id IS 'SHA-256 of the secret in the visitor''s cookie';
COMMENT ON COLUMN sessions.expires_at IS 'end of the session even if it is in use; for an ended session, when its row may be deleted';
COMMENT ON COLUMN sessions.idle_expires_at IS 'end of the session unless it is used before';
COMMENT ON COLUMN sessions.user_name IS 'name of the logged-in user in UTF-8; empty if nobody is';
COMMENT ON COLUMN sessions.contents IS 'values of the session by key, as JSON texts; for an ended session, the state that is kept';
