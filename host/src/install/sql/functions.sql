-- The functions of the specification. They run as the caller, in his search path: in it, the name that he gives means
-- what he means, and nothing else here is found by it. Arguments have the types that the called ones have, so that no
-- other function of the same name fits better.
CREATE OR REPLACE FUNCTION pgheal.ruvector_dag_healing_status() RETURNS jsonb
LANGUAGE plpgsql AS $function$
BEGIN
    RETURN pgheal.call('ruvector_dag_healing_status'::pg_catalog.text, pg_catalog.jsonb_build_array());
END
$function$;
COMMENT ON FUNCTION pgheal.ruvector_dag_healing_status() IS
    'state, last cycle, active repairs, metrics and effective settings of pgheal for this database';

CREATE OR REPLACE FUNCTION pgheal.ruvector_dag_health_check(table_name text) RETURNS jsonb
LANGUAGE plpgsql AS $function$
BEGIN
    RETURN pgheal.call('ruvector_dag_health_check'::pg_catalog.text,
        pg_catalog.jsonb_build_array(pgheal.resolve_table(table_name)));
END
$function$;
COMMENT ON FUNCTION pgheal.ruvector_dag_health_check(text) IS
    'the health of all vector indexes of a table, measured anew where that ends in time';

CREATE OR REPLACE FUNCTION pgheal.ruvector_dag_detected_issues(table_name text)
RETURNS TABLE (issue_id text, kind text, severity text, index_name text, evidence jsonb, explanation text,
    detected_at timestamptz)
LANGUAGE plpgsql AS $function$
BEGIN
    RETURN QUERY SELECT i.issue_id, i.kind, i.severity, i.index_name, i.evidence, i.explanation, i.detected_at
        FROM pg_catalog.jsonb_to_recordset(pgheal.call('ruvector_dag_detected_issues'::pg_catalog.text,
                pg_catalog.jsonb_build_array(pgheal.resolve_table(table_name))))
            AS i(issue_id pg_catalog.text, kind pg_catalog.text, severity pg_catalog.text, index_name pg_catalog.text,
                evidence pg_catalog.jsonb, explanation pg_catalog.text, detected_at pg_catalog.timestamptz);
END
$function$;
COMMENT ON FUNCTION pgheal.ruvector_dag_detected_issues(text) IS
    'what is wrong with the vector indexes of a table, as the last cycle found it';

CREATE OR REPLACE FUNCTION pgheal.ruvector_dag_repair(table_name text, issue_id text) RETURNS jsonb
LANGUAGE plpgsql AS $function$
BEGIN
    IF issue_id IS NULL OR pg_catalog.btrim(issue_id) OPERATOR(pg_catalog.=) '' THEN
        RAISE EXCEPTION 'the id of an issue is missing' USING ERRCODE = '22004',
            HINT = 'SELECT issue_id FROM ruvector_dag_detected_issues(table)';
    END IF;
    RETURN pgheal.call('ruvector_dag_repair'::pg_catalog.text,
        pg_catalog.jsonb_build_array(pgheal.resolve_table(table_name), issue_id));
END
$function$;
COMMENT ON FUNCTION pgheal.ruvector_dag_repair(text, text) IS
    'asks for the repair of an issue and gives its ticket at once; its progress is in ruvector_dag_healing_status()';

CREATE OR REPLACE FUNCTION pgheal.ruvector_dag_repair_history(table_name text, days integer DEFAULT 7)
RETURNS TABLE (id bigint, issue_id text, issue_kind text, index_name text, strategy text, digest text, outcome text,
    reason text, started_at timestamptz, finished_at timestamptz, duration_ms bigint, result jsonb, before jsonb,
    after jsonb)
LANGUAGE plpgsql AS $function$
BEGIN
    IF days IS NULL OR days OPERATOR(pg_catalog.<) 1 OR days OPERATOR(pg_catalog.>) 36500 THEN
        RAISE EXCEPTION 'days is %; it must be from 1 to 36500', coalesce(days::pg_catalog.text, 'null')
            USING ERRCODE = '22023';
    END IF;
    RETURN QUERY SELECT r.id, r.issue_id, r.issue_kind, r.index_name, r.strategy, r.digest, r.outcome, r.reason,
            r.started_at, r.finished_at, r.duration_ms, r.result, r.before, r.after
        FROM pg_catalog.jsonb_to_recordset(pgheal.call('ruvector_dag_repair_history'::pg_catalog.text,
                pg_catalog.jsonb_build_array(pgheal.resolve_table(table_name), days)))
            AS r(id pg_catalog.int8, issue_id pg_catalog.text, issue_kind pg_catalog.text, index_name pg_catalog.text,
                strategy pg_catalog.text, digest pg_catalog.text, outcome pg_catalog.text, reason pg_catalog.text,
                started_at pg_catalog.timestamptz, finished_at pg_catalog.timestamptz, duration_ms pg_catalog.int8,
                result pg_catalog.jsonb, before pg_catalog.jsonb, after pg_catalog.jsonb);
END
$function$;
COMMENT ON FUNCTION pgheal.ruvector_dag_repair_history(text, integer) IS
    'the repairs of a table''s vector indexes in the last days, newest first';
