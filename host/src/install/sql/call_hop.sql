-- What the daemon refuses, refused here with its words.
CREATE OR REPLACE FUNCTION pgheal.raise_refusal(refusal jsonb) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $function$
DECLARE
    state text := CASE WHEN refusal->>'sqlstate' ~ '^[0-9A-Z]{5}$' AND refusal->>'sqlstate' !~ '^0[012]'
        THEN refusal->>'sqlstate' ELSE 'XX000' END;
    message text := coalesce(refusal->>'message', 'pgheal refused, and did not say why');
BEGIN
    -- An option of RAISE cannot be null, and an empty one is shown.
    IF refusal->>'hint' <> '' AND refusal->>'detail' <> '' THEN
        RAISE EXCEPTION USING ERRCODE = state, MESSAGE = message, DETAIL = refusal->>'detail', HINT = refusal->>'hint';
    ELSIF refusal->>'hint' <> '' THEN
        RAISE EXCEPTION USING ERRCODE = state, MESSAGE = message, HINT = refusal->>'hint';
    ELSIF refusal->>'detail' <> '' THEN
        RAISE EXCEPTION USING ERRCODE = state, MESSAGE = message, DETAIL = refusal->>'detail';
    END IF;
    RAISE EXCEPTION USING ERRCODE = state, MESSAGE = message;
END
$function$;

-- Says that the daemon does not answer, and since when.
CREATE OR REPLACE FUNCTION pgheal.raise_unreachable(reason text, asked text) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $function$
DECLARE
    seen timestamptz := pgheal.last_seen();
BEGIN
    RAISE EXCEPTION 'pgheal is not reachable at %; %', (SELECT endpoint FROM pgheal.installation),
        CASE WHEN seen IS NULL THEN 'it was never seen in this database'
            ELSE format('last seen %s (%s s ago)', date_trunc('second', seen),
                greatest(0, round(extract(epoch FROM clock_timestamp() - seen)))) END
        USING ERRCODE = '57P03', DETAIL = reason,
            HINT = CASE WHEN reason ~* 'authentication'
                    THEN 'Run `pgheal install` with the name and password of an [endpoint.user] that forwards.'
                WHEN asked = 'ruvector_dag_repair'
                    THEN 'If it had taken the request already, the repair is in ruvector_dag_repair_history().'
                ELSE 'Is `pgheal run` running, and does its [endpoint] listen there?' END;
END
$function$;

-- Asks the daemon by way of the hop, and comes back within the time limit whatever the daemon does. Nothing here, and
-- nothing that it waits for, takes a lock on a user's table.
CREATE OR REPLACE FUNCTION pgheal.call_hop(caller_role text, asked text, arguments jsonb) RETURNS jsonb
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $function$
DECLARE
    setup pgheal.installation;
    settings jsonb;
    envelope text;
    deadline timestamptz;
    wait_ms integer;
    seen timestamptz := pgheal.last_seen();
    pause double precision := 0.0005;
    in_time boolean := true;
    reply jsonb;
    reason text;
    message text;
    detail text;
