-- What is installed and how. `secret` signs what one session of this server hands to another one.
CREATE TABLE IF NOT EXISTS pgheal.installation (
    only_row        boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    version         integer NOT NULL,
    database        text NOT NULL,
    endpoint        text NOT NULL,
    target          text NOT NULL,
    time_limit_ms   integer NOT NULL CHECK (time_limit_ms BETWEEN 500 AND 600000),
    function_schema text NOT NULL,
    daemon_role     text,
    secret          text NOT NULL,
    installed_by    text NOT NULL,
    installed_at    timestamptz NOT NULL
);

INSERT INTO pgheal.installation AS i (version, database, endpoint, target, time_limit_ms, function_schema, daemon_role,
    secret, installed_by, installed_at)
SELECT current_setting('pgheal_install.version')::integer, current_database(),
    current_setting('pgheal_install.endpoint'),
    coalesce(nullif(current_setting('pgheal_install.target'), ''), current_database()),
    current_setting('pgheal_install.time_limit_ms')::integer, current_setting('pgheal_install.function_schema'),
    nullif(current_setting('pgheal_install.daemon_role'), ''),
    replace(gen_random_uuid()::text || gen_random_uuid()::text, '-', ''), session_user, now()
ON CONFLICT (only_row) DO UPDATE SET version = excluded.version, database = excluded.database,
    endpoint = excluded.endpoint, target = excluded.target, time_limit_ms = excluded.time_limit_ms,
    function_schema = excluded.function_schema, daemon_role = excluded.daemon_role, secret = excluded.secret,
    installed_by = excluded.installed_by, installed_at = excluded.installed_at;

REVOKE ALL ON pgheal.installation FROM PUBLIC;
ALTER TABLE pgheal.installation OWNER TO pgheal_functions;
COMMENT ON TABLE pgheal.installation IS 'what `pgheal install` installed here';
