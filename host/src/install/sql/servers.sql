-- Two foreign servers: the daemon's endpoint, and this very database (the hop). A call that waits for the daemon waits
-- in a session of its own, so that the caller can give up in time. Passwords are in the user mappings, nowhere else.
DO $servers$
DECLARE
    wrapper text := (SELECT fdwname FROM pg_foreign_data_wrapper
        WHERE fdwname IN ('dblink_fdw', 'postgres_fdw') AND has_foreign_data_wrapper_privilege(fdwname, 'USAGE')
        ORDER BY fdwname LIMIT 1);
    hop_role text := 'pgheal_hop_' || (SELECT oid FROM pg_database WHERE datname = current_database());
    hop_password text := replace(gen_random_uuid()::text || gen_random_uuid()::text, '-', '');
    hop_host text := current_setting('pgheal_install.hop_host');
    hop_port text := coalesce(nullif(current_setting('pgheal_install.hop_port'), ''), current_setting('port'));
    listens text := current_setting('listen_addresses');
    time_limit_ms integer := current_setting('pgheal_install.time_limit_ms');
    connect_timeout_s text := greatest(2, ceil(time_limit_ms / 1000.0))::text;
    sslmode text := current_setting('pgheal_install.endpoint_sslmode');
    sslrootcert text := current_setting('pgheal_install.endpoint_sslrootcert');
    -- As whom the hop is opened: dblink_connect_u, which takes a server's word for who logs in, runs as its owner.
    hop_mapping text := 'pgheal_functions';
    stranger text;
    unwelcome text;
    options text;
BEGIN
    IF wrapper IS NULL THEN
        RAISE EXCEPTION 'role % may use neither dblink_fdw nor postgres_fdw', quote_ident(current_user)
            USING ERRCODE = '42501', HINT = format('GRANT USAGE ON FOREIGN DATA WRAPPER dblink_fdw TO %I', current_user);
    END IF;
    SELECT string_agg(quote_ident(srvname), ', ') INTO stranger FROM pg_foreign_server
        WHERE srvname IN ('pgheal_daemon', 'pgheal_hop') AND NOT pg_has_role(current_user, srvowner, 'USAGE');
    IF stranger IS NOT NULL THEN
        RAISE EXCEPTION 'the foreign server % belongs to somebody else', stranger USING ERRCODE = '42501';
    END IF;
    DROP SERVER IF EXISTS pgheal_daemon CASCADE;
    DROP SERVER IF EXISTS pgheal_hop CASCADE;
    IF NOT current_setting('pgheal_install.managed')::boolean THEN
        SELECT pg_get_userbyid(p.proowner) INTO STRICT hop_mapping FROM pg_proc AS p
            JOIN pg_depend AS d ON d.classid = 'pg_proc'::regclass AND d.objid = p.oid AND d.deptype = 'e'
            JOIN pg_extension AS e ON d.refclassid = 'pg_extension'::regclass AND e.oid = d.refobjid
            WHERE e.extname = 'dblink' AND p.proname = 'dblink_connect_u' AND p.pronargs = 2;
    END IF;

    -- The password is the functions' own: it is known to nobody, and a stretched hash of 244 random bits is no better.
    PERFORM set_config('password_encryption', 'scram-sha-256', true);
    PERFORM set_config('scram_iterations', '1', true) FROM pg_settings WHERE name = 'scram_iterations';
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = hop_role) THEN
        SELECT string_agg(reason, '; ') INTO unwelcome FROM (
            SELECT 'it has more rights than to log in' FROM pg_roles WHERE rolname = hop_role
                AND (rolsuper OR rolcreaterole OR rolcreatedb OR rolreplication OR rolbypassrls)
            UNION ALL
            SELECT format('it is a member of %I', r.rolname) FROM pg_auth_members AS a
                JOIN pg_roles AS r ON r.oid = a.roleid WHERE a.member = hop_role::regrole
        ) AS found(reason);
        IF unwelcome IS NOT NULL THEN
            RAISE EXCEPTION 'role % was not made by pgheal: %', hop_role, unwelcome USING ERRCODE = '42501';
        END IF;
        EXECUTE format('ALTER ROLE %I LOGIN NOINHERIT CONNECTION LIMIT 32 PASSWORD %L', hop_role, hop_password);
    ELSE
        EXECUTE format('CREATE ROLE %I LOGIN NOINHERIT CONNECTION LIMIT 32 PASSWORD %L', hop_role, hop_password);
        EXECUTE format('COMMENT ON ROLE %I IS %L', hop_role,
            'pgheal: second session of its functions in database ' || current_database());
    END IF;
    IF NOT has_database_privilege(hop_role, current_database(), 'CONNECT') THEN
        EXECUTE format('GRANT CONNECT ON DATABASE %I TO %I', current_database(), hop_role);
    END IF;
    EXECUTE format('GRANT USAGE ON SCHEMA pgheal TO %I', hop_role);

    IF hop_host = '' THEN
        hop_host := CASE
            WHEN listens ~ '(^|[ ,])(\*|0\.0\.0\.0|127\.0\.0\.1|localhost)($|[ ,])' THEN '127.0.0.1'
            WHEN listens ~ '(^|[ ,])(::|::1)($|[ ,])' THEN '::1'
            WHEN listens <> '' THEN btrim(split_part(listens, ',', 1))
            ELSE btrim(split_part(current_setting('unix_socket_directories'), ',', 1)) END;
    END IF;
    -- A session that its caller gave up ends by itself, and waits for no lock.
    EXECUTE format($server$CREATE SERVER pgheal_hop FOREIGN DATA WRAPPER %I OPTIONS (host %L, port %L, dbname %L,
            application_name 'pgheal functions', connect_timeout %L, options %L)$server$,
        wrapper, hop_host, hop_port, current_database(), connect_timeout_s,
        format('-c statement_timeout=%s -c lock_timeout=1000', time_limit_ms + 1000));
    EXECUTE format('CREATE USER MAPPING FOR %I SERVER pgheal_hop OPTIONS (user %L, password %L)', hop_mapping,
        hop_role, hop_password);

    options := format('host %L, port %L, dbname %L, application_name %L, connect_timeout %L',
        current_setting('pgheal_install.endpoint_host'), current_setting('pgheal_install.endpoint_port'),
        coalesce(nullif(current_setting('pgheal_install.target'), ''), current_database()), 'pgheal functions',
        connect_timeout_s);
    IF sslmode <> '' THEN
        options := options || format(', sslmode %L', sslmode);
    END IF;
    IF sslrootcert <> '' THEN
        options := options || format(', sslrootcert %L', sslrootcert);
    END IF;
    -- Somebody else who listens there must not be told the password.
    IF current_setting('server_version_num')::integer >= 160000 THEN
        options := options || ', require_auth ''scram-sha-256''';
    END IF;
    EXECUTE format('CREATE SERVER pgheal_daemon FOREIGN DATA WRAPPER %I OPTIONS (%s)', wrapper, options);
    EXECUTE format('CREATE USER MAPPING FOR pgheal_functions SERVER pgheal_daemon OPTIONS (user %L, password %L)',
        current_setting('pgheal_install.endpoint_user'), current_setting('pgheal_install.endpoint_password'));
    GRANT USAGE ON FOREIGN SERVER pgheal_daemon, pgheal_hop TO pgheal_functions;
END
$servers$;
