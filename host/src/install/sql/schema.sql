-- Schema pgheal, also where the daemon made it for its journal.
DO $schema$
DECLARE
    daemon_role text := current_setting('pgheal_install.daemon_role');
BEGIN
    IF NOT EXISTS (SELECT FROM pg_namespace WHERE nspname = 'pgheal') THEN
        -- The daemon trusts a schema of its own role or of a superuser.
        IF current_setting('pgheal_install.managed')::boolean AND daemon_role <> '' THEN
            EXECUTE format('CREATE SCHEMA pgheal AUTHORIZATION %I', daemon_role);
            EXECUTE format('SET LOCAL ROLE %I; GRANT USAGE, CREATE ON SCHEMA pgheal TO %I; RESET ROLE', daemon_role,
                session_user);
        ELSE
            CREATE SCHEMA pgheal;
        END IF;
    END IF;
    -- Whoever owns the schema can drop the functions and put his own into their place, which a superuser then calls. The
    -- daemon needs no more than to make its tables here.
    IF NOT current_setting('pgheal_install.managed')::boolean AND NOT (SELECT o.rolsuper FROM pg_namespace AS n
            JOIN pg_roles AS o ON o.oid = n.nspowner WHERE n.nspname = 'pgheal') THEN
        EXECUTE format('ALTER SCHEMA pgheal OWNER TO %I', current_user);
    END IF;
    IF daemon_role <> '' AND NOT has_schema_privilege(daemon_role, 'pgheal', 'CREATE') THEN
        EXECUTE format('GRANT USAGE, CREATE ON SCHEMA pgheal TO %I', daemon_role);
    END IF;
    -- With the privileges of the schema's owner, where this one is its member or a superuser.
    IF pg_has_role(current_user, (SELECT nspowner FROM pg_namespace WHERE nspname = 'pgheal'), 'USAGE') THEN
        REVOKE ALL ON SCHEMA pgheal FROM PUBLIC;
    END IF;
    GRANT USAGE ON SCHEMA pgheal TO pgheal_reader;
    GRANT USAGE, CREATE ON SCHEMA pgheal TO pgheal_functions;
END
$schema$;
