-- Last: who owns what, and who may call it. Everything that forwards belongs to a role that can do nothing else, so that
-- no mistake in it is a superuser's.
DO $ownership$
DECLARE
    hop_role text := 'pgheal_hop_' || (SELECT oid FROM pg_database WHERE datname = current_database());
    daemon_role text := current_setting('pgheal_install.daemon_role');
    ours record;
BEGIN
    FOR ours IN
        SELECT p.oid::regprocedure AS name FROM pg_proc AS p JOIN pg_namespace AS n ON n.oid = p.pronamespace
        WHERE n.nspname = 'pgheal' AND p.proname NOT IN ('read_index_pages', 'readable_index')
            AND NOT EXISTS (SELECT FROM pg_depend AS d
                WHERE d.classid = 'pg_proc'::regclass AND d.objid = p.oid AND d.deptype = 'e')
    LOOP
        EXECUTE format('ALTER FUNCTION %s OWNER TO pgheal_functions', ours.name);
        EXECUTE format('REVOKE ALL ON FUNCTION %s FROM PUBLIC', ours.name);
    END LOOP;
    GRANT EXECUTE ON FUNCTION pgheal.ruvector_dag_healing_status(), pgheal.ruvector_dag_health_check(text),
        pgheal.ruvector_dag_detected_issues(text), pgheal.ruvector_dag_repair(text, text),
        pgheal.ruvector_dag_repair_history(text, integer), pgheal.resolve_table(text), pgheal.call(text, jsonb),
        pgheal.forward_as_reader(text, jsonb) TO pgheal_reader;
    GRANT EXECUTE ON FUNCTION pgheal.forward_as_operator(text, jsonb) TO pgheal_operator;
    GRANT EXECUTE ON FUNCTION pgheal.forward_as_admin(text, jsonb) TO pgheal_admin;
    EXECUTE format('GRANT EXECUTE ON FUNCTION pgheal.ask_daemon(text, text) TO %I', hop_role);
    REVOKE CREATE ON SCHEMA pgheal FROM pgheal_functions;

    -- For "last seen": a heartbeat in pg_stat_activity, and the time in the counters of one that is gone. Without them the
    -- functions only tell less.
    BEGIN
        IF NOT pg_has_role('pgheal_functions', 'pg_read_all_stats', 'USAGE') THEN
            GRANT pg_read_all_stats TO pgheal_functions;
        END IF;
        IF to_regclass('pgheal.metrics') IS NOT NULL THEN
            GRANT SELECT ON pgheal.metrics TO pgheal_functions;
        END IF;
        IF daemon_role <> '' THEN
            EXECUTE format('ALTER DEFAULT PRIVILEGES FOR ROLE %I IN SCHEMA pgheal GRANT SELECT ON TABLES TO pgheal_functions',
                daemon_role);
        END IF;
    EXCEPTION WHEN insufficient_privilege THEN
        RAISE WARNING 'role % may not let the functions see the daemon''s sessions: they cannot say when it was last seen',
            quote_ident(current_user) USING DETAIL = SQLERRM;
    END;
END
$ownership$;
