-- The same functions where people find them without naming schema pgheal. They are bound to those: nothing else can be
-- called in their place.
DO $wrappers$
DECLARE
    home text := current_setting('pgheal_install.function_schema');
    old record;
    wanted record;
BEGIN
    -- In another schema, an earlier installation put them elsewhere.
    FOR old IN
        SELECT p.oid::regprocedure AS name, n.nspname FROM pg_proc AS p JOIN pg_namespace AS n ON n.oid = p.pronamespace
            JOIN pg_depend AS d ON d.classid = 'pg_proc'::regclass AND d.objid = p.oid AND d.refclassid = 'pg_proc'::regclass
            JOIN pg_proc AS f ON f.oid = d.refobjid JOIN pg_namespace AS fn ON fn.oid = f.pronamespace
        WHERE fn.nspname = 'pgheal' AND f.proname = p.proname AND n.nspname NOT IN ('pgheal', home)
            AND f.proname LIKE 'ruvector\_dag\_%'
    LOOP
        EXECUTE format('DROP FUNCTION %s', old.name);
        EXECUTE format('REVOKE USAGE ON SCHEMA %I FROM pgheal_reader', old.nspname);
    END LOOP;
    IF home = 'pgheal' THEN
        RETURN;
    END IF;
    FOR wanted IN
        SELECT p.oid, p.proname, pg_get_function_arguments(p.oid) AS arguments, pg_get_function_result(p.oid) AS result,
            pg_get_function_identity_arguments(p.oid) AS identity, p.proretset, obj_description(p.oid) AS comment,
            (SELECT coalesce(string_agg('$' || a.n, ', ' ORDER BY a.n), '')
                FROM generate_series(1, p.pronargs::integer) AS a(n)) AS passed
        FROM pg_proc AS p JOIN pg_namespace AS n ON n.oid = p.pronamespace
        WHERE n.nspname = 'pgheal' AND p.proname LIKE 'ruvector\_dag\_%' ORDER BY p.proname
    LOOP
        PERFORM FROM pg_proc AS p JOIN pg_namespace AS n ON n.oid = p.pronamespace
            WHERE n.nspname = home AND p.proname = wanted.proname
                AND p.proargtypes = (SELECT proargtypes FROM pg_proc WHERE oid = wanted.oid)
                AND NOT EXISTS (SELECT FROM pg_depend AS d WHERE d.classid = 'pg_proc'::regclass AND d.objid = p.oid
                    AND d.refclassid = 'pg_proc'::regclass AND d.refobjid = wanted.oid);
        IF FOUND THEN
            RAISE EXCEPTION 'there is a function %.%(%) already, and it is not pgheal''s', quote_ident(home),
                wanted.proname, wanted.identity USING ERRCODE = '42723', HINT = 'Choose another schema: --function-schema.';
        END IF;
        EXECUTE format('CREATE OR REPLACE FUNCTION %I.%I(%s) RETURNS %s LANGUAGE sql BEGIN ATOMIC SELECT %s pgheal.%I(%s); END',
            home, wanted.proname, wanted.arguments, wanted.result,
            CASE WHEN wanted.proretset THEN '* FROM' ELSE '' END, wanted.proname, wanted.passed);
        EXECUTE format('COMMENT ON FUNCTION %I.%I(%s) IS %L', home, wanted.proname, wanted.identity, wanted.comment);
        EXECUTE format('REVOKE ALL ON FUNCTION %I.%I(%s) FROM PUBLIC', home, wanted.proname, wanted.identity);
        EXECUTE format('GRANT EXECUTE ON FUNCTION %I.%I(%s) TO pgheal_reader', home, wanted.proname, wanted.identity);
    END LOOP;
    IF NOT has_schema_privilege('pgheal_reader', home, 'USAGE') THEN
        EXECUTE format('GRANT USAGE ON SCHEMA %I TO pgheal_reader', home);
    END IF;
END
$wrappers$;
