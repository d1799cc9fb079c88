-- Takes back what was installed. The daemon's tables in schema pgheal stay: they are the history of its repairs, and
-- what its undoing rests on. Nothing of anybody else's is dropped with it: what depends on the functions is an error.
DO $lock$ BEGIN PERFORM pg_catalog.pg_advisory_xact_lock(1885825132, 3); END $lock$;
SET LOCAL search_path = pg_catalog, pg_temp;

DO $uninstall$
DECLARE
    hop_role text := 'pgheal_hop_' || (SELECT oid FROM pg_database WHERE datname = current_database());
    ours record;
    mapped record;
    given record;
    function_schema text;
    role_name text;
    members text;
    failure text;
BEGIN
    IF to_regclass('pgheal.installation') IS NOT NULL THEN
        EXECUTE 'SELECT max(function_schema) FROM pgheal.installation' INTO function_schema;
    END IF;
    -- Those that are bound to others go first: the functions for people, then what is bound to dblink and pageinspect.
    FOR ours IN
        SELECT p.oid::regprocedure AS name FROM pg_proc AS p
            JOIN pg_depend AS d ON d.classid = 'pg_proc'::regclass AND d.objid = p.oid AND d.refclassid = 'pg_proc'::regclass
            JOIN pg_proc AS f ON f.oid = d.refobjid JOIN pg_namespace AS fn ON fn.oid = f.pronamespace
        WHERE fn.nspname = 'pgheal' AND f.proname = p.proname AND f.proname LIKE 'ruvector\_dag\_%' AND f.oid <> p.oid
    LOOP
        EXECUTE format('DROP FUNCTION %s', ours.name);
    END LOOP;
    SET LOCAL client_min_messages = warning;
    DROP FUNCTION IF EXISTS pgheal.read_index_pages(regclass, bigint, bigint);
    DROP FUNCTION IF EXISTS pgheal.readable_index(regclass, bigint, bigint);
    DROP FUNCTION IF EXISTS pgheal.proof_of(text);
    FOR ours IN
        SELECT p.oid::regprocedure AS name FROM pg_proc AS p JOIN pg_namespace AS n ON n.oid = p.pronamespace
        WHERE n.nspname = 'pgheal' AND p.proowner = to_regrole('pgheal_functions')
    LOOP
        EXECUTE format('DROP FUNCTION %s', ours.name);
    END LOOP;
    FOR ours IN SELECT srvname FROM pg_foreign_server WHERE srvname IN ('pgheal_hop', 'pgheal_daemon') LOOP
        FOR mapped IN SELECT usename FROM pg_user_mappings WHERE srvname = ours.srvname LOOP
            EXECUTE format('DROP USER MAPPING FOR %I SERVER %I', mapped.usename, ours.srvname);
        END LOOP;
        EXECUTE format('DROP SERVER %I', ours.srvname);
    END LOOP;
    DROP TABLE IF EXISTS pgheal.installation;
    SET LOCAL client_min_messages = notice;
    FOR ours IN
        SELECT e.extname FROM pg_extension AS e JOIN pg_namespace AS n ON n.oid = e.extnamespace
        WHERE n.nspname = 'pgheal' AND e.extname IN ('dblink', 'pageinspect')
    LOOP
        BEGIN
            EXECUTE format('DROP EXTENSION %I', ours.extname);
        EXCEPTION WHEN dependent_objects_still_exist THEN
            RAISE NOTICE 'the extension % stays: something else uses it', ours.extname;
        END;
    END LOOP;

    IF EXISTS (SELECT FROM pg_namespace WHERE nspname = 'pgheal') THEN
        BEGIN
            DROP SCHEMA pgheal;
        EXCEPTION WHEN dependent_objects_still_exist THEN
            RAISE NOTICE 'schema pgheal stays: it holds the history of repairs';
        WHEN insufficient_privilege THEN
            RAISE NOTICE 'schema pgheal stays: %', SQLERRM;
        END;
    END IF;

    FOREACH role_name IN ARRAY ARRAY[hop_role, 'pgheal_functions', 'pgheal_admin', 'pgheal_operator', 'pgheal_reader'] LOOP
        CONTINUE WHEN to_regrole(role_name) IS NULL;
        -- Only what was given here: people may have granted these roles more.
        FOR given IN
            SELECT format('SCHEMA %I', n.nspname) AS object, n.nspowner AS owner, a.grantee
                FROM pg_namespace AS n CROSS JOIN LATERAL aclexplode(n.nspacl) AS a
                WHERE n.nspname IN ('pgheal', function_schema)
            UNION
            SELECT format('DATABASE %I', d.datname), d.datdba, a.grantee
                FROM pg_database AS d CROSS JOIN LATERAL aclexplode(d.datacl) AS a
                WHERE d.datname = current_database() AND role_name = hop_role
        LOOP
            CONTINUE WHEN given.grantee <> to_regrole(role_name) OR NOT pg_has_role(given.owner, 'USAGE');
            EXECUTE format('REVOKE ALL ON %s FROM %I', given.object, role_name);
        END LOOP;
        -- Nobody else has a use for these two.
        IF role_name IN (hop_role, 'pgheal_functions') AND pg_has_role(to_regrole(role_name), 'USAGE')
            AND NOT EXISTS (SELECT FROM pg_shdepend WHERE refclassid = 'pg_authid'::regclass
                AND refobjid = to_regrole(role_name) AND deptype = 'o'
                AND dbid = (SELECT oid FROM pg_database WHERE datname = current_database())) THEN
            EXECUTE format('DROP OWNED BY %I', role_name);
        END IF;
        SELECT string_agg(quote_ident(m.rolname), ', ' ORDER BY m.rolname) INTO members
            FROM pg_auth_members AS a JOIN pg_roles AS m ON m.oid = a.member
            WHERE a.roleid = to_regrole(role_name) AND m.rolname NOT LIKE 'pgheal\_%' AND m.rolname <> current_user;
        IF members IS NOT NULL THEN
            RAISE NOTICE 'role % stays: its members are %', role_name, members;
            CONTINUE;
        END IF;
        BEGIN
            EXECUTE format('DROP ROLE %I', role_name);
        EXCEPTION WHEN dependent_objects_still_exist OR insufficient_privilege OR object_in_use THEN
            GET STACKED DIAGNOSTICS failure = PG_EXCEPTION_DETAIL;
            RAISE NOTICE 'role % stays: %', role_name, coalesce(nullif(split_part(failure, E'\n', 1), ''), SQLERRM);
        END;
    END LOOP;
END
$uninstall$;
