-- When the daemon was last heard of by this database: its heartbeat is a query a second. Anybody can give his session
-- that name, so only sessions of the daemon's role count. For one that is gone: when it last saved its counters.
-- Null: never, or it cannot be seen.
CREATE OR REPLACE FUNCTION pgheal.last_seen() RETURNS timestamptz
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $function$
DECLARE
    seen timestamptz;
BEGIN
    SELECT max(coalesce(a.state_change, a.backend_start)) INTO seen
        FROM pg_stat_activity AS a JOIN pg_roles AS r ON r.oid = a.usesysid
        WHERE a.application_name = 'pgheal heartbeat' AND a.datname = current_database()
            AND (r.rolsuper OR r.rolname = (SELECT daemon_role FROM pgheal.installation)
                OR r.oid = (SELECT nspowner FROM pg_namespace WHERE nspname = 'pgheal'));
    IF seen IS NULL THEN
        -- A plain table runs nothing of its owner's when it is read.
        PERFORM FROM pg_class WHERE oid = to_regclass('pgheal.metrics') AND relkind = 'r' AND NOT relrowsecurity
            AND has_table_privilege(oid, 'SELECT');
        IF FOUND THEN
            SELECT max(m.saved_at) INTO seen FROM pgheal.metrics AS m;
        END IF;
    END IF;
    RETURN seen;
END
$function$;
