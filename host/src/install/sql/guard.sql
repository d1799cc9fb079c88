-- One installation at a time, none over a newer one, and none where somebody else could change what is installed.
-- 1885825132 is "pghl", the class of all advisory locks of pgheal; 3 is that of installing.
DO $lock$ BEGIN PERFORM pg_catalog.pg_advisory_xact_lock(1885825132, 3); END $lock$;
-- 2 is that of a daemon which makes its tables: whoever comes second grants the functions what they read of them.
DO $lock$ BEGIN PERFORM pg_catalog.pg_advisory_xact_lock(1885825132, 2); END $lock$;
SET LOCAL search_path = pg_catalog, pg_temp;
-- That something is there already is what is to be expected.
SET LOCAL client_min_messages = warning;

DO $guard$
DECLARE
    schema_owner text;
    is_trusted boolean;
    installed integer;
    stranger record;
    is_superuser boolean := (SELECT rolsuper FROM pg_roles WHERE rolname = current_user);
    daemon_role text := current_setting('pgheal_install.daemon_role');
BEGIN
    IF current_setting('server_version_num')::integer < 140000 THEN
        RAISE EXCEPTION 'pgheal needs PostgreSQL 14 or newer, this is %', current_setting('server_version')
            USING ERRCODE = '0A000';
    END IF;
    IF pg_is_in_recovery() THEN
        RAISE EXCEPTION 'this server is a standby: install on its primary, the standby gets it from there'
            USING ERRCODE = '25006';
    END IF;
    -- A managed server gives nobody a superuser; without one there is no page reader.
    PERFORM set_config('pgheal_install.managed',
        (current_setting('pgheal_install.managed')::boolean OR NOT is_superuser)::text, true);
    IF daemon_role <> '' AND NOT EXISTS (SELECT FROM pg_roles WHERE rolname = daemon_role) THEN
        RAISE EXCEPTION 'there is no role %, as which the daemon logs in', quote_ident(daemon_role)
            USING ERRCODE = '42704', HINT = format('CREATE ROLE %I LOGIN', daemon_role);
    END IF;
    IF NOT EXISTS (SELECT FROM pg_namespace WHERE nspname = current_setting('pgheal_install.function_schema')) THEN
        RAISE EXCEPTION 'there is no schema % for the functions',
            quote_ident(current_setting('pgheal_install.function_schema')) USING ERRCODE = '3F000';
    END IF;

    -- Who owns the schema can drop what lies in it and put something else there.
    SELECT o.rolname, o.rolsuper OR o.rolname IN (current_user, daemon_role) INTO schema_owner, is_trusted
        FROM pg_namespace AS n JOIN pg_roles AS o ON o.oid = n.nspowner WHERE n.nspname = 'pgheal';
    IF NOT is_trusted THEN
        RAISE EXCEPTION 'schema pgheal belongs to %', quote_ident(schema_owner) USING ERRCODE = '42501',
            HINT = format('If that is the role as which the daemon logs in, say --daemon-role %I.', schema_owner);
    END IF;
    -- CREATE OR REPLACE keeps the owner and the privileges of what is there.
    SELECT p.oid::regprocedure AS name, o.rolname AS owner INTO stranger
        FROM pg_proc AS p JOIN pg_namespace AS n ON n.oid = p.pronamespace JOIN pg_roles AS o ON o.oid = p.proowner
        WHERE n.nspname = 'pgheal' AND NOT (o.rolsuper OR o.rolname IN (current_user, 'pgheal_functions'))
        LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'function % belongs to %: nothing is installed beside it', stranger.name,
            quote_ident(stranger.owner) USING ERRCODE = '42501', HINT = 'Drop the function, if nobody needs it.';
    END IF;
    IF to_regclass('pgheal.installation') IS NOT NULL THEN
        IF (SELECT relowner::regrole::text <> 'pgheal_functions' OR relkind <> 'r' FROM pg_class
                WHERE oid = 'pgheal.installation'::regclass) THEN
            RAISE EXCEPTION 'pgheal.installation is not what pgheal made' USING ERRCODE = '42501',
                HINT = 'Drop it, if nobody needs it.';
        END IF;
        EXECUTE 'SELECT max(version) FROM pgheal.installation' INTO installed;
        IF installed > current_setting('pgheal_install.version')::integer THEN
            RAISE EXCEPTION 'a newer pgheal (functions of version %) is installed here; these are of version %', installed,
                current_setting('pgheal_install.version') USING ERRCODE = '55000';
        END IF;
    END IF;
END
$guard$;