BEGIN
    IF asked NOT IN ('ruvector_dag_healing_status', 'ruvector_dag_health_check', 'ruvector_dag_detected_issues',
        'ruvector_dag_repair', 'ruvector_dag_repair_history') OR jsonb_typeof(arguments) <> 'array' THEN
        RAISE EXCEPTION 'pgheal has no such function' USING ERRCODE = '42883';
    END IF;
    IF octet_length(arguments::text) > 4096 THEN
        RAISE EXCEPTION 'the arguments are too long' USING ERRCODE = '22023';
    END IF;
    SELECT * INTO setup FROM pgheal.installation;
    IF setup.database IS DISTINCT FROM current_database() THEN
        RAISE EXCEPTION 'the functions of pgheal were installed for database %, and this is %',
            quote_ident(setup.database), quote_ident(current_database()) USING ERRCODE = '55000',
            HINT = 'It was copied or renamed: run `pgheal install` for it.';
    END IF;

    -- An empty text is what SET LOCAL leaves behind: unset.
    SELECT coalesce(jsonb_object_agg(n.name, current_setting(n.name, true)), '{}') INTO settings
        FROM unnest(ARRAY['ruvector.dag_healing_enabled', 'ruvector.dag_healing_interval_ms',
            'ruvector.dag_healing_threshold']) AS n(name)
        WHERE btrim(current_setting(n.name, true)) <> '';
    envelope := jsonb_build_object('database', current_database(), 'at', extract(epoch FROM clock_timestamp()),
        'request', jsonb_build_object(
            -- Both are PostgreSQL's own word: who logged in, and the role that he took by SET ROLE.
            'caller', session_user || CASE WHEN current_setting('role') IN ('none', session_user) THEN ''
                ELSE ' as ' || current_setting('role') END,
            'role', caller_role, 'settings', settings, 'function', asked, 'arguments', arguments));

    -- A daemon that is connected here beats every second. Where it does not, only its refusals are worth waiting for.
    wait_ms := CASE WHEN seen < clock_timestamp() - interval '15 seconds'
            OR (seen IS NULL AND pg_has_role(current_user, 'pg_read_all_stats', 'USAGE'))
        THEN least(setup.time_limit_ms, 3000) ELSE setup.time_limit_ms END;
    deadline := clock_timestamp() + wait_ms * interval '1 millisecond';

    -- Locks on tables of users are nothing to a session that reads none of them; but none can start without the catalog.
    SELECT relation::regclass::text INTO reason FROM pg_locks
        WHERE pid = pg_backend_pid() AND granted AND mode = 'AccessExclusiveLock' AND locktype = 'relation'
            AND relation < 16384 LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'pgheal cannot be asked in a transaction that has locked %', reason USING ERRCODE = '55006',
            DETAIL = 'The functions of pgheal open a second session, and none starts without it.';
    END IF;
    -- What an earlier call of this session could not close.
    PERFORM pgheal.link_close('pgheal.hop');
    BEGIN
        PERFORM pgheal.link_open_hop();
    EXCEPTION WHEN OTHERS THEN
        GET STACKED DIAGNOSTICS message = MESSAGE_TEXT, detail = PG_EXCEPTION_DETAIL;
        RAISE EXCEPTION 'the functions of pgheal cannot open their second session on this server' USING ERRCODE = '57P03',
            DETAIL = concat_ws(': ', message, nullif(detail, '')),
            HINT = 'pg_hba.conf and max_connections must let it in; `pgheal install` tries which way does.';
    END;
    BEGIN
        PERFORM pgheal.link_send('pgheal.hop',
            format('SELECT pgheal.ask_daemon(%L, %L)', envelope, pgheal.proof_of(envelope)));
        WHILE in_time AND pgheal.link_is_busy('pgheal.hop') LOOP
            PERFORM pg_sleep(pause);
            pause := least(pause * 1.2, 0.005);
            in_time := clock_timestamp() < deadline;
        END LOOP;
        IF in_time THEN
            reply := pgheal.link_result('pgheal.hop')::jsonb;
        ELSE
            PERFORM pgheal.link_cancel('pgheal.hop');
        END IF;
        PERFORM pgheal.link_close('pgheal.hop');
    EXCEPTION WHEN OTHERS OR query_canceled THEN
        PERFORM pgheal.link_cancel('pgheal.hop');
        PERFORM pgheal.link_close('pgheal.hop');
        RAISE;
    END;

    IF reply ? 'answer' THEN
        RETURN reply->'answer';
    ELSIF reply ? 'refused' THEN
        PERFORM pgheal.raise_refusal(reply->'refused');
    END IF;
    reason := coalesce(reply->>'unreachable', format('It did not answer within %s ms.', wait_ms));
    PERFORM pgheal.raise_unreachable(reason, asked);
END
$function$;
